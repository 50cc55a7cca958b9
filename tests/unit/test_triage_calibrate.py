"""Venn-Abers intervals against the published library and against isotonic regression done the long way."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.model.verdicts import PPM
from countersign.triage.calibrate import at_lower_rate, calibrate, envelope, merged_ppm
from tests.examples import examples

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


@settings(max_examples=examples(60))
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


@settings(max_examples=examples(60))
@given(st.lists(st.lists(st.tuples(st.integers(1, 99), st.booleans()), min_size=2, max_size=60), min_size=1, max_size=5))
def test_envelope_is_the_widest_of_the_librarys_intervals(sites: list[list[tuple[int, bool]]]) -> None:
    found = envelope([calibrate([s for s, _ in points], [t for _, t in points]) for points in sites])
    asked = range(1, 100)
    theirs = []
    for points in sites:
        seen, threats = np.array([s / 100 for s, _ in points]), np.array([float(t) for _, t in points])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            steps = LIBRARY.calc_p0p1(np.column_stack([1 - seen, seen]), threats)
            theirs.append(LIBRARY.calc_probs(*steps, np.array([[1 - s / 100, s / 100] for s in asked]))[1])
    ours = np.array([found.interval(score) for score in asked]) / PPM
    wanted = np.column_stack([np.min([t[:, 0] for t in theirs], axis=0), np.max([t[:, 1] for t in theirs], axis=0)])
    assert np.abs(ours - wanted).max() <= 2 / PPM
    assert (found.n, found.threats) == (sum(map(len, sites)), sum(t for points in sites for _, t in points))


@given(st.lists(POINTS, min_size=1, max_size=4), st.integers(0, PPM))
def test_an_envelope_rises_and_has_its_own_largest_score(sites: list[list[tuple[int, bool]]], limit: int) -> None:
    several = [calibrate([s for s, _ in points], [t for _, t in points]) for points in sites]
    found = envelope(several)
    intervals = [found.interval(score) for score in range(-2, 33)]
    assert intervals == sorted(intervals)
    largest = found.largest_score(limit)
    if largest is not None:
        assert all(c.interval(largest)[1] <= limit for c in several)
        assert found.interval(largest)[1] <= limit < found.interval(largest + 1)[1]


@given(POINTS, st.integers(1, PPM))
def test_a_lower_base_rate_only_widens_downwards_and_keeps_the_order(points: list[tuple[int, bool]], rate: int) -> None:
    before = calibrate([s for s, _ in points], [t for _, t in points])
    after = at_lower_rate(before, rate)
    assert after.p1 == before.p1
    assert all(a <= b for a, b in zip(after.p0.values, before.p0.values, strict=True))
    assert list(after.p0.values) == sorted(after.p0.values)


def test_a_lower_base_rate_is_bayes_rule() -> None:
    before = calibrate([1] * 50 + [2] * 50, [False] * 40 + [True] * 10 + [False] * 10 + [True] * 40)
    p0 = before.interval(2)[0] / PPM
    odds = p0 / (1 - p0) * (0.01 / 0.99) / (0.5 / 0.5)
    assert abs(at_lower_rate(before, 10_000).interval(2)[0] / PPM - odds / (1 + odds)) <= 2 / PPM
    assert at_lower_rate(before, 900_000) == before


def test_no_site_has_no_envelope() -> None:
    with pytest.raises(ValueError, match="at least one"):
        envelope([])


def test_nothing_to_calibrate_on_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        calibrate([], [])


@given(st.integers(0, PPM), st.integers(0, PPM))
def test_merged_probability_lies_within_the_interval(one: int, other: int) -> None:
    p0, p1 = sorted((one, other))
    assert p0 - 1 <= merged_ppm(p0, p1) <= p1
