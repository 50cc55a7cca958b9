"""The how-to is executed: its file is imported, registered, and held to the contract of every action."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import countersign.actions as room
from countersign.actions import ACTIONS
from countersign.actions.playbooks import PLAYBOOKS, lines
from countersign.model.attack import technique_names
from tests.contract import test_action_contract as contract

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "add-an-action.md"
NAME = "end_sessions"


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture
def registered(tmp_path: Path) -> Iterator[None]:
    """The page's first block as a module of the room; registries are as before afterwards."""
    path = tmp_path / f"{NAME}.py"
    path.write_text(blocks()[0], "utf-8")
    full = f"countersign.actions.{NAME}"
    spec = importlib.util.spec_from_file_location(full, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[full] = made
    spec.loader.exec_module(made)
    setattr(room, NAME, made)
    actions, playbooks = dict(ACTIONS), dict(PLAYBOOKS)
    yield
    for registry, before in ((ACTIONS, actions), (PLAYBOOKS, playbooks)):
        registry.clear()
        registry.update(before)  # type: ignore[arg-type]
    delattr(room, NAME)
    del sys.modules[full]


@pytest.mark.usefixtures("registered")
def test_the_page_works_as_written() -> None:
    for block in blocks()[1:]:
        exec(compile(block, str(PAGE), "exec"), {})
    action = ACTIONS[NAME]
    assert action.name == NAME
    contract.test_it_says_what_it_is(action)
    contract.test_it_plans_and_can_do_nothing_else(action)
    contract.test_the_plan_names_its_targets_its_undo_and_whom_it_hits(action)
    assert "T1539" in technique_names()
    assert lines(("T1539",), ()) == (("T1539", (NAME,)),)


def test_the_page_says_plainly_that_nothing_runs_and_names_things_that_exist() -> None:
    text = PAGE.read_text("utf-8")
    assert "nothing runs" in text
    assert len(blocks()) == 3
    root = PAGE.parents[2]
    for path in (*re.findall(r"`pytest (\S+)`", text), "src/countersign/actions/playbooks.py", "src/countersign/approvals"):
        assert (root / path).exists()
