"""The gate: closes only when everything held, and no doubt ever opens it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as scoped
from typing import get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.autonomy.scopes import DEFAULT_SCOPES, Stage
from countersign.model.alerts import Severity
from countersign.model.decisions import Action, Decision, Outcome
from countersign.model.verdicts import PPM, Label
from countersign.policy.gate import CONDITIONS, GateInput, decide
from countersign.triage.tactics import KILL_CHAIN
from tests.examples import examples

replace = msgspec.structs.replace

CLEAN = GateInput(
    scope=DEFAULT_SCOPES["endpoint"],
    stage=Stage.SUPERVISED,
    stopped=False,
    alarm=False,
    reviewed=299,
    label=Label.BENIGN,
    p1_ppm=2_000,
    threshold_ppm=10_000,
    probability_ppm=1_000,
    asset_criticality=1,
    identity_criticality=-1,
    unknown_entities=0,
    pattern_known=True,
    pattern_doubt="",
    novelty_ppm=400_000,
    sources_unavailable=(),
    case_undecided=0,
    case_threats=0,
    severity=Severity.LOW,
    tactics=("TA0001",),
    closed_this_hour=0,
    concerns=0,
    ti_hits=0,
    sealed=True,
)
NULLABLE = tuple(name for name, kind in get_type_hints(GateInput).items() if "None" in str(kind))


def some(values: st.SearchStrategy[object], *good: object) -> st.SearchStrategy[object]:
    """Mostly the good value, so that closes happen; sometimes anything, sometimes nothing."""
    return st.one_of(*[st.sampled_from(good)] * 3, values)


SMALL = st.one_of(st.none(), st.integers(0, 400))
PARTS = st.one_of(st.none(), st.integers(0, PPM))
INPUTS = st.builds(
    GateInput,
    scope=st.sampled_from([*DEFAULT_SCOPES.values(), scoped(DEFAULT_SCOPES["endpoint"], severity_unknown=True)]),
    stage=some(st.one_of(st.none(), st.sampled_from(Stage)), Stage.SUPERVISED, Stage.AUTONOMOUS),
    stopped=some(st.one_of(st.none(), st.booleans()), False),
    reviewed=some(SMALL, 299, 5_000),
    alarm=some(st.one_of(st.none(), st.booleans()), False),
    label=some(st.sampled_from(Label), Label.BENIGN),
    p1_ppm=some(PARTS, 0, 5_000),
    threshold_ppm=some(PARTS, 10_000),
    probability_ppm=st.integers(0, PPM),
    asset_criticality=some(st.one_of(st.none(), st.integers(-1, 4)), 0),
    identity_criticality=some(st.one_of(st.none(), st.integers(-1, 4)), 0),
    unknown_entities=some(SMALL, 0),
    pattern_known=some(st.one_of(st.none(), st.booleans()), True),
    pattern_doubt=st.sampled_from(["", "pattern never reviewed"]),
    novelty_ppm=some(st.integers(0, PPM), 200_000),
    sources_unavailable=some(st.sampled_from([None, (), ("assets",), ("assets", "geo")]), ()),
    case_undecided=some(SMALL, 0),
    case_threats=some(SMALL, 0),
    severity=some(st.sampled_from(Severity), Severity.LOW),
    tactics=some(st.lists(st.sampled_from(KILL_CHAIN), max_size=3).map(tuple), ()),
    closed_this_hour=some(SMALL, 0),
    concerns=some(SMALL, 0),
    ti_hits=some(SMALL, 0),
    sealed=some(st.one_of(st.none(), st.booleans()), True),
)


def raised(value: int | None, by: int = 1) -> int | None:
    return None if value is None else value + by


DOUBTS: dict[str, Callable[[GateInput], GateInput]] = {
    "stage down": lambda g: replace(g, stage=Stage.ADVISE),
    "stopped": lambda g: replace(g, stopped=True),
    "alarm": lambda g: replace(g, alarm=True),
    "threat": lambda g: replace(g, label=Label.THREAT),
    "insufficient": lambda g: replace(g, label=Label.INSUFFICIENT),
    "higher p1": lambda g: replace(g, p1_ppm=raised(g.p1_ppm, 4_000)),
    "lower threshold": lambda g: replace(g, threshold_ppm=raised(g.threshold_ppm, -6_000)),
    "more critical asset": lambda g: replace(g, asset_criticality=g.asset_criticality and min(4, g.asset_criticality + 1)),
    "critical identity": lambda g: replace(g, identity_criticality=4),
    "unknown entity": lambda g: replace(g, unknown_entities=raised(g.unknown_entities)),
    "pattern not known": lambda g: replace(g, pattern_known=False),
    "stranger": lambda g: replace(g, novelty_ppm=g.novelty_ppm // 2),
    "silent source": lambda g: replace(g, sources_unavailable=(*(g.sources_unavailable or ()), "directory")),
    "undecided": lambda g: replace(g, case_undecided=raised(g.case_undecided)),
    "threat in case": lambda g: replace(g, case_threats=raised(g.case_threats)),
    "more severe": lambda g: replace(g, severity=Severity(min(6, g.severity + 1))),
    "impact": lambda g: replace(g, tactics=(*g.tactics, "TA0040")),
    "budget": lambda g: replace(g, closed_this_hour=raised(g.closed_this_hour, 100)),
    "concern": lambda g: replace(g, concerns=raised(g.concerns)),
    "ledger not sealed": lambda g: replace(g, sealed=False),
    "intelligence": lambda g: replace(g, ti_hits=raised(g.ti_hits)),
} | {f"no {name}": lambda g, name=name: replace(g, **{name: None}) for name in NULLABLE}


def test_clean_input_closes_when_the_stage_allows() -> None:
    decision = decide(CLEAN)
    assert (decision.action, decision.advice, decision.why) == (Action.CLOSE, Action.CLOSE, "")
    assert tuple(c.name for c in decision.conditions) == CONDITIONS


def test_in_advise_a_clean_finding_is_advised_but_never_closed() -> None:
    decision = decide(replace(CLEAN, stage=Stage.ADVISE))
    assert (decision.action, decision.advice) == (Action.ESCALATE, Action.CLOSE)
    assert [c.name for c in decision.conditions if c.outcome is not Outcome.HELD] == ["stage"]
    assert decision.why == "scope in stage advise"


@settings(max_examples=examples(400))
@given(INPUTS)
def test_close_means_every_condition_held_and_advice_leaves_only_the_stage_aside(given_: GateInput) -> None:
    decision = decide(given_)
    failed = {c.name for c in decision.conditions if c.outcome is not Outcome.HELD}
    assert (decision.action is Action.CLOSE) == (not failed)
    assert (decision.advice is Action.CLOSE) == (failed <= {"stage"})
    assert bool(decision.why) == bool(failed)
    assert all(c.have and c.need for c in decision.conditions)


@settings(max_examples=examples(400))
@given(INPUTS, st.lists(st.sampled_from(sorted(DOUBTS)), min_size=1, max_size=4))
def test_no_added_doubt_turns_escalate_into_close(given_: GateInput, doubts: list[str]) -> None:
    doubted = given_
    for name in doubts:
        doubted = DOUBTS[name](doubted)
    before, after = decide(given_), decide(doubted)
    assert not (before.action is Action.ESCALATE and after.action is Action.CLOSE), doubts
    assert not (before.advice is Action.ESCALATE and after.advice is Action.CLOSE), doubts


@pytest.mark.parametrize("name", NULLABLE)
def test_anything_that_could_not_be_established_escalates_and_is_named_apart(name: str) -> None:
    decision = decide(replace(CLEAN, **{name: None}))
    assert decision.action is Action.ESCALATE
    assert [c.outcome for c in decision.conditions if c.outcome is not Outcome.HELD] == [Outcome.UNEVALUATED]


@pytest.mark.parametrize("name", sorted(DOUBTS))
def test_every_doubt_in_the_list_can_matter(name: str) -> None:
    edge = replace(CLEAN, p1_ppm=8_000, asset_criticality=2, novelty_ppm=60_000, severity=Severity.MEDIUM)
    edge = replace(edge, closed_this_hour=250)
    assert decide(edge).action is Action.CLOSE
    assert decide(DOUBTS[name](edge)).action is Action.ESCALATE


def test_severity_that_no_tool_gave_closes_only_where_the_scope_says_so() -> None:
    ungraded = replace(CLEAN, severity=Severity.UNKNOWN)
    assert decide(ungraded).action is Action.ESCALATE
    assert decide(replace(ungraded, scope=scoped(CLEAN.scope, severity_unknown=True))).action is Action.CLOSE


def test_threshold_in_force_never_exceeds_the_hard_cap() -> None:
    assert decide(replace(CLEAN, p1_ppm=10_001, threshold_ppm=PPM)).action is Action.ESCALATE


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"asset_criticality": 4, "label": Label.THREAT}, "critical-value asset"),
        ({"identity_criticality": 3, "pattern_known": False}, "high-value identity"),
        ({"case_threats": 2, "p1_ppm": 900_000}, "case holds 2 other threats"),
        ({"ti_hits": 1, "p1_ppm": 900_000}, "threat intelligence: 1 hit"),
        ({"p1_ppm": 900_000, "label": Label.THREAT, "probability_ppm": 870_000}, "looks like a threat: 87 %"),
        ({"sources_unavailable": ("assets",), "pattern_known": False}, "assets unavailable"),
        ({"case_undecided": 1, "pattern_known": False}, "case holds 1 other open finding"),
        ({"pattern_known": False, "pattern_doubt": "pattern never reviewed"}, "pattern never reviewed"),
        ({"stage": None}, "stage not known"),
    ],
)
def test_the_queue_names_the_most_telling_reason(changes: dict[str, object], why: str) -> None:
    assert decide(replace(CLEAN, **{"stage": Stage.ADVISE} | changes)).why == why


@given(INPUTS)
def test_decisions_replay_to_the_same_bytes(given_: GateInput) -> None:
    first = msgspec.json.encode(decide(given_))
    decide.cache_clear()
    assert msgspec.json.encode(decide(given_)) == first
    assert msgspec.json.decode(first, type=Decision) == decide(given_)


@given(INPUTS)
def test_a_gate_input_kept_with_its_record_decides_the_same_again(given_: GateInput) -> None:
    """Bytes of the record may not hang on the order of a set, which differs between processes."""
    stored = msgspec.msgpack.encode(given_)
    assert decide(msgspec.msgpack.decode(stored, type=GateInput)) == decide(given_)
    assert not any(isinstance(value, set | frozenset) for value in msgspec.structs.astuple(given_))
    assert isinstance(given_.scope.tactics, tuple)
