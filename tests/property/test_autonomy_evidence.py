"""Certificate, alarm and change detector: fair under their null by simulation, and one state however they are fed."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.autonomy import alarm, change, evidence
from countersign.autonomy.alarm import Alarm
from countersign.autonomy.change import Change
from countersign.autonomy.evidence import Certificate, log_sum
from countersign.autonomy.review import Q_MIN_PPM
from countersign.evaluate.streams import sampled
from countersign.model.verdicts import PPM
from tests.examples import examples

ALPHA = 0.01
FULL = st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0]), min_size=1, max_size=60)
PART = st.lists(st.one_of(st.just(0.0), st.floats(0, PPM / Q_MIN_PPM)), min_size=1, max_size=60)


def fed(state: Any, xs: list[float], **design: int) -> Any:
    for x in xs:
        state = state.observe(x, **design)
    return state


def runs(xs: list[float]) -> Any:
    return np.asarray([xs])


@given(FULL)
def test_one_by_one_is_all_at_once(xs: list[float]) -> None:
    assert fed(Certificate(), xs).log_e == pytest.approx(evidence.log_paths(runs(xs))[0, -1], abs=1e-9)
    assert fed(Alarm(), xs).log_e == pytest.approx(alarm.log_paths(runs(xs))[0, -1], abs=1e-9)
    assert fed(Change(), xs).log_s == pytest.approx(change.log_paths(runs(xs))[0, -1], abs=1e-9)


@given(PART)
def test_one_by_one_is_all_at_once_with_partial_labels(xs: list[float]) -> None:
    whole = evidence.log_paths(runs(xs), q_min_ppm=Q_MIN_PPM)[0, -1]
    assert fed(Certificate(), xs, q_min_ppm=Q_MIN_PPM).log_e == pytest.approx(whole, abs=1e-9)
    assert fed(Alarm(), xs).log_e == pytest.approx(alarm.log_paths(runs(xs))[0, -1], abs=1e-9)
    assert fed(Change(), xs).log_s == pytest.approx(change.log_paths(runs(xs))[0, -1], abs=1e-9)


@given(FULL, st.integers(0, 500))
def test_many_at_once_are_as_many_one_by_one(xs: list[float], times: int) -> None:
    for state in (fed(Certificate(), xs), fed(Alarm(), xs), fed(Change(), xs)):
        single, joint = fed(state, [0.0] * times), state.observe(0.0, times=times)
        assert (single.seen, single.unats) == (joint.seen, pytest.approx(joint.unats, abs=2))


@given(FULL, FULL)
def test_a_state_written_and_read_goes_on_the_same(before: list[float], after: list[float]) -> None:
    for kind in (Certificate, Alarm, Change):
        state = fed(kind(), before)
        again = msgspec.json.decode(msgspec.json.encode(state), type=kind)
        assert again == state
        assert fed(again, after) == fed(state, after)


@given(PART, st.floats(0, 1))
def test_products_stay_positive_at_the_ends_of_what_is_allowed(xs: list[float], mix: float) -> None:
    top = PPM / Q_MIN_PPM
    state = fed(Certificate(), [*xs, top, top * mix], q_min_ppm=Q_MIN_PPM)
    assert all(math.isfinite(log) for log in state.logs)
    assert all(math.isfinite(log) for log in fed(Alarm(), [*xs, top]).logs)
    assert math.isfinite(fed(Change(), [*xs, top]).log_s or 0.0)


@given(FULL)
def test_a_threat_never_helps_the_certificate_nor_calms_the_alarm(xs: list[float]) -> None:
    for i, x in enumerate(xs):
        worse = [*xs[:i], 1.0, *xs[i + 1 :]]
        if x < 1:
            assert fed(Certificate(), worse).unats < fed(Certificate(), xs).unats
            assert fed(Alarm(), worse).unats > fed(Alarm(), xs).unats
            assert fed(Change(), worse).unats > fed(Change(), xs).unats


@given(FULL)
def test_a_stricter_certificate_is_never_easier(xs: list[float]) -> None:
    assert fed(Certificate(alpha_ppm=5_000), xs).log_e <= fed(Certificate(), xs).log_e + 1e-9


def test_bets_are_refused_beyond_their_bounds() -> None:
    with pytest.raises(ValueError, match="beyond 1/q_min"):
        Certificate().observe(1.5)
    with pytest.raises(ValueError, match="beyond 1/q_min"):
        Certificate().observe(51.0, q_min_ppm=Q_MIN_PPM)
    for state in (Alarm(), Change()):
        with pytest.raises(ValueError, match="negative"):
            state.observe(-0.1)
    with pytest.raises(ValueError, match="alpha"):
        alarm.lambdas(400_000)
    assert all(bet < 1 / (50 - ALPHA) for bet in evidence.bets(ALPHA, Q_MIN_PPM))
    assert all(bet < 1 / (1 - ALPHA) for bet in evidence.bets(ALPHA, PPM))


def test_the_mean_is_exactly_fair_at_a_risk_of_exactly_alpha() -> None:
    """With full review E depends on the number of threats alone, so that its mean is a finite sum: 1 at any horizon."""
    for n in (1, 7, 60):
        mean = {"certificate": 0.0, "alarm": 0.0}
        for k in range(n + 1):
            x = runs([1.0] * k + [0.0] * (n - k))
            chance = math.comb(n, k) * ALPHA**k * (1 - ALPHA) ** (n - k)
            mean["certificate"] += chance * math.exp(evidence.log_paths(x)[0, -1])
            mean["alarm"] += chance * math.exp(alarm.log_paths(x)[0, -1])
        assert mean == pytest.approx({"certificate": 1, "alarm": 1}, rel=1e-9)


def test_the_detector_grows_by_one_a_step_on_average() -> None:
    """Every order of threats in eight reviews, weighed by its chance: the mean of S is 8."""
    x = np.asarray([[float(code >> i & 1) for i in range(8)] for code in range(256)])
    chance = np.prod(np.where(x > 0, ALPHA, 1 - ALPHA), axis=1)
    assert float((chance * np.exp(change.log_paths(x)[:, -1])).sum()) == pytest.approx(8, rel=1e-9)


@pytest.mark.parametrize(("name", "n"), [("certificate", 40), ("change", 10), ("alarm", 1)])
def test_partial_labels_leave_the_mean_fair(name: str, n: int) -> None:
    """By simulation, within five standard errors; one step for the alarm, whose tail is too heavy to see more."""
    runs_ = 400_000 // n
    x = sampled(np.random.default_rng(11), (runs_, n))
    kinds = {"change": change.log_paths, "alarm": alarm.log_paths}
    path = evidence.log_paths(x, q_min_ppm=Q_MIN_PPM) if name == "certificate" else kinds[name](x)
    last = np.exp(path[:, -1])
    assert abs(last.mean() - (n if name == "change" else 1)) <= 5 * last.std() / runs_**0.5


def test_evidence_shrinks_on_average_on_the_safe_side() -> None:
    rng = np.random.default_rng(12)
    x = (rng.random((20_000, 40)) < ALPHA / 4).astype(float)
    worse = (rng.random((20_000, 40)) < ALPHA * 3).astype(float)
    assert np.exp(alarm.log_paths(x)[:, -1]).mean() < 1
    assert np.exp(evidence.log_paths(worse)[:, -1]).mean() < 1


def test_log_sum_holds_where_exponentials_would_not() -> None:
    assert log_sum((1_000.0, 1_000.0)) == pytest.approx(1_000 + math.log(2))
    assert log_sum((-1_000.0, -1_000.0)) == pytest.approx(math.log(2) - 1_000)
    assert log_sum(()) == -math.inf


def test_a_clean_record_is_certified_by_370_reviews_and_not_before_299() -> None:
    assert not Certificate().observe(0.0, times=299).certified
    assert Certificate().observe(0.0, times=370).certified
    assert not Certificate().observe(0.0, times=342).observe(1.0).certified


def test_a_long_clean_record_does_not_delay_the_change_detector() -> None:
    long = Change().observe(0.0, times=20_000)
    assert fed(long, [1.0] * 4).raised
    assert not fed(Alarm().observe(0.0, times=20_000), [1.0] * 4).raised


@settings(max_examples=examples(25))
@given(st.integers(2_000, 9_000))
def test_equal_parts_of_threats_raise_everything_in_the_end(alpha_ppm: int) -> None:
    mixed = [0.0, 1.0] * 60
    assert fed(Alarm(alpha_ppm=alpha_ppm), mixed).raised
    assert fed(Change(alpha_ppm=alpha_ppm), mixed).raised
