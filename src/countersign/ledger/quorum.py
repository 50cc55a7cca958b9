"""Whether witnesses stand behind a published log: what ``verify`` adds to its report where witnesses are named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from countersign.errors import VerificationError
from countersign.ledger.canonical import decode
from countersign.ledger.cosignature import WitnessKey, check_quorum, cosignatures
from countersign.ledger.findings import Problem
from countersign.ledger.merkle import consistency_proof, verify_consistency
from countersign.ledger.note import Checkpoint, VerifierKey, open_checkpoint
from countersign.ledger.record import LogReader
from countersign.ledger.tiles import TILE_WIDTH, decode_bundle, width_at
from countersign.ledger.verify import Report

GRACE_MS = 10 * 60_000
"""How long an entry may be without the quorum: it is asked for after an entry is sealed, and a busy log is always a little
ahead of its witnesses."""


class CosignedLog(LogReader, Protocol):
    """A published log that keeps its newest checkpoint under the quorum beside the newest of all."""

    def cosigned(self) -> bytes | None:
        """That checkpoint."""
        ...


class Wanted(NamedTuple):
    """What is asked of a log. quorum: how many of the witnesses must have cosigned; 0: those that are there must hold."""

    witnesses: tuple[WitnessKey, ...]
    quorum: int


def with_quorum(report: Report, log: CosignedLog, keys: Sequence[VerifierKey], wanted: Wanted, now_ms: int) -> Report:
    """The report with what is to be said about witnesses. Raises nothing for what is wrong: it is listed."""
    checked, problems = dict(report.checked), list(report.problems)
    try:
        signed = log.checkpoint()
        if signed is None:
            return report
        newest = open_checkpoint(signed, keys)
        checked["cosignatures"] = len(cosignatures(signed, wanted.witnesses))
        if wanted.quorum:
            checked["entries_under_the_quorum"] = _covered(log, keys, wanted, signed, newest, now_ms)
    except VerificationError as error:
        problems.append(Problem(None, f"witnesses: {error.what}"))
    return msgspec.structs.replace(report, ok=not problems, checked=checked, problems=tuple(problems))


def _covered(
    log: CosignedLog, keys: Sequence[VerifierKey], wanted: Wanted, signed: bytes, newest: Checkpoint, now_ms: int
) -> int:
    """Entries under the quorum. Raises VerificationError when there is none, or it lies too far behind."""
    try:
        check_quorum(signed, wanted.witnesses, wanted.quorum)
    except VerificationError as missing:
        kept = log.cosigned()
        if kept is None:
            raise
        check_quorum(kept, wanted.witnesses, wanted.quorum)
        older = open_checkpoint(kept, keys)
        _extends(log, older, newest)
        _recent(log, older, newest, missing, now_ms)
        return older.size
    return newest.size


def _extends(log: CosignedLog, older: Checkpoint, newest: Checkpoint) -> None:
    if older.origin != newest.origin or older.size > newest.size:
        what = f"{older.size} entries of {older.origin} were cosigned, this log has {newest.size} of {newest.origin}"
        raise VerificationError(f"{what}: it was rolled back")
    proof = consistency_proof(older.size, newest.size, log)
    verify_consistency(older.size, newest.size, older.root, newest.root, proof)


def _recent(log: CosignedLog, older: Checkpoint, newest: Checkpoint, missing: VerificationError, now_ms: int) -> None:
    """Raises VerificationError when the first entry without the quorum is older than it may be."""
    if older.size == newest.size:
        return
    bundle, place = divmod(older.size, TILE_WIDTH)
    entries, _ = decode_bundle(log.bundle(bundle, width_at(newest.size, 0, bundle)) or b"")
    if place < len(entries) and decode(entries[place]).time >= now_ms - GRACE_MS:
        return
    behind = newest.size - older.size
    raise VerificationError(f"{behind} entries from {older.size} on have waited too long: {missing.what}")
