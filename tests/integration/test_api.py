"""``/api/v1``: denied by default, read-only, paged, as its own OpenAPI document says, and honest about who closed."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import jsonschema
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import update

from countersign.api.server import create_app
from countersign.api.v1 import create_routes
from countersign.bootstrap import Site
from countersign.store import tables as t
from countersign.store.commands import DAY_MS, READ_TOKEN
from countersign.store.engine import writing
from countersign.web.guard import CSP
from countersign.web.session import COOKIE, Sessions
from tests.browser.client import Client
from tests.fakes import NOON_MS, count, deliver, wazuh

BASE = "/api/v1"
RULES = ("5710", "5712", "550")


class Service:
    """The whole service over a site with seven cases, asked in-process."""

    def __init__(self, site: Site) -> None:
        self.site = site
        deliver(site, [wazuh(f"a{i}", host=f"host-{i}", rule=RULES[i % 3], at_ms=NOON_MS + i) for i in range(7)])
        self.sessions = Sessions(site.session_key)
        self.app = create_app(site, self.sessions, worker=False)
        self.token = site.commands.issue_token(READ_TOKEN)

    def ask(self, path: str, *, method: str = "GET", **headers: str) -> httpx.Response:
        return Client(self.app).request(method, f"{BASE}{path}", headers=headers)

    def get(self, path: str) -> httpx.Response:
        return self.ask(path, authorization=f"Bearer {self.token}")

    def json(self, path: str) -> Any:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def pages(self, path: str, limit: int) -> list[dict[str, Any]]:
        """Every item, page after page."""
        found: list[dict[str, Any]] = []
        cursor, joint = "", "&" if "?" in path else "?"
        while True:
            page = self.json(f"{path}{joint}limit={limit}&cursor={quote(cursor)}")
            assert len(page["items"]) <= limit
            found += page["items"]
            cursor = page["cursor"]
            if not cursor:
                return found


@pytest.fixture
def service(site: Site) -> Service:
    return Service(site)


def paths(service: Service) -> list[str]:
    """Every route of the API, and every other way to ask it for something, with real ids in place of parameters."""
    case = service.json("/cases?tab=all&limit=1")["items"][0]
    values = {"case_id": case["id"], "finding_id": case["top_finding"]}
    app = create_routes(service.site.engine)
    return ["/openapi.json", *(route.path.format(**values) for route in app.routes if isinstance(route, APIRoute))]


def test_every_route_and_everything_else_is_denied_by_default(service: Service) -> None:
    cookie = service.sessions.cookie("analyst", 0)  # expired long ago
    for path in (*paths(service), "/", "/docs", "/nothing", "/cases/../openapi.json"):
        for headers in (
            {},
            {"authorization": "Bearer "},
            {"authorization": "Bearer cs_api-read_guessed"},
            {"authorization": f"Basic {service.token}"},
            {"authorization": service.token},
            {"cookie": f"{COOKIE}=forged.abc"},
            {"cookie": f"{COOKIE}={cookie}"},
        ):
            answer = service.ask(path, **headers)
            assert answer.status_code in (401, 429), (path, headers)  # 429 once this address guessed too often
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers.get("www-authenticate", "Bearer") == "Bearer"
            assert "host-" not in answer.text


def test_tokens_are_for_one_thing(service: Service) -> None:
    intake = service.site.commands.issue_token("wazuh")
    assert service.ask("/cases", authorization=f"Bearer {intake}").status_code == 401
    post = {"authorization": f"Bearer {service.token}"}
    client = Client(service.app)
    assert client.post("/intake/wazuh", content=wazuh("x"), headers=post).status_code == 401
    assert client.post("/intake/api:read", content=wazuh("x"), headers=post).status_code == 404
    with writing(service.site.engine) as conn:
        conn.execute(update(t.tokens).values(expires_ms=service.site.clock.now_ms() - DAY_MS))
    assert service.get("/cases").status_code == 401


def test_a_session_reads_as_a_token_does_and_headers_stand(service: Service) -> None:
    cookie = service.sessions.cookie("analyst", service.site.clock.now_ms())
    for path in paths(service):
        answer = service.ask(path, cookie=f"{COOKIE}={cookie}")
        assert answer.status_code == 200, path
        assert answer.text == service.get(path).text
        assert answer.headers["content-security-policy"] == CSP
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_can_be_written(service: Service, method: str) -> None:
    before = count(service.site.engine, "entries")
    for path in paths(service):
        answer = service.ask(path, method=method, authorization=f"Bearer {service.token}")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert count(service.site.engine, "entries") == before


def test_pages_walk_everything_once(service: Service) -> None:
    cases = service.pages("/cases?tab=all", 2)
    assert len({case["id"] for case in cases}) == len(cases) == count(service.site.engine, "cases") > 2
    indices = [entry["idx"] for entry in service.pages("/ledger/entries", 3)]
    assert indices == list(range(count(service.site.engine, "entries") - 1, -1, -1))
    ident = cases[0]["id"]
    service.site.commands.assign(ident, "ops")
    mine = service.pages(f"/cases/{ident}/entries", 1)
    assert len(mine) >= 2
    assert {entry["case_id"] for entry in mine} == {ident}
    assert mine[0]["kind"] == "case.assigned"


def test_documents_are_as_the_openapi_document_says(service: Service) -> None:
    service.site.commands.dispose(service.json("/cases?tab=all")["items"][0]["id"], "benign", "a test")
    document = service.json("/openapi.json")
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": BASE}]
    app = create_routes(service.site.engine)
    templates = ["/openapi.json", *(route.path for route in app.routes if isinstance(route, APIRoute))]
    assert set(document["paths"]) == set(templates[1:])
    for template, path in zip(templates[1:], paths(service)[1:], strict=True):
        responses = document["paths"][template]["get"]["responses"]
        schema = responses["200"]["content"]["application/json"]["schema"] | {"components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(service.json(path))
        assert "application/problem+json" in responses["401"]["content"]


def test_who_closed_a_case_is_said_in_every_list(service: Service) -> None:
    human, agent, nobody = (case["id"] for case in service.json("/cases?tab=all")["items"][:3])
    service.site.commands.dispose(human, "benign", "a test", "ada")
    with writing(service.site.engine) as conn:  # no release closes by itself yet
        conn.execute(update(t.cases).where(t.cases.c.id == agent).values(status="closed_agent"))
    closers = {human: "human", agent: "agent", nobody: ""}
    listed = {case["id"]: case for case in service.json("/cases?tab=all")["items"]}
    for ident, closer in closers.items():
        assert listed[ident]["closed_by"] == closer
        assert service.json(f"/cases/{ident}")["case"]["closed_by"] == closer
    assert listed[human]["disposed_by"] == "ada"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/cases/C-0", 404),
        ("/cases/C-0/entries", 404),
        ("/findings/F-0", 404),
        ("/nothing", 404),
        ("/cases?cursor=bogus", 422),
        ("/cases?tab=bogus", 422),
        ("/cases?limit=0", 422),
        ("/cases?limit=101", 422),
        ("/cases?q=" + "x" * 201, 422),
        ("/ledger/entries?cursor=-1", 422),
        ("/ledger/entries?cursor=" + "9" * 30, 422),
        ("/ledger/entries?cursor=%C2%B2", 422),
    ],
)
def test_errors_are_problems_that_say_what_to_do(service: Service, path: str, status: int) -> None:
    answer = service.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]


def test_sources_and_autonomy_answer_what_the_console_shows(service: Service) -> None:
    (source,) = service.json("/sources")["items"]
    assert (source["source"], source["alerts"]) == ("wazuh", 7)
    assert service.json("/autonomy")["closing"] == []
    service.site.commands.stop("*", "a test")
    assert service.json("/autonomy")["switches"] == ["*"]
