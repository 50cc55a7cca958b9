"""One scope of a site while AIT-ADS goes by: threshold in force, observations, stages, and a simulated person who approves.

Stage, evidence, bands, p1 and draws are led by the product's own ``autonomy.governor``. The bands' edges come from the
networks that the prior was trained on.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from countersign.autonomy import governor, promotion, review, states
from countersign.autonomy.bounds import reviews_needed
from countersign.autonomy.governor import Governed
from countersign.autonomy.scopes import Scope
from countersign.autonomy.threshold import Band
from countersign.model.verdicts import PPM

PERSON = "simulated person"


@dataclass(slots=True)
class ScopeRun:
    """A scope's course. governed: its state, led by the product's own governor. scores, threats: of the reviewed findings
    on which all but stage and threshold held. course: (time, reviewed, upper bound in ppm) after each observation. hours,
    risks: closes per hour, and their p1. seen: how often each observation (x, q_min in ppm) came since the evidence last
    began."""

    scope: Scope
    governed: Governed
    edges: tuple[int, ...]
    scores: list[int] = field(default_factory=list)
    threats: list[bool] = field(default_factory=list)
    promoted_ms: int | None = None
    risks: list[int] = field(default_factory=list)
    hours: Counter[int] = field(default_factory=Counter)
    course: list[tuple[int, int, int]] = field(default_factory=list)
    seen: Counter[tuple[float, int]] = field(default_factory=Counter)
    events: list[states.Event] = field(default_factory=list)

    @property
    def state(self) -> states.ScopeState:
        """Stage and evidence."""
        return self.governed.state

    @property
    def bands(self) -> tuple[Band, ...]:
        """Score bands that passed, the strictest first."""
        return self.governed.bands

    @property
    def samples(self) -> bool:
        """Whether only a sample of the closes is reviewed."""
        return self.governed.samples

    def p1_ppm(self, score: int) -> int:
        """Upper end of P(threat) at this score by the scope's own reviews; PPM where no band vouches for it."""
        p1 = self.governed.p1_ppm(score)
        return PPM if p1 is None else p1

    def reviewed(self, score: int, threat: bool, *, plain: bool) -> None:
        """One more reviewed finding; the threshold is derived anew from time to time, at once on a threat."""
        self.scores.append(score)
        self.threats.append(threat)
        if not governor.walk_due(self.governed, len(self.scores), threat=threat):
            return
        if plain:
            self.governed = msgspec.structs.replace(self.governed, bands=self._average(), walked=len(self.scores))
        else:
            self.governed = governor.walk(self.governed, self.scores, self.threats, self.edges)

    def _average(self) -> tuple[Band, ...]:
        """Highest score up to which the average is certified: one band from the bottom."""
        scores, threats = np.asarray(self.scores, dtype=np.int64), np.asarray(self.threats, dtype=np.int64)
        order = np.argsort(scores, kind="stable")
        misses = np.cumsum(threats[order])
        ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
        good = [int(end) for end in ends if end + 1 >= reviews_needed(threats=int(misses[end]))]
        if not good:
            return ()
        top = good[-1]
        return (Band(None, int(scores[order][top]), top + 1, int(misses[top]), 0, True),)

    def observe(self, finding: str, threat: bool, at_ms: int, *, blind: bool, q_ppm: int = PPM) -> None:
        """A person's answer on a close, or in ``advise`` on what would have been one."""
        q_min = review.Q_MIN_PPM if q_ppm < PPM else self.governed.q_min_ppm
        model, policy = self.state.model, self.state.policy
        self.seen[PPM / q_ppm if threat else 0.0, q_min] += 1
        seen = states.Observation(finding, threat, at_ms, blind, model, policy, q_ppm, q_min)
        self._step(governor.reviewed(self.governed, seen))
        self.course.append((at_ms, self.state.reviewed, self.governed.bound_ppm))

    def passed_over(self, at_ms: int) -> None:
        """A close that the draw passed over."""
        self.seen[0.0, review.Q_MIN_PPM] += 1
        self._step(governor.undrawn(self.governed, 1, at_ms))

    def climb(self, at_ms: int) -> None:
        """The simulated person notes an alarm and approves the next stage as soon as nothing is missing."""
        if self.state.halted:
            self._step(governor.acknowledge(self.governed, at_ms, PERSON))
        if promotion.missing(self.state, at_ms):
            return
        after = states.LADDER[states.LADDER.index(self.state.stage) + 1]
        given = states.Approval(PERSON, self.scope.name, after, "simulated")
        state, events = promotion.promote(self.state, at_ms, by_person_approval=given)
        self._step((governor.promoted(self.governed, state, self.risks), events))
        self.promoted_ms = at_ms if self.promoted_ms is None else self.promoted_ms

    def draw(self, site: str, finding: str, p1_ppm: int, at_ms: int) -> review.Draw:
        """Whether a close is reviewed blind: always in ``supervised``, by the week's committed seed in ``autonomous``."""
        week = review.week_of(at_ms)
        return review.draw(seed(site, week), week, finding, self.governed.q_ppm(p1_ppm))

    def _step(self, step: governor.Step) -> None:
        self.governed, events = step
        if any(event.happened is states.Happened.RESTARTED for event in events):
            self.seen.clear()
        self.events.extend(events)


def seed(site: str, week: str) -> bytes:
    """The week's seed: fixed here so that a run replays; a real site draws it by chance and commits to it beforehand."""
    return hashlib.sha256(f"countersign/evaluate-ait/{site}/{week}".encode()).digest()


def rates(events: Sequence[states.Event]) -> dict[str, int]:
    """How often each thing happened."""
    return dict(sorted(Counter(event.happened.value for event in events).items()))
