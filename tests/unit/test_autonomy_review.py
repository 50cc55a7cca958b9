"""Draws for blind review and the recall after a miss."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.autonomy import stages
from countersign.autonomy.recall import DAYS_MS, Close, recall
from countersign.autonomy.review import (
    Q_MIN_PPM,
    SEED_BYTES,
    commitment,
    draw,
    probability_ppm,
    scale_for,
    week_of,
)
from countersign.autonomy.states import Observation, begin
from countersign.model.verdicts import PPM

SEED = hashlib.sha256(b"a test").digest()
WEEK = "2025-W07"
RISKS = st.integers(0, PPM)
NAMES = st.sampled_from(["a", "b", "c", "d"])
SETS = st.frozensets(NAMES, max_size=3)
CLOSES = st.lists(
    st.builds(
        Close,
        finding=st.uuids().map(str),
        closed_ms=st.integers(0, 2 * DAYS_MS),
        pattern=NAMES,
        evidence=SETS,
        entities=SETS,
    ),
    max_size=30,
)
NOW = 2 * DAYS_MS


@given(RISKS, RISKS, st.integers(0, 5 * PPM))
def test_more_risk_is_never_reviewed_less(risk: int, other: int, scale: int) -> None:
    low, high = sorted((risk, other))
    assert Q_MIN_PPM <= probability_ppm(low, scale) <= probability_ppm(high, scale) <= PPM


def test_probability_follows_the_root_of_the_risk() -> None:
    assert probability_ppm(4 * 10_000, PPM) == 2 * probability_ppm(10_000, PPM) == 200_000
    assert probability_ppm(1, PPM) == Q_MIN_PPM


@given(st.lists(RISKS, min_size=1, max_size=50), st.integers(Q_MIN_PPM, PPM))
def test_the_scale_keeps_within_the_budget_and_uses_it(risks: list[int], budget: int) -> None:
    scale = scale_for(risks, budget)
    cost = sum(probability_ppm(risk, scale) for risk in risks)
    assert cost <= budget * len(risks)
    assert scale == 1_000 * PPM or sum(probability_ppm(risk, scale + 1) for risk in risks) > budget * len(risks)


@given(st.text(max_size=40), st.integers(1, PPM), st.integers(1, PPM))
def test_a_draw_replays_alone_and_grows_with_its_probability(finding: str, q: int, other: int) -> None:
    low, high = sorted((q, other))
    assert draw(SEED, WEEK, finding, PPM).reviewed
    assert draw(SEED, WEEK, finding, low).reviewed <= draw(SEED, WEEK, finding, high).reviewed


def test_draws_come_as_often_as_they_say_and_differ_between_weeks() -> None:
    names = [f"F-{i:016x}" for i in range(20_000)]
    hits = np.array([[draw(SEED, week, name, 100_000).reviewed for name in names] for week in (WEEK, "2025-W08")])
    assert abs(hits.mean(axis=1) - 0.1).max() < 5 * (0.09 / 20_000) ** 0.5
    assert abs((hits[0] & hits[1]).mean() - 0.01) < 5 * (0.0099 / 20_000) ** 0.5


def test_a_week_replays_from_its_opened_seed_and_from_no_other() -> None:
    draws = [draw(SEED, WEEK, f"F-{i}", 200_000) for i in range(200)]
    committed = commitment(SEED, WEEK)
    assert draws != [draw(bytes(SEED_BYTES), WEEK, f"F-{i}", 200_000) for i in range(200)]
    assert len({committed, commitment(bytes(SEED_BYTES), WEEK), commitment(SEED, "2025-W08")}) == 3


def test_a_seed_has_its_size_and_a_probability_its_range() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        commitment(b"short", WEEK)
    for seed, q in ((b"short", PPM), (SEED, 0), (SEED, PPM + 1)):
        with pytest.raises(ValueError, match="cannot draw"):
            draw(seed, WEEK, "F-1", q)


def test_the_weight_of_a_label_is_unbiased() -> None:
    """A threat that was drawn counts for as many as it stands for: all that was not drawn counts for nothing."""
    q, names = 40_000, [f"F-{i}" for i in range(40_000)]
    drawn = sum(draw(SEED, WEEK, name, q).reviewed for name in names)
    assert abs(drawn * 25.0 / len(names) - 1) < 5 * (24 / 40_000) ** 0.5
    fresh, half = (
        begin("endpoint", "model", "policy"),
        PPM // 2,
    )  # at 4 % one threat would raise the alarm, which begins anew
    for threat, x in ((True, 2.0), (False, 0.0)):
        state, _ = stages.review(fresh, Observation("F-1", threat, NOW, True, "model", "policy", half, half))
        assert state.alarm == fresh.alarm.observe(x)
        assert state.certificate == fresh.certificate.observe(x, q_min_ppm=half)


@pytest.mark.parametrize(
    ("at_ms", "week"), [(0, "1970-W01"), (1_735_603_200_000, "2025-W01"), (1_609_459_200_000, "2020-W53")]
)
def test_weeks_are_of_iso_8601(at_ms: int, week: str) -> None:
    assert week_of(at_ms) == week


@given(CLOSES, st.builds(Close, finding=st.just("m"), closed_ms=st.just(NOW), pattern=NAMES, evidence=SETS, entities=SETS))
def test_exactly_what_shares_something_comes_back_most_similar_first(closes: list[Close], miss: Close) -> None:
    found = recall(miss, [*closes, miss], NOW)
    shares = {
        c.finding
        for c in closes
        if c.closed_ms >= NOW - DAYS_MS
        and (c.pattern == miss.pattern or c.evidence & miss.evidence or c.entities & miss.entities)
    }
    assert {r.finding for r in found} == shares
    assert len(found) == len(shares)
    ranks = [(r.pattern, len(r.evidence), len(r.entities)) for r in found]
    assert ranks == sorted(ranks, reverse=True)
    assert found == recall(miss, closes[::-1], NOW)


def test_the_edges_of_ninety_days_and_an_empty_pattern() -> None:
    miss = Close("m", NOW, "")
    assert recall(miss, [Close("x", NOW, "")], NOW) == ()
    miss = Close("m", NOW, "p")
    ages = [Close(str(age), NOW - age, "p") for age in (DAYS_MS + 1, DAYS_MS, 0)]
    assert [r.finding for r in recall(miss, ages, NOW)] == ["0", str(DAYS_MS)]
