"""One scope as it is governed: its stage with the evidence for it, the score bands that its own reviews vouch for, and how
closes are drawn for review. Pure; the product and ``evaluate`` ask the same functions.

p1 is the upper end of a Venn predictor whose categories are the bands that passed: (threats + 1)/(reviewed + 1) (Vovk,
Gammerman & Shafer 2005, chapter 6). A score outside them is vouched for by nobody, whatever the prior model says.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from countersign.autonomy import review, stages, states
from countersign.autonomy.bounds import reviews_needed, upper_bound_ppm
from countersign.autonomy.states import Event, Happened, Observation, ScopeState
from countersign.autonomy.threshold import Band, Truth, Whole, fixed_sequence
from countersign.model.verdicts import PPM

WALK_GROWTH = 50
"""The threshold is derived anew when the reviewed findings have grown by one in so many, and at once on a threat."""
REVIEW_BUDGET_PPM = 100_000
"""In ``autonomous``: every tenth close is drawn for blind review, on average."""


class Governed(msgspec.Struct, frozen=True):
    """A scope's course so far. bands: those that passed, the strictest first. walked: quiet reviewed findings when they were
    last derived. scale: of the review draw in ``autonomous`` (ppm)."""

    state: ScopeState
    bands: tuple[Band, ...] = ()
    walked: int = 0
    scale: int = 0

    def p1_ppm(self, pico: int) -> int | None:
        """Upper end of P(threat) at this score by the scope's own reviews: None while they vouch for no score at all, all of
        it for a score outside the bands that they vouch for."""
        for band in self.bands:
            if pico <= band.upto:
                return min(PPM, (band.threats + 1) * PPM // (band.reviewed + 1))
        return PPM if self.bands else None

    @property
    def samples(self) -> bool:
        """Whether only a sample of the closes is reviewed."""
        return self.state.stage is states.LADDER[-1]

    def q_ppm(self, p1_ppm: int) -> int:
        """Probability with which a close is drawn for blind review: 1 but in ``autonomous``."""
        return review.probability_ppm(p1_ppm, self.scale) if self.samples else PPM

    @property
    def q_min_ppm(self) -> int:
        """Lowest probability of the present design."""
        return review.Q_MIN_PPM if self.samples else PPM

    @property
    def bound_ppm(self) -> int:
        """Clopper-Pearson bound on P(threat) among reviewed closes and would-be closes since the evidence began."""
        return upper_bound_ppm(self.state.reviewed, self.state.threats, self.state.rules.delta_ppm)


Step = tuple[Governed, tuple[Event, ...]]


def begin(scope: str, model: str, policy: str) -> Governed:
    """A scope at its start."""
    return Governed(states.begin(scope, model, policy))


def walk_due(governed: Governed, reviewed: int, *, threat: bool) -> bool:
    """Whether the bands have to be derived anew after one more quiet finding was reviewed, ``reviewed`` in all."""
    return threat or reviewed - governed.walked >= max(1, governed.walked // WALK_GROWTH)


def walk(governed: Governed, picos: Whole, threats: Truth, edges: Sequence[int]) -> Governed:
    """Derive the bands from all quiet reviewed findings of the model and policy in force. edges: of the model's own
    training folds; without any, nothing is ever vouched for."""
    rules = governed.state.rules
    if not edges or len(picos) < reviews_needed(rules.alpha_ppm, rules.delta_ppm):
        return replace(governed, bands=(), walked=len(picos))
    found = fixed_sequence(picos, threats, edges, alpha_ppm=rules.alpha_ppm, delta_ppm=rules.delta_ppm, cap=edges[-1])
    return replace(governed, bands=tuple(band for band in found.bands if band.passed), walked=len(picos))


def reviewed(governed: Governed, seen: Observation) -> Step:
    """Take a person's answer on a close or would-be close."""
    return _step(governed, stages.review(governed.state, seen))


def undrawn(governed: Governed, closes: int, at_ms: int) -> Step:
    """Take closes that the draw passed over; in stages that review everything there are none."""
    if not governed.samples or not closes:
        return governed, ()
    return _step(governed, stages.undrawn(governed.state, closes, at_ms, q_min_ppm=governed.q_min_ppm))


def observe(governed: Governed, at_ms: int, *, model: str, policy: str, stopped: bool) -> Step:
    """Take what changed around the scope. Bands that spoke of another model or policy are gone with it."""
    after, events = _step(governed, stages.observe(governed.state, at_ms, model=model, policy=policy, stopped=stopped))
    return after, events


def step_down(governed: Governed, at_ms: int) -> Step:
    """A person takes the scope out of the stages that close."""
    return _step(governed, stages.step_down(governed.state, at_ms))


def acknowledge(governed: Governed, at_ms: int, person: str) -> Step:
    """A named person takes note of an alarm or change."""
    return _step(governed, stages.acknowledge(governed.state, at_ms, person=person))


def _step(governed: Governed, step: states.Step) -> Step:
    state, events = step
    if any(event.happened is Happened.RESTARTED for event in events):
        return Governed(state), events
    return replace(governed, state=state), events


def promoted(governed: Governed, state: ScopeState, risks_ppm: Sequence[int]) -> Governed:
    """The scope one stage up. risks_ppm: p1 of its closes so far, from which the review draw takes its scale."""
    scale = review.scale_for(risks_ppm, REVIEW_BUDGET_PPM) if state.stage is states.LADDER[-1] else 0
    return replace(governed, state=state, scale=scale)
