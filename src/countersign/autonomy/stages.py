"""The stages of one scope as a pure state machine: down by itself and at once (design: triage.md section 4).

Every function takes a state and gives a new one with what happened, for the ledger; none of them raises a stage, which
only ``promotion.promote`` does. The evidence begins anew after whatever makes the old evidence speak of something else
(alarm, change, stale labels, another model or policy), and goes on after a single confirmed miss, which it has taken into
account, and after the kill switch, which says nothing about it.
"""

from __future__ import annotations

from msgspec.structs import replace

from countersign.autonomy.scopes import CLOSING_STAGES, START_STAGE
from countersign.autonomy.states import (
    Cause,
    Event,
    Happened,
    Observation,
    ScopeState,
    Step,
    begin,
    event,
    named,
)
from countersign.errors import ConflictError
from countersign.model.verdicts import PPM


def review(state: ScopeState, seen: Observation) -> Step:
    """Take a person's answer. One about a close that another model or policy decided says nothing of the present one: it
    feeds no statistic, but a miss is a miss. Raises ValueError unless 0 < q_min <= q <= 1."""
    if not 0 < seen.q_min_ppm <= seen.q_ppm <= PPM:
        raise ValueError(f"{seen.finding}: probability {seen.q_ppm} ppm beside a lowest of {seen.q_min_ppm} ppm")
    state = replace(state, newest_label_ms=max(state.newest_label_ms, seen.at_ms))
    events: tuple[Event, ...] = ()
    if (seen.model, seen.policy) == (state.model, state.policy):
        state = replace(state, reviewed=state.reviewed + 1, threats=state.threats + seen.threat)
        x = PPM / seen.q_ppm if seen.threat else 0.0
        state, events = _take(state, x, seen.at_ms, q_min_ppm=seen.q_min_ppm, blind=seen.blind)
    return _after(events, _down(state, Cause.MISS, seen.at_ms, "misses_count", 1)) if seen.threat else (state, events)


def undrawn(state: ScopeState, closes: int, at_ms: int, *, q_min_ppm: int) -> Step:
    """Take closes that a sampled review passed over: each is an observation of 0, without which x would be biased."""
    return _take(state, 0.0, at_ms, q_min_ppm=q_min_ppm, blind=True, times=closes)


def observe(state: ScopeState, at_ms: int, *, model: str, policy: str, stopped: bool) -> Step:
    """Take what changed around the scope: model (calibration included), policy, kill switch, age of its labels."""
    events: tuple[Event, ...] = ()
    for cause, old, new in ((Cause.MODEL, state.model, model), (Cause.POLICY, state.policy, policy)):
        if old != new:
            state, events = _after(events, _restart(state, cause, at_ms, "changed_count", 1))
    state = replace(state, model=model, policy=policy)
    age = at_ms - state.newest_label_ms
    if state.stage in CLOSING_STAGES and age > state.rules.label_age_ms_max:
        state, events = _after(events, _restart(state, Cause.STALE, at_ms, "newest_label_age_ms", age))
    if state.stopped != stopped:
        state = replace(state, stopped=stopped)
        said = event(state, Happened.STOPPED if stopped else Happened.RESUMED, at_ms, Cause.PERSON)
        state, events = _after((*events, said), _down(state, Cause.KILL_SWITCH, at_ms, "", 0) if stopped else (state, ()))
    return state, events


def step_down(state: ScopeState, at_ms: int) -> Step:
    """A person takes the scope out of the stages that close. Raises ConflictError when it is in none."""
    if state.stage not in CLOSING_STAGES:
        raise ConflictError(f"the agent closes nothing in stage {state.stage.value}", where=state.scope)
    return _down(state, Cause.PERSON, at_ms, "", 0)


def acknowledge(state: ScopeState, at_ms: int, *, person: str) -> Step:
    """A named person takes note of an alarm or change: it no longer stands; the stage stays. Raises ConflictError."""
    if not person or not state.halted:
        raise ConflictError("nothing to acknowledge" if person else "a person must acknowledge", where=state.scope)
    said = event(state, Happened.ACKNOWLEDGED, at_ms, state.halted)
    return replace(state, halted=""), (said,)


def _take(state: ScopeState, x: float, at_ms: int, *, q_min_ppm: int, blind: bool, times: int = 1) -> Step:
    """Feed every statistic, say what it crossed, and step back on an alarm or change."""
    new = replace(
        state,
        certificate=state.certificate.observe(x, q_min_ppm=q_min_ppm, times=times),
        strict=state.strict.observe(x, q_min_ppm=q_min_ppm, times=times if blind else 0),
        alarm=state.alarm.observe(x, times=times),
        change=state.change.observe(x, times=times),
    )
    pairs = ((state.certificate, new.certificate), (state.strict, new.strict))
    crossed = [after for before, after in pairs if after.certified and not before.certified]
    events = tuple(event(new, Happened.CERTIFIED, at_ms, "", named(held), held.unats) for held in crossed)
    for cause, watch in ((Cause.ALARM, new.alarm), (Cause.CHANGE, new.change)):
        if watch.raised:
            said = event(new, Happened.HALTED, at_ms, cause, f"{cause.value}_unats", watch.unats)
            new, more = _restart(new, cause, at_ms, said.statistic, said.value)
            return replace(new, halted=cause.value), (*events, said, *more)
    return new, events


def _restart(state: ScopeState, cause: Cause, at_ms: int, statistic: str, value: int) -> Step:
    """Down, and the evidence begins anew."""
    state, events = _down(state, cause, at_ms, statistic, value)
    said = event(state, Happened.RESTARTED, at_ms, cause, statistic, value)
    fresh = begin(state.scope, state.model, state.policy, state.rules)
    kept = replace(
        fresh, stage=state.stage, newest_label_ms=state.newest_label_ms, stopped=state.stopped, halted=state.halted
    )
    return kept, (*events, said)


def _down(state: ScopeState, cause: Cause, at_ms: int, statistic: str, value: int) -> Step:
    """Out of the stages that close; nothing happens to one that does not."""
    if state.stage not in CLOSING_STAGES:
        return state, ()
    said = event(state, Happened.DEMOTED, at_ms, cause, statistic, value)
    return replace(state, stage=START_STAGE), (replace(said, after=START_STAGE),)


def _after(events: tuple[Event, ...], step: Step) -> Step:
    return step[0], (*events, *step[1])
