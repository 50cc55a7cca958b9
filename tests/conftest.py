"""Fixtures shared by all tests.

The integration suite runs on both databases: ``database`` is the address of a fresh one, SQLite or PostgreSQL (marker
``postgres``), and ``site`` a data directory opened on it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from countersign.bootstrap import Site, open_site
from tests import examples
from tests.fakes import StepClock, data_directory
from tests.postgresql import Postgres, postgres_in
from tests.scheduling import pytest_collection_modifyitems, pytest_xdist_make_scheduler

__all__ = ["examples", "pytest_collection_modifyitems", "pytest_xdist_make_scheduler"]  # hooks are found by their names here

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real alerts and mail beside the checkout; absent on a user's machine, where the test is skipped."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data not found at {SHARED_DATA.name}/ beside the checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server, started on first use and stopped with the session."""
    folder = Path(tempfile.mkdtemp(prefix="countersign-pg-"))
    try:
        with postgres_in(folder / "data") as server:
            yield server
    finally:
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
