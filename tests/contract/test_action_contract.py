"""What every action promises, whichever it is: a new line in ``ACTIONS`` is covered without editing this file."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

from countersign import actions
from countersign.actions import ACTIONS
from countersign.actions.hand import BaseHand, Cover
from countersign.authority.agents import Operation
from countersign.authority.grant import Part, alone, running
from countersign.authority.terms import LeaseRefused, Use
from countersign.model.responses import Order, Takes
from countersign.ports import ActionPlan
from tests.acting import OUTSIDE, scene


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


class Silent:
    """A site that gives no secret away."""

    timeout_s = 1.0

    def secret(self, reference: str) -> str:
        raise AssertionError(f"{reference} was asked for before anything is done")


def test_it_does_nothing_until_the_site_turns_it_on(action: ActionPlan) -> None:
    defaults = action.settings()
    assert defaults.run is False  # type: ignore[attr-defined]
    assert action.hand(defaults, Silent()) is None, "without settings there is nothing to reach"


def test_what_takes_it_back_is_an_action_too(action: ActionPlan) -> None:
    if action.inverse:
        back = ACTIONS[action.inverse]
        assert back.inverse == action.name
        assert (back.takes, back.configured, back.proven) == (action.takes, action.configured, action.proven)
    assert action.inverse or action.takes is Takes.NOTHING or not action.minutes


def test_the_plan_names_its_targets_its_undo_and_whom_it_hits(action: ActionPlan) -> None:
    stage = scene(action)
    plan = action.plan(stage)
    assert plan == action.plan(stage), "the same scene gives the same plan"
    assert plan.undo
    assert plan.blast_radius
    for record in stage.records:
        assert record.name in plan.plan
        assert any(line.startswith(f"{record.name}: {record.role}") for line in plan.blast_radius)
    for value in OUTSIDE.get(action.takes, {}).values():
        assert str(value) in plan.plan
        assert str(value) in plan.undo
    for text in (plan.plan, plan.undo, *plan.blast_radius):
        assert text == " ".join(text.split())


def _subclasses(kind: type[BaseHand]) -> list[type[BaseHand]]:
    return [one for sub in kind.__subclasses__() for one in (sub, *_subclasses(sub))]


for _one in pkgutil.iter_modules(actions.__path__):  # some are imported when they are first needed
    importlib.import_module(f"{actions.__name__}.{_one.name}")
HANDS = [one for one in _subclasses(BaseHand) if one.__module__.startswith("countersign.")]


def test_no_hand_can_be_used_without_going_through_the_lease() -> None:
    """Subclasses fill in the parts with an underscore; the parts that callers see belong to ``BaseHand`` alone."""
    assert HANDS
    for one in HANDS:
        assert not {"check", "do", "probe", "undo"} & set(vars(one)), one.__name__


@pytest.mark.parametrize("kind", [one for one in HANDS if not inspect.isabstract(one)], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("step", ["check", "do", "probe", "undo"])
def test_no_hand_moves_without_the_lease_for_this_action_and_use(kind: type[BaseHand], step: str) -> None:
    """An instance that knows nothing of any target: whatever got past the lease would fail otherwise."""
    hand = object.__new__(kind)
    hand.action = "isolate_host"
    order = Order("0" * 64, 7, "isolate_host", "C-1", (), {})
    use = Use("action-7", 1_000, "C-1")
    right, other = running("isolate_host"), running("release_host")
    own = alone(use, "responder", [Part("responder", Operation.RUN, (right,))]).of(Operation.RUN, right)
    wrong = alone(use, "responder", [Part("responder", Operation.RUN, (other,))]).of(Operation.RUN, other)
    for cover in (
        Cover(None, use),
        Cover(wrong, use),
        Cover(own, Use("action-8", 1_000, "C-1")),
        Cover(own, Use("action-7", 1_000, "C-2")),
        Cover(own, Use("action-7", 10**15, "C-1")),
    ):
        with pytest.raises(LeaseRefused):
            getattr(hand, step)(order, cover)
