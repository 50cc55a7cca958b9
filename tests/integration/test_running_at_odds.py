"""What happens to an action while things change around it: clocks that differ, people and inventory that change in the very
moment, a lease that ends, a host that is another by now, effects that were so before, and undos of all of that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from countersign.approvals.proposal import read
from countersign.approvals.status import Status
from countersign.bootstrap import Site
from countersign.config import Approvals, Thresholds
from countersign.errors import ConflictError, EnvironmentFault, TargetFault
from countersign.impact import Impact
from countersign.model.entries import Kind
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.model.responses import Order
from countersign.running import Runner
from countersign.store import performing
from tests import fakes, marking
from tests.integration.test_proposals import ADA, BEA, CYN, Room
from tests.integration.test_running import approved, effects, folder, later, marked, of, row, switched

__all__ = ["folder"]
HOST = Asset("dc-01", "directory", "k.curlew", Criticality.HIGH, ("192.0.2.10",))


def known(site: Site, *records: Asset | Identity) -> None:
    assets = tuple(one for one in records if isinstance(one, Asset))
    people = tuple(one for one in records if isinstance(one, Identity))
    site.commands.import_inventory(Inventory(assets, people), "test", mode="replace")


def isolated(room: Room) -> int:
    number = approved(room)
    assert Runner(room.site).step() == 1
    assert room.state(number) == Status.PROBED_OK.value
    return number


def lines(room: Room, number: int) -> str:
    return " / ".join(read(room.approving.sheet(number).data.encode()).blast_radius)


@pytest.fixture
def room(site: Site, folder: Path) -> Room:
    """Bea was let in by Ada's signature, as at a real site."""
    return Room(switched(site, folder))


def sound(site: Site) -> None:
    report = fakes.judged(site)
    assert report.ok, report.problems
    fakes.assert_rebuilds(site)


# --- clocks -----------------------------------------------------------------------------------------------------------


def test_a_clock_that_is_behind_holds_it_up_and_loses_nothing(room: Room, folder: Path) -> None:
    """Two machines of a site are never quite together: the console took the approval, the worker's clock is behind."""
    number = approved(room)
    later(room.site, -5_000)
    runner = Runner(room.site)
    assert runner.step() == 0
    assert isinstance(runner.troubles[number], EnvironmentFault)
    assert "clock" in str(runner.troubles[number])
    assert (room.state(number), effects(folder)) == (Status.APPROVED.value, 0)
    later(room.site, 6_000)
    assert runner.step() == 1
    assert (room.state(number), effects(folder)) == (Status.PROBED_OK.value, 1)
    sound(room.site)


def test_a_clock_that_leaps_ahead_and_back_carries_out_nothing_late(room: Room, folder: Path) -> None:
    number = approved(room)
    later(room.site, 400 * 86_400_000)
    Runner(room.site).step()
    later(room.site, -400 * 86_400_000)
    Runner(room.site).step()
    assert (room.state(number), effects(folder)) == (Status.EXPIRED.value, 0)


# --- in the very moment -----------------------------------------------------------------------------------------------


