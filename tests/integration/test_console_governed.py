"""The console's writes on what the agent may do alone, against the real commands and both databases."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import select

from countersign.autonomy.scopes import Stage
from countersign.bootstrap import Site, open_site
from countersign.model.entries import Kind
from countersign.store import read, read_review
from countersign.store import tables as t
from countersign.store.engine import reading
from countersign.web.app import create_console
from countersign.web.session import COOKIE, Sessions
from tests import earned
from tests.browser.client import Client
from tests.fakes import StepClock, data_directory, deliver, entries

SAME = {"sec-fetch-site": "same-origin"}
HX = {**SAME, "hx-request": "true"}
pytestmark = pytest.mark.xdist_group("lived")
CLOSED = range(40, 46)


class Door:
    """A signed-in client of the console over a real site."""

    def __init__(self, site: Site) -> None:
        self.site = site
        sessions = Sessions(b"s" * 32)
        app = create_console(site, sessions=sessions, clock=site.clock, checkpoint=site.sealer.checkpoint)
        self.client = Client(app)
        self.client.cookies.set(COOKIE, sessions.cookie("analyst", site.clock.now_ms()))

    def post(self, path: str, headers: dict[str, str] = SAME, **form: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
        return self.client.post(path, data=form, headers=headers)

    def states(self) -> dict[str, str]:
        """What became of each close."""
        with reading(self.site.engine) as conn:
            return dict(conn.execute(select(t.closes.c.finding_id, t.closes.c.state)).all())  # type: ignore[arg-type]

    def agent(self) -> read.Autonomy:
        """What the header says."""
        with reading(self.site.engine) as conn:
            return read.autonomy(conn)


@pytest.fixture
def empty(site: Site) -> Door:
    return Door(site)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a site with closes by the agent."""
    folder = tmp_path_factory.mktemp("lived")
    site = earned.lived_site(folder)
    earned.promote(site, Stage.SUPERVISED)
    deliver(site, earned.noise(CLOSED, at_ms=earned.NOON_MS + 2 * 3_600_000))
    site.close()
    return folder / "site.sqlite"


@pytest.fixture
def door(lived: Path, tmp_path: Path):  # type: ignore[no-untyped-def]  # noqa: ANN201
    (tmp_path / "copy.sqlite").write_bytes(lived.read_bytes())
    clock = StepClock(earned.NOON_MS + earned.DAY_MS // 2)
    site = open_site(data_directory(tmp_path / "data", f"sqlite:///{tmp_path / 'copy.sqlite'}"), clock=clock)
    yield Door(site)
    site.close()


def test_kill_switch_from_the_page_is_in_the_ledger_and_the_header(empty: Door) -> None:
    assert empty.post("/autonomy/all/stop").status_code == 422
    assert empty.post("/autonomy/all/stop", reason="drill").status_code == 303
    assert empty.agent().switches == ("*",)
    assert "Kill switch on: every scope" in empty.client.get("/status").text
    (stopped,) = entries(empty.site.engine, Kind.AUTONOMY_STOPPED)
    assert (stopped.subject, stopped.body["reason"]) == ("*", "drill")
    assert "Stopped everywhere" in empty.client.get("/autonomy").text
    assert empty.post("/autonomy/all/resume", HX, reason="over").headers["hx-trigger"] == '{"case:done": "resume"}'
    assert empty.agent().switches == ()
    for path in ("/autonomy/nowhere/stop", "/autonomy/endpoint/promote", "/autonomy/all/acknowledge"):
        assert empty.post(path, reason="x").status_code == 404, path


def test_nothing_to_acknowledge_is_a_conflict_that_keeps_the_text(empty: Door) -> None:
    answer = empty.post("/autonomy/endpoint/acknowledge", HX, reason="my own words")
    assert answer.status_code == 409
    assert "my own words" in answer.text
    assert "Nothing to acknowledge" in answer.text


def test_pages_of_a_site_that_closed_nothing_say_so(empty: Door) -> None:
    assert "The agent has closed nothing" in empty.client.get("/closed").text
    assert "The agent closes nothing alone" in empty.client.get("/autonomy").text
    assert "No other close waits" in empty.client.get("/closed/review").text
    assert empty.client.get("/closed/review/F-none").status_code == 404
    assert empty.client.get("/recalls/0").status_code == 404
    assert empty.client.get("/closed?after=x").status_code == 422


@pytest.mark.slow
def test_blind_answers_go_through_to_the_scope(door: Door) -> None:
    with reading(door.site.engine) as conn:
        before, first = read_review.counts(conn), read_review.next_waiting(conn)
    assert before.waiting == len(CLOSED)
    where = door.client.get("/closed/review").headers["location"]
    assert where == f"/closed/review/{first}"
    assert door.post(where, answer="maybe", reason="kept text").status_code == 422
    assert "kept text" in door.post(where, answer="", reason="kept text").text
    answer = door.post(where, answer="benign", reason="seen before")
    assert answer.status_code == 303
    assert door.states()[first] == "benign"
    following = door.client.get(answer.headers["location"])
    assert f"/closed/review/{first}" not in following.headers["location"]
    again = door.post(where, answer="threat", reason="second thought")
    assert again.status_code == 409
    assert "second thought" in again.text
    assert "answered on this close already" in again.text
    assert door.states()[first] == "benign"


@pytest.mark.slow
def test_overturning_asks_for_a_reason_and_recalls_the_rest(door: Door) -> None:
    with reading(door.site.engine) as conn:
        row = read_review.closes(conn).rows[0]
    path = f"/cases/{row.case_id}/overturn"
    assert door.post(path, HX).status_code == 422
    assert door.agent().closing == ("endpoint",)
    answer = door.post(path, HX, reason="a stolen key was used")
    assert answer.status_code == 200
    page = door.client.get(answer.headers["hx-redirect"]).text
    assert f"{len(CLOSED) - 1} closes went back to people" in page
    assert "a stolen key was used" in page
    states = door.states()
    assert states.pop(row.finding_id) == "threat"
    assert set(states.values()) == {"recalled"}
    assert door.agent().closing == ()
    assert door.agent().stages["endpoint"] == "advise"
    assert "from supervised to advise" in door.client.get("/autonomy").text
    queue = door.client.get("/?q=recalled").text
    assert len(set(re.findall(r'data-case="(C-\d+)"', queue))) == len(CLOSED) - 1
    late = door.post(path, HX, reason="kept text")
    assert late.status_code == 409
    assert "kept text" in late.text


@pytest.mark.slow
def test_metrics_and_the_api_say_what_the_scopes_say(door: Door) -> None:
    from countersign.api.measures import measures  # noqa: PLC0415
    from countersign.model.standing import Verified  # noqa: PLC0415
    from countersign.store.witnesses import Heard  # noqa: PLC0415

    with reading(door.site.engine) as conn:
        text = measures(conn, door.site.sealing.look(conn), Heard(), Verified())
    assert 'countersign_scope_closes_alone{scope="endpoint",stage="supervised"} 1' in text
    assert 'countersign_scope_closes_alone{scope="network",stage="advise"} 0' in text
    assert f"countersign_reviews_waiting {len(CLOSED)}" in text
