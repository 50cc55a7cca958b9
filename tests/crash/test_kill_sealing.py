"""``kill -9`` at random moments while entries are sealed and published: every checkpoint that anybody ever saw stays valid,
consistent with all later ones, and complete.

``COUNTERSIGN_CRASH_RUNS`` says how many sites per database (3 here; 60 before a release), each killed several times; the
seed is printed, ``COUNTERSIGN_CRASH_SEED`` repeats it as far as the machine repeats itself.
"""

from __future__ import annotations

import os
import random
import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from countersign.bootstrap import Site, open_site
from countersign.ledger.merkle import consistency_proof, verify_consistency
from countersign.ledger.note import Checkpoint, open_checkpoint
from countersign.ledger.tiles import TILE_WIDTH, decode_bundle, width_at
from countersign.ledger.verify import verify
from countersign.store import ledger
from countersign.store.engine import reading
from countersign.store.ledger_rows import LedgerRows
from countersign.store.tiles import CHECKPOINT
from tests import fakes

pytestmark = [pytest.mark.crash, pytest.mark.slow]

RUNS = int(os.environ.get("COUNTERSIGN_CRASH_RUNS", "3"))
KILLS = 3
SEALS_MAX, SEAL_S, LOOK_S = 6, 0.15, 0.0005
"""How many seals to let go by; about what one takes; how often to look at the published checkpoint."""


class Observer:
    """Somebody who looks at the published checkpoint all the time, and remembers each one."""

    def __init__(self, published: Path) -> None:
        self._published = published
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.seen: dict[bytes, None] = {}

    def _look(self) -> None:
        while not self._stop.wait(LOOK_S):
            self.now()

    def now(self) -> None:
        if self._published.exists():
            self.seen.setdefault(self._published.read_bytes())

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.now()


def seal_and_kill(data: Path, seed: str, draw: random.Random, after_s: float) -> tuple[list[tuple[int, str]], bool]:
    """Let a process seal and kill it so long after it began to; (size, root) of what it told was sealed, and whether it was
    in the middle of it."""
    reading_end, writing_end = os.pipe()
    with tempfile.TemporaryFile() as errors, open(reading_end, "rb") as stdout:
        with open(writing_end, "wb") as telling:
            child = fakes.start(data, seed, stdout=telling, stderr=errors, module="tests.crash.seal_on")
        told, left = [], draw.randrange(SEALS_MAX)
        while left >= 0 and (line := stdout.readline()):
            told.append(line)
            left -= line == b"seals\n"
        timer = threading.Timer(after_s, child.kill)
        timer.start()
        told += stdout.read().splitlines(keepends=True)
        timer.join()
        errors.seek(0)
        assert child.wait() == -9, errors.read().decode()
    acknowledged = [line.split() for line in told if line.startswith(b"sealed ") and line.endswith(b"\n")]
    return [(int(size), root.decode()) for _, size, root in acknowledged], told[-1] == b"seals\n"


def whole(site: Site, told: list[tuple[int, str]]) -> None:
    """What is published is verified as it lies there, before any sealer tidies up, and covers what was told."""
    if site.tiles.checkpoint() is None:
        assert told == []
        return
    report = verify(site.tiles, [site.log_key.vkey], record=LedgerRows(site.engine))
    assert report.ok, report.problems
    assert report.size >= max((size for size, _ in told), default=0)


def stands(site: Site, one: Checkpoint, last: Checkpoint) -> None:
    """``one`` is extended by the log of today, which still gives every entry that it covers."""
    proof = consistency_proof(one.size, last.size, site.tiles)
    verify_consistency(one.size, last.size, one.root, last.root, proof)
    for bundle in range(-(-one.size // TILE_WIDTH)):
        width = width_at(one.size, 0, bundle)
        entries, rest = decode_bundle(site.tiles.bundle(bundle, width) or b"")
        assert (len(entries), rest) == (width, 0)


def test_every_checkpoint_ever_seen_stands(databases: Callable[[], str], tmp_path: Path) -> None:
    seed = os.environ.get("COUNTERSIGN_CRASH_SEED") or secrets.token_hex(4)
    started, inside, total = time.monotonic(), 0, 0
    for run in range(RUNS):
        draw = random.Random(f"{seed}/{run}")
        print(f"run {run} of {RUNS}, seed {seed}")
        data = fakes.data_directory(tmp_path / f"run{run}", databases())
        told: list[tuple[int, str]] = []
        with closing(open_site(data)) as site:
            with Observer(site.tiles.root / CHECKPOINT) as observer:
                for kill in range(KILLS):
                    after_s = draw.uniform(0.0, SEAL_S) if kill else 0.0  # the first at once: it falls into a seal
                    acknowledged, middle = seal_and_kill(data, f"{seed}/{run}/{kill}", draw, after_s)
                    told += acknowledged
                    inside += middle
                    whole(site, told)
            site.seal()
            observer.now()
            whole(site, told)
            total += hold(site, list(observer.seen), told)
    kills = RUNS * KILLS
    print(f"{kills} kills, {inside} while sealing; {total} checkpoints stand; {time.monotonic() - started:.0f} s")
    assert inside, "no kill fell into a seal"


def hold(site: Site, seen: list[bytes], told: list[tuple[int, str]]) -> int:
    """All that were seen or told of stand, in the order in which they were; returns how many were seen."""
    found = [open_checkpoint(signed, [site.log_key.vkey]) for signed in seen]
    last = found[-1]
    with reading(site.engine) as conn:
        assert last.size == ledger.size(conn), "every committed entry is covered"
    assert [one.size for one in found] == sorted({one.size for one in found})
    assert {(one.size, one.root.hex()) for one in found} >= set(told) - missed(found, told)
    for one in found:
        stands(site, one, last)
    for size, root in told:
        stands(site, Checkpoint(last.origin, size, bytes.fromhex(root)), last)
    return len(found)


def missed(found: list[Checkpoint], told: list[tuple[int, str]]) -> set[tuple[int, str]]:
    """Those that were replaced before the observer looked; none may contradict one that was seen."""
    roots = {one.size: one.root.hex() for one in found}
    return {(size, root) for size, root in told if size not in roots}
