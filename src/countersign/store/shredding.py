"""Let erased bytes leave the database's own files: a deleted row is still there to be read until its page is used anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from countersign.errors import EnvironmentFault
from countersign.store import tables as t
from countersign.store.engine import opened

CHUNK_BYTES = 1 << 20


def shred(engine: Engine) -> None:
    """Write every table anew without what was deleted, and with SQLite empty the write-ahead log. Raises EnvironmentFault
    while somebody else has the database open for longer than a writer waits; doing it again does no harm."""
    try:
        (_sqlite if engine.dialect.name == "sqlite" else _postgresql)(engine)
    except OperationalError as error:
        raise _busy(str(error.orig).splitlines()[0]) from error


def _sqlite(engine: Engine) -> None:
    with opened(engine) as conn:
        cursor = conn.connection.cursor()  # past SQLAlchemy, which would begin a transaction
        cursor.execute("PRAGMA temp_store=FILE")  # a copy of the whole database is made
        try:
            cursor.execute("VACUUM")
            busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except conn.dialect.dbapi.OperationalError as error:  # type: ignore[union-attr]
            raise _busy(str(error)) from error
        finally:
            cursor.execute("PRAGMA temp_store=MEMORY")
            cursor.close()
    if busy:
        raise _busy("its write-ahead log is being read")


def _postgresql(engine: Engine) -> None:
    with opened(engine) as conn:
        plain = conn.execution_options(isolation_level="AUTOCOMMIT")
        for table in t.metadata.sorted_tables:
            plain.execute(text(f'VACUUM (FULL, ANALYZE) "{table.name}"'))


def _busy(why: str) -> EnvironmentFault:
    todo = "stop other processes on this data directory and run the same command again"
    return EnvironmentFault(f"erased, but old bytes are still in the database's files ({why})", where="database", todo=todo)


def files_naming(folder: Path, names: Sequence[str], others: Sequence[str] = ()) -> Iterator[str]:
    """Files below a folder that hold one of the names outright, in upper or lower case, other than as part of one of the
    others."""
    wanted, kept = ([name.casefold().encode() for name in some] for some in (names, others))
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and _holds(path, wanted, kept):
            yield str(path.relative_to(folder))


def _holds(path: Path, wanted: Sequence[bytes], kept: Sequence[bytes]) -> bool:
    overlap = max(map(len, (*wanted, *kept)), default=0)
    tail = b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                data = tail + chunk.lower()
                if any(name in data for name in wanted) and any(name in _less(data, kept) for name in wanted):
                    return True
                tail = data[-overlap:]
    except OSError:
        return False
    return False


def _less(data: bytes, kept: Sequence[bytes]) -> bytes:
    for name in kept:
        data = data.replace(name, b"")
    return data
