"""The stage machine: down at once and by itself, up only by a person on a certificate."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.autonomy.promotion import missing, promote
from countersign.autonomy.scopes import CLOSING_STAGES, Stage
from countersign.autonomy.stages import acknowledge, observe, review, undrawn
from countersign.autonomy.states import LADDER, Approval, Cause, Event, Happened, Observation, Rules, ScopeState, begin
from countersign.errors import ConflictError
from countersign.model.verdicts import PPM
from tests.examples import examples

DAY = 86_400_000
START = begin("endpoint", "model-1", "policy-1")
MISSED = Observation("F-9", True, DAY, True, "model-1", "policy-1")
"""A miss found outside the draw: full weight."""
replace = msgspec.structs.replace


def seen(threat: bool = False, at_ms: int = DAY, q: int = PPM, low: int = PPM, **other: object) -> Observation:
    return replace(Observation("F-1", threat, at_ms, True, "model-1", "policy-1", q, low), **other)


def clean(state: ScopeState, count: int, **other: object) -> ScopeState:
    for _ in range(count):
        state, _ = review(state, seen(**other))
    return state


def approval(to: Stage, scope: str = "endpoint", person: str = "a.person", reference: str = "E-1") -> Approval:
    return Approval(person=person, scope=scope, to=to, reference=reference)


CERTIFIED = clean(START, 800)
SUPERVISED, _ = promote(CERTIFIED, DAY, by_person_approval=approval(Stage.SUPERVISED))
AUTONOMOUS, _ = promote(SUPERVISED, DAY, by_person_approval=approval(Stage.AUTONOMOUS))


def happened(events: tuple[Event, ...]) -> list[tuple[Happened, str]]:
    return [(event.happened, event.cause) for event in events]


@pytest.mark.parametrize("state", [SUPERVISED, AUTONOMOUS], ids=lambda s: s.stage)
@pytest.mark.parametrize(
    ("cause", "step"),
    [
        (Cause.MISS, lambda s: review(s, seen(threat=True))),
        (Cause.MISS, lambda s: review(s, MISSED)),
        (Cause.MISS, lambda s: review(s, seen(threat=True, model="model-0"))),
        (Cause.MODEL, lambda s: observe(s, DAY, model="model-2", policy="policy-1", stopped=False)),
        (Cause.POLICY, lambda s: observe(s, DAY, model="model-1", policy="policy-2", stopped=False)),
        (Cause.STALE, lambda s: observe(s, 32 * DAY, model="model-1", policy="policy-1", stopped=False)),
        (Cause.KILL_SWITCH, lambda s: observe(s, DAY, model="model-1", policy="policy-1", stopped=True)),
    ],
)
def test_every_cause_demotes_at_once_and_is_named(
    state: ScopeState, cause: Cause, step: Callable[[ScopeState], tuple[ScopeState, tuple[Event, ...]]]
) -> None:
    after, events = step(state)
    assert not after.may_close
    assert after.stage is Stage.ADVISE
    down = [event for event in events if event.happened is Happened.DEMOTED]
    assert [(e.cause, e.before, e.after) for e in down] == [(cause, state.stage, Stage.ADVISE)]


@pytest.mark.parametrize("state", [SUPERVISED, AUTONOMOUS], ids=lambda s: s.stage)
def test_alarm_and_change_halt_demote_and_stay_until_acknowledged(state: ScopeState) -> None:
    """Threats of which the stage machine learns one by one demote it anyway: here the statistic alone must."""
    near = replace(state, alarm=replace(state.alarm, logs=(8.0,) * 8), change=replace(state.change, log_s=8.5172))
    for poised, cause in (
        (replace(near, change=state.change), Cause.ALARM),
        (replace(near, alarm=state.alarm), Cause.CHANGE),
    ):
        if cause is Cause.ALARM:
            after, events = undrawn(poised, 1, DAY, q_min_ppm=20_000)
        else:
            after, events = review(poised, seen(threat=True))
        assert happened(events)[:2] == [(Happened.HALTED, cause), (Happened.DEMOTED, cause)]
        assert events[0].statistic == f"{cause}_unats"
        assert events[0].value > 2_990_000
        assert (after.halted, after.reviewed, after.certificate.unats) == (cause, 0, 0)
        assert f"{cause} not acknowledged" in missing(clean(after, 400), DAY)
        later, said = acknowledge(after, DAY, person="a.person")
        assert (later.halted, happened(said)) == ("", [(Happened.ACKNOWLEDGED, cause)])


def test_a_certificate_is_announced_once_with_its_evidence() -> None:
    state, told = START, []
    for count in range(1, 400):
        state, events = review(state, seen())
        told += [(count, e.happened, e.statistic, e.value) for e in events]
    assert len(told) == 1
    count, kind, statistic, value = told[0]
    assert (kind, statistic) == (Happened.CERTIFIED, "certificate_10000_ppm_unats")
    assert 299 <= count <= 370
    assert value >= 2_995_732


def test_promotion_needs_certificate_reviews_and_a_person_for_this_very_step() -> None:
    few = replace(CERTIFIED, reviewed=298)
    for state in (START, clean(START, 298), few, replace(CERTIFIED, stopped=True), replace(CERTIFIED, halted="alarm")):
        with pytest.raises(ConflictError, match="cannot be promoted"):
            promote(state, DAY, by_person_approval=approval(Stage.SUPERVISED))
    with pytest.raises(ConflictError, match="stale"):
        promote(CERTIFIED, 40 * DAY, by_person_approval=approval(Stage.SUPERVISED))
    for given_ in (
        approval(Stage.AUTONOMOUS),
        approval(Stage.SUPERVISED, scope="network"),
        approval(Stage.SUPERVISED, person=" "),
        approval(Stage.SUPERVISED, reference=""),
    ):
        with pytest.raises(ConflictError, match="does not cover"):
            promote(CERTIFIED, DAY, by_person_approval=given_)
    assert missing(few, DAY) == ("298 of 299 reviewed",)
    assert missing(START, 40 * DAY) == ("0 of 299 reviewed", "no certificate below 1 % yet")  # of nothing, nothing is stale


def test_the_last_stage_needs_the_stricter_certificate_from_blind_answers() -> None:
    between = clean(START, 400)
    supervised, _ = promote(between, DAY, by_person_approval=approval(Stage.SUPERVISED))
    assert missing(supervised, DAY) == ("no certificate below 0.5 % yet",)
    sighted = clean(supervised, 800, blind=False)
    assert missing(sighted, DAY) == ("no certificate below 0.5 % yet",)
    assert missing(clean(supervised, 400), DAY) == ()
    assert missing(AUTONOMOUS, DAY) == ("there is no further stage",)


def test_a_person_alone_turns_a_scope_on() -> None:
    hidden = replace(START, stage=Stage.OBSERVE)
    after, events = promote(hidden, DAY, by_person_approval=approval(Stage.ADVISE))
    assert (after.stage, happened(events)) == (Stage.ADVISE, [(Happened.PROMOTED, Cause.PERSON)])


def test_a_late_answer_on_another_models_close_feeds_no_statistic() -> None:
    after, events = review(CERTIFIED, seen(model="model-0", at_ms=2 * DAY))
    assert (after, events) == (replace(CERTIFIED, newest_label_ms=2 * DAY), ())


def test_one_miss_keeps_the_evidence_and_a_new_model_drops_it() -> None:
    after, _ = review(clean(SUPERVISED, 1_500), MISSED)
    assert after.certificate.certified
    assert (after.threats, after.reviewed) == (1, 2_301)
    fresh, events = observe(CERTIFIED, DAY, model="model-2", policy="policy-1", stopped=False)
    assert (fresh.reviewed, fresh.certificate.seen, fresh.strict.seen, fresh.alarm.seen, fresh.change.seen) == (0,) * 5
    assert (fresh.model, happened(events)) == ("model-2", [(Happened.RESTARTED, Cause.MODEL)])


def test_the_kill_switch_hides_even_advice_and_lifting_it_raises_nothing() -> None:
    off, events = observe(AUTONOMOUS, DAY, model="model-1", policy="policy-1", stopped=True)
    assert (off.in_force, off.may_close) == (Stage.OBSERVE, False)
    assert happened(events) == [(Happened.STOPPED, Cause.PERSON), (Happened.DEMOTED, Cause.KILL_SWITCH)]
    on, events = observe(off, DAY, model="model-1", policy="policy-1", stopped=False)
    assert (on.in_force, happened(events)) == (Stage.ADVISE, [(Happened.RESUMED, Cause.PERSON)])


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="beside a lowest"):
        review(START, seen(q=10_000, low=20_000))
    with pytest.raises(ConflictError, match="nothing to acknowledge"):
        acknowledge(START, DAY, person="a.person")


STEPS = st.one_of(
    st.builds(
        lambda threat, day, sampled, blind, old: (
            lambda s: review(
                s,
                seen(threat, day * DAY, 50_000 if sampled else PPM, 20_000 if sampled else PPM, blind=blind)
                if not old
                else seen(threat, day * DAY, model="model-0"),
            )
        ),
        st.integers(0, 9).map(lambda v: v == 0),
        st.integers(1, 40),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    st.integers(0, 500).map(lambda n: lambda s: undrawn(s, n, DAY, q_min_ppm=20_000)),
    st.integers(1, 300).map(lambda n: lambda s: (clean(s, n), ())),
    st.just(lambda s: review(s, MISSED)),
    st.builds(
        lambda day, model, policy, stopped: lambda s: observe(s, day * DAY, model=model, policy=policy, stopped=stopped),
        st.integers(1, 80),
        st.sampled_from(["model-1", "model-1", "model-2"]),
        st.sampled_from(["policy-1", "policy-1", "policy-2"]),
        st.integers(0, 3).map(lambda v: v == 0),
    ),
)


@settings(max_examples=examples(60), deadline=None)
@given(st.sampled_from([START, CERTIFIED, SUPERVISED, AUTONOMOUS]), st.lists(STEPS, max_size=8))
def test_nothing_but_promotion_ever_raises_a_stage(
    state: ScopeState, steps: list[Callable[[ScopeState], tuple[ScopeState, tuple[Event, ...]]]]
) -> None:
    for step in steps:
        after, events = step(state)
        assert LADDER.index(after.stage) <= LADDER.index(state.stage)
        assert Happened.PROMOTED not in {event.happened for event in events}
        fell = [event for event in events if event.happened is Happened.DEMOTED]
        assert bool(fell) == (after.stage is not state.stage)
        assert all(event.cause for event in fell)
        assert not after.halted or after.stage not in CLOSING_STAGES
        again = msgspec.json.decode(msgspec.json.encode(after), type=ScopeState)
        assert again == after
        state = after


@given(st.sampled_from(Stage), st.integers(0, 400), st.booleans(), st.sampled_from(["", "alarm"]), st.sampled_from(Stage))
def test_no_promotion_without_certificate_and_reviews(
    stage: Stage, reviewed: int, stopped: bool, halted: str, to: Stage
) -> None:
    for base in (START, CERTIFIED):
        state = replace(base, stage=stage, reviewed=reviewed, stopped=stopped, halted=halted)
        try:
            after, _ = promote(state, DAY, by_person_approval=approval(to))
        except ConflictError:
            continue
        assert LADDER.index(after.stage) == LADDER.index(stage) + 1 == LADDER.index(to)
        assert not stopped
        assert not halted
        assert after.stage not in CLOSING_STAGES or (base is CERTIFIED and reviewed >= 299)


def test_stricter_rules_reach_every_statistic() -> None:
    state = begin("endpoint", "m", "p", Rules(alpha_ppm=2_000, delta_ppm=10_000, run_length=9_000))
    assert (state.certificate.alpha_ppm, state.strict.alpha_ppm, state.alarm.alpha_ppm) == (2_000, 1_000, 2_000)
    assert (state.certificate.delta_ppm, state.alarm.delta_ppm, state.change.run_length) == (10_000, 10_000, 9_000)
