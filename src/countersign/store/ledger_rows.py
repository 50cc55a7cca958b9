"""The database as the verifier reads it: entries by index, evidence with its salt, both streamed.

It only reads: no schema is made, nothing is migrated, and a database file that is not there is not created.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection, Engine, Select, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, OperationalError

from countersign.errors import VerificationError
from countersign.ledger.record import NoRecord, RecordReader, Row
from countersign.store import tables as t
from countersign.store.engine import make_engine, reading
from countersign.store.evidence import unpack

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:
    from compression import zstd

PAGE_ROWS = 1024
EVIDENCE_PAGE_ROWS = 64
"""Evidence may be megabytes a piece."""
_DAMAGED = ("Could not decode", "no such table", "no such column")
"""SQLite calls these operational like a lock, though only somebody who changed the file brings them about."""


def open_record(url: str) -> RecordReader:
    """The database at a SQLAlchemy address, or the empty record when it is a SQLite file that is not there."""
    engine = make_engine(url)
    file = make_url(url).database if engine.dialect.name == "sqlite" else None
    if file and file != ":memory:" and not Path(file).is_file():
        return NoRecord()
    return LedgerRows(engine)


class LedgerRows:
    """``RecordReader`` over the site's database. Pages by key, so no long transaction is held open."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def close(self) -> None:
        """Let the database go, where nobody else uses its engine."""
        self._engine.dispose()

    def alarms(self, witnesses: Collection[str]) -> list[str]:
        """What these witnesses (keys as text) say of a log that was rolled back or forked."""
        w = t.witnesses.c
        try:
            return [str(row[0]) for row in self._read(select(w.alarm).where(w.alarm != "", w.vkey.in_(list(witnesses))))]
        except VerificationError:  # a database of before there were witnesses
            return []

    def head(self) -> int | None:
        """Size in ``ledger_head``."""
        found = self._read(select(t.ledger_head.c.size).where(t.ledger_head.c.id == 1))
        if not found:
            raise VerificationError("its row was deleted", where="ledger_head", todo="restore it from a backup")
        if not isinstance(size := found[0][0], int):
            raise VerificationError("its size is no number", where="ledger_head", todo="restore it from a backup")
        return size

    def rows(self) -> Iterator[Row]:
        """All rows of ``entries`` by index."""
        e = t.entries.c
        columns = select(e.idx, e.kind, e.subject, e.time_ms, e.bytes).order_by(e.idx).limit(PAGE_ROWS)
        page = self._read(columns)
        while page:
            for index, kind, subject, time, data in page:
                if index < 0:
                    raise VerificationError(f"an entry was inserted at {index}, where a log has none", where="entries")
                yield Row(index, kind, subject, time, _raw(data))
            page = self._read(columns.where(e.idx > page[-1][0]))

    def evidence(self) -> Iterator[tuple[str, bytes, bytes]]:
        """(digest, salt, bytes) of all evidence."""
        e = t.evidence.c
        columns = select(e.digest, e.salt, e.bytes).order_by(e.digest).limit(EVIDENCE_PAGE_ROWS)
        page = self._read(columns)
        while page:
            for digest, salt, data in page:
                yield str(digest), _raw(salt), _raw(data)
            page = self._read(columns.where(e.digest > page[-1][0]))

    def matter(self, digest: str) -> bytes | None:
        """Bytes kept under a commitment; None when they are not there, or not what it commits to."""
        e = t.evidence.c
        for salt, data in self._read(select(e.salt, e.bytes).where(e.digest == digest)):
            try:
                return unpack(digest, _raw(salt), _raw(data), bytes)
            except (VerificationError, msgspec.MsgspecError, zstd.ZstdError):  # named where all evidence is checked
                return None
        return None

    def _read(self, statement: Select[Any]) -> Sequence[Sequence[Any]]:
        try:
            with reading(self._engine) as conn:
                return self._rows_of(conn, statement)
        except DatabaseError as error:
            raise _damaged(error) from error

    @staticmethod
    def _rows_of(conn: Connection, statement: Select[Any]) -> Sequence[Sequence[Any]]:
        try:
            return conn.execute(statement).all()
        except OperationalError as error:  # locked, or its server is gone: nothing that a tamperer did, unless it says so
            if _reason(error).startswith(_DAMAGED):
                raise _damaged(error) from error
            raise


def _reason(error: DatabaseError) -> str:
    return str(error.orig).splitlines()[0] if error.orig else type(error).__name__


def _damaged(error: DatabaseError) -> VerificationError:
    return VerificationError(f"database is damaged ({_reason(error)})", todo="restore it from a backup")


def _raw(value: object) -> bytes:
    """Bytes of a blob. SQLite lets a tamperer put text or a number there: that is not what was written, whatever it says."""
    return bytes(value) if isinstance(value, bytes | memoryview) else repr(value).encode(errors="replace")
