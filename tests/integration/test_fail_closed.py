"""Entries that cannot be sealed in time: nothing closes, no action starts, nothing is lost; and all of it goes on by itself
once the log can be written again."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from countersign.actions import ACTIONS
from countersign.api.server import create_app
from countersign.approvals.status import Status
from countersign.autonomy.scopes import Stage
from countersign.bootstrap import Site, open_site
from countersign.cli.common import warn_of_ledger
from countersign.evaluate.replay import replay
from countersign.ledger.note import Checkpoint
from countersign.model.entries import Kind
from countersign.running import Runner
from countersign.store.engine import reading
from countersign.store.sealing import HELD, Sealing, said
from countersign.web.session import Sessions
from tests import earned, fakes, marking
from tests.earned import noise
from tests.fakes import NOON_MS, StepClock, data_directory, deliver, wazuh
from tests.integration.test_proposals import ADA, Room

LATER = NOON_MS + earned.DAY_MS
PAST_LIMIT_MS = 61_000


def pass_limit(site: Site) -> None:
    """Time goes by until the oldest unsealed entry is too old."""
    site.clock.at_ms += PAST_LIMIT_MS  # type: ignore[attr-defined]  # tests.fakes.StepClock


@contextmanager
def unwritable(site: Site) -> Iterator[None]:
    """A file stands where the log's directory was: nobody, root included, can write tiles there."""
    site.seal()
    log, aside = site.data / "tlog", site.data / "tlog.aside"
    log.rename(aside)
    log.write_bytes(b"")
    try:
        yield
    finally:
        log.unlink()
        aside.rename(log)


@pytest.fixture
def closing(databases: Callable[[], str], tmp_path: Path) -> Iterator[Site]:
    """A site that may close in one scope."""
    site = open_site(data_directory(tmp_path / "data", databases()), clock=StepClock())
    earned.live_through(site)
    earned.promote(site, Stage.SUPERVISED)
    yield site
    site.close()


@pytest.mark.slow
def test_what_cannot_be_sealed_closes_nothing_until_it_can(closing: Site) -> None:
    assert deliver(closing, noise(range(200, 230), at_ms=LATER)).closed == 30
    with unwritable(closing):
        assert deliver(closing, noise(range(230, 240), at_ms=LATER)).unsealed, "the try to seal failed, and is told"
        pass_limit(closing)
        during = deliver(closing, noise(range(240, 260), at_ms=LATER))
        assert (during.accepted, during.closed, during.escalated) == (20, 0, 20)
        assert closing.hot_path.sweep().closed == 0
        held = fakes.entries(closing.engine, Kind.FINDING_DECIDED)[-20:]
        assert all([c[0] for c in one.body["conditions"] if c[1] != "held"] == ["ledger"] for one in held)
        assert {one.body["why"] for one in held} == {"ledger not sealed in time"}
    assert closing.hot_path.sweep().closed == 20, "what waited for the seal alone is asked again by itself"
    assert deliver(closing, noise(range(260, 280), at_ms=LATER)).closed == 20
    assert fakes.verified(closing).ok
    fakes.assert_rebuilds(closing)
    with reading(closing.engine) as conn:
        found = replay(conn)
    assert found.replayed == found.same, found.problems[:3]


