"""No rule, no entry: every route, tool and command is walked, and none is without a rule. Agents reach nothing of people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from countersign.api.access import needs
from countersign.api.server import create_app
from countersign.api.v1 import create_routes
from countersign.authority.roles import (
    APPROVER,
    GRANTABLE,
    IN_PERSON,
    INTAKE,
    OPENS,
    Right,
    Role,
    Scope,
    rights,
    token_rights,
)
from countersign.bootstrap import Site, open_site
from countersign.cli.main import app as commands
from countersign.cli.rules import RULES, guard
from countersign.mcp.server import RIGHTS, Tools
from countersign.store import accounts, casework
from countersign.store.engine import writing
from countersign.web.app import Door
from countersign.web.guard import Access
from countersign.web.session import COOKIE, Sessions
from tests.browser.client import Client
from tests.fakes import StepClock, data_directory, deliver, wazuh

SAME = {"sec-fetch-site": "same-origin"}
OUTSIDE = {"/intake/{source}": Right.INTAKE, "/readyz": Right.PUBLIC, "/metrics": Right.PUBLIC, "/tlog": Right.PUBLIC}
"""Routes that stand in front of the console. What they show a stranger: state of health, counts, the published log."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = open_site(data_directory(tmp_path / "data"), clock=StepClock())
    deliver(opened, [wazuh("1", level=10)])
    yield opened
    opened.close()


@pytest.fixture
def sessions(site: Site) -> Sessions:
    return Sessions(site.session_key)


@pytest.fixture
def app(site: Site, sessions: Sessions) -> Starlette:
    return create_app(site, sessions, worker=False)


