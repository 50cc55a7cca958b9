"""RFC 3161 timestamps over checkpoints: a third party says by when the log held what it holds.

What is stamped is the signed note itself, so that ``openssl ts -verify`` needs nothing but the two files.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

import msgspec
from cryptography.x509 import Certificate
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerifierBuilder,
    decode_timestamp_response,
)
from rfc3161_client import VerificationError as StampError

from countersign.errors import VerificationError
from countersign.ledger.findings import Problem
from countersign.ledger.merkle import Tree
from countersign.ledger.note import Checkpoint, VerifierKey, open_checkpoint
from countersign.ledger.record import LogReader


class Stamp(msgspec.Struct, frozen=True):
    """A signed checkpoint and the DER of the authority's answer over it. name: how its files are called."""

    name: str
    signed: bytes
    token: bytes


class Asked(msgspec.Struct, frozen=True):
    """A request for a stamp: its DER, and the nonce that the answer must repeat."""

    body: bytes
    nonce: int | None


def ask(signed: bytes) -> Asked:
    """A request (SHA-256, with nonce, asking for the authority's certificate) for a stamp over a signed checkpoint."""
    request = TimestampRequestBuilder().data(signed).hash_algorithm(HashAlgorithm.SHA256).build()
    return Asked(request.as_bytes(), request.nonce)


def check(signed: bytes, token: bytes, roots: Sequence[Certificate], nonce: int | None = None) -> int:
    """When the authority saw this checkpoint, in milliseconds since the epoch. Raises VerificationError."""
    answer = _decode(token)
    builder = VerifierBuilder(roots=list(roots), nonce=nonce)
    try:
        builder.build().verify_message(answer, signed)
    except (StampError, ValueError) as error:
        raise VerificationError(f"timestamp does not hold: {' '.join(str(error).split())[:200]}") from error
    return int(answer.tst_info.gen_time.astimezone(UTC).timestamp() * 1000)


def _decode(token: bytes) -> TimeStampResponse:
    try:
        return decode_timestamp_response(token)
    except ValueError as error:
        raise VerificationError("timestamp is not an RFC 3161 answer") from error


def problems(
    log: LogReader, stamps: Sequence[Stamp], keys: Sequence[VerifierKey], roots: Sequence[Certificate]
) -> list[Problem]:
    """What is wrong with the stamps of a log: one that does not hold, or whose checkpoint this log does not extend. Without
    roots only the latter is looked at. The log's tiles must have been verified."""
    found = []
    for stamp in stamps:
        try:
            checkpoint = open_checkpoint(stamp.signed, keys)
            _extends(log, checkpoint, keys)
            if roots:
                check(stamp.signed, stamp.token, roots)
        except VerificationError as error:
            found.append(Problem(None, f"stamp {stamp.name}: {error}"))
    return found


def _extends(log: LogReader, older: Checkpoint, keys: Sequence[VerifierKey]) -> None:
    newest = open_checkpoint(log.checkpoint() or b"", keys)
    if older.origin != newest.origin:
        raise VerificationError(f"is of log {older.origin}, this one is {newest.origin}")
    if older.size > newest.size:
        what = f"covers {older.size} entries, this log only {newest.size}: it was truncated or rolled back"
        raise VerificationError(what)
    tree = Tree.load(older.size, lambda at: log.tile(at.level, at.index, at.width) or b"")
    if tree.root() != older.root:
        raise VerificationError(f"the first {older.size} entries are not those that were stamped")
