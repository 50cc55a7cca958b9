"""Content-addressed matter beside the ledger: zstd-compressed msgpack, named by a salted commitment.

The name is SHA-256(salt ‖ bytes). The ledger holds only the name, so the matter can be erased, or replaced by a piece
without a person in it (``store.erasing``), while the log stays whole and verifiable.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, TypeVar

import msgspec
from sqlalchemy import Connection, Row, select

from countersign.errors import ErasedError, NotFoundError, VerificationError
from countersign.store import tables as t
from countersign.store.sql import among, insert_new

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:
    from compression import zstd

LEVEL = 1
"""The fastest level of zstd that also packs what does not repeat. Lower ones take as long all told: what they leave in is
hashed, written and copied into the database."""
_T = TypeVar("_T")
_encode = msgspec.msgpack.Encoder().encode


class Blob(msgspec.Struct, frozen=True):
    """Matter ready to be stored: its commitment, salt and compressed bytes."""

    digest: str
    kind: str
    salt: bytes
    data: bytes


def pack(kind: str, value: object) -> Blob:
    """Compress and name a value (any msgspec type)."""
    data = zstd.compress(_encode(value), level=LEVEL)
    salt = secrets.token_bytes(16)
    return Blob(digest=commitment(salt, data), kind=kind, salt=salt, data=data)


def commitment(salt: bytes, data: bytes) -> str:
    """SHA-256(salt ‖ data), hex."""
    return hashlib.sha256(salt + data).hexdigest()


def put(conn: Connection, blobs: list[Blob]) -> None:
    """Store blobs; one that is there already stays."""
    insert_new(conn, t.evidence, [{"digest": b.digest, "kind": b.kind, "salt": b.salt, "bytes": b.data} for b in blobs])


def get(conn: Connection, digest: str, kind: type[_T]) -> _T:
    """Load, check against the commitment and decode; where a person was erased from it, the piece in its place. Raises
    ErasedError, NotFoundError (deleted) or VerificationError (changed)."""
    row = _row(conn, digest)
    if row is None:
        digest = _instead(conn, digest)
        row = _row(conn, digest)
    if row is None:
        raise NotFoundError("evidence is not in the store", where=digest, todo="restore it from a backup")
    return unpack(digest, row.salt, row.bytes, kind)


def _row(conn: Connection, digest: str) -> Row[bytes, bytes] | None:
    return conn.execute(select(t.evidence.c.salt, t.evidence.c.bytes).where(t.evidence.c.digest == digest)).first()


def intact(conn: Connection, digests: Collection[str]) -> set[str]:
    """Those that are here under their own name: nobody was erased from them, and they were not archived."""
    e = t.evidence.c
    return set(conn.execute(among(conn, select(e.digest), e.digest, digests)).scalars())


def erased(conn: Connection, digest: str) -> int | None:
    """Index of the entry that says that this piece was replaced or erased; None when it is as it was."""
    found = conn.execute(select(t.erased_evidence.c.entry).where(t.erased_evidence.c.digest == digest)).scalar()
    return None if found is None else int(found)


def _instead(conn: Connection, digest: str) -> str:
    e = t.erased_evidence.c
    row = conn.execute(select(e.instead, e.entry).where(e.digest == digest)).first()
    if row is not None and not row.instead:
        raise ErasedError(row.entry, where=f"evidence {digest[:12]}")
    return digest if row is None else str(row.instead)


def unpack(digest: str, salt: bytes, data: bytes, kind: type[_T]) -> _T:
    """Check and decode one stored row."""
    if commitment(salt, data) != digest:
        raise VerificationError("evidence does not match its commitment", where=digest, todo="restore it from a backup")
    return msgspec.msgpack.decode(zstd.decompress(data), type=kind)
