"""What every action promises, whichever it is: a new line in ``ACTIONS`` is covered without editing this file."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from countersign import actions
from countersign.actions import ACTIONS
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.model.responses import Scene, Takes
from countersign.ports import ActionPlan

HOST = Asset("file-01", "fileserver", "k.curlew", Criticality.HIGH, ("10.20.20.21",))
FIREWALL = Asset("fw-01", "firewall", "k.curlew", Criticality.MEDIUM)
ACCOUNT = Identity("k.curlew", "administrator", "", Criticality.CRITICAL)
INVENTORY = Inventory((HOST, FIREWALL), (ACCOUNT,))
ADDRESS = "203.0.113.9"
PURE = {"__future__", "collections.abc", "types", "ipaddress", "msgspec", "enum", "typing", "dataclasses"}


def scene(action: ActionPlan) -> Scene:
    records = {Takes.HOST: (HOST,), Takes.ACCOUNT: (ACCOUNT,), Takes.ADDRESS: (FIREWALL,), Takes.NOTHING: ()}
    parameters: dict[str, str | int] = {"address": ADDRESS} if action.takes is Takes.ADDRESS else {}
    if action.minutes:
        parameters["minutes"] = action.minutes
    return Scene("C-1001", records[action.takes], parameters, INVENTORY, 3, 5, ("dc-01",))


@pytest.fixture(params=list(ACTIONS))
def action(request: pytest.FixtureRequest) -> ActionPlan:
    found = ACTIONS[request.param]
    assert found.name == request.param
    return found


def test_it_says_what_it_is(action: ActionPlan) -> None:
    assert isinstance(action, ActionPlan)
    assert action.title[:1].isupper()
    assert len(action.verb.split()) >= 2
    assert action.minutes >= 0
    assert action.impactful or action.takes is Takes.NOTHING, "what touches a system has impact"


def test_it_plans_and_can_do_nothing_else(action: ActionPlan) -> None:
    assert action.runs is False
    callables = {name for name in dir(action) if not name.startswith("_") and callable(getattr(action, name))}
    assert callables == {"plan"}, "do, probe and undo come with approvals, not before"


def test_the_plan_names_its_targets_its_undo_and_whom_it_hits(action: ActionPlan) -> None:
    stage = scene(action)
    plan = action.plan(stage)
    assert plan == action.plan(stage), "the same scene gives the same plan"
    assert plan.undo
    assert plan.blast_radius
    for record in stage.records:
        assert record.name in plan.plan
        assert any(line.startswith(f"{record.name}: {record.role}") for line in plan.blast_radius)
    if action.takes is Takes.ADDRESS:
        assert ADDRESS in plan.plan
        assert ADDRESS in plan.undo
    for text in (plan.plan, plan.undo, *plan.blast_radius):
        assert text == " ".join(text.split())


def test_the_room_reaches_no_network_disk_process_or_clock() -> None:
    for file in Path(actions.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                inner = name.startswith("countersign.") and name.split(".")[1] in {"actions", "approvals", "model", "ports"}
                assert inner or name in PURE, f"{file.name} imports {name}"
