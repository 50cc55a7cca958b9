"""What several modules of the integration suite read and none changes, built once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from countersign.actions import ACTIONS
from countersign.bootstrap import Site, open_site
from countersign.reporting.make import Pack, Wanted, make_pack
from tests import fakes, marking
from tests.evidence_pack import act


@pytest.fixture(scope="session")
def acted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    """A site with a case whose host was isolated and released, and the case's id; for tests that only read."""
    folder = tmp_path_factory.mktemp("acted")
    data = fakes.data_directory(folder / "data", f"sqlite:///{folder / 'site.sqlite'}")
    site = open_site(data, clock=fakes.StepClock())
    with pytest.MonkeyPatch.context() as patch:
        for name, action in marking.actions().items():
            patch.setitem(ACTIONS, name, action)
        case = act(site, folder / "marks")
    yield site, case
    site.close()


@pytest.fixture(scope="session")
def pack(acted: tuple[Site, str]) -> Pack:
    site, case = acted
    return make_pack(site, Wanted(case=case))
