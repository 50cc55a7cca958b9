"""Venn-Abers calibration: an interval [p0, p1] of P(threat) for every score (Vovk, Petej & Fedorova 2015).

p0 and p1 are isotonic fits of the calibration set with the new score added as benign and as threat. Both are step
functions of the score, so they are computed once and stored as steps; looking up is a search in a short table. p0 is
rounded down and p1 up to whole parts per million: rounding never narrows the interval.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from countersign.model.verdicts import PPM

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Steps:
    """A step function: ``values[i]`` holds for scores in [edges[i-1], edges[i]); one value more than edges."""

    edges: tuple[int, ...]
    values: tuple[int, ...]

    def at(self, score: int) -> int:
        """The value at ``score``."""
        return self.values[bisect_right(self.edges, score)]

    def column(self, scores: Integers) -> list[int]:
        """The values at many scores."""
        places = np.searchsorted(np.array(self.edges, dtype=np.int64), scores, side="right")
        found: list[int] = np.array(self.values, dtype=np.int64)[places].tolist()
        return found


@dataclass(frozen=True, slots=True)
class Calibration:
    """p0 and p1 in parts per million over the score in pico-logits, from ``n`` scores of which ``threats`` were threats."""

    p0: Steps
    p1: Steps
    n: int
    threats: int

    def interval(self, score: int) -> tuple[int, int]:
        """(p0, p1) at ``score``."""
        low, high = self.p0.at(score), self.p1.at(score)
        return (low, high) if low <= high else (high, low)

    def intervals(self, scores: Integers) -> list[tuple[int, int]]:
        """(p0, p1) at many scores."""
        pairs = zip(self.p0.column(scores), self.p1.column(scores), strict=True)
        return [(low, high) if low <= high else (high, low) for low, high in pairs]

    def largest_score(self, p1_ppm_max: int) -> int | None:
        """Largest score whose p1 is at most ``p1_ppm_max``; None when no score is that safe."""
        passed = [i for i, value in enumerate(self.p1.values) if value <= p1_ppm_max]
        return None if not passed or passed[-1] == len(self.p1.edges) else self.p1.edges[passed[-1]] - 1


def envelope(several: Sequence[Calibration]) -> Calibration:
    """The widest interval that any of ``several`` sites gives: smallest p0 and largest p1 at every score. An unseen site is
    a draw from sites, and where those at hand disagree nobody can know whom it takes after."""
    if not several:
        raise ValueError("an envelope needs at least one calibration")
    return Calibration(
        p0=_outline([c.p0 for c in several], min),
        p1=_outline([c.p1 for c in several], max),
        n=sum(c.n for c in several),
        threats=sum(c.threats for c in several),
    )


def _outline(several: Sequence[Steps], choose: Callable[[Iterable[int]], int]) -> Steps:
    edges = sorted({edge for steps in several for edge in steps.edges})
    below = edges[0] - 1 if edges else 0
    values = [choose([steps.at(score) for steps in several]) for score in (below, *edges)]
    kept = [i for i in range(len(edges)) if values[i] != values[i + 1]]
    return Steps(tuple(edges[i] for i in kept), (values[0], *(values[i + 1] for i in kept)))


def at_lower_rate(found: Calibration, rate_ppm: int) -> Calibration:
    """p0 as it is where only ``rate_ppm`` of the findings are threats, p1 as it was measured: Bayes' rule for a shift of
    the base rate with scores given the truth unchanged (Saerens, Latinne & Decaestecker 2002). Never raises p0."""
    own = found.threats * PPM // found.n
    if own <= rate_ppm:
        return found
    return replace(found, p0=Steps(found.p0.edges, tuple(_shifted(value, own, rate_ppm) for value in found.p0.values)))


def _shifted(p_ppm: int, own_ppm: int, rate_ppm: int) -> int:
    threat, benign = p_ppm * rate_ppm * (PPM - own_ppm), (PPM - p_ppm) * (PPM - rate_ppm) * own_ppm
    return threat * PPM // (threat + benign) if threat else 0


def merged_ppm(p0_ppm: int, p1_ppm: int) -> int:
    """One probability for ranking and words: p1 / (1 - p0 + p1), the minimax choice under log loss."""
    return p1_ppm * PPM // (PPM - p0_ppm + p1_ppm)


def calibrate(scores: Sequence[int], threats: Sequence[bool]) -> Calibration:
    """Calibration from out-of-fold scores in pico-logits and what the findings were. Raises ValueError when empty."""
    if not scores or len(scores) != len(threats):
        raise ValueError("calibration needs as many labels as scores, and at least one")
    points, place = np.unique(np.asarray(scores, dtype=np.int64), return_inverse=True)
    weight = np.concatenate(([0.0], np.cumsum(np.bincount(place))))
    height = np.concatenate(([0.0], np.cumsum(np.bincount(place, weights=np.asarray(threats, dtype=np.float64)))))
    upper, lower = _added_as_threat(weight, height), _added_as_benign(weight, height)
    return Calibration(
        p0=_steps(np.floor(lower * PPM + 1e-6), points),  # at a calibration score itself, it counts as below
        p1=_steps(np.ceil(upper * PPM - 1e-6), points + 1),
        n=len(scores),
        threats=sum(map(bool, threats)),
    )


def _added_as_threat(weight: Floats, height: Floats) -> Floats:
    """Isotonic value at each gap with a threat added there: slopes of the greatest convex minorant whose points left of
    the gap are shifted by (-1, -1). One pass from left to right (algorithms 1 and 2 of the paper)."""
    gaps = len(weight)
    out = np.ones(gaps)
    corner_w = corner_h = slope = 0.0
    for i in range(gaps - 1):
        here_w, here_h = weight[i] - 1, height[i] - 1
        if i == 0 or here_h < corner_h + (here_w - corner_w) * slope:
            slope = float(np.min((height[i + 1 :] - here_h) / (weight[i + 1 :] - here_w)))
            slope = min(slope, 1.0)
            corner_w, corner_h = here_w, here_h
        out[i] = slope
    return out


def _added_as_benign(weight: Floats, height: Floats) -> Floats:
    """The same for a benign finding added, by symmetry: turn labels and order around."""
    return 1 - _added_as_threat(weight[-1] - weight[::-1], (weight - height)[-1] - (weight - height)[::-1])[::-1]


def _steps(values: Floats, edges: Integers) -> Steps:
    """Keep only the edges where the value changes."""
    whole = [int(value) for value in np.clip(values, 0, PPM)]
    kept = [i for i in range(len(edges)) if whole[i] != whole[i + 1]]
    return Steps(tuple(int(edges[i]) for i in kept), (whole[0], *(whole[i + 1] for i in kept)))
