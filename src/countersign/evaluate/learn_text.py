"""Weights of text grams from a site's labels: logistic regression that starts at the additive score, weights at least 0.

Projected gradient with Nesterov's momentum (Beck & Teboulle 2009) on hashed, binary grams with an L2 penalty; the intercept
is free. A gram must stand in findings of several cases: what occurs in one names that case and teaches nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from countersign.model.verdicts import PICO
from countersign.triage.text import MOST_PICO, SCHEME, TextPart, Texts, buckets

CASES_MIN = 3
GRAMS_MAX = 20_000
"""Most grams kept: those in most cases with a threat."""
PENALTY = 5.0
ROUNDS = 300
LEAST_PICO = PICO // 1000
"""Weights below a thousandth of a logit are left out."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Map = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class TextFit:
    """The part, and what its learning moves the intercept by, in pico-logits."""

    part: TextPart
    intercept: int


def learn(
    texts: Sequence[Texts],
    cases: Sequence[str],
    threats: Sequence[bool],
    weights: Sequence[float],
    offsets: Sequence[int],
    reason: str,
) -> TextFit | None:
    """One text, case, truth, weight and additive score (pico-logits) per finding. None when no gram is worth a weight."""
    read = [buckets(text) for text in texts]
    known = _vocabulary(read, cases, threats)
    if not known:
        return None
    place = {bucket: i for i, bucket in enumerate(known)}
    rows = [(i, place[bucket]) for i, own in enumerate(read) for bucket in own if bucket in place]
    pairs = np.array(sorted(rows), dtype=np.int64)
    found, moved = _solve(
        pairs[:, 0], pairs[:, 1], len(known), np.array(threats), np.array(weights), np.array(offsets) / PICO
    )
    picos = [round(float(weight) * PICO) for weight in found]
    kept = [(bucket, pico) for bucket, pico in zip(known, picos, strict=True) if pico >= LEAST_PICO]
    if not kept:
        return None
    part = TextPart(SCHEME, MOST_PICO, tuple(b for b, _ in kept), tuple(p for _, p in kept), reason)
    return TextFit(part, round(moved * PICO))


def _vocabulary(read: Sequence[frozenset[int]], cases: Sequence[str], threats: Sequence[bool]) -> list[int]:
    """Grams of several cases of which one at least is a threat, ascending."""
    whole: dict[str, set[int]] = {}
    bad: dict[str, set[int]] = {}
    for own, case, threat in zip(read, cases, threats, strict=True):
        whole.setdefault(case, set()).update(own)
        if threat:
            bad.setdefault(case, set()).update(own)
    spread = Counter(bucket for own in whole.values() for bucket in own)
    hot = Counter(bucket for own in bad.values() for bucket in own)
    ranked = sorted((b for b in hot if spread[b] >= CASES_MIN), key=lambda b: (-hot[b], spread[b], b))
    return sorted(ranked[:GRAMS_MAX])


def _solve(
    rows: Ints, columns: Ints, width: int, truth: NDArray[np.bool_], weights: Floats, offsets: Floats
) -> tuple[Floats, float]:
    """(weights per gram, intercept) of the penalised likelihood. rows, columns: where the sparse matrix holds 1."""

    def times(vector: Floats) -> Floats:
        summed: Floats = np.bincount(rows, weights=vector[columns], minlength=len(truth)) + vector[-1]
        return summed

    def back(vector: Floats) -> Floats:
        return np.append(np.bincount(columns, weights=vector[rows], minlength=width), vector.sum())

    step = 1 / (0.25 * _norm(times, back, weights, width + 1) + PENALTY)
    penalty = np.append(np.full(width, PENALTY), 0.0)
    here = ahead = np.zeros(width + 1)
    momentum = 1.0
    for _ in range(ROUNDS):
        chance = 1 / (1 + np.exp(-np.clip(offsets + times(ahead), -40, 40)))
        moved = ahead - step * (back(weights * (chance - truth)) + penalty * ahead)
        moved[:-1] = np.maximum(moved[:-1], 0)
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / faster * (moved - here)
        here, momentum = moved, faster
    return here[:-1], float(here[-1])


def _norm(times: Map, back: Map, weights: Floats, width: int) -> float:
    """Largest eigenvalue of the weighted Gram matrix, from above, by power iteration."""
    vector = np.ones(width) / np.sqrt(width)
    size = 1.0
    for _ in range(30):
        vector = back(weights * times(vector))
        size = float(np.linalg.norm(vector))
        vector = vector / size
    return 1.05 * size
