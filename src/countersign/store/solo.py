"""One process at a time: a lock that is gone when its holder is, however it ended."""

from __future__ import annotations

import fcntl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, func, select

from countersign.errors import EnvironmentFault
from countersign.store.engine import opened


@contextmanager
def alone(engine: Engine, data: Path, name: str) -> Iterator[bool]:
    """Whether this process has the lock of this name; it is not waited for. On PostgreSQL the database keeps it, so that it
    holds for every machine; on SQLite a file of the data directory does."""
    if engine.dialect.name == "postgresql":
        with opened(engine) as conn:
            key = zlib.crc32(f"countersign {name}".encode())
            mine = bool(conn.execute(select(func.pg_try_advisory_lock(key))).scalar())
            conn.commit()
            try:
                yield mine
            finally:
                if mine:
                    conn.execute(select(func.pg_advisory_unlock(key)))
                    conn.commit()
        return
    path = data / f".{name}.lock"
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
