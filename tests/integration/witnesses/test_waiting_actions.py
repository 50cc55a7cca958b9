"""An action waits for its witnesses, says why, and goes on by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from countersign.approvals.status import Status
from countersign.bootstrap import Site, open_site
from countersign.config import FILE
from countersign.model.entries import Kind
from countersign.running import Runner
from countersign.witnessing import status
from tests import fakes
from tests.fakes import StepClock
from tests.integration.test_proposals import Room
from tests.integration.test_running import approved, effects, folder
from tests.witnesses import Liar, Pair, kinds, later, lying, rotate

__all__ = ["folder"]
pytestmark = pytest.mark.xdist_group("witnesses")  # they share two servers


@pytest.fixture
def room(pair: Pair, folder: Path) -> Iterator[Room]:
    with (pair.data / FILE).open("a", encoding="utf-8") as file:
        file.write(f"\n[actions.isolate_host]\nrun = true\nfolder = {json.dumps(str(folder))}\n")
    site = open_site(pair.data, clock=StepClock())
    yield Room(site)
    site.close()


def test_with_the_quorum_there_an_action_runs_at_once_under_its_checkpoint(room: Room, folder: Path) -> None:
    number = approved(room)
    assert Runner(room.site).step() == 1
    assert (room.state(number), effects(folder)) == (Status.PROBED_OK.value, 1)
    assert kinds(room.site, Kind.ACTION_WAITING) == 0
    (started,) = fakes.entries(room.site.engine, Kind.ACTION_STARTED)
    assert started.body["sealed"] == status(room.site).covered
    (probed,) = fakes.entries(room.site.engine, Kind.ACTION_PROBED)
    assert "quorum" in probed.body["ms"]


def test_without_the_quorum_it_waits_says_why_and_goes_on_by_itself(room: Room, pair: Pair, folder: Path) -> None:
    pair.down(1)
    number, runner = approved(room), Runner(room.site)
    for _ in range(3):
        assert runner.step() == 0
        later(room.site)
    assert (room.state(number), effects(folder)) == (Status.SEALED.value, 0)
    assert kinds(room.site, Kind.ACTION_WAITING) == 1
    sheet = room.approving.sheet(number)
    assert "1 of 2 cosignatures that are needed (w2 cannot be reached" in sheet.note
    assert [step.what for step in sheet.steps] == ["proposed", "approved", "intent written", "waits for witnesses"]
    (line,) = room.approving.of_case(room.case)
    assert "w2 cannot be reached" in line.waits
    pair.up(1)
    assert runner.step() == 1
    assert (room.state(number), effects(folder)) == (Status.PROBED_OK.value, 1)
    assert [step.what for step in room.approving.sheet(number).steps][-3:] == ["waits for witnesses", "started", "probed"]
    assert room.approving.of_case(room.case)[0].waits == ""
    assert fakes.verified(room.site).ok
    fakes.assert_rebuilds(room.site)


def test_what_waits_for_witnesses_expires_with_its_approval(room: Room, pair: Pair, folder: Path) -> None:
    pair.down(0, 1)
    number, runner = approved(room), Runner(room.site)
    assert runner.step() == 0
    later(room.site, 3_700_000)
    pair.up(0, 1)
    assert runner.step() == 1
    assert (room.state(number), effects(folder)) == (Status.PERSON.value, 0)
    assert "expired" in room.approving.sheet(number).steps[-1].text


def test_while_a_witness_raises_the_alarm_nothing_runs_whatever_the_others_say(
    room: Room, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two would do, and has cosigned; the other remembers more of this log than there is."""
    site = room.site
    site.config = replace_quorum(site, 1)
    first, second = site.witnesses
    monkeypatch.setattr(Liar, "answer", (409, "text/x.tlog.size", b"100000\n"))
    with lying() as url:
        site.witnesses = (first, second._replace(url=url))
        number, runner = approved(room), Runner(site)
        assert runner.step() == 0
        assert (room.state(number), effects(folder)) == (Status.SEALED.value, 0)
        assert "rolled back" in room.approving.sheet(number).note
    site.witnesses = (first, second)
    later(site)
    assert Runner(site).step() == 1
    assert effects(folder) == 1


def replace_quorum(site: Site, quorum: int) -> Any:
    return replace(site.config, ledger=replace(site.config.ledger, quorum=quorum))


def test_an_action_that_waits_goes_on_across_a_rotation(room: Room, pair: Pair, folder: Path) -> None:
    pair.down(1)
    number, runner = approved(room), Runner(room.site)
    assert runner.step() == 0
    rotate(room.site)
    later(room.site)
    assert (runner.step(), effects(folder)) == (0, 0)
    pair.up(1)
    later(room.site)
    assert runner.step() == 1
    assert (room.state(number), effects(folder)) == (Status.PROBED_OK.value, 1)
