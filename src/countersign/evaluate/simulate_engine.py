"""Discrete events: alerts arrive, wait in order, and are taken by whoever is on shift and free. Times are hours.

Nothing here knows about AI: a way of working is an order and a set of alerts that never enter the queue. The same
draws (arrival, severity, score, service time, dwell time) serve every way of working: common random numbers.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace
from math import inf, nan, pi

import numpy as np
import numpy.typing as npt

from countersign.evaluate.simulate_model import (
    BENIGN_MIX,
    THREAT_MIX,
    Assumptions,
    Scenario,
    Shift,
    Way,
    log_median,
    separation,
    threshold,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
WEEK = 168.0


@dataclass(frozen=True)
class Workload:
    """Every draw for one replication; arrays of one length, by time of arrival. ``begin`` to ``until`` is measured."""

    arrival: Floats
    threat: Bools
    severity: Ints
    score: Floats
    triage: Floats
    investigate: Floats
    contain: Floats
    dwell: Floats
    overlooked: Bools
    begin: float
    until: float
    end: float


@dataclass(frozen=True)
class Outcome:
    """What became of each alert: ``start`` is NaN when nobody began it, ``leave`` when it left the queue (∞: still in)."""

    start: Floats
    leave: Floats
    closed: Bools

    @property
    def handled(self) -> Bools:
        """Begun by a person."""
        return ~np.isnan(self.start)

    @property
    def waiting(self) -> Bools:
        """Still in the queue at the end."""
        return np.isinf(self.leave)

    @property
    def dropped(self) -> Bools:
        """Left the queue without anybody having looked."""
        return ~(self.handled | self.closed | self.waiting)


def rates(scenario: Scenario, assumptions: Assumptions, begin: float, end: float) -> Floats:
    """Expected benign alerts in each hour from 0 to ``end``; the mean over a week without surge is ``per_day`` × 7."""
    hour = np.arange(int(np.ceil(end)), dtype=np.float64)
    day = 1 + assumptions.day_swing * np.cos(2 * pi * (hour + 0.5 - assumptions.peak_hour) / 24)
    week = np.where(hour % WEEK >= 120, assumptions.weekend_factor, 1.0) / ((5 + 2 * assumptions.weekend_factor) / 7)
    benign = scenario.per_day / 24 * (1 - assumptions.threat_share) * day * week
    if scenario.surge:
        first = begin + 24 * scenario.surge.first
        benign *= np.where((hour >= first) & (hour < first + 24 * scenario.surge.days), scenario.surge.factor, 1.0)
    return benign


def poisson_times(random: np.random.Generator, per_hour: Floats) -> Floats:
    """Times of a Poisson process whose rate is constant within each hour, in order."""
    counts = random.poisson(per_hour)
    hours = np.repeat(np.arange(len(per_hour), dtype=np.float64), counts)
    return np.sort(hours + random.random(len(hours)))


def draw(scenario: Scenario, assumptions: Assumptions, seed: int, replication: int) -> Workload:
    """One replication's alerts; the same arguments give the same bytes, whatever else is simulated."""
    random = np.random.default_rng([seed, zlib.crc32(scenario.name.encode()), replication])
    begin = 24 * assumptions.patience_days
    until = begin + 24 * scenario.days
    end = until + begin  # by then the fate of every alert of the measured days is known: no censoring
    benign = poisson_times(random, rates(scenario, assumptions, begin, end))
    flat = np.full(int(np.ceil(end)), scenario.per_day / 24 * assumptions.threat_share)
    threats = poisson_times(random, flat)
    arrival = np.concatenate((benign, threats))
    order = np.argsort(arrival, kind="stable")
    threat = (np.arange(len(arrival)) >= len(benign))[order]
    n = len(arrival)
    sigma = assumptions.triage_sigma
    return Workload(
        arrival=arrival[order],
        threat=threat,
        severity=_severities(random, threat),
        score=random.standard_normal(n) + separation(assumptions.auc) * threat,
        triage=random.lognormal(log_median(assumptions.triage_minutes / 60, sigma), sigma, n),
        investigate=random.lognormal(log_median(assumptions.investigate_minutes / 60, sigma), sigma, n),
        contain=random.lognormal(np.log(assumptions.contain_hours), assumptions.contain_sigma, n),
        dwell=random.lognormal(np.log(24 * assumptions.dwell_days), assumptions.dwell_sigma, n),
        overlooked=random.random(n) < assumptions.analyst_miss,
        begin=begin,
        until=until,
        end=end,
    )


