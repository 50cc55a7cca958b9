"""One scope of a site while AIT-ADS goes by: threshold in force, observations, stages, and a simulated person who approves.

The threshold comes from the scope's own reviewed findings alone, band by band (``autonomy.threshold``). p1 is the upper end
of a Venn predictor whose categories are the bands that passed: (threats + 1)/(reviewed + 1) (Vovk, Gammerman & Shafer 2005,
chapter 6). The bands' edges come from the networks that the prior was trained on.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from countersign.autonomy import promotion, review, stages, states
from countersign.autonomy.bounds import reviews_needed, upper_bound_ppm
from countersign.autonomy.scopes import Scope, Stage
from countersign.autonomy.threshold import Band, fixed_sequence
from countersign.model.verdicts import PPM

REVIEW_BUDGET_PPM = 100_000
"""In ``autonomous``: every tenth close is drawn for blind review, on average."""
WALK_GROWTH = 50
"""The threshold is derived anew when the reviewed findings have grown by one in so many."""
PERSON = "simulated person"


@dataclass(slots=True)
class ScopeRun:
    """A scope's course. scores, threats: of the reviewed findings on which all but stage and threshold held. bands: those
    that passed, the strictest first. course: (time, reviewed, upper bound in ppm) after each observation. hours: closes.
    seen: how often each observation (x, q_min in ppm) came since the evidence last began."""

    scope: Scope
    state: states.ScopeState
    edges: tuple[int, ...]
    scores: list[int] = field(default_factory=list)
    threats: list[bool] = field(default_factory=list)
    bands: tuple[Band, ...] | None = None
    walked: int = 0
    promoted_ms: int | None = None
    scale: int = 0
    risks: list[int] = field(default_factory=list)
    hours: Counter[int] = field(default_factory=Counter)
    course: list[tuple[int, int, int]] = field(default_factory=list)
    seen: Counter[tuple[float, int]] = field(default_factory=Counter)
    events: list[states.Event] = field(default_factory=list)

    def p1_ppm(self, score: int) -> int:
        """Upper end of P(threat) at this score by the scope's own reviews; PPM where no band vouches for it."""
        for band in self.bands or ():
            if score <= band.upto:
                return min(PPM, (band.threats + 1) * PPM // (band.reviewed + 1))
        return PPM

    def reviewed(self, score: int, threat: bool, *, plain: bool) -> None:
        """One more reviewed finding; the threshold is derived anew from time to time, at once on a threat."""
        self.scores.append(score)
        self.threats.append(threat)
        count = len(self.scores)
        if not threat and count - self.walked < max(1, self.walked // WALK_GROWTH):
            return
        self.walked = count
        self.bands = self._average() if plain else self._walk()

    def _walk(self) -> tuple[Band, ...] | None:
        if len(self.scores) < reviews_needed():
            return None
        walk = fixed_sequence(self.scores, self.threats, self.edges, cap=self.edges[-1])
        return tuple(band for band in walk.bands if band.passed)

    def _average(self) -> tuple[Band, ...] | None:
        """Highest score up to which the average is certified: one band from the bottom."""
        scores, threats = np.asarray(self.scores, dtype=np.int64), np.asarray(self.threats, dtype=np.int64)
        order = np.argsort(scores, kind="stable")
        misses = np.cumsum(threats[order])
        ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
        good = [int(end) for end in ends if end + 1 >= reviews_needed(threats=int(misses[end]))]
        if not good:
            return None
        top = good[-1]
        return (Band(None, int(scores[order][top]), top + 1, int(misses[top]), 0, True),)

    def observe(self, finding: str, threat: bool, at_ms: int, *, blind: bool, q_ppm: int = PPM) -> None:
        """A person's answer on a close, or in ``advise`` on what would have been one."""
        q_min = review.Q_MIN_PPM if self.samples or q_ppm < PPM else PPM
        model, policy = self.state.model, self.state.policy
        self.seen[PPM / q_ppm if threat else 0.0, q_min] += 1
        self._step(stages.review(self.state, states.Observation(finding, threat, at_ms, blind, model, policy, q_ppm, q_min)))
        self.course.append((at_ms, self.state.reviewed, upper_bound_ppm(self.state.reviewed, self.state.threats)))

    def passed_over(self, at_ms: int) -> None:
        """A close that the draw passed over."""
        self.seen[0.0, review.Q_MIN_PPM] += 1
        self._step(stages.undrawn(self.state, 1, at_ms, q_min_ppm=review.Q_MIN_PPM))

    def climb(self, at_ms: int) -> None:
        """The simulated person notes an alarm and approves the next stage as soon as nothing is missing."""
        if self.state.halted:
            self._step(stages.acknowledge(self.state, at_ms, person=PERSON))
        if promotion.missing(self.state, at_ms):
            return
        after = states.LADDER[states.LADDER.index(self.state.stage) + 1]
        given = states.Approval(PERSON, self.scope.name, after, "simulated")
        self._step(promotion.promote(self.state, at_ms, by_person_approval=given))
        self.promoted_ms = at_ms if self.promoted_ms is None else self.promoted_ms
        if after is Stage.AUTONOMOUS:
            self.scale = review.scale_for(self.risks, REVIEW_BUDGET_PPM)

    def draw(self, site: str, finding: str, p1_ppm: int, at_ms: int) -> review.Draw:
        """Whether a close is reviewed blind: always in ``supervised``, by the week's committed seed in ``autonomous``."""
        week = review.week_of(at_ms)
        q_ppm = review.probability_ppm(p1_ppm, self.scale) if self.samples else PPM
        return review.draw(seed(site, week), week, finding, q_ppm)

    @property
    def samples(self) -> bool:
        """Whether only a sample of the closes is reviewed."""
        return self.state.stage is Stage.AUTONOMOUS

    def _step(self, step: states.Step) -> None:
        self.state, events = step
        if any(event.happened is states.Happened.RESTARTED for event in events):
            self.seen.clear()
        self.events.extend(events)


def seed(site: str, week: str) -> bytes:
    """The week's seed: fixed here so that a run replays; a real site draws it by chance and commits to it beforehand."""
    return hashlib.sha256(f"countersign/evaluate-ait/{site}/{week}".encode()).digest()


def rates(events: Sequence[states.Event]) -> dict[str, int]:
    """How often each thing happened."""
    return dict(sorted(Counter(event.happened.value for event in events).items()))
