"""A thousand tampering drills on a record with approvals and an executed action: somebody notices each of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from countersign.actions import ACTIONS
from countersign.approvals.status import Status
from countersign.bootstrap import Site
from countersign.evaluate import drills
from countersign.evaluate.drill_copy import Original, original
from countersign.evaluate.drill_kinds import DRILLS, Reach
from countersign.running import Runner
from tests import fakes, marking
from tests.integration.test_proposals import ADA, BEA, CYN, Room

pytestmark = pytest.mark.slow
ALERTS = 330


@pytest.fixture
def held(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Original:
    """The record of a site where alerts came in, an action was signed and carried out, and taken back."""
    for name, action in marking.actions().items():
        monkeypatch.setitem(ACTIONS, name, action)
    marks = tmp_path / "marks"
    marks.mkdir()
    site.config = replace(site.config, actions={"isolate_host": {"run": True, "folder": str(marks)}})
    room = Room(site)
    number = room.propose()
    room.approve(number, ADA)
    Runner(site).step()
    undo = room.approving.propose_undo(number, CYN)
    room.approve(undo, BEA)
    Runner(site).step()
    assert {room.state(one) for one in (number, undo)} == {Status.PROBED_OK.value}
    raws = [fakes.wazuh(str(n), host=f"h{n}", rule=str(n % 9), at_ms=fakes.NOON_MS + n * 10) for n in range(ALERTS)]
    fakes.deliver(site, raws[:200])
    fakes.deliver(site, raws[200:])
    return original(site, tmp_path / "original")


def test_every_one_of_a_thousand_is_noticed(site: Site, held: Original, tmp_path: Path) -> None:
    count = 1_000 if site.engine.dialect.name == "sqlite" else 3 * len(DRILLS)  # copies are the same of either
    found = drills.run(held, tmp_path, count, 1, drills.detectors(held))
    assert (found.detected, found.missed) == (count, [])
    seen = {line.name: line for line in found.lines}
    assert sum(line.drills for line in found.lines) == count
    for line in found.lines:  # what the how-to says about who notices what
        rolled = line.name.startswith("roll back")
        assert line.by["verify"] == (0 if rolled else line.drills) or line.name == "fork", line
        assert line.by["witness"] == line.drills or line.reach != Reach.KEY.value, line
        if line.reach == Reach.DATABASE.value:
            assert line.by["older checkpoint"] == line.by["witness"] == 0, line
        elif line.name not in {"roll back", "roll back the log alone", "fork", "fork the log alone"}:
            assert line.by["older checkpoint"] == line.drills, line
    assert seen["roll back"].by["witness"] == seen["roll back"].drills


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


def test_the_command_drills_on_a_site_of_its_own_and_on_a_copy_of_one(tmp_path: Path) -> None:
    found = fakes.run_json("evaluate", "drills", "--drills", "22")
    assert (found["drills"], found["detected"], found["missed"]) == (22, 22, [])
    data = fakes.data_directory(tmp_path / "data")
    done = fakes.run("evaluate", "drills", "--drills", "22", "--data", data)
    assert done.returncode == 2
    assert b"does not suit drills" in done.stderr
