"""Database engine: SQLite (WAL, ``synchronous=FULL``) by default, PostgreSQL through the same code.

SQLite has one writer, so a write transaction takes the lock at its start (``BEGIN IMMEDIATE``): a transaction that reads,
decides and writes can then never fail half-way for want of the lock. PostgreSQL orders commits by the lock on the row of
``ledger_head``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from countersign.errors import EnvironmentFault

BUSY_MS = 60_000
WAL_TRIES = 20
_PRAGMAS = (
    "page_size=16384",  # before the first table is made; entries and records are some kilobytes each
    "synchronous=FULL",
    f"busy_timeout={BUSY_MS}",
    "cache_size=-65536",
    "wal_autocheckpoint=4000",
    "temp_store=MEMORY",
)


def make_engine(url: str) -> Engine:
    """Engine for ``sqlite:///…`` or ``postgresql+psycopg://…``. Raises EnvironmentFault on any other kind."""
    try:
        backend = make_url(url).get_backend_name()
    except ArgumentError as error:
        raise EnvironmentFault("database address cannot be read", where="database", todo="see docs/reference") from error
    if backend == "sqlite":
        engine = create_engine(url, connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False})
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if backend == "postgresql":
        return create_engine(url, pool_pre_ping=True)
    raise EnvironmentFault(f"database kind {backend!r} is not supported", where="database", todo="use sqlite or postgresql")


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own type
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    _use_wal(cursor)
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """The change to WAL does not wait for others who open the new file at the same time, so a lock does the waiting."""
    for _ in range(WAL_TRIES):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("COMMIT")
        else:
            return
    cursor.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A snapshot for reading that never waits for the writer. Raises EnvironmentFault when the database fails meanwhile."""
    try:
        with opened(engine) as connection:
            snapshot = connection.execution_options(reading=True)
            if engine.dialect.name == "postgresql":
                snapshot = snapshot.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with snapshot.begin():
                yield snapshot
    except OperationalError as error:
        raise _fault(engine, error, "database cannot be read", "check disk, rights and server") from error


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One write transaction: all of it commits, or nothing. Raises EnvironmentFault when the database does not take it."""
    try:
        with opened(engine) as connection, connection.begin():
            yield connection
    except OperationalError as error:
        raise _fault(engine, error, "database cannot be written", "check disk, rights and server") from error


@contextmanager
def opened(engine: Engine) -> Iterator[Connection]:
    """A connection, or a clear error when the database cannot be reached."""
    try:
        connection = engine.connect()
    except (OperationalError, sqlite3.OperationalError) as error:
        todo = "check disk, room and rights" if engine.dialect.name == "sqlite" else "check that its server runs"
        raise _fault(engine, error, "database cannot be opened", todo) from error
    with connection:
        yield connection


def _fault(engine: Engine, error: Exception, what: str, todo: str) -> EnvironmentFault:
    reason = next(iter(str(getattr(error, "orig", None) or error).splitlines()), "no answer")
    return EnvironmentFault(f"{what} ({reason})", where=engine.url.render_as_string(hide_password=True), todo=todo)
