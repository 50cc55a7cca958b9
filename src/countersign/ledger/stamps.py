"""RFC 3161 timestamps over checkpoints: a third party says by when the log held what it holds.

What is stamped is the signed note itself, so that ``openssl ts -verify`` needs nothing but the two files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC
from functools import lru_cache

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
from countersign.ledger.tiles import HASH_BYTES, TileAt, width_at


class Stamp(msgspec.Struct, frozen=True):
    """A signed checkpoint and the authority's answer over it. size: of the checkpoint, as its files are called."""

    size: int
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


class Stamped(msgspec.Struct, frozen=True):
    """What the stamps of a log say. covered: entries under the largest stamp in which nothing was found wrong."""

    covered: int
    problems: tuple[Problem, ...]


def judge(log: LogReader, stamps: Iterable[Stamp], keys: Sequence[VerifierKey], roots: Sequence[Certificate]) -> Stamped:
    """Looks at the stamps of a log, whose tiles must have been verified: does each hold, and does this log extend its
    checkpoint? Without roots only the latter is looked at. Raises VerificationError where the log has no checkpoint."""
    newest = open_checkpoint(log.checkpoint() or b"", keys)
    tiles = _Tiles(log, newest.size)
    covered, found = 0, []
    for stamp in stamps:
        try:
            checkpoint = _opened(stamp, keys)
            _extends(tiles, newest, checkpoint)
            if roots:
                check(stamp.signed, stamp.token, roots)
            covered = max(covered, checkpoint.size)
        except VerificationError as error:
            found.append(Problem(None, f"stamp {stamp.size}: {error}"))
    return Stamped(covered, tuple(found))


def _opened(stamp: Stamp, keys: Sequence[VerifierKey]) -> Checkpoint:
    if not stamp.signed or not stamp.token:
        raise VerificationError("its checkpoint or the answer over it is not there")
    checkpoint = open_checkpoint(stamp.signed, keys)
    if checkpoint.size != stamp.size:
        raise VerificationError(f"is over a checkpoint of {checkpoint.size} entries")
    return checkpoint


class _Tiles:
    """Hash tiles of a log of ``size`` entries, each read once while it is wanted again and again."""

    def __init__(self, log: LogReader, size: int) -> None:
        self._size = size
        self._read = lru_cache(maxsize=64)(log.tile)

    def __call__(self, at: TileAt) -> bytes:
        data = self._read(at.level, at.index, width_at(self._size, at.level, at.index))
        return (data or b"")[: at.width * HASH_BYTES]


def _extends(tiles: _Tiles, newest: Checkpoint, older: Checkpoint) -> None:
    if older.origin != newest.origin:
        raise VerificationError(f"is of log {older.origin}, this one is {newest.origin}")
    if older.size > newest.size:
        what = f"covers {older.size} entries, this log only {newest.size}: it was truncated or rolled back"
        raise VerificationError(what)
    if Tree.load(older.size, tiles).root() != older.root:
        raise VerificationError(f"the first {older.size} entries are not those that were stamped")
