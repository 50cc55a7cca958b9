"""Tampering drills: a record is changed at random on a copy, and those who should notice look at it.

Three look, each with what it really has: ``verify`` reads log and database and knows nothing of before; the holder of an
older checkpoint reads the published log alone; the witness, the one that ships, is asked to cosign the checkpoint with a
proof that it extends the last one it signed. A drill is detected when one of them refuses.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from countersign.approvals.record.judge import Approvals
from countersign.bootstrap import open_site
from countersign.errors import CountersignError, VerificationError
from countersign.evaluate import drill_site
from countersign.evaluate.drill_copy import LOG, Copy, Original, original, plain_engine
from countersign.evaluate.drill_kinds import DRILLS, Drill
from countersign.ledger.judging import Judge
from countersign.ledger.merkle import consistency_proof
from countersign.ledger.note import VerifierKey, parse_checkpoint, split_note
from countersign.ledger.verify import verify
from countersign.ledger.witness import Request, WitnessRefusal
from countersign.store import rotation
from countersign.store.ledger_rows import LedgerRows
from countersign.store.tiles import TileDir
from countersign.witness.book import BOOK_FILE, Book, create

NAME = "witness.drill/w"
Detector = Callable[[Copy], str]
"""Looks at a tampered copy; what it found wrong, "" when it saw nothing."""


def by_verify(copy: Copy) -> str:
    """``countersign verify`` at the site: with the judges that it has."""
    record = LedgerRows(plain_engine(copy.database))
    judges: list[Judge] = [Approvals(record.matter), rotation.judge(copy.log, [_key(copy.original)])]
    return _first(verify(copy.log, [_key(copy.original)], record=record, judges=judges))


class Holder:
    """Somebody who kept a checkpoint and reads the published log: ``verify --since`` without a database."""

    def __init__(self, held: Original, size: int) -> None:
        self._since = held.older(size)

    def __call__(self, copy: Copy) -> str:
        """What is wrong with the log, seen from there."""
        return _first(verify(copy.log, [_key(copy.original)], since=self._since))


class Witness:
    """A real witness (``countersign.witness``, C2SP tlog-witness) that has cosigned the checkpoint of the original: it is
    asked for the next cosignature as a site asks. Where the log can ask nothing, it has nothing to notice."""

    def __init__(self, held: Original) -> None:
        home = Path(tempfile.mkdtemp(prefix="witness-", dir=held.folder.parent))
        create(home, NAME)
        self._file = home / BOOK_FILE
        self._book = Book(home, lambda: time.time_ns() // 1_000_000_000)
        self._book.trust(_key(held))
        self._size = 0
        if refused := self._ask(TileDir(held.folder / LOG)):
            raise VerificationError(f"the witness does not cosign what was not touched: {refused}")
        self._size = held.checkpoint.size
        self._kept = self._file.read_bytes()

    def __call__(self, copy: Copy) -> str:
        """Why it does not sign."""
        try:
            return self._ask(copy.log)
        finally:
            self._file.write_bytes(self._kept)  # each drill meets it as the original left it

    def _ask(self, log: TileDir) -> str:
        signed = log.checkpoint()
        if signed is None:
            return ""
        try:
            size = parse_checkpoint(split_note(signed)[0]).size
            old = min(self._size, size)
            proof = tuple(consistency_proof(old, size, log))
        except CountersignError:
            return ""
        try:
            self._book.add_checkpoint(Request(old, proof, signed).body)
        except WitnessRefusal as refusal:
            return f"answers {refusal.status}: {refusal.what}"
        return ""


def _key(held: Original) -> VerifierKey:
    return VerifierKey(held.key.name, held.key.public_key)


def _first(report: Any) -> str:  # noqa: ANN401 - the verifier's report
    return "" if report.ok else report.problems[0].what


class Line(msgspec.Struct):
    """One kind of tampering. by: how many drills each detector refused, whoever else did."""

    name: str
    reach: str
    drills: int
    detected: int
    by: dict[str, int]


class Outcome(msgspec.Struct):
    """missed: what was done in drills that nobody noticed."""

    drills: int
    detected: int
    seed: int
    entries: int
    lines: list[Line]
    missed: list[str]
    cpu_seconds: float


def detectors(held: Original) -> Mapping[str, Detector]:
    """Who looks. The older checkpoint is from half-way; a witness has seen every checkpoint."""
    half = held.checkpoint.size // 2
    return {"verify": by_verify, "older checkpoint": Holder(held, half), "witness": Witness(held)}


def evaluate(count: int, seed: int, data: Path | None = None) -> Outcome:
    """Drills on copies of a site's record, of a site made up for it when there is no ``data``."""
    with tempfile.TemporaryDirectory(prefix="countersign-drills-") as name:
        folder = Path(name)
        with closing(drill_site.build(folder / "site") if data is None else open_site(data)) as site:
            held = original(site, folder / "original")
        return run(held, folder, count, seed, detectors(held))


def run(held: Original, folder: Path, count: int, seed: int, looking: Mapping[str, Detector]) -> Outcome:
    """``count`` drills, every kind in turn. Raises nothing for what a drill did: a detector's fault would."""
    started = time.process_time()
    lines = [Line(one.name, one.reach.value, 0, 0, dict.fromkeys(looking, 0)) for one in DRILLS]
    missed = []
    for number in range(count):
        line, drill = lines[number % len(DRILLS)], DRILLS[number % len(DRILLS)]
        what = _drill(held.copy(folder / "copy"), drill, random.Random(f"{seed}/{number}"), line, looking)  # noqa: S311
        if what:
            missed.append(f"drill {number}: {what}")
    done = [line for line in lines if line.drills]
    cpu = round(time.process_time() - started, 1)
    return Outcome(count, sum(line.detected for line in done), seed, held.checkpoint.size, done, missed, cpu)


def _drill(copy: Copy, drill: Drill, draw: random.Random, line: Line, looking: Mapping[str, Detector]) -> str:
    """Do it and let everybody look; what was done when nobody noticed, else ""."""
    what = drill.tamper(copy, draw)
    seen = [name for name, look in looking.items() if look(copy)]
    line.drills += 1
    line.detected += bool(seen)
    for name in seen:
        line.by[name] += 1
    return "" if seen else what