def walk(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """(method, path, endpoint) of every route below."""
    for route in routes:
        if isinstance(route, Mount):
            below = list(route.routes or ())
            if not below:
                yield "GET", prefix + route.path, route.app
            yield from walk(below, prefix + route.path)
        else:
            assert isinstance(route, Route)
            yield from ((method, prefix + route.path, route.endpoint) for method in sorted(route.methods or ()))


def console(app: Starlette) -> list[tuple[str, str, Right]]:
    """(method, path, right) of every door of the console."""
    found = [(m, p, getattr(e, "access", None)) for m, p, e in walk(list(app.routes)) if m != "HEAD"]
    return [one for one in found if one[1] not in OUTSIDE and not one[1].startswith(("/static/", "/api/v1"))]


def test_every_route_has_a_rule(app: Starlette, site: Site) -> None:
    doors = console(app)
    assert len(doors) > 40
    assert [(method, path) for method, path, right in doors if not isinstance(right, Right)] == []
    checks = {needs(scope).__qualname__ for scope in Scope}
    for route in create_routes(site.engine).routes:
        if isinstance(route, APIRoute):
            rules = [one.call.__qualname__ for one in route.dependant.dependencies if one.call is not None]
            assert [name for name in rules if name in checks], f"{route.path} has no scope"


def test_a_door_that_writes_needs_a_right_of_its_own() -> None:
    for weak in (Access.READ, Access.PUBLIC, Access.PERSON):
        with pytest.raises(ValueError, match="names no right"):
            Door("POST", "/approvals/{number}", weak, write=lambda *_: None)  # type: ignore[arg-type, return-value]


def test_every_tool_and_command_has_a_rule() -> None:
    tools = {tool.__name__ for tool in Tools(None).all()}  # type: ignore[arg-type]
    assert set(RIGHTS) == tools
    assert not set(RIGHTS.values()) & IN_PERSON
    assert {name for name, _ in leaves(typer.main.get_command(commands))} == set(RULES)


def test_a_command_without_a_rule_does_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    stray = typer.Typer()
    stray.command("queue")(lambda: print("ran"))
    stray.command("conquer")(lambda: print("ran"))
    command = guard(typer.main.get_command(stray))
    command(["queue"], standalone_mode=False)
    assert capsys.readouterr().out == "ran\n"
    with pytest.raises(Exception, match="no rule"):
        command(["conquer"], standalone_mode=False)
    assert capsys.readouterr().out == ""


def leaves(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    if path and command.invoke_without_command:
        yield path, command
    for name, child in below.items():
        yield from leaves(child, f"{path} {name}".strip())


def test_what_changes_authority_is_signed() -> None:
    assert {name for name, rule in RULES.items() if rule.signed} == {
        "actions run",
        "agents add",
        "agents resume",
        "approve",
        "autonomy promote",
        "learn",
        "people enrol",
        "people invite",
        "people role",
        "policy activate",
    }


def test_approving_is_no_rank_and_no_tokens() -> None:
    assert [role for role in GRANTABLE if Right.APPROVE in OPENS[role]] == [APPROVER]
    assert Right.WORK not in rights([Role.ADMIN])
    assert rights(["emperor"]) == {Right.PUBLIC, Right.SELF}
    everything = [*Scope, f"{INTAKE}wazuh", "approve", "policy:write", "*"]
    assert token_rights(everything) == {Right.READ, Right.INTAKE}


@pytest.mark.parametrize("holder", ["agent", "program", "person"])
def test_a_token_reaches_no_door_of_people(site: Site, app: Starlette, holder: str) -> None:
    whose = {"agent": {"agent": "investigator"}, "program": {}, "person": {"person": "ada"}}[holder]
    with writing(site.engine) as conn:
        ada = casework.person(conn, "ada")
        accounts.grant(conn, ada.id, GRANTABLE, ada, site.clock.now_ms())
    token = site.commands.issue_api_token("probe", [*Scope, "intake:wazuh"], 1, **whose)
    client = Client(app)
    bearer = {"authorization": f"Bearer {token}", **SAME}
    assert client.get("/api/v1/cases", headers=bearer).status_code == 200
    assert client.post("/intake/wazuh", content=b"[]", headers=bearer).status_code == 400  # let in, and nothing in it
    for method, path, right in console(app):
        if right is Right.PUBLIC:
            continue
        concrete = re.sub(r"\{[^}]+\}", "1", path)
        assert client.request(method, concrete, headers=bearer).status_code == 401, (method, path)
    for path in ("/api/v1/approvals", "/api/v1/autonomy/promote", "/api/v1/policy/activate", "/api/v1/cases"):
        assert client.post(path, headers=bearer).status_code == 405


@pytest.mark.parametrize("role", GRANTABLE)
def test_a_role_opens_its_own_doors_and_no_other(site: Site, app: Starlette, sessions: Sessions, role: str) -> None:
    client = entered(site, app, sessions, [role])
    mine = rights([role])
    for method, path, right in console(app):
        if right in (Right.PUBLIC, Right.SELF) or path.endswith("/events"):
            continue
        status = client.request(method, re.sub(r"\{[^}]+\}", "1", path), headers=SAME, data={}).status_code
        assert (status == 403) == (right not in mine), (method, path, status)


def test_a_role_taken_away_counts_at_once(site: Site, app: Starlette, sessions: Sessions) -> None:
    client = entered(site, app, sessions, ["analyst"])
    assert client.get("/closed/review", headers=SAME).status_code != 403
    with writing(site.engine) as conn:
        ada = casework.person(conn, "ada")
        accounts.take(conn, ada.id, ["analyst"], ada, site.clock.now_ms())
    refused = client.get("/closed/review", headers=SAME)
    assert refused.status_code == 403
    assert "analyst" in refused.text
    with writing(site.engine) as conn:
        accounts.close(conn, ada.id, ada, site.clock.now_ms(), "left")
    assert client.get("/account", headers=SAME).status_code == 401


def entered(site: Site, app: Starlette, sessions: Sessions, roles: list[str]) -> Client:
    """Ada, signed in as if with a passkey."""
    from countersign.store import sessions as store  # noqa: PLC0415

    with writing(site.engine) as conn:
        ada = casework.person(conn, "ada")
        accounts.grant(conn, ada.id, roles, ada, site.clock.now_ms())
        token = store.start(conn, ada.id, store.PASSKEY, site.clock.now_ms())
    client = Client(app)
    client.cookies.set(COOKIE, sessions.signed(token))
    return client
