"""People, approvals and actions through the front door are judged from the log; what an operator changes is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from countersign.approvals.record.judge import Approvals
from countersign.bootstrap import Site
from countersign.impact import Impact
from countersign.ledger.verify import Report, verify
from countersign.model.inventory import Criticality
from countersign.running import Runner
from countersign.store.engine import writing
from countersign.store.ledger_rows import LedgerRows
from countersign.store.tables import evidence
from tests.integration.test_proposals import Room
from tests.integration.test_running import folder, switched
from tests.ledger_log import KEY, MemoryLog
from tests.passkey_signing import Authenticator, enrol

__all__ = ["folder"]
ADA, BEA = "Ada Lovelace", "Bea Miles"


def let_in(site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch, criticality: Criticality = Criticality.HIGH) -> Room:
    """Ada is first; Bea was let in by Ada's signature, as at a real site."""

    def one(of: Site, name: str, *, roles: tuple[str, ...] = ("approver",)) -> Authenticator:
        return enrol(of, name, roles=roles if name == ADA else ("analyst",))

    monkeypatch.setattr("tests.integration.test_proposals.enrol", one)
    made = Room(switched(site, folder), criticality)
    number = Impact(site).grant(BEA, "approver")
    assert number is not None
    assert made.approve(number, ADA) == "approved and made"
    return made


@pytest.fixture
def room(site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    return let_in(site, folder, monkeypatch, Criticality.CRITICAL)


def report(site: Site, *, beside: bool = True) -> Report:
    site.seal()
    record = LedgerRows(site.engine) if beside else None
    return verify(site.tiles, [site.log_key.vkey], record=record, judges=[Approvals(record.matter if record else None)])


def carried_out(room: Room) -> int:
    number = room.propose()
    room.approve(number, ADA)
    room.approve(number, BEA)
    assert Runner(room.site).step() == 1
    return number


def test_the_whole_way_verifies_with_the_database_and_without(room: Room) -> None:
    carried_out(room)
    found = report(room.site)
    assert found.ok, found.problems
    wanted = {"approvals": 3, "changes": 1, "proposals": 1, "effects_of_changes": 1, "intents": 1, "starts": 1, "probes": 1}
    assert wanted.items() <= found.checked.items()
    assert "proposals_without_their_bytes" not in found.unchecked
    assert [key.by.partition(" ")[0] for key in found.keys] == ["the", "change"]
    assert found.open == ()
    tiles = report(room.site, beside=False)
    assert (tiles.ok, tiles.unchecked["proposals_without_their_bytes"]) == (True, 1), tiles.problems


def test_whoever_holds_the_log_key_cannot_leave_an_approval_out_or_put_one_in(room: Room) -> None:
    number = carried_out(room)
    room.site.seal()
    entries = [row.data for row in LedgerRows(room.site.engine).rows()]
    assert b"proposal.approved" in b"".join(entries)
    other = room.propose()
    room.approve(other, ADA)
    room.site.seal()
    later = [row.data for row in LedgerRows(room.site.engine).rows()]
    place = next(i for i, data in enumerate(entries) if b'"proposal.approved"' in data)
    copied = next(data for data in later[len(entries) :] if b'"proposal.approved"' in data)
    forged = [*entries[:place], copied.replace(f'"{other}"'.encode(), f'"{number}"'.encode()), *entries[place + 1 :]]
    found = verify(MemoryLog(forged), [KEY.vkey], judges=[Approvals()])
    assert any(problem.index == place and "answers another digest" in problem.what for problem in found.problems)
    assert any("rests on approvals that do not count" in problem.what for problem in found.problems)


def test_what_a_crash_left_behind_is_open(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    number = room.propose()
    room.approve(number, ADA)
    room.approve(number, BEA)

    def die(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Runner, "_do", die)
    with pytest.raises(KeyboardInterrupt):
        Runner(room.site).step()
    found = report(room.site)
    assert found.ok, found.problems
    (still,) = found.open
    assert f"action {number} (isolate_host) was started" in still.what


def test_bytes_that_were_erased_leave_the_signatures_checked(room: Room) -> None:
    number = carried_out(room)
    with writing(room.site.engine) as conn:
        conn.execute(evidence.delete().where(evidence.c.kind == "proposal"))
    found = report(room.site)
    assert found.unchecked["proposals_without_their_bytes"] == 1
    assert found.checked["approvals"] == 3
    (missing,) = found.problems
    assert missing.index == number
    assert "is missing: it was deleted" in missing.what
