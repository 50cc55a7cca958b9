"""A signature names the site that it is for, and serves at no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from countersign.approvals import sshsig
from countersign.approvals.status import Status
from countersign.errors import VerificationError
from countersign.impact import Impact
from countersign.running import Runner
from countersign.store import ledger
from tests import fakes
from tests.integration.test_proposals import ADA, BEA, Room
from tests.integration.test_running import effects, folder
from tests.integration.test_running_at_odds import room
from tests.ssh_signing import make

__all__ = ["folder", "room"]


def brought_from_elsewhere(room: Room, monkeypatch: pytest.MonkeyPatch) -> int:
    """Whoever writes this site's database puts in what was proposed at another one."""
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "origin", lambda _: "staging.example/log")
        return room.propose()


def test_an_approval_for_another_site_is_none(room: Room, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same key of the same person may be enrolled at several sites, and signs the same bytes at each."""
    number = brought_from_elsewhere(room, monkeypatch)
    with pytest.raises(VerificationError, match=r"proposed at another site \(staging.example/log\)"):
        room.approve(number, ADA)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "origin", lambda _: "staging.example/log")
        room.approve(number, ADA)
    Runner(room.site).step()
    assert (room.state(number), effects(folder)) == (Status.PERSON.value, 0)
    room.site.seal()
    assert any("another site" in one.what for one in fakes.judged(room.site).problems)


def test_a_change_for_another_site_is_none(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "origin", lambda _: "staging.example/log")
        number = Impact(room.site).enrol(BEA, sshsig.parse_key(make("ssh-ed25519", "bea").public))
    assert number is not None
    with pytest.raises(VerificationError, match="another site"):
        room.approve(number, ADA)


def test_people_read_for_which_site_they_sign(room: Room) -> None:
    sheet = room.approving.sheet(room.propose())
    assert ("at site", room.site.log_key.name) in sheet.lines
