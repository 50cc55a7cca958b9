"""The gate's answer is Cedar's: condition by condition it says what the whole set says of the whole request."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.errors import ConfigError
from countersign.model.decisions import Action, Outcome
from countersign.policy.engine import PolicyEngine
from countersign.policy.facts import request
from countersign.policy.gate import Gate, GateInput, default_gate
from countersign.policy.shipped import default_texts
from countersign.policy.texts import PolicyTexts
from tests.examples import examples
from tests.property.test_gate import CLEAN, INPUTS, replace

CLOSE = default_texts().files["close.cedar"]


def site(close: str = CLOSE, more: str = "") -> Gate:
    files = {**default_texts().files, "close.cedar": close, "more.cedar": more}
    return Gate(PolicyEngine(PolicyTexts(files, default_texts().schema)))


EVENING = (
    '@id("not-twice")\nforbid (principal, action == Action::"close", resource) '
    "when { context has p1_ppm && context.p1_ppm == 5000 };"
)
GATES = {
    "shipped": default_gate(),
    "site": site(CLOSE.replace("context.reviewed >= 299", "context.reviewed >= 300 || context.reviewed == 299"), EVENING),
    "compared": site(CLOSE.replace("context.novelty_ppm > 50000", "context.novelty_ppm > context.severity_max")),
    "whole": site(CLOSE.replace("context.novelty_ppm > 50000", "context != {stage: context.stage}")),
}


@pytest.mark.parametrize("name", GATES)
@settings(max_examples=examples(300))
@given(given_=INPUTS)
def test_closing_is_what_the_whole_set_allows(name: str, given_: GateInput) -> None:
    gate = GATES[name]
    assert (gate.decide(given_).action is Action.CLOSE) == gate.engine.decide(request(given_)).allowed


@pytest.mark.parametrize("name", GATES)
@settings(max_examples=examples(40), deadline=None)
@given(asked=st.lists(INPUTS, min_size=2, max_size=6))
def test_what_a_gate_remembers_changes_nothing(name: str, asked: list[GateInput]) -> None:
    gate = GATES[name]
    for one in asked:
        decision = gate.decide(one)
        assert decision == Gate(gate.engine).decide(one)
        assert tuple(c.name for c in decision.conditions)[: len(gate.conditions)] == gate.conditions


def test_decisions_that_say_the_same_are_one_value() -> None:
    """So that what is written of them is made once: 36.00 % and 36.04 % are one to a reader."""
    gate = site()
    one, other = (gate.decide(replace(CLEAN, novelty_ppm=ppm, probability_ppm=ppm // 100)) for ppm in (360_000, 360_400))
    assert one is other
    assert gate.decide(replace(CLEAN, novelty_ppm=370_000)) != one


def test_a_forbid_of_the_site_is_a_condition_of_its_own() -> None:
    decision = GATES["site"].decide(replace(CLEAN, p1_ppm=5_000))
    assert [c.name for c in decision.conditions if c.outcome is not Outcome.HELD] == ["not_twice"]
    assert (decision.action, decision.why) == (Action.ESCALATE, "policy: not twice")
    assert GATES["site"].decide(CLEAN).action is Action.CLOSE


def test_a_forbid_that_errs_stops_a_close_though_cedar_would_skip_it() -> None:
    gate = site(more='@id("broken")\nforbid (principal, action == Action::"close", resource) when { context.unheard };')
    assert gate.engine.decide(request(CLEAN)).allowed is False
    found = gate.decide(CLEAN)
    assert [(c.name, c.outcome) for c in found.conditions if c.outcome is not Outcome.HELD] == [
        ("broken", Outcome.UNEVALUATED)
    ]
    assert found.action is Action.ESCALATE


def test_a_set_of_before_closes_nothing_that_is_not_sealed_and_its_old_decisions_replay() -> None:
    old = site(CLOSE.replace(" ledger", "").replace("\nwhen { context has sealed && context.sealed }", ""))
    assert "ledger" not in old.conditions
    assert old.decide(replace(CLEAN, sealed=True)).action is Action.CLOSE
    late = old.decide(replace(CLEAN, sealed=False))
    assert [c.name for c in late.conditions if c.outcome is not Outcome.HELD] == ["ledger"]
    assert late.action is Action.ESCALATE
    before = old.decide(replace(CLEAN, sealed=None))
    assert (before.action, len(before.conditions)) == (Action.CLOSE, len(old.conditions))


def test_a_permit_for_others_closes_nothing() -> None:
    gate = site(CLOSE.replace("principal is Agent", 'principal == Agent::"somebody"'))
    assert gate.decide(CLEAN).action is Action.ESCALATE
    assert gate.engine.decide(request(CLEAN)).allowed is False


def test_words_of_a_changed_condition_are_those_of_its_policy() -> None:
    found = {c.name: c for c in site(CLOSE.replace(">= 299", ">= 500")).decide(CLEAN).conditions}
    assert found["reviews"].have == "context.reviewed = 299"
    assert ">= 500" in found["reviews"].need
    assert found["stage"].need == "supervised or autonomous"


@pytest.mark.parametrize(
    "more", ["permit (principal, action, resource);", 'permit (principal, action == Action::"close", resource);']
)
def test_two_permits_to_close_are_refused(more: str) -> None:
    with pytest.raises(ConfigError, match="2 permits close"):
        site(more=more)
