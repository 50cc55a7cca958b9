"""The one way up: a named person's approval of one step, on a certificate (design: triage.md section 4)."""

from __future__ import annotations

from msgspec.structs import replace

from countersign.autonomy.readiness import following, missing, resting_on
from countersign.autonomy.states import Approval, Cause, Happened, ScopeState, Step, event, named
from countersign.errors import ConflictError

__all__ = ["missing", "promote"]


def promote(state: ScopeState, at_ms: int, *, by_person_approval: Approval) -> Step:
    """One stage up, the only way there is. Raises ConflictError without all that ``missing`` names, or unless the approval
    is a named person's and speaks of this scope and its next stage."""
    if lacking := missing(state, at_ms):
        raise ConflictError("cannot be promoted: " + ", ".join(lacking), where=state.scope)
    after, given = following(state), by_person_approval
    if not given.person.strip() or not given.reference or (given.scope, given.to) != (state.scope, after):
        raise ConflictError(
            f"the approval does not cover the step to {after}", where=state.scope, todo="ask a named person for this step"
        )
    held = resting_on(state)
    said = event(state, Happened.PROMOTED, at_ms, Cause.PERSON, named(held), held.unats)
    return replace(state, stage=after), (replace(said, after=after),)
