"""What a scope's next stage rests on, and what is missing for it: for people to read. Nothing here takes the step."""

from __future__ import annotations

from countersign.autonomy.bounds import reviews_needed
from countersign.autonomy.evidence import Certificate
from countersign.autonomy.scopes import CLOSING_STAGES, Stage
from countersign.autonomy.states import LADDER, ScopeState


def missing(state: ScopeState, at_ms: int) -> tuple[str, ...]:
    """What stands between the scope and its next stage, in words; empty when a person may approve it."""
    if state.stage is LADDER[-1]:
        return ("there is no further stage",)
    held, needed = resting_on(state), reviews_needed(state.rules.alpha_ppm, state.rules.delta_ppm)
    rests_on_evidence = following(state) in CLOSING_STAGES
    stale = state.reviewed and at_ms - state.newest_label_ms > state.rules.label_age_ms_max
    lacking = {
        "the kill switch is on": state.stopped,
        f"{state.halted} not acknowledged": bool(state.halted),
        f"{state.reviewed} of {needed} reviewed": rests_on_evidence and state.reviewed < needed,
        f"no certificate below {held.alpha_ppm / 10_000:g} % yet": rests_on_evidence and not held.certified,
        "labels are stale": rests_on_evidence and bool(stale),
    }
    return tuple(words for words, applies in lacking.items() if applies)


def following(state: ScopeState) -> Stage:
    """The stage above the present one; there is none above the last."""
    return LADDER[LADDER.index(state.stage) + 1]


def resting_on(state: ScopeState) -> Certificate:
    """The certificate that the next stage rests on: from a stage that closes already, the stricter."""
    return state.strict if state.stage in CLOSING_STAGES else state.certificate
