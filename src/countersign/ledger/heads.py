"""Where a log begins to be checked: its checkpoint, an older one, and what the database says of its size."""

from __future__ import annotations

from collections.abc import Sequence

from countersign.errors import VerificationError
from countersign.ledger.findings import Problems
from countersign.ledger.note import Checkpoint, VerifierKey, open_checkpoint, parse_checkpoint, split_note
from countersign.ledger.record import RecordReader


def checkpoint(signed: bytes | None, keys: Sequence[VerifierKey], problems: Problems) -> tuple[Checkpoint | None, bool]:
    """(checkpoint, signature holds). One that does not hold is still compared, so that more can be named."""
    if signed is None:
        problems.add(None, "checkpoint is missing")
        return None, False
    try:
        return open_checkpoint(signed, keys), True
    except VerificationError as error:
        problems.add(None, f"checkpoint: {error}")
    try:
        return parse_checkpoint(split_note(signed)[0]), False
    except VerificationError:
        return None, False


def head(record: RecordReader, problems: Problems) -> int | None:
    """Size that the database says it has."""
    try:
        return record.head()
    except VerificationError as error:
        problems.add(None, f"database: head cannot be read: {error}")
        return None


def older(signed: bytes, current: Checkpoint | None, keys: Sequence[VerifierKey], problems: Problems) -> Checkpoint | None:
    """The older checkpoint that this log must extend; None, and the problem named, when it is none of this log."""
    try:
        found = open_checkpoint(signed, keys)
    except VerificationError as error:
        problems.add(None, f"older checkpoint: {error}")
        return None
    size = current.size if current else 0
    if current and found.origin != current.origin:
        problems.add(None, f"older checkpoint is of log {found.origin}, this one is {current.origin}")
    if found.size > size:
        what = f"older checkpoint covers {found.size} entries, this log only {size}: it was truncated or rolled back"
        problems.add(size, what)
    return found
