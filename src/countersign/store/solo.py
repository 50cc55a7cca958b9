"""One process at a time: a lock that is gone when its holder is, however it ended."""

from __future__ import annotations

import fcntl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from countersign.errors import EnvironmentFault
from countersign.store.engine import opened


@dataclass(frozen=True, slots=True)
class Alone:
    """Whether this process has the lock, as a truth value."""

    mine: bool
    _conn: Connection | None = None

    def __bool__(self) -> bool:
        return self.mine

    def still(self) -> None:
        """Raises EnvironmentFault when the database, which kept the lock, may have given it to somebody else by now."""
        if self._conn is None:
            return
        try:
            self._conn.execute(select(1))  # never on another connection: that takes a rollback first, and there is none
            self._conn.commit()
        except SQLAlchemyError as error:
            what = "the connection that held the lock was lost, so another process may have it"
            raise EnvironmentFault(what, where="database", todo="it is tried again") from error


@contextmanager
def alone(engine: Engine, data: Path, name: str) -> Iterator[Alone]:
    """Whether this process has the lock of this name; it is not waited for. A file of the data directory keeps it, whatever
    becomes of the database; on PostgreSQL the database does as well, so that it holds for every machine."""
    with _file_lock(data / f".{name}.lock") as free:
        if not free or engine.dialect.name != "postgresql":
            yield Alone(free)
            return
        with opened(engine) as conn:
            key = zlib.crc32(f"countersign {name}".encode())
            mine = bool(conn.execute(select(func.pg_try_advisory_lock(key))).scalar())
            conn.commit()
            try:
                yield Alone(mine, conn)
            finally:
                if mine:
                    _unlock(conn, key)


def _unlock(conn: Connection, key: int) -> None:
    """A connection that is lost has taken its lock along; one that cannot be asked is hung up."""
    if conn.invalidated:
        return
    try:
        conn.execute(select(func.pg_advisory_unlock(key)))
        conn.commit()
    except SQLAlchemyError:
        conn.invalidate()


@contextmanager
def _file_lock(path: Path) -> Iterator[bool]:
    try:
        file = path.open("wb")
    except OSError as error:
        raise EnvironmentFault(f"cannot be locked ({error.strerror})", where=str(path)) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
