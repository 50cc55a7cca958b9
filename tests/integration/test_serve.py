"""Every route of the service, walked: what is open is named here, everything else denies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route
from starlette.testclient import TestClient

from countersign.api.server import create_app
from countersign.bootstrap import Site, open_site
from countersign.web.session import COOKIE, Sessions
from tests import fakes
from tests.fakes import StepClock, deliver, wazuh

OPEN = {
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/healthz"),
    ("GET", "/enter"),
    ("GET", "/sign-in"),
    ("GET", "/sign-in/oidc"),
    ("GET", "/sign-in/oidc/callback"),
    ("GET", "/enrol"),
    ("GET", "/tlog"),
    ("GET", "/static"),
}
"""What answers a stranger: state of health, counts, the published log, and the ways in."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = open_site(fakes.data_directory(tmp_path / "data"), clock=StepClock())
    yield opened
    opened.close()


@pytest.fixture
def app(site: Site) -> Starlette:
    deliver(site, [wazuh("1"), b"{"])
    return create_app(site, Sessions(site.session_key), worker=False)


def walk(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(method, path) of every route below."""
    for route in routes:
        if isinstance(route, Mount):
            if route.routes:
                yield from walk(list(route.routes), prefix + route.path)
            else:
                yield "GET", prefix + route.path
        else:
            assert isinstance(route, Route)
            for method in sorted(route.methods or ()):
                yield method, prefix + route.path


def concrete(path: str) -> str:
    for name, value in (("{source}", "wazuh"), ("{case_id}", "C-1001"), ("{ident}", "1"), ("{place}", "0")):
        path = path.replace(name, value)
    return path.replace("{finding_id}", "F-0000000000000000").replace("{blob}", "0" * 64)


def test_every_route_denies_unless_it_is_named_here(app: Starlette) -> None:
    found = list(walk(list(app.routes)))
    assert len(found) > 20
    seen = set()
    with TestClient(app, follow_redirects=False) as client:
        for method, path in found:
            stem = "/static" if path.startswith("/static/") else path
            if ("GET" if method == "HEAD" else method, stem) in OPEN:
                seen.add(stem)
                continue
            headers = {"sec-fetch-site": "same-origin"}
            answer = client.request(method, concrete(path), headers=headers, content=b"")
            assert answer.status_code == 401, f"{method} {path} answers {answer.status_code} to a stranger"
    assert {path for _, path in OPEN} == seen, "a route is named here that is not there"


def test_no_such_page_and_no_such_method_tell_a_stranger_nothing(app: Starlette) -> None:
    with TestClient(app, follow_redirects=False) as client:
        for method, path in (
            ("GET", "/cases/C-1001/x"),
            ("PUT", "/"),
            ("DELETE", "/cases/C-1001"),
            ("GET", "/intake/wazuh"),
        ):
            answer = client.request(method, path)
            assert answer.status_code in (401, 404, 405), f"{method} {path}: {answer.status_code}"
            assert "web-1" not in answer.text


def test_a_forged_session_is_no_session(site: Site, app: Starlette) -> None:
    real = Sessions(site.session_key, site.engine).cookie("ada", site.clock.now_ms())
    forged = Sessions(b"x" * 32, site.engine).cookie("ada", site.clock.now_ms())
    changed = real[:-1] + ("0" if real[-1] != "0" else "1")
    with TestClient(app) as client:
        for cookie, status in ((real, 200), (forged, 401), (changed, 401), ("", 401)):
            assert client.get("/", headers={"cookie": f"{COOKIE}={cookie}"}).status_code == status


def test_a_token_is_for_intake_and_nothing_else(site: Site, app: Starlette) -> None:
    token = site.commands.issue_token("wazuh")
    with TestClient(app) as client:
        headers = {"authorization": f"Bearer {token}"}
        assert client.get("/", headers=headers).status_code == 401
        assert client.post("/intake/wazuh", content=wazuh("2"), headers=headers).status_code == 202


def test_it_says_when_its_database_has_gone(site: Site, app: Starlette) -> None:
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/readyz").status_code == 200
        site.engine.dispose()
        database = Path(site.engine.url.database or "")
        database.unlink()
        database.mkdir()
        answer = client.get("/readyz")
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        token = client.post("/intake/wazuh", content=wazuh("3"), headers={"authorization": "Bearer x"})
        assert token.status_code in (500, 503)
        assert client.get("/healthz").status_code == 200
