"""Every door of the console has a rule, refuses what it should, and carries the headers; no browser needed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import Mount, Route

from countersign.store import tables as t
from countersign.store.engine import make_engine
from countersign.web.app import create_console
from countersign.web.guard import CSP, Access
from countersign.web.session import COOKIE, Sessions
from tests.browser import seed
from tests.browser.client import Client
from tests.browser.site import TableSite

SAME = {"sec-fetch-site": "same-origin"}
OPEN = {
    "/enter",
    "/healthz",
    "/sign-in",
    "/sign-in/passkey",
    "/sign-in/passkey/options",
    "/sign-in/oidc",
    "/sign-in/oidc/callback",
    "/enrol",
    "/enrol/options",
}
"""The ways in, and whether the process is there."""


class Bench:
    """A console without a browser."""

    def __init__(self, path: Path) -> None:
        self.engine = make_engine(f"sqlite:///{path / 'site.sqlite'}")
        self.now_ms = time.time_ns() // 1_000_000
        seed.fill(self.engine, 12, now_ms=self.now_ms)
        self.site = TableSite(self.engine)
        self.sessions = Sessions(b"s" * 32)
        self.app = create_console(self.site, sessions=self.sessions, clock=self.site.clock, checkpoint=self.site.checkpoint)
        self.stranger = Client(self.app)
        self.client = Client(self.app)
        self.client.cookies.set(COOKIE, self.sessions.cookie("analyst", self.now_ms))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    found = Bench(tmp_path_factory.mktemp("console"))
    yield found
    found.engine.dispose()


def routes(bench: Bench) -> list[Route]:
    return [route for route in bench.app.routes if isinstance(route, Route)]


def test_every_route_has_a_rule_and_only_the_ways_in_are_public(bench: Bench) -> None:
    public = set()
    for route in bench.app.routes:
        if isinstance(route, Mount):
            assert route.path.startswith("/static/")
            continue
        assert isinstance(route, Route)
        access = getattr(route.endpoint, "access", None)
        assert isinstance(access, Access), f"{route.path} has no rule"
        if access is Access.PUBLIC:
            public.add(route.path)
    assert public == OPEN


def test_without_a_session_every_page_says_how_to_get_in_and_nothing_else(bench: Bench) -> None:
    for route in routes(bench):
        if route.path in OPEN:
            continue
        path = re.sub(r"\{[^}]+\}", "1", route.path)
        for method in (route.methods or set()) - {"HEAD"}:
            answer = bench.stranger.request(method, path, headers=SAME, data={"a": "b"} if method == "POST" else None)
            assert answer.status_code == 401, (method, path)
            assert "link" in answer.text
            assert "C-10" not in answer.text
    assert bench.stranger.get("/no/such/page").status_code == 401
    assert bench.stranger.get("/cases/C-1001", headers={"cookie": f"{COOKIE}=forged.abc"}).status_code == 401


def test_headers_stand_on_every_answer(bench: Bench) -> None:
    static = next(route.path for route in bench.app.routes if isinstance(route, Mount))
    for path in ("/", "/cases/C-1001", "/enter", "/nowhere", f"{static}/console.css", "/cases/C-4"):
        answer = bench.client.get(path)
        assert answer.headers["content-security-policy"] == CSP
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
    assert "immutable" in bench.client.get(f"{static}/console.css").headers["cache-control"]
    assert bench.client.get("/").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_writes_from_elsewhere_are_refused(bench: Bench, headers: dict[str, str]) -> None:
    form = {"disposition": "benign", "reason": "x", "version": "1"}
    for path in ("/cases/C-1001/dispose", "/cases/C-1001/assign", "/quarantine/1/resubmit"):
        answer = bench.client.post(path, data=form, headers=headers)
        assert answer.status_code == 403, path
        assert "nothing was changed" in answer.text


def test_own_origin_is_enough_where_a_browser_sends_no_fetch_metadata(bench: Bench) -> None:
    answer = bench.client.post("/cases/C-1009/assign", data={"owner": "ops"}, headers={"origin": "http://localhost"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/cases/C-1009"


def test_oversized_forms_are_refused(bench: Bench) -> None:
    answer = bench.client.post("/cases/C-1001/dispose", data={"reason": "x" * 70_000}, headers=SAME)
    assert answer.status_code == 403


def test_a_number_beyond_all_numbers_is_no_error_of_the_console(bench: Bench) -> None:
    answer = bench.client.post(f"/quarantine/{'9' * 40}/resubmit", headers=SAME)
    assert answer.status_code == 404
    headers = SAME | {"content-length": "9" * 5_000}
    assert bench.client.post("/cases/C-1001/dispose", content=b"", headers=headers).status_code == 403


def test_link_works_once_and_sets_a_strict_cookie(bench: Bench) -> None:
    token = bench.sessions.link_token("analyst", bench.site.clock.now_ms())
    fresh = Client(bench.app)
    first = fresh.get(f"/enter?t={token}")
    assert first.status_code == 303
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert fresh.get("/").status_code == 200
    other = Client(bench.app).get(f"/enter?t={token}")
    assert other.status_code == 401
    assert "has been used" in other.text


def test_pages_answer(bench: Bench) -> None:
    for path in ("/?tab=noise", "/?tab=disposed", "/?tab=all&q=dc-02", "/queue", "/status", "/sources", "/ledger"):
        assert bench.client.get(path).status_code == 200, path
    assert bench.client.get("/cases/C-404").status_code == 404
    assert bench.client.get("/alerts/00/0").status_code == 404
    assert bench.client.get("/alerts/00/x").status_code == 404
    assert bench.client.get("/?after=bogus").status_code == 422
    assert "No case matches" in bench.client.get("/?q=zzzz-nothing").text


def test_live_case_answers_204_until_the_case_changes(bench: Bench) -> None:
    page = bench.client.get("/cases/C-1010").text
    mark = re.search(r"live\?mark=([0-9.]+)", page)
    assert mark is not None
    assert bench.client.get(f"/cases/C-1010/live?mark={mark[1]}").status_code == 204
    bench.site.commands.assign("C-1010", "ops", "analyst")
    assert bench.client.get(f"/cases/C-1010/live?mark={mark[1]}").status_code == 200


def test_dispose_asks_for_everything_and_meets_conflicts(bench: Bench) -> None:
    post = lambda **form: bench.client.post("/cases/C-1002/dispose", data=form, headers=SAME)  # noqa: E731
    assert "Choose what you found" in post(reason="x", version="1").text
    assert "Give a reason" in post(disposition="benign", version="1").text
    stale = post(disposition="benign", reason="my text", version="0")
    assert stale.status_code == 409
    assert "my text" in stale.text
    version = re.search(r'name="version" value="(\d+)"', stale.text)
    assert version is not None
    assert post(disposition="benign", reason="my text", version=version[1]).status_code == 303


def test_who_closed_a_case_is_said_wherever_it_is_shown(bench: Bench) -> None:
    with bench.engine.connect() as conn:
        agent, human = (
            conn.exec_driver_sql(f"select id from cases where status = '{status}'").scalar()
            for status in ("closed_agent", "closed_human")
        )
    assert "Closed by the agent" in bench.client.get(f"/cases/{agent}").text
    assert "Closed by a person" in bench.client.get(f"/cases/{human}").text
    listed = bench.client.get("/?tab=disposed").text
    assert "Closed by the agent, not by a person" in listed
    assert "Closed by a person" in listed
    assert "Closed by the agent" in bench.client.get(f"/cases/{agent}/preview").text


def test_errors_for_an_open_page_become_notices(bench: Bench) -> None:
    answer = bench.client.get("/cases/C-404/preview", headers={"hx-request": "true"})
    assert answer.status_code == 404
    assert answer.headers["hx-retarget"] == "#notice"


def test_a_fault_shows_no_inner_workings(bench: Bench) -> None:
    with bench.engine.begin() as conn:
        changed = {"id": "'F-broken'", "case_id": "'C-1003'", "pico": "9e18", "place": "9999"}
        columns = ", ".join(changed.get(column.name, column.name) for column in t.findings.columns)
        conn.exec_driver_sql(f"insert into findings select {columns} from findings limit 1")
    answer = bench.client.get("/cases/C-1003")
    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    assert "msgspec" not in answer.text
