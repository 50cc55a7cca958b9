"""Approved actions are carried out: sealed before the effect, probed after it, once, and only while everything holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select, text
from typer.testing import CliRunner

from countersign.actions import ACTIONS
from countersign.approvals.status import Status
from countersign.bootstrap import Site
from countersign.cli.main import app
from countersign.config import FILE
from countersign.errors import ConfigError, NotFoundError, TargetFault
from countersign.impact import Impact
from countersign.model.entries import Entry, Kind
from countersign.model.inventory import Criticality
from countersign.model.responses import Effect
from countersign.running import Runner
from countersign.store import ledger, performing, read_policy
from countersign.store import tables as t
from countersign.store.engine import opened, reading, writing
from countersign.store.solo import alone
from tests import fakes, marking, responding
from tests.integration.test_proposals import ADA, BEA, Room


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, action in marking.actions().items():
        monkeypatch.setitem(ACTIONS, name, action)
    found = tmp_path / "marks"
    found.mkdir()
    return found


def switched(site: Site, folder: Path, **more: Any) -> Site:
    site.config = replace(site.config, actions={"isolate_host": {"run": True, "folder": str(folder), **more}})
    return site


@pytest.fixture
def room(site: Site, folder: Path) -> Room:
    return Room(switched(site, folder))


def approved(room: Room) -> int:
    number = room.propose()
    assert "carried out" in room.approve(number, ADA)
    return number


def marked(folder: Path) -> bool:
    return (folder / "dc-01.isolated").exists()


def effects(folder: Path) -> int:
    log = folder / "effects.log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def later(site: Site, ms: int) -> None:
    site.clock.at_ms += ms  # type: ignore[attr-defined]  # tests.fakes.StepClock


def of(site: Site, kind: Kind) -> list[Entry]:
    return fakes.entries(site.engine, kind)


def row(site: Site, number: int) -> Any:
    with reading(site.engine) as conn:
        return conn.execute(select(t.performances).where(t.performances.c.proposal_id == number)).one()


def test_an_approved_action_is_sealed_done_and_probed_and_a_rebuild_knows_it(room: Room, folder: Path) -> None:
    number = approved(room)
    assert not marked(folder)
    assert Runner(room.site).step() == 1
    assert marked(folder)
    assert room.state(number) == Status.PROBED_OK.value
    (started,) = of(room.site, Kind.ACTION_STARTED)
    assert started.body["sealed"] > row(room.site, number).intent, "a checkpoint covers the intent before the effect"
    (probed,) = of(room.site, Kind.ACTION_PROBED)
    assert probed.body["effect"] == "holds"
    assert {"check", "seal", "do", "probe"} <= set(probed.body["ms"])
    assert Runner(room.site).step() == 0
    assert effects(folder) == 1
    room.site.seal()
    assert fakes.verified(room.site).ok
    fakes.assert_rebuilds(room.site)
    texts = [step.what for step in room.approving.sheet(number).steps]
    assert texts == ["proposed", "approved", "intent written", "started", "probed"]


def test_what_the_policy_was_asked_on_the_way_is_explained_from_the_record(room: Room, folder: Path) -> None:
    approved(room)
    Runner(room.site).step()
    asked = (Kind.PROPOSAL_CREATED, Kind.PROPOSAL_APPROVED, Kind.ACTION_INTENDED, Kind.ACTION_STARTED)
    with reading(room.site.engine) as conn:
        indices = [index for index, one in ledger.stream(conn) if one.kind in asked]
        found = [read_policy.explain(conn, str(index)) for index in indices]
        (probed,) = [index for index, one in ledger.stream(conn) if one.kind is Kind.ACTION_PROBED]
        with pytest.raises(NotFoundError, match="asked the policy nothing"):
            read_policy.explain(conn, str(probed))
    assert [(one.action, one.allowed) for one in found] == [
        ("propose", True),
        ("approve", True),
        ("run", True),
        ("run", True),
    ]
    assert all("held" in {one.outcome for one in each.conditions} for each in found)


def test_nothing_runs_that_is_not_switched_on(site: Site, folder: Path) -> None:
    room = Room(site)
    number = room.propose()
    room.approve(number, ADA)
    assert Runner(site).step() == 0
    assert room.state(number) == Status.APPROVED.value
    assert not marked(folder)


def test_a_proposal_that_nobody_approved_never_runs(room: Room, folder: Path) -> None:
    room.propose()
    assert Runner(room.site).step() == 0
    assert not marked(folder)


def test_a_critical_target_waits_for_the_second_person(site: Site, folder: Path) -> None:
    room = Room(switched(site, folder), Criticality.CRITICAL)
    number = room.propose()
    room.approve(number, ADA)
    assert Runner(site).step() == 0
    room.approve(number, BEA)
    assert Runner(site).step() == 1
    assert marked(folder)


def test_an_effect_that_does_not_hold_is_shown_and_a_person_is_called(room: Room, folder: Path) -> None:
    switched(room.site, folder, trouble="lame:x")
    number = approved(room)
    Runner(room.site).step()
    assert room.state(number) == Status.PROBED_BAD.value
    with reading(room.site.engine) as conn:
        told = conn.execute(select(t.notices.c.event).where(t.notices.c.number == number)).scalars().all()
    assert Status.PROBED_BAD.value in told


@pytest.mark.parametrize(
    "kind",
    [TargetFault.UNREACHABLE, TargetFault.CREDENTIALS, TargetFault.DENIED, TargetFault.TIMEOUT, TargetFault.MISSING],
)
def test_a_target_that_cannot_be_reached_is_left_alone_and_to_a_person(room: Room, folder: Path, kind: str) -> None:
    switched(room.site, folder, trouble=f"check:{kind}")
    number = approved(room)
    Runner(room.site).step()
    assert (room.state(number), row(room.site, number).fault) == (Status.PERSON.value, kind)
    assert effects(folder) == 0
    assert not of(room.site, Kind.ACTION_INTENDED)
    fakes.assert_rebuilds(room.site)


@pytest.mark.parametrize("trouble", [f"do:{TargetFault.TIMEOUT}", "do:bug"])
def test_trouble_in_the_middle_is_settled_by_the_probe(room: Room, folder: Path, trouble: str) -> None:
    switched(room.site, folder, trouble=trouble)
    number = approved(room)
    Runner(room.site).step()
    assert room.state(number) == Status.PROBED_OK.value
    assert row(room.site, number).fault
    assert effects(folder) == 1


def test_a_probe_that_fails_shows_nothing_to_hold(room: Room, folder: Path) -> None:
    switched(room.site, folder, trouble=f"probe:{TargetFault.TIMEOUT}")
    number = approved(room)
    Runner(room.site).step()
    assert (room.state(number), row(room.site, number).effect) == (Status.PROBED_BAD.value, "unknown")


def test_a_target_that_changed_after_the_approval_is_not_touched(room: Room, folder: Path) -> None:
    number = approved(room)
    responding.inventory(room.site, owner="somebody.else")
    Runner(room.site).step()
    assert (room.state(number), effects(folder)) == (Status.OUTDATED.value, 0)


def test_an_approval_that_expired_in_the_queue_is_none(room: Room, folder: Path) -> None:
    number = approved(room)
    later(room.site, 3_700_000)
    Runner(room.site).step()
    assert (room.state(number), effects(folder)) == (Status.EXPIRED.value, 0)


def test_an_approver_who_was_taken_out_approves_nothing_any_more(room: Room, folder: Path) -> None:
    number = approved(room)
    Impact(room.site).revoke(ADA, "left", last=True)
    Runner(room.site).step()
    assert (room.state(number), effects(folder)) == (Status.PERSON.value, 0)


def test_a_stopped_responder_does_nothing(room: Room, folder: Path) -> None:
    number = approved(room)
    room.site.commands.stop_agent("responder", "drill", "ada")
    Runner(room.site).step()
    assert (room.state(number), effects(folder)) == (Status.PERSON.value, 0)


def test_an_approval_that_was_tampered_with_is_found_before_the_effect(room: Room, folder: Path) -> None:
    number = approved(room)
    with writing(room.site.engine) as conn:
        answers = t.proposal_answers
        conn.execute(answers.update().where(answers.c.proposal_id == number).values(person="person~000000000000"))
    Runner(room.site).step()
    assert (room.state(number), effects(folder)) == (Status.PERSON.value, 0)


def test_what_cannot_be_sealed_waits_and_loses_nothing(room: Room, folder: Path) -> None:
    number = approved(room)
    room.site.seal()
    log, aside = room.site.data / "tlog", room.site.data / "tlog.aside"
    log.rename(aside)
    log.write_bytes(b"")  # a disk that takes nothing: no directory can be made here
    Runner(room.site).step()
    assert (room.state(number), effects(folder)) == (Status.SEALED.value, 0)
    log.unlink()
    aside.rename(log)
    assert Runner(room.site).step() == 1
    assert (room.state(number), effects(folder)) == (Status.PROBED_OK.value, 1)


def test_what_was_switched_off_while_it_waited_for_its_seal_is_not_done(room: Room, folder: Path) -> None:
    number = approved(room)
    rules = performing.Rules(room.site.policy, room.site.leases, True)
    with writing(room.site.engine) as conn:
        ready = performing.look_over(conn, number, rules, room.site.clock.now_ms())
        assert isinstance(ready, performing.Prepared)
        performing.intend(conn, ready, room.site.leases, Effect.ABSENT, room.site.clock.now_ms())
    switched(room.site, folder, run=False)
    Runner(room.site).step()
    assert (room.state(number), effects(folder)) == (Status.PERSON.value, 0)
    fakes.assert_rebuilds(room.site)


@pytest.mark.parametrize("happened", [True, False])
def test_what_a_crash_interrupted_is_probed_and_not_done_again(room: Room, folder: Path, happened: bool) -> None:
    number = approved(room)
    rules = performing.Rules(room.site.policy, room.site.leases, True)
    with writing(room.site.engine) as conn:
        ready = performing.look_over(conn, number, rules, room.site.clock.now_ms())
        assert isinstance(ready, performing.Prepared)
        performing.intend(conn, ready, room.site.leases, Effect.ABSENT, room.site.clock.now_ms())
    size = room.site.sealer.seal().size
    with writing(room.site.engine) as conn:
        performing.start(conn, ready, room.site.leases, size, room.site.clock.now_ms())
    if happened:
        (folder / "dc-01.isolated").touch()
    Runner(room.site).step()
    assert room.state(number) == (Status.PROBED_OK if happened else Status.PROBED_BAD).value
    assert effects(folder) == 0
    assert of(room.site, Kind.ACTION_PROBED)[0].body["fault"] == "interrupted"


def test_its_undo_is_proposed_when_its_time_is_over_and_takes_it_back(room: Room, folder: Path) -> None:
    number = approved(room)
    runner = Runner(room.site)
    runner.step()
    later(room.site, 239 * 60_000)
    assert runner.step() == 0
    later(room.site, 2 * 60_000)
    assert runner.step() == 1
    undo = row(room.site, number).undo
    assert room.state(number) == Status.UNDO_PROPOSED.value
    assert runner.step() == 0, "it is proposed once"
    assert marked(folder), "and nothing is undone before people say so"
    room.approve(undo, BEA)
    assert runner.step() == 1
    assert not marked(folder)
    assert room.state(undo) == Status.PROBED_OK.value
    room.site.seal()
    fakes.assert_rebuilds(room.site)


def test_a_person_can_ask_for_the_undo_and_cannot_approve_it(room: Room, folder: Path) -> None:
    number = approved(room)
    Runner(room.site).step()
    undo = room.approving.propose_undo(number, ADA)
    with pytest.raises(Exception, match="requester"):
        room.approve(undo, ADA)
    room.approve(undo, BEA)
    Runner(room.site).step()
    assert not marked(folder)


def test_settings_that_do_not_fit_are_named(site: Site, folder: Path) -> None:
    for tables, words in (
        ({"isolate_host": {"run": True, "folderr": "x"}}, "folderr"),
        ({"isolate_hosts": {"run": True}}, "isolate_hosts"),
        ({"isolate_host": {"run": "yes"}}, "run"),
    ):
        site.config = replace(site.config, actions=tables)
        with pytest.raises(ConfigError, match=words):
            Runner(site)


def test_two_runners_do_not_run_at_once(room: Room, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = approved(room)
    with alone(room.site.engine, room.site.data, "actions") as mine:
        assert mine
        second = Runner(room.site)
        assert (second.step(), second.elsewhere) == (0, True)
        monkeypatch.setattr("countersign.cli.responses.opened", lambda _data: nullcontext(room.site))
        told = CliRunner().invoke(app, ["actions", "run"])
        assert (told.exit_code, told.stderr) == (0, "0 taken further; another process has the actions in hand\n")
    assert room.state(number) == Status.APPROVED.value
    assert Runner(room.site).step() == 1


@pytest.mark.postgres
def test_a_runner_that_lost_its_lock_begins_nothing(room: Room, folder: Path) -> None:
    """The database hung up on the connection that held it, so another machine may have it; another process here has not."""
    if room.site.engine.dialect.name != "postgresql":
        pytest.skip("a file keeps the lock on SQLite, and nobody can take it away")
    number = approved(room)
    site = room.site
    runner = Runner(site)

    def hang_up(checkpoint: Callable[[], Any] = site.sealer.seal) -> Any:
        with opened(site.engine) as conn:
            held = text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = "
                "(SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            assert conn.execute(held).rowcount == 1
        with alone(site.engine, site.data, "actions") as second:
            assert not second
        return checkpoint()

    site.sealer.seal = hang_up  # type: ignore[method-assign]  # the moment at which it happens
    assert runner.step() == 0
    assert "another process may have it" in str(runner.troubles[number])
    assert (room.state(number), effects(folder)) == (Status.SEALED.value, 0)
    del site.sealer.seal  # type: ignore[method-assign]
    assert Runner(site).step() == 1
    assert (room.state(number), effects(folder)) == (Status.PROBED_OK.value, 1)


def test_the_doctor_names_what_is_switched_on_and_cannot_be_carried_out(tmp_path: Path) -> None:
    data = fakes.data_directory(tmp_path / "data")
    with (data / FILE).open("a") as file:
        file.write('\n[actions.isolate_host]\nrun = true\nvia = "netns:h"\n')
    found = CliRunner().invoke(app, ["doctor", "--data", str(data), "--json"])
    assert found.exit_code == 1
    assert json.loads(found.stdout)["responses"].count("actions.isolate_host.management: is empty") == 1
    with (data / FILE).open("a") as file:
        file.write('management = ["192.0.2.5"]\n')
    found = CliRunner().invoke(app, ["doctor", "--data", str(data), "--json"])
    assert (found.exit_code, json.loads(found.stdout)["responses"]) == (0, "2 switched on")
