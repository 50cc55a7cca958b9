"""The simulated queue: nothing gets lost, nothing begins too early, and textbook queues wait as the textbook says."""

from __future__ import annotations

from math import factorial, inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.evaluate.simulate import measure, run_scenario
from countersign.evaluate.simulate_engine import Workload, draw, seat_windows, serve, work
from countersign.evaluate.simulate_model import WAYS, Assumptions, Scenario, Shift, Way
from tests.examples import examples

ALWAYS = [[(0.0, inf)]]
HOURS = st.floats(0, 400, allow_nan=False)
SHIFTS = st.builds(
    Shift,
    days=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    begin=st.floats(0, 23),
    hours=st.floats(0.5, 12),
    seats=st.integers(1, 3),
)
TINY = st.builds(
    Scenario,
    name=st.sampled_from(["a", "b", "c"]),
    title=st.just("tiny"),
    per_day=st.floats(5, 80),
    shifts=st.tuples(SHIFTS),
    source=st.just(""),
    days=st.integers(1, 7),
)
ASSUMED = st.builds(
    Assumptions,
    threat_share=st.floats(0.001, 0.4),
    triage_minutes=st.floats(1, 300),
    patience_days=st.floats(0.25, 5),
    auc=st.floats(0.5, 0.99),
    analyst_miss=st.floats(0, 1),
)


def fifo(arrival: np.ndarray, service: np.ndarray, seats: int) -> np.ndarray:
    return serve(arrival, service, np.zeros(len(arrival)), ALWAYS * seats)


@settings(max_examples=examples(60), deadline=None)
@given(TINY, ASSUMED, st.integers(0, 2**31), st.sampled_from(WAYS))
def test_every_alert_is_handled_dropped_closed_or_waiting_and_only_one_of_them(
    scenario: Scenario, assumptions: Assumptions, seed: int, way: Way
) -> None:
    drawn = draw(scenario, assumptions, seed, 0)
    outcome = work(drawn, way, assumptions, seat_windows(scenario.shifts, drawn.end))
    fates = np.stack([outcome.handled, outcome.dropped, outcome.closed, outcome.waiting])
    assert (fates.sum(axis=0) == 1).all()
    waits = outcome.leave - drawn.arrival
    assert (waits >= 0).all()
    assert (waits[~outcome.waiting] <= 24 * assumptions.patience_days + 1e-6).all()
    measured = (drawn.arrival >= drawn.begin) & (drawn.arrival < drawn.until)
    assert not (outcome.waiting & measured).any(), "the fate of a measured alert is not known: a censored time"


@settings(max_examples=examples(60), deadline=None)
@given(TINY, ASSUMED, st.integers(0, 2**31), st.sampled_from(WAYS))
def test_no_time_is_negative_and_response_never_ends_before_detection(
    scenario: Scenario, assumptions: Assumptions, seed: int, way: Way
) -> None:
    drawn = draw(scenario, assumptions, seed, 0)
    figures = measure(drawn, work(drawn, way, assumptions, seat_windows(scenario.shifts, drawn.end)))
    for name in ("mean", "p50", "p90"):
        detect, respond = figures[f"detect_{name}"], figures[f"respond_{name}"]
        assert np.isnan(detect) or 0 < detect < respond
    if figures["alerts"]:
        assert figures["closed"] + figures["looked_at"] + figures["never"] == pytest.approx(1)


@settings(max_examples=examples(60), deadline=None)
@given(TINY, ASSUMED, st.integers(0, 2**31), st.lists(st.floats(0, 0.5), min_size=2, max_size=2))
def test_a_miss_rate_of_nought_closes_nothing_and_a_higher_one_closes_more(
    scenario: Scenario, assumptions: Assumptions, seed: int, misses: list[float]
) -> None:
    drawn = draw(scenario, assumptions, seed, 0)
    windows = seat_windows(scenario.shifts, drawn.end)
    none, less, more = (work(drawn, Way("x", "x", miss=m), assumptions, windows).closed for m in (0.0, *sorted(misses)))
    assert not none.any()
    assert (less <= more).all()


def test_the_share_of_threats_closed_wrongly_is_the_miss_rate() -> None:
    scenario = Scenario("many", "", 2000, (Shift((0,), 0, 1, 1),), "", days=28)
    assumptions = Assumptions(threat_share=0.5)
    drawn = draw(scenario, assumptions, 3, 0)
    closed = work(drawn, Way("x", "x", miss=0.0136), assumptions, seat_windows(scenario.shifts, drawn.end)).closed
    threats = int(drawn.threat.sum())
    assert int((closed & drawn.threat).sum()) == pytest.approx(0.0136 * threats, abs=4 * (0.0136 * threats) ** 0.5)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.tuples(HOURS, st.floats(0.01, 50)), min_size=1, max_size=40), st.integers(1, 4))