def between(room: Room, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Let somebody act in another transaction once everything was looked over for a step, and before it is written. They may
    have to wait for it to be written."""
    real = getattr(performing, step)
    threads = []

    def acted(conn: object, *given: object) -> object:
        begun = threading.Event()
        thread = threading.Thread(target=lambda: (begun.set(), act()))
        thread.start()
        assert begun.wait(60)
        thread.join(0.3)
        threads.append(thread)
        return real(conn, *given)

    monkeypatch.setattr(performing, step, acted)
    Runner(room.site).step()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("step", ["intend", "start"])
def test_an_approver_taken_out_in_the_very_moment_is_before_it_or_after_it(
    room: Room, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whichever comes first, the log never says that it went on without its approval."""
    number = approved(room)
    between(room, lambda: Impact(room.site).revoke(ADA, "left", last=True), monkeypatch, step)
    order = [entry.kind for entry in fakes.entries(room.site.engine)]
    gone = order.index(Kind.ROLE_REVOKED)
    for kind in (Kind.ACTION_INTENDED, Kind.ACTION_STARTED):
        assert kind not in order[gone:], "it went on after its approval was gone"
    assert effects(folder) == (room.state(number) == Status.PROBED_OK.value)
    sound(room.site)


@pytest.mark.parametrize("step", ["intend", "start"])
def test_a_responder_stopped_in_the_very_moment_is_before_it_or_after_it(
    room: Room, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    approved(room)
    between(room, lambda: room.site.commands.stop_agent("responder", "drill", "ada"), monkeypatch, step)
    order = [entry.kind for entry in fakes.entries(room.site.engine)]
    for kind in (Kind.ACTION_INTENDED, Kind.ACTION_STARTED):
        assert kind not in order[order.index(Kind.AGENT_STOPPED) :], "it went on after the responder was stopped"
    sound(room.site)


# --- while it is done -------------------------------------------------------------------------------------------------


def doing(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Something happens while the target is touched."""
    real = marking.Marks._do

    def done(self: marking.Marks, order: Order) -> None:
        act()
        real(self, order)

    monkeypatch.setattr(marking.Marks, "_do", done)


def test_what_takes_longer_than_its_lease_is_probed_all_the_same(
    room: Room, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = approved(room)
    doing(monkeypatch, lambda: later(room.site, 30 * 60_000))
    Runner(room.site).step()
    assert (room.state(number), row(room.site, number).effect) == (Status.PROBED_OK.value, "holds")
    sound(room.site)


@pytest.mark.parametrize("how", ["stopped", "revoked"])
def test_a_responder_that_loses_its_lease_while_it_acts_writes_nothing_more(
    room: Room, folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    number = approved(room)

    def lose() -> None:
        if how == "stopped":
            room.site.commands.stop_agent("responder", "drill", "ada")
        else:
            room.site.commands.revoke_lease(of(room.site, Kind.ACTION_STARTED)[0].actor.lease, "drill")

    doing(monkeypatch, lose)
    Runner(room.site).step()
    assert marked(folder)
    written = fakes.entries(room.site.engine)
    lost = next(i for i, one in enumerate(written) if one.kind in (Kind.AGENT_STOPPED, Kind.LEASE_REVOKED))
    lease = of(room.site, Kind.ACTION_STARTED)[0].actor.lease
    assert lease not in {one.actor.lease for one in written[lost:]}
    if how == "stopped":
        assert (room.state(number), row(room.site, number).effect) == (Status.PROBED_BAD.value, "unknown")
    else:
        assert room.state(number) == Status.PROBED_OK.value, "it may have another lease"
    sound(room.site)


@pytest.mark.parametrize("meanwhile", ["expired", "approver gone", "owner changed"])
def test_what_a_crash_interrupted_is_probed_whatever_happened_to_its_approval(
    room: Room, folder: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """To look takes no approval; not to look would leave a person in the dark."""
    number = approved(room)

    def killed() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        doing(patch, killed)
        with pytest.raises(KeyboardInterrupt):
            Runner(room.site).step()
    (folder / "dc-01.isolated").touch()
    if meanwhile == "expired":
        later(room.site, 3 * 3_600_000)
    elif meanwhile == "approver gone":
        Impact(room.site).revoke(ADA, "left", last=True)
    else:
        known(room.site, replace(HOST, owner="somebody.else"))
    Runner(room.site).step()
    assert (room.state(number), row(room.site, number).effect) == (Status.PROBED_OK.value, "holds")
    assert effects(folder) == 0
    sound(room.site)


@pytest.mark.parametrize(("table", "state"), [({"run": False}, Status.PROBED_OK), (None, Status.PROBED_BAD)])
def test_what_a_crash_interrupted_is_not_forgotten_under_another_configuration(
    room: Room, folder: Path, monkeypatch: pytest.MonkeyPatch, table: dict[str, object] | None, state: Status
) -> None:
    """Switched off, it is probed all the same. Where nothing says any more how, a person looks."""
    number = approved(room)

    def killed() -> None:
        (folder / "dc-01.isolated").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        doing(patch, killed)
        with pytest.raises(KeyboardInterrupt):
            Runner(room.site).step()
    tables = {} if table is None else {"isolate_host": table | {"folder": str(folder)}}
    room.site.config = replace(room.site.config, actions=tables)
    Runner(room.site).step()
    assert (room.state(number), effects(folder)) == (state.value, 0)
    sound(room.site)


# --- undo -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "now",
    [
        replace(HOST, owner="somebody.else"),
        replace(HOST, addresses=("192.0.2.99",)),
        replace(HOST, criticality=Criticality.LOW),
    ],
    ids=["owner", "address", "criticality"],
)
def test_what_holds_can_be_undone_whatever_the_inventory_says_of_the_target_by_now(
    room: Room, folder: Path, now: Asset
) -> None:
    number = isolated(room)
    known(room.site, now)
    undo = room.approving.propose_undo(number, CYN)
    assert "since then dc-01" in lines(room, undo)
    room.approve(undo, BEA)
    Runner(room.site).step()
    assert (room.state(undo), marked(folder)) == (Status.PROBED_OK.value, False)
    sound(room.site)


def test_what_holds_too_long_is_put_before_people_whatever_the_inventory_says(room: Room, folder: Path) -> None:
    number = isolated(room)
    known(room.site, replace(HOST, owner="somebody.else"))
    later(room.site, 241 * 60_000)
    runner = Runner(room.site)
    assert (runner.step(), runner.troubles) == (1, {})
    assert room.state(row(room.site, number).undo) == "waiting"


def test_a_target_that_is_gone_from_the_inventory_says_what_to_do(room: Room, folder: Path) -> None:
    number = isolated(room)
    known(room.site, replace(HOST, name="dc-02", addresses=("192.0.2.11",)))
    with pytest.raises(ConflictError, match="dc-01 is not in the inventory any more"):
        room.approving.propose_undo(number, CYN)
    later(room.site, 241 * 60_000)
    runner = Runner(room.site)
    assert runner.step() == 0
    assert "dc-01 is not in the inventory any more" in str(runner.troubles[number])
    known(room.site, HOST)
    assert Runner(room.site).step() == 1


def test_an_account_of_the_same_name_is_no_target(room: Room, folder: Path) -> None:
    number = isolated(room)
    known(room.site, HOST, Identity("dc-01", "machine account", "", Criticality.LOW))
    undo = room.approving.propose_undo(number, CYN)
    assert "account dc-01" not in lines(room, undo)
    room.approve(undo, BEA)
    Runner(room.site).step()
    again = room.approving.propose_undo(undo, CYN)
    room.approve(again, ADA)
    Runner(room.site).step()
    assert (room.state(again), marked(folder)) == (Status.PROBED_OK.value, True)
    later(room.site, 241 * 60_000)
    assert Runner(room.site).step() == 1, "an isolation by way of two undos ends in time as well"
    sound(room.site)


def test_an_undo_takes_as_many_people_as_the_site_asks_for_it(room: Room, folder: Path) -> None:
    asked = Approvals(expiry_minutes=30, actions={"release_host": Thresholds(approve=2)})
    room.site.config = replace(room.site.config, approvals=asked)
    number = isolated(room)
    undo = room.approving.propose_undo(number, CYN)
    held = read(room.approving.sheet(undo).data.encode())
    assert held.people == 2
    assert held.expires_ms < room.site.clock.now_ms() + 31 * 60_000
    room.approve(undo, ADA)
    Runner(room.site).step()
    assert marked(folder), "one of two"
    room.approve(undo, BEA)
    Runner(room.site).step()
    assert not marked(folder)


def test_what_could_not_be_shown_to_hold_ends_in_time_as_well(room: Room, folder: Path) -> None:
    """A host may well be isolated although the probe does not know; a person was called, and may be at home by now."""
    switched(room.site, folder, trouble="probe:no answer in time")
    number = approved(room)
    Runner(room.site).step()
    assert (room.state(number), marked(folder)) == (Status.PROBED_BAD.value, True)
    later(room.site, 241 * 60_000)
    switched(room.site, folder)
    runner = Runner(room.site)
    assert runner.step() == 1
    undo = row(room.site, number).undo
    assert room.state(number) == Status.UNDO_PROPOSED.value
    assert runner.step() == 0
    room.approve(undo, BEA)
    runner.step()
    assert not marked(folder)
    sound(room.site)


def test_what_somebody_undid_by_hand_is_undone_all_the_same(room: Room, folder: Path) -> None:
    number = isolated(room)
    (folder / "dc-01.isolated").unlink()
    undo = room.approving.propose_undo(number, CYN)
    room.approve(undo, BEA)
    Runner(room.site).step()
    assert room.state(undo) == Status.PROBED_OK.value


def test_whoever_undoes_is_told_that_it_was_so_before(room: Room, folder: Path) -> None:
    """Somebody had isolated the host by other means: taking ours back may take back theirs."""
    (folder / "dc-01.isolated").touch()
    number = isolated(room)
    (intended,) = of(room.site, Kind.ACTION_INTENDED)
    assert intended.body["before"] == "holds"
    undo = room.approving.propose_undo(number, CYN)
    assert "was so before" in lines(room, undo)
    later(room.site, 1)
    sound(room.site)


def test_whoever_undoes_is_told_what_else_ends_with_it(room: Room, folder: Path) -> None:
    first = isolated(room)
    second = isolated(room)
    undo = room.approving.propose_undo(first, CYN)
    assert f"number {second} holds the same" in lines(room, undo)
    room.approve(undo, BEA)
    Runner(room.site).step()
    assert "holds the same" not in lines(room, room.approving.propose_undo(undo, CYN))


def test_what_may_still_come_about_after_a_time_out_ends_in_time_as_well(room: Room, folder: Path) -> None:
    switched(room.site, folder, trouble=f"before:{TargetFault.TIMEOUT}")
    number = approved(room)
    Runner(room.site).step()
    assert (room.state(number), row(room.site, number).effect) == (Status.PROBED_BAD.value, "absent")
    (folder / "dc-01.isolated").touch()  # what was begun came about after the probe
    switched(room.site, folder)
    later(room.site, 241 * 60_000)
    assert Runner(room.site).step() == 1
    undo = row(room.site, number).undo
    room.approve(undo, BEA)
    Runner(room.site).step()
    assert not marked(folder)
    sound(room.site)
