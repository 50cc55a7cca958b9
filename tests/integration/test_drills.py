"""A thousand tampering drills on a record with approvals and an executed action: somebody notices each of them."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from countersign.actions import ACTIONS
from countersign.approvals.status import Status
from countersign.bootstrap import Site, open_site
from countersign.evaluate import drill_site, drills
from countersign.evaluate.drill_copy import Original, original
from countersign.evaluate.drill_kinds import DRILLS, Reach
from countersign.model.entries import Kind
from countersign.running import Runner
from tests import fakes, marking
from tests.integration.test_proposals import ADA, BEA, CYN, Room

pytestmark = pytest.mark.slow
ALERTS = 330


def lived(site: Site, folder: Path) -> Original:
    """The record of a site where alerts came in, an action was signed and carried out, and taken back."""
    marks = folder / "marks"
    marks.mkdir()
    site.config = replace(site.config, actions={"isolate_host": {"run": True, "folder": str(marks)}})
    with pytest.MonkeyPatch.context() as patch:
        for name, action in marking.actions().items():
            patch.setitem(ACTIONS, name, action)
        room = Room(site)
        number = room.propose()
        room.approve(number, ADA)
        Runner(site).step()
        undo = room.approving.propose_undo(number, CYN)
        room.approve(undo, BEA)
        Runner(site).step()
        assert room.state(undo) == Status.PROBED_OK.value
    raws = [fakes.wazuh(str(n), host=f"h{n}", rule=str(n % 9), at_ms=fakes.NOON_MS + n * 10) for n in range(ALERTS)]
    fakes.deliver(site, raws[:200])
    fakes.deliver(site, raws[200:])
    return original(site, folder / "original")


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Original:
    folder = tmp_path_factory.mktemp("drills")
    with closing(open_site(fakes.data_directory(folder / "data"), clock=fakes.StepClock())) as site:
        return lived(site, folder)


def test_every_one_of_a_thousand_is_noticed(held: Original, tmp_path: Path) -> None:
    found = drills.run(held, tmp_path, 1_000, 1, drills.detectors(held))
    assert (found.detected, found.missed) == (1_000, [])
    assert sum(line.drills for line in found.lines) == 1_000
    asked = {"flip a bit", "edit the checkpoint", "sign anew with another key", "pose as the key"}
    for line in found.lines:  # what the how-to says about who notices what
        rolled = line.name.startswith("roll back")
        assert line.by["verify"] == (0 if rolled else line.drills) or line.name == "fork", line
        assert line.by["witness"] == line.drills or not (rolled or line.reach == Reach.KEY.value), line
        assert line.by["witness"] == 0 or rolled or line.reach == Reach.KEY.value or line.name in asked, line
        if line.reach == Reach.DATABASE.value:
            assert line.by["older checkpoint"] == line.by["witness"] == 0, line
        elif line.name not in {"roll back", "roll back the log alone", "fork", "fork the log alone"}:
            assert line.by["older checkpoint"] == line.drills, line


def test_so_are_those_on_a_copy_from_either_database(site: Site, tmp_path: Path) -> None:
    held = lived(site, tmp_path)
    assert drills.run(held, tmp_path, len(DRILLS), 2, drills.detectors(held)).missed == []


def test_what_was_not_touched_is_accepted_by_all(held: Original, tmp_path: Path) -> None:
    copy = held.copy(tmp_path / "copy")
    assert [look(copy) for look in drills.detectors(held).values()] == ["", "", ""]


def test_what_nobody_looks_at_is_missed(held: Original, tmp_path: Path) -> None:
    found = drills.run(held, tmp_path, len(DRILLS), 1, {})
    assert (found.detected, len(found.missed)) == (0, len(DRILLS))
    looking = {"older checkpoint": drills.detectors(held)["older checkpoint"]}
    assert len(drills.run(held, tmp_path, len(DRILLS), 1, looking).missed) >= 6, "those in the database"


def test_the_same_seed_gives_the_same_drills(held: Original, tmp_path: Path) -> None:
    first, second, other = (drills.run(held, tmp_path, len(DRILLS), seed, {}).missed for seed in (1, 1, 2))
    assert first == second != other


def test_the_site_made_up_for_drills_has_alerts_dispositions_and_signatures(tmp_path: Path) -> None:
    with closing(drill_site.build(tmp_path / "site")) as site:
        kinds = Counter(entry.kind for entry in fakes.entries(site.engine))
        assert fakes.verified(site).ok
        fakes.assert_rebuilds(site)
    assert kinds[Kind.FINDING_DECIDED] > 256
    assert min(kinds[kind] for kind in (Kind.CASE_DISPOSED, Kind.CHANGE_APPROVED, Kind.PROPOSAL_APPROVED)) > 0


def test_the_command_drills_on_a_site_of_its_own_and_on_a_copy_of_one(tmp_path: Path) -> None:
    found = fakes.run_json("evaluate", "drills", "--drills", "24")
    assert (found["drills"], found["detected"], found["missed"]) == (24, 24, [])
    data = fakes.data_directory(tmp_path / "data")
    done = fakes.run("evaluate", "drills", "--drills", "24", "--data", data)
    assert done.returncode == 2
    assert b"does not suit drills" in done.stderr