def test_in_arrival_order_one_more_seat_never_makes_anyone_wait_longer(
    alerts: list[tuple[float, float]], seats: int
) -> None:
    arrival = np.sort([a for a, _ in alerts])
    service = np.asarray([s for _, s in alerts])
    assert (fifo(arrival, service, seats + 1) <= fifo(arrival, service, seats) + 1e-9).all()


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(st.tuples(HOURS, st.floats(0.01, 50), st.integers(0, 3)), min_size=1, max_size=40),
    st.integers(1, 3),
    st.floats(1, 200),
)
def test_seats_are_never_overbooked_and_nobody_idles_while_something_waits(
    alerts: list[tuple[float, float, int]], seats: int, patience: float
) -> None:
    arrival = np.sort([a for a, _, _ in alerts])
    service, first = np.asarray([s for _, s, _ in alerts]), np.asarray([float(f) for _, _, f in alerts])
    start = serve(arrival, service, first, ALWAYS * seats, patience=patience)
    begun = ~np.isnan(start)
    assert (start[begun] >= arrival[begun]).all()
    for time in start[begun]:
        assert (begun & (start <= time) & (time < start + service)).sum() <= seats
    for waited_from, began in zip(arrival[begun], start[begun], strict=True):
        if began > waited_from:  # somebody waited: just before, every seat was taken
            before = np.nextafter(began, -inf)
            assert (begun & (start <= before) & (before < start + service)).sum() == seats


def test_more_people_are_not_worse_on_average_in_any_way_of_working() -> None:
    """By severity or score and with patience that is no law for every alert, so it is tested over common random numbers."""
    assumptions = Assumptions()
    few, many = (Scenario("staff", "", 200, (Shift((0, 1, 2, 3, 4), 8, 10, seats),), "", days=28) for seats in (3, 5))
    worse, better = (run_scenario(scenario, assumptions, 8, 5).ways for scenario in (few, many))
    for a, b in zip(worse, better, strict=True):
        assert b.figures["detect_mean"].mean <= a.figures["detect_mean"].mean * 1.02, a.way
        assert b.figures["never"].mean <= a.figures["never"].mean + 1e-9, a.way


def erlang_c(seats: int, offered: float) -> float:
    """Share of arrivals that wait in M/M/c, at ``offered`` Erlang (Erlang 1917)."""
    tail = offered**seats / factorial(seats) * seats / (seats - offered)
    return tail / (sum(offered**k / factorial(k) for k in range(seats)) + tail)


@pytest.mark.parametrize(("seats", "offered"), [(1, 0.6), (3, 2.1), (8, 6.0)])
def test_a_stationary_queue_with_exponential_times_waits_as_erlang_says(seats: int, offered: float) -> None:
    random = np.random.default_rng(11)
    n, runs = 20_000, 10
    waits, delayed = [], []
    for _ in range(runs):
        arrival = np.cumsum(random.exponential(1 / offered, n))
        wait = (fifo(arrival, random.exponential(1.0, n), seats) - arrival)[n // 10 :]
        waits.append(wait.mean())
        delayed.append((wait > 1e-9).mean())
    expected = erlang_c(seats, offered)
    assert abs(np.mean(delayed) - expected) < 4 * np.std(delayed, ddof=1) / runs**0.5
    assert abs(np.mean(waits) - expected / (seats - offered)) < 4 * np.std(waits, ddof=1) / runs**0.5
    assert np.std(waits, ddof=1) / runs**0.5 < 0.05 * np.mean(waits), "the comparison would say nothing"


def test_log_normal_service_waits_as_pollaczek_and_khinchine_say() -> None:
    random = np.random.default_rng(12)
    n, runs, rate, sigma = 20_000, 12, 0.7, 0.8
    waits = []
    for _ in range(runs):
        arrival = np.cumsum(random.exponential(1 / rate, n))
        service = random.lognormal(-(sigma**2) / 2, sigma, n)  # mean 1, second moment exp(σ²)
        waits.append((fifo(arrival, service, 1) - arrival)[n // 10 :].mean())
    expected = rate * np.exp(sigma**2) / (2 * (1 - rate))
    assert abs(np.mean(waits) - expected) < 4 * np.std(waits, ddof=1) / runs**0.5


def test_two_priorities_wait_as_cobham_says() -> None:
    random = np.random.default_rng(13)
    n, runs, rate, share = 20_000, 12, 0.8, 0.25
    urgent, rest = [], []
    for _ in range(runs):
        arrival = np.cumsum(random.exponential(1 / rate, n))
        first = (random.random(n) > share).astype(float)
        wait = serve(arrival, random.exponential(1.0, n), first, ALWAYS) - arrival
        kept = np.arange(n) > n // 10
        urgent.append(np.nanmean(wait[kept & (first == 0)]))
        rest.append(np.nanmean(wait[kept & (first == 1)]))
    residual = rate  # λ E[S²] / 2 with exponential service of mean 1
    high = residual / (1 - rate * share)
    low = residual / ((1 - rate * share) * (1 - rate))
    assert abs(np.mean(urgent) - high) < 4 * np.std(urgent, ddof=1) / runs**0.5
    assert abs(np.mean(rest) - low) < 4 * np.std(rest, ddof=1) / runs**0.5


def test_the_same_draws_serve_every_way_of_working() -> None:
    scenario = Scenario("same", "", 50, (Shift((0, 1, 2, 3, 4), 9, 8, 1),), "", days=7)
    one, two = draw(scenario, Assumptions(), 4, 2), draw(scenario, Assumptions(), 4, 2)
    other = draw(scenario, Assumptions(), 4, 3)
    for name in Workload.__dataclass_fields__:
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.arrival[:5], other.arrival[:5])