def _severities(random: np.random.Generator, threat: Bools) -> Ints:
    draws = random.random(len(threat))
    benign = np.searchsorted(np.cumsum(BENIGN_MIX[:-1]), draws, side="right")
    bad = np.searchsorted(np.cumsum(THREAT_MIX[:-1]), draws, side="right")
    return np.where(threat, bad, benign).astype(np.int64)


def work(load: Workload, way: Way, assumptions: Assumptions, windows: list[list[tuple[float, float]]]) -> Outcome:
    """One way of working over one workload. ``windows`` as ``seat_windows`` gives them."""
    closed = load.score < threshold(assumptions.auc, way.miss or 0.0)
    kept = np.flatnonzero(~closed)
    first = -load.score if way.ranked else -load.severity.astype(np.float64)
    busy = load.triage + np.where(load.threat & ~load.overlooked, load.investigate, 0.0)
    patience = 24 * assumptions.patience_days
    start = np.full(len(load.arrival), nan)
    start[kept] = serve(load.arrival[kept], busy[kept], first[kept], windows, patience=patience, end=load.end)
    gone = load.arrival + patience
    leave = np.where(np.isnan(start), np.where(gone <= load.end, gone, inf), start)
    return Outcome(start=start, leave=np.where(closed, load.arrival, leave), closed=closed)


def seat_windows(shifts: Iterable[Shift], end: float) -> list[list[tuple[float, float]]]:
    """For each seat, when somebody sits there from hour 0 (Monday 0:00) to past ``end``, in order."""
    weeks = int(end // WEEK) + 2
    seats = []
    for shift in shifts:
        first = [(24 * day + shift.begin, 24 * day + shift.begin + shift.hours) for day in sorted(shift.days)]
        seats += [[(WEEK * w + a, WEEK * w + b) for w in range(weeks) for a, b in first]] * shift.seats
    return seats


def serve(
    arrival: Floats,
    service: Floats,
    first: Floats,
    windows: list[list[tuple[float, float]]],
    *,
    patience: float = inf,
    end: float = inf,
) -> Floats:
    """When each alert is begun (NaN: never), for alerts in order of arrival.

    The lowest ``first`` goes first, then the oldest; nothing is interrupted. What waited longer than ``patience`` is not
    begun any more, and nothing is begun at ``end`` or later. Seats take turns at their next free time, so no event list
    beyond that is needed: an alert can only be begun when a seat is free.
    """
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    ranks, which, times, lasts = rank.tolist(), order.tolist(), arrival.tolist(), service.tolist()
    begun = [nan] * len(times)
    turns = [_Seat(seat) for seat in windows]
    free = [(turn.next(0.0), number) for number, turn in enumerate(turns)]
    heapify(free)
    queue: list[int] = []
    arrived = 0
    while free:
        now, number = free[0]
        if now >= end:
            break
        while arrived < len(times) and times[arrived] <= now:
            heappush(queue, ranks[arrived])
            arrived += 1
        chosen = -1
        while queue and chosen < 0:
            oldest = which[heappop(queue)]
            chosen = oldest if now - times[oldest] <= patience else -1
        if chosen >= 0:
            begun[chosen] = now
            until = now + lasts[chosen]
        elif arrived < len(times):
            until = times[arrived]
        else:
            break
        heapreplace(free, (turns[number].next(until), number))
    return np.asarray(begun, dtype=np.float64)


class _Seat:
    """One seat's shifts, walked through once: times are asked for in rising order."""

    def __init__(self, windows: list[tuple[float, float]]) -> None:
        self._windows = windows
        self._at = 0

    def next(self, time: float) -> float:
        """The first time from ``time`` on at which somebody sits there; ∞ if nobody does any more."""
        windows = self._windows
        while self._at < len(windows) and windows[self._at][1] <= time:
            self._at += 1
        return max(time, windows[self._at][0]) if self._at < len(windows) else inf
