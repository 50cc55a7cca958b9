"""Bounds and the band-by-band threshold, against scipy and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.autonomy.bounds import beta_inverse, binomial_tail, lower_bound_ppm, reviews_needed, upper_bound_ppm
from countersign.autonomy.threshold import fixed_sequence, grid, naive_threshold_without_any_guarantee
from countersign.model.verdicts import PPM

STATS = pytest.importorskip("scipy.stats")
COUNTS = st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
FINDINGS = st.lists(st.tuples(st.integers(0, 12_000), st.integers(0, 30).map(lambda v: v == 0)), max_size=1_200)


@given(COUNTS, st.floats(1e-4, 0.5))
def test_the_tail_agrees_with_scipy(counts: tuple[int, int], alpha: float) -> None:
    n, k = counts
    assert binomial_tail(k, n, alpha) == pytest.approx(STATS.binom.cdf(k, n, alpha), rel=1e-7, abs=1e-13)


@given(st.floats(0.001, 0.999), st.integers(1, 2_000), st.integers(1, 2_000))
def test_the_inverse_agrees_with_scipy(chance: float, a: int, b: int) -> None:
    assert beta_inverse(chance, a, b) == pytest.approx(STATS.beta.ppf(chance, a, b), abs=1e-10)


@given(COUNTS)
def test_the_interval_holds_the_share_and_agrees_with_scipy(counts: tuple[int, int]) -> None:
    n, k = counts
    theirs = STATS.beta.ppf(0.025, k, n - k + 1) if k else 0.0
    assert theirs * PPM - 1.01 <= lower_bound_ppm(n, k, 25_000) <= theirs * PPM + 0.01
    assert lower_bound_ppm(n, k, 25_000) <= PPM * k / n <= upper_bound_ppm(n, k, 25_000)


@given(COUNTS)
def test_a_band_passes_exactly_when_its_bound_is_below_alpha(counts: tuple[int, int]) -> None:
    """The test and the interval are two sides of one thing (duality), up to rounding to whole ppm."""
    n, k = counts
    walk = fixed_sequence([0] * n, [True] * k + [False] * (n - k), [0])
    if abs(upper_bound_ppm(n, k) - 10_000) > 1:
        assert (walk.threshold == 0) == (upper_bound_ppm(n, k) < 10_000)


@given(FINDINGS, st.lists(st.integers(0, 20_000), min_size=1, max_size=8))
def test_never_above_the_cap_nor_the_grid_and_counts_add_up(findings: list[tuple[int, bool]], edges: list[int]) -> None:
    scores, threats = [s for s, _ in findings], [t for _, t in findings]
    walk = fixed_sequence(scores, threats, edges)
    assert walk.threshold is None or walk.threshold <= min(10_000, max(edges))
    assert all(band.passed for band in walk.bands[:-1])
    for band in walk.bands:
        inside = [t for s, t in findings if (band.above is None or s > band.above) and s <= band.upto]
        assert (len(inside), sum(inside)) == (band.reviewed, band.threats)
        assert band.reviewed >= reviews_needed() or not band.passed
    assert [band.above for band in walk.bands[1:]] == [band.upto for band in walk.bands[:-1]]


@given(FINDINGS, st.lists(st.integers(0, 20_000), min_size=1, max_size=8), st.data())
def test_one_more_threat_never_raises_the_threshold(
    findings: list[tuple[int, bool]], edges: list[int], data: st.DataObject
) -> None:
    if not findings:
        return
    worse = list(findings)
    i = data.draw(st.integers(0, len(findings) - 1))
    worse[i] = (findings[i][0], True)
    before, after = (fixed_sequence([s for s, _ in f], [t for _, t in f], edges).threshold for f in (findings, worse))
    assert after is None or (before is not None and after <= before)


def test_thin_bands_join_the_next_and_a_rest_joins_the_last() -> None:
    scores = [1] * 200 + [2] * 350 + [3] * 600 + [4] * 10
    walk = fixed_sequence(scores, [False] * len(scores), [1, 2, 3, 4])
    assert [(b.above, b.upto, b.reviewed) for b in walk.bands] == [(None, 2, 550), (2, 4, 610)]
    assert walk.threshold == 4


def test_the_walk_stops_at_the_first_failure_however_clean_the_rest() -> None:
    scores = [1] * 500 + [2] * 500 + [3] * 4_000
    threats = [False] * 500 + [True] * 2 + [False] * 4_498
    walk = fixed_sequence(scores, threats, [1, 2, 3])
    assert (walk.threshold, [b.passed for b in walk.bands]) == (1, [True, False])
    assert naive_threshold_without_any_guarantee(scores, threats) == 3


def test_a_band_stands_for_itself_once_it_can_bear_one_threat() -> None:
    """Scores decide how bands join, never labels; until there is enough for two, all that was reviewed is one band."""
    assert reviews_needed(threats=1) == 473
    assert upper_bound_ppm(473, 1) <= 10_000 < upper_bound_ppm(472, 1)
    for clean in (True, False):
        for n, bands in ((472, 1), (473, 2)):
            scores = [1] * n + [2] * 473
            walk = fixed_sequence(scores, [not clean, *[False] * (len(scores) - 1)], [1, 2])
            assert (len(walk.bands), walk.threshold) == (bands, 2)


def test_nothing_passes_on_fewer_than_299() -> None:
    assert fixed_sequence([0] * 298, [False] * 298, [0]).threshold is None
    assert fixed_sequence([0] * 299, [False] * 299, [0]).threshold == 0
    assert fixed_sequence([], [], [5]).threshold is None
    assert naive_threshold_without_any_guarantee([], []) is None
    assert naive_threshold_without_any_guarantee([3], [True]) is None


@given(st.lists(st.integers(-50_000, 50_000), max_size=300), st.integers(1, 12))
def test_the_grid_ascends_to_the_cap(scores: list[int], bands: int) -> None:
    edges = grid(scores, bands=bands)
    assert list(edges) == sorted(set(edges))
    assert edges[-1] == 10_000
    assert len(edges) <= bands


def test_a_band_at_exactly_alpha_passes_at_most_one_time_in_twenty() -> None:
    """The size of the test itself, over 4,000 sites whose every band has risk alpha (five standard errors allowed)."""
    rng = np.random.default_rng(5)
    passed = 0
    for _ in range(4_000):
        scores = rng.integers(0, 10_000, 1_500)
        passed += fixed_sequence(scores, rng.random(1_500) < 0.01, [2_500, 5_000, 7_500, 10_000]).threshold is not None
    assert 0 < passed / 4_000 <= 0.05 + 5 * (0.05 * 0.95 / 4_000) ** 0.5
