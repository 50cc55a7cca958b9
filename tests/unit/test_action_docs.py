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
from countersign.actions.hand import BaseHand, Cover
from countersign.actions.playbooks import PLAYBOOKS, lines
from countersign.authority.agents import Operation
from countersign.authority.grant import Part, alone, running
from countersign.authority.terms import LeaseRefused, Use
from countersign.errors import TargetFault
from countersign.model.attack import technique_names
from countersign.model.inventory import Identity
from countersign.model.responses import Effect, Order
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
    contract.test_it_does_nothing_until_the_site_turns_it_on(action)
    contract.test_what_takes_it_back_is_an_action_too(action)
    contract.test_the_plan_names_its_targets_its_undo_and_whom_it_hits(action)
    assert "T1539" in technique_names()
    assert lines(("T1539",), ()) == (("T1539", (NAME,)),)


@pytest.mark.usefixtures("registered")
def test_its_hand_acts_under_a_lease_and_is_probed(tmp_path: Path) -> None:
    for block in blocks()[1:]:
        exec(compile(block, str(PAGE), "exec"), {})
    action = ACTIONS[NAME]
    (tmp_path / "m.heron.session").touch()
    hand = action.hand(action.settings(run=True, folder=str(tmp_path)), contract.Silent())
    assert isinstance(hand, BaseHand)
    order = Order("d" * 64, 7, NAME, "C-1001", (Identity("m.heron"),), {})
    use = Use("action-7", 1_000, "C-1001")
    with pytest.raises(LeaseRefused):
        hand.do(order, Cover(None, use))
    assert (tmp_path / "m.heron.session").exists()
    granted = alone(use, "responder", [Part("responder", Operation.RUN, (running(NAME),))])
    cover = Cover(granted.of(Operation.RUN, running(NAME)), use)
    assert hand.check(order, cover).effect is Effect.ABSENT
    hand.do(order, cover)
    assert hand.probe(order, cover).effect is Effect.HOLDS
    outside = Order("d" * 64, 7, NAME, "C-1001", (Identity("../etc/passwd"),), {})
    with pytest.raises(TargetFault):
        hand.do(outside, cover)


def test_the_page_names_things_that_exist() -> None:
    text = PAGE.read_text("utf-8")
    assert "nothing runs" in text
    assert len(blocks()) == 3
    root = PAGE.parents[2]
    for path in (*re.findall(r"`pytest (\S+)`", text), "src/countersign/actions/playbooks.py", "src/countersign/approvals"):
        assert (root / path).exists()
