"""Up to which score may the agent close? Fixed-sequence testing, score band by score band.

Angelopoulos, Bates, Candès, Jordan & Lei 2021, "Learn then Test" (fixed-sequence testing keeps the family-wise error at
delta without any correction); Geifman & El-Yaniv 2017, "Selective classification for deep neural networks" (a bound on
the risk of what is not passed on). Each band stands for itself: with a bound on the average alone, many safe findings pay
for a risky band, and threats being rare, everything could be closed while the promise holds.

The tests are valid when the reviewed findings of a band are a fair draw from it: all of them, or drawn with equal
probability. The grid must come from other findings than the reviewed ones; merging looks at scores, never at labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from countersign.autonomy.bounds import ALPHA_PPM, DELTA_PPM, binomial_tail, reviews_needed
from countersign.model.verdicts import PPM
from countersign.triage.model import HARD_CAP_PPM

Whole: TypeAlias = Sequence[int] | npt.NDArray[np.int64]
Truth: TypeAlias = Sequence[bool] | npt.NDArray[np.bool_]

BANDS = 5
"""Few bands, many reviews in each: one of 299 passes only when not a single threat is in it, which one in a thousand spoils
every fourth time; and the walk ends with the first that fails."""
BEARS = 1
"""Threats that a band must be able to bear before it stands for itself; until then it joins the next. The reviews that it
takes are counted, never what they said. A site's first band is all it has, and is tested from 299 on."""


class Band(msgspec.Struct, frozen=True):
    """Scores in (above, upto]; above is None in the strictest band. p_ppm: P(Bin(reviewed, alpha) <= threats), rounded up;
    PPM when there were too few to test."""

    above: int | None
    upto: int
    reviewed: int
    threats: int
    p_ppm: int
    passed: bool


class Walk(msgspec.Struct, frozen=True):
    """threshold: highest score that may close, None when no band passed. bands: as tested, the strictest first; the walk
    ends with the first that failed."""

    threshold: int | None
    bands: tuple[Band, ...]


def grid(training_scores: Whole, *, bands: int = BANDS, cap: int = HARD_CAP_PPM) -> tuple[int, ...]:
    """Band edges, ascending: quantiles of the training-fold scores up to the hard cap, and the cap itself.

    Quantiles of what may close at all, so that no band straddles the cap and loses its safe part with its risky one.
    """
    low = np.asarray(training_scores, dtype=np.int64)
    low = np.sort(low[low <= cap])
    if not len(low):
        return (cap,)
    inner = (int(low[len(low) * i // bands]) for i in range(1, bands))
    return tuple(sorted({*inner, cap}))


def fixed_sequence(
    scores: Whole,
    threats: Truth,
    edges: Sequence[int],
    *,
    alpha_ppm: int = ALPHA_PPM,
    delta_ppm: int = DELTA_PPM,
    cap: int = HARD_CAP_PPM,
) -> Walk:
    """Walk up the bands while P(threat | band) > alpha is refuted at delta; stop at the first that is not.

    scores, threats: of the reviewed findings that would have been closed, in any order. edges: from ``grid``.
    """
    bands: list[Band] = []
    enough = reviews_needed(alpha_ppm, delta_ppm, BEARS)
    for above, upto, reviewed, missed in _merged(scores, threats, edges, enough, cap):
        p = binomial_tail(missed, reviewed, alpha_ppm / PPM)
        bands.append(Band(above, upto, reviewed, missed, min(PPM, math.ceil(p * PPM)), p <= delta_ppm / PPM))
        if not bands[-1].passed:
            break
    passed = [band.upto for band in bands if band.passed]
    return Walk(threshold=passed[-1] if passed else None, bands=tuple(bands))


def _merged(
    scores: Whole, threats: Truth, edges: Sequence[int], needed: int, cap: int
) -> Iterator[tuple[int | None, int, int, int]]:
    """(above, upto, reviewed, threats) by band. A thin band joins the next; one left over at the top joins the last."""
    tops = sorted({min(edge, cap) for edge in edges})
    values, truth = np.asarray(scores, dtype=np.int64), np.asarray(threats, dtype=bool)
    seen = np.searchsorted(np.sort(values), tops, side="right")
    bad = np.searchsorted(np.sort(values[truth]), tops, side="right")
    cuts = [-1]  # index of the last edge of each band
    for i, total in enumerate(seen):
        if total - (seen[cuts[-1]] if cuts[-1] >= 0 else 0) >= needed:
            cuts.append(i)
    if cuts[-1] != len(tops) - 1:
        cuts = [*cuts[: max(1, len(cuts) - 1)], len(tops) - 1]
    for start, end in pairwise(cuts):
        n, k = (int(c[end]) - (int(c[start]) if start >= 0 else 0) for c in (seen, bad))
        yield (tops[start] if start >= 0 else None), tops[end], n, k


def naive_threshold_without_any_guarantee(scores: Whole, threats: Truth, alpha_ppm: int = ALPHA_PPM) -> int | None:
    """What tuning on the data gives: the highest score below which the observed share is at most alpha. For comparison
    only: it breaks its promise about every second time. None when there is no such score."""
    values, truth = np.asarray(scores, dtype=np.int64), np.asarray(threats, dtype=np.int64)
    order = np.argsort(values, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(values[order]) != 0, [True] * bool(len(order))))
    good = np.cumsum(truth[order])[ends] * PPM <= alpha_ppm * (ends + 1)
    return int(values[order][ends[good][-1]]) if good.any() else None
