"""The one way up: a named person's approval of one step, on a certificate (design: triage.md section 4)."""

from __future__ import annotations

from msgspec.structs import replace

from countersign.autonomy.bounds import reviews_needed
from countersign.autonomy.evidence import Certificate
from countersign.autonomy.scopes import CLOSING_STAGES, Stage
from countersign.autonomy.states import LADDER, Approval, Cause, Happened, ScopeState, Step, event, named
from countersign.errors import ConflictError


def missing(state: ScopeState, at_ms: int) -> tuple[str, ...]:
    """What stands between the scope and its next stage, in words; empty when a person may approve it."""
    if state.stage is LADDER[-1]:
        return ("there is no further stage",)
    held, needed = _certificate(state), reviews_needed(state.rules.alpha_ppm, state.rules.delta_ppm)
    rests_on_evidence = _next(state) in CLOSING_STAGES
    lacking = {
        "the kill switch is on": state.stopped,
        f"{state.halted} not acknowledged": bool(state.halted),
        f"{state.reviewed} of {needed} reviewed": rests_on_evidence and state.reviewed < needed,
        f"no certificate below {held.alpha_ppm / 10_000:g} % yet": rests_on_evidence and not held.certified,
        "labels are stale": rests_on_evidence and at_ms - state.newest_label_ms > state.rules.label_age_ms_max,
    }
    return tuple(words for words, applies in lacking.items() if applies)


def promote(state: ScopeState, at_ms: int, *, by_person_approval: Approval) -> Step:
    """One stage up, the only way there is. Raises ConflictError without all that ``missing`` names, or unless the approval
    is a named person's and speaks of this scope and its next stage."""
    if lacking := missing(state, at_ms):
        raise ConflictError("cannot be promoted: " + ", ".join(lacking), where=state.scope)
    after, given = _next(state), by_person_approval
    if not given.person.strip() or not given.reference or (given.scope, given.to) != (state.scope, after):
        raise ConflictError(
            f"the approval does not cover the step to {after}", where=state.scope, todo="ask a named person for this step"
        )
    held = _certificate(state)
    said = event(state, Happened.PROMOTED, at_ms, Cause.PERSON, named(held), held.unats)
    return replace(state, stage=after), (replace(said, after=after),)


def _next(state: ScopeState) -> Stage:
    return LADDER[LADDER.index(state.stage) + 1]


def _certificate(state: ScopeState) -> Certificate:
    """The one that the next stage rests on: from a stage that closes already, the stricter."""
    return state.strict if state.stage in CLOSING_STAGES else state.certificate
