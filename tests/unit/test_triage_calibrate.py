"""Venn-Abers intervals against the published library and against isotonic regression done the long way."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.model.verdicts import PPM
from countersign.triage.calibrate import calibrate, merged_ppm

LIBRARY = pytest.importorskip("venn_abers.venn_abers")
POINTS = st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=30)


def isotonic(points: list[tuple[int, bool]], at: int) -> float:
    """Value at ``at`` of the isotonic fit, by its min-max formula (Barlow et al. 1972)."""
    scores = sorted({score for score, _ in points})
    means = []
    for low in (s for s in scores if s <= at):
        blocks = []
        for high in (s for s in scores if s >= at):
            inside = [label for score, label in points if low <= score <= high]
            blocks.append(sum(inside) / len(inside))
        means.append(min(blocks))
    return max(means)


@given(POINTS, st.integers(-2, 32))
def test_interval_is_both_isotonic_fits_rounded_outwards(points: list[tuple[int, bool]], score: int) -> None:
    found = calibrate([s for s, _ in points], [label for _, label in points])
    p0, p1 = found.interval(score)
    exact0, exact1 = isotonic([*points, (score, False)], score) * PPM, isotonic([*points, (score, True)], score) * PPM
    assert exact0 - 1 <= p0 <= exact0 + 1e-5
    assert exact1 - 1e-5 <= p1 <= exact1 + 1


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 99), st.booleans()), min_size=2, max_size=200))
def test_agrees_with_the_library(points: list[tuple[int, bool]]) -> None:
    scores, labels = [s for s, _ in points], [label for _, label in points]
    chances = np.array([[1 - s / 100, s / 100] for s in scores])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # divisions by zero that the library allows itself
        steps = LIBRARY.calc_p0p1(chances, np.array(labels, dtype=float))
        _, theirs = LIBRARY.calc_probs(*steps, chances)
    found = calibrate(scores, labels)
    ours = np.array([found.interval(score) for score in scores]) / PPM
    assert np.abs(ours - theirs).max() <= 2 / PPM


@given(POINTS)
def test_intervals_are_ordered_and_rise_with_the_score(points: list[tuple[int, bool]]) -> None:
    found = calibrate([s for s, _ in points], [label for _, label in points])
    intervals = [found.interval(score) for score in range(-2, 33)]
    assert all(0 <= p0 <= p1 <= PPM for p0, p1 in intervals)
    assert intervals == sorted(intervals)


@given(POINTS, st.integers(0, PPM))
def test_largest_score_is_the_last_one_within_the_limit(points: list[tuple[int, bool]], limit: int) -> None:
    found = calibrate([s for s, _ in points], [label for _, label in points])
    largest = found.largest_score(limit)
    if largest is not None:
        assert found.interval(largest)[1] <= limit < found.interval(largest + 1)[1]
    else:
        assert found.p1.values[0] > limit or found.p1.values[-1] <= limit


def test_little_data_means_low_confidence() -> None:
    few = calibrate([10], [False])
    assert few.interval(10) == (0, 500_000)
    many = calibrate([10] * 400, [False] * 400)
    assert many.interval(10) == (0, 2494)


def test_nothing_to_calibrate_on_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        calibrate([], [])


@given(st.integers(0, PPM), st.integers(0, PPM))
def test_merged_probability_lies_within_the_interval(one: int, other: int) -> None:
    p0, p1 = sorted((one, other))
    assert p0 - 1 <= merged_ppm(p0, p1) <= p1
