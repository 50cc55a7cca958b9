"""What people are told of an action on its page, on the case and in what they sign, while it goes on and afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from countersign.running import Runner
from tests.integration.test_proposals import ADA, BEA, CYN, Room
from tests.integration.test_running import folder, later, marked
from tests.integration.test_running_at_odds import isolated, lines, room, sound

__all__ = ["folder", "room"]


def told(room: Room, number: int) -> tuple[list[str], str]:
    """Steps in short, and what the state means."""
    sheet = room.approving.sheet(number)
    return [step.what for step in sheet.steps], sheet.note


def test_the_way_of_an_action_tells_how_it_was_taken_back(room: Room, folder: Path) -> None:
    number = isolated(room)
    assert "before, it was not so" in room.approving.sheet(number).steps[2].text
    undo = room.approving.propose_undo(number, CYN)
    assert told(room, number)[1] == f"Carried out. Its undo, number {undo}, waits for people."
    room.approve(undo, BEA)
    Runner(room.site).step()
    steps, note = told(room, number)
    assert note == f"Carried out, and taken back by number {undo}, as a probe from outside showed."
    assert steps[-2:] == ["undo proposed", "undo probed"]
    assert room.approving.sheet(number).line.taken_back
    assert not room.approving.sheet(number).can_undo
    assert room.approving.sheet(undo).can_undo, "and what was taken back can be brought back"


@pytest.mark.parametrize("how", ["denied", "expired"])
def test_an_undo_that_took_nothing_back_can_be_proposed_anew(room: Room, folder: Path, how: str) -> None:
    number = isolated(room)
    undo = room.approving.propose_undo(number, CYN)
    assert not room.approving.sheet(number).can_undo, "one waits already"
    if how == "denied":
        room.approving.deny(undo, BEA, "not yet")
    else:
        later(room.site, 61 * 60_000)
    sheet = room.approving.sheet(number)
    assert (
        sheet.note
        == f"Carried out. Its undo, number {undo}, {how if how == 'expired' else 'was denied'}, and took nothing back."
    )
    assert sheet.can_undo
    assert not sheet.line.taken_back
    again = room.approving.propose_undo(number, CYN)
    room.approve(again, BEA)
    Runner(room.site).step()
    assert not marked(folder)
    assert room.approving.sheet(number).line.taken_back
    sound(room.site)


def test_an_approval_that_expires_while_it_waits_says_so(room: Room, folder: Path) -> None:
    number = room.propose()
    room.approve(number, ADA)
    later(room.site, 61 * 60_000)
    Runner(room.site).step()
    steps, note = told(room, number)
    assert (steps[-1], marked(folder)) == ("expired", False)
    assert note.startswith("Approved, and expired before it was carried out. Nothing was done")


def test_whoever_takes_an_action_back_is_told_nothing_that_nobody_looked_at(room: Room, folder: Path) -> None:
    undo = room.approving.propose_undo(isolated(room), CYN)
    assert "0 of 0" not in lines(room, undo)
