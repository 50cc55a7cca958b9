"""Two witnesses, processes of their own that serve all these tests, and sites that trust them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from countersign import witnessing
from countersign.bootstrap import Site, open_site
from tests import fakes
from tests.fakes import StepClock
from tests.witnesses import Pair, Served, made


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("witnesses")
    homes = [made(folder / name, f"witness.test/{name}") for name in ("w1", "w2")]
    found = Pair(homes, [Served(home) for home in homes])
    yield found
    for one in found.servers:
        one.end()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A witness that is only slow, on a busy machine, is none that is away."""
    monkeypatch.setattr(witnessing, "TIMEOUT_S", 60.0)


@pytest.fixture
def pair(both: Pair, data: Path) -> Pair:
    """The quorum is both of them."""
    both.up(0, 1)
    return both.trusted(data)


@pytest.fixture
def site(pair: Pair) -> Iterator[Site]:
    opened = open_site(pair.data, clock=StepClock())
    opened.seal()
    yield opened
    opened.close()


@pytest.fixture
def sqlite_pair(both: Pair, tmp_path: Path) -> Pair:
    """A site that can be copied with its directory."""
    both.up(0, 1)
    return both.trusted(fakes.data_directory(tmp_path / "data"))