@pytest.fixture
def room(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    for name, action in marking.actions().items():
        monkeypatch.setitem(ACTIONS, name, action)
    (tmp_path / "marks").mkdir()
    site.config = replace(site.config, actions={"isolate_host": {"run": True, "folder": str(tmp_path / "marks")}})
    return Room(site)


def test_an_approved_action_waits_for_the_seal_and_then_runs_by_itself(room: Room, tmp_path: Path) -> None:
    number = room.propose()
    room.approve(number, ADA)
    runner = Runner(room.site)
    with unwritable(room.site):
        pass_limit(room.site)
        assert runner.step() == 0
        assert "has not been sealed" in runner.held
        assert room.state(number) == Status.APPROVED.value
        assert "It waits: the ledger has not been sealed" in room.approving.sheet(number).note
        assert not fakes.entries(room.site.engine, Kind.ACTION_INTENDED)
    assert runner.step() == 1
    assert (runner.held, room.state(number)) == ("", Status.PROBED_OK.value)
    assert (tmp_path / "marks" / "dc-01.isolated").exists()
    room.site.seal()
    assert fakes.verified(room.site).ok


def test_every_door_says_so_and_alerts_are_still_taken_in(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    sessions = Sessions(b"k" * 32)
    with unwritable(site):
        pass_limit(site)
        served = TestClient(create_app(site, sessions, worker=False), base_url="http://localhost")
        ready = served.get("/readyz")
        assert (ready.status_code, HELD in ready.text) == (200, True)
        assert "countersign_ledger_sealed_in_time 0" in served.get("/metrics").text
        warn_of_ledger(site)
        assert HELD in capsys.readouterr().err
        link = sessions.link_token("ada", site.clock.now_ms())
        served.get(f"/enter?t={link}")
        for page in ("/", "/ledger", "/status"):
            assert "nothing is closed, no action starts" in served.get(page).text, page
        assert deliver(site, [wazuh("one")]).accepted == 1
    warn_of_ledger(site)
    assert capsys.readouterr().err == ""
    assert served.get("/readyz").text == "ready\n"
    assert "countersign_ledger_sealed_in_time 1" in served.get("/metrics").text


def test_who_never_saw_a_checkpoint_claims_nothing_of_how_long_entries_wait(site: Site) -> None:
    """A command is a process of its own: it knows what the log says now, and nothing of before."""
    site.seal()
    deliver(site, [wazuh("one")])
    with reading(site.engine) as conn:
        sealed = site.sealing.look(conn).sealed
    with unwritable(site):
        deliver(site, [wazuh("two")])
        pass_limit(site)
        state = site.sealing.keep()
        assert (state.known, state.sealed) == (True, sealed), "who has seen one knows what waits since"
        fresh = open_site(site.data, clock=site.clock)
        state = fresh.sealing.keep()
        assert (state.in_time, state.known, state.oldest_ms) == (False, False, 0)
        assert "cannot be told" in said(state, site.clock.now_ms())
        app = create_app(fresh, Sessions(b"k" * 32), worker=False)
        served = TestClient(app, base_url="http://localhost")
        assert "since when cannot be told" in served.get("/readyz").text
        assert "countersign_ledger_unsealed NaN" in served.get("/metrics").text
        fresh.close()
        told = fakes.run("queue", "--data", site.data).stderr.decode()
        assert "since when and how much of its" in told
        assert "has not been sealed for" not in told
        (site.data / "tlog").unlink()
        (site.data / "tlog").mkdir()
        (site.data / "tlog" / "checkpoint").write_bytes(b"cut short")
        told = fakes.run("queue", "--data", site.data).stderr.decode()
        assert "cannot be told" in told
        (site.data / "tlog" / "checkpoint").unlink()
        (site.data / "tlog" / ".lock").unlink(missing_ok=True)
        (site.data / "tlog").rmdir()
        (site.data / "tlog").write_bytes(b"")
    assert site.sealing.keep().in_time


def test_a_full_disk_is_such_a_case(tmp_path: Path) -> None:
    site = open_site(data_directory(tmp_path / "data"), clock=StepClock())
    log = site.data / "tlog"
    log.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(log)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        site.seal()
        found = deliver(site, [wazuh(f"{i}", host=f"h-{i}") for i in range(100)])
        assert (found.accepted, found.findings) == (100, 100)
        assert "No space left" in found.unsealed
        pass_limit(site)
        assert not site.sealing.keep().in_time
        subprocess.run(["mount", "-o", "remount,size=8m", str(log)], check=True, capture_output=True)
        assert site.sealing.attempt() == ""
        assert site.sealing.keep().in_time
        assert fakes.verified(site).ok
    finally:
        subprocess.run(["umount", str(log)], check=True, capture_output=True)
    site.close()


def test_a_checkpoint_that_does_not_count_covers_nothing(site: Site) -> None:
    """Where witnesses are asked for, the place to hand in is ``covered``: what they have not signed waits."""
    site.seal()
    witnessed: list[Checkpoint | None] = [None]
    sealing = Sealing(site.engine, site.clock, lambda: witnessed[0], site.seal, 60_000)
    assert sealing.keep().in_time
    pass_limit(site)
    assert not sealing.keep().in_time
    witnessed[0] = site.sealer.checkpoint()
    assert sealing.keep().in_time


def test_a_key_that_cannot_be_read_or_a_checkpoint_that_was_changed_is_not_sealed(site: Site) -> None:
    site.seal()
    path = site.data / "tlog" / "checkpoint"
    signed = path.read_bytes()
    path.write_bytes(signed.replace(b"\n\n", b"\n\n\n", 1))
    state = site.sealing.keep()
    assert not state.in_time
    assert state.problem
    path.write_bytes(signed)
    assert site.sealing.keep().in_time
    key = site.data / "keys" / "log.key"
    key.rename(key.with_name("away"))
    deliver(site, [wazuh("one")])
    assert "log key" in site.sealing.keep().problem
    key.with_name("away").rename(key)
    assert site.sealing.attempt() == ""
    assert site.sealing.keep().in_time
