"""What ``countersign simulate`` assumes: parameters with their published source, six scenarios, six ways of working.

Every figure is either taken from a named publication or marked as an assumption; both kinds are printed with the result.
"""

from __future__ import annotations

from math import exp, inf, log, sqrt
from statistics import NormalDist

import msgspec

from countersign.errors import UsageError

SEVERITIES = ("low", "medium", "high", "critical")
BENIGN_MIX = (0.50, 0.35, 0.12, 0.03)
"""Shares of low, medium, high, critical among benign alerts. Assumption."""
THREAT_MIX = (0.15, 0.30, 0.35, 0.20)
"""The same among threats. Assumption: severity says something about threat, but not much."""

WEEKDAYS = (0, 1, 2, 3, 4)
WEEKEND = (5, 6)
_NORMAL = NormalDist()


class Assumptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters common to all scenarios; each can be changed with ``--set``. Shares are fractions of 1."""

    threat_share: float = 0.005
    triage_minutes: float = 20.0
    triage_sigma: float = 0.8
    investigate_minutes: float = 70.0
    contain_hours: float = 4.0
    contain_sigma: float = 1.0
    dwell_days: float = 14.0
    dwell_sigma: float = 1.2
    patience_days: float = 7.0
    auc: float = 0.961
    analyst_miss: float = 0.0
    day_swing: float = 0.6
    peak_hour: float = 14.0
    weekend_factor: float = 0.5


SOURCES: dict[str, str] = {
    "threat_share": "assumption: 1 alert in 200 belongs to an attack",
    "triage_minutes": "mean; Prophet Security 2026, «Why More Analysts Won't Solve Your SOC's Alert Problem»: 20 minutes",
    "triage_sigma": "log-normal; then 68 % of alerts take over 10 minutes, between the 64 % of respondents in Advanced "
    "Threat Analytics 2018 and the 78 % in CRITICALSTART 2019, «The Impact of Security Alert Overload»",
    "investigate_minutes": "mean for a threat, by the analyst who found it; Prophet Security 2025, «State of AI in Security "
    "Operations»: 70 minutes for a full investigation",
    "contain_hours": "median, log-normal, needs no analyst; assumption",
    "contain_sigma": "assumption",
    "dwell_days": "median until a threat that the queue missed shows by itself; Mandiant 2026, «M-Trends 2026»: global "
    "median dwell time 14 days",
    "dwell_sigma": "log-normal; assumption",
    "patience_days": "an alert nobody reached is dropped after this time; assumption",
    "auc": "ranking quality; fitted to Turcotte, Labrèche and Paquette 2025, «AACT» (arXiv 2505.09843): 61 % fewer alerts "
    "at 1.36 % missed. Gelman et al. 2023, «That Escalated Quickly» (arXiv 2302.06648), 54 % at 4.9 %, fits 0.893",
    "analyst_miss": "share of threats a person looks at and closes; assumption, the same in every way of working (Moosmann, "
    "Pekaric and Apruzzese 2026, arXiv 2604.22001: 83 % of decisions right, 12 analysts)",
    "day_swing": "alert rate over the day, 1 ± this; assumption",
    "peak_hour": "hour of the day with most alerts; assumption",
    "weekend_factor": "benign alerts at weekends against weekdays; assumption. Threats come at any hour alike: Sophos 2023, "
    "«Active Adversary Report for Tech Leaders», finds most ransomware outside office hours",
}
"""Where each parameter comes from."""


class Shift(msgspec.Struct, frozen=True):
    """``seats`` people from hour ``begin`` for ``hours`` on ``days`` (0 is Monday); what was begun is finished."""

    days: tuple[int, ...]
    begin: float
    hours: float
    seats: int


class Surge(msgspec.Struct, frozen=True):
    """A noisy rule: benign alerts times ``factor`` from measured day ``first``, for ``days``."""

    first: float
    days: float
    factor: float


class Scenario(msgspec.Struct, frozen=True):
    """One SOC. ``overloaded`` is what the scenario is meant to be; the load is computed and printed."""

    name: str
    title: str
    per_day: float
    shifts: tuple[Shift, ...]
    source: str
    overloaded: bool = True
    days: int = 28
    surge: Surge | None = None


class Way(msgspec.Struct, frozen=True):
    """One way of working: the order of the queue, and the share of threats that automatic closing takes along."""

    name: str
    title: str
    ranked: bool = False
    miss: float | None = None


def around(weekday: tuple[int, int, int], weekend: tuple[int, int, int]) -> tuple[Shift, ...]:
    """Three shifts round the clock: seats for day (8–16), evening (16–24), night (0–8)."""
    begins = (8.0, 16.0, 0.0)
    return tuple(
        Shift(days, begin, 8.0, seats)
        for days, team in ((WEEKDAYS, weekday), (WEEKEND, weekend))
        for begin, seats in zip(begins, team, strict=True)
        if seats
    )


SCENARIOS = (
    Scenario(
        "small",
        "small team, office hours",
        135,
        (Shift(WEEKDAYS, 9.0, 8.0, 4),),
        "120–150 alerts a day after tiering: Prophet Security 2026. Three to five analysts: SIRP Labs 2020",
        days=140,
    ),
    Scenario(
        "average",
        "average site, round the clock",
        960,
        around((13, 9, 6), (6, 5, 3)),
        "960 alerts a day, 40 % never investigated: Prophet Security 2025. Seats: as many as leave 40 %",
    ),
    Scenario(
        "flood",
        "large site, most alerts unaddressed",
        2992,
        around((25, 18, 11), (12, 9, 6)),
        "2,992 alerts a day, 63 % unaddressed: Vectra AI 2026, «State of Threat Detection and Response». "
        "Seats: as many as leave 63 %",
    ),
    Scenario(
        "thin-nights",
        "strong by day, two people at night and weekends",
        960,
        around((30, 2, 2), (2, 2, 2)),
        "960 alerts a day: Prophet Security 2025. Seats: assumption",
    ),
    Scenario(
        "surge",
        "enough people, until one rule turns noisy for five days",
        960,
        around((26, 18, 11), (13, 9, 6)),
        "960 alerts a day: Prophet Security 2025. Seats and surge: assumption",
        surge=Surge(7.0, 5.0, 4.0),
    ),
    Scenario(
        "well-staffed",
        "well-staffed, round the clock",
        960,
        around((28, 20, 12), (14, 10, 6)),
        "960 alerts a day: Prophet Security 2025. Seats: as many as keep up with every alert",
        overloaded=False,
    ),
)

WAYS = (
    Way("none", "no AI"),
    Way("rank", "ranking", ranked=True),
    Way("close-1.36", "closing 1.36 %", miss=0.0136),
    Way("close-0.5", "closing 0.5 %", miss=0.005),
    Way("close-0.1", "closing 0.1 %", miss=0.001),
    Way("both-0.1", "both, 0.1 %", ranked=True, miss=0.001),
)
"""Without ranking the queue goes by severity. Percentages are the share of threats that automatic closing takes along."""


def with_settings(settings: list[str]) -> Assumptions:
    """Assumptions with ``NAME=VALUE`` replaced; raises ``UsageError`` for an unknown name or an impossible value."""
    base = msgspec.structs.asdict(Assumptions())
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in base:
            raise UsageError(f"there is no parameter {name}", where="--set", todo=f"known: {', '.join(base)}")
        base[name] = _number(name, value)
    return Assumptions(**base)


def _number(name: str, text: str) -> float:
    low, high = _BOUNDS.get(name, (1e-6, 1e6))
    try:
        value = float(text)
    except ValueError:
        value = inf
    if not low <= value <= high:
        raise UsageError(
            f"{name} cannot be {text or 'empty'}", where="--set", todo=f"give a number from {low:g} to {high:g}"
        )
    return value


_BOUNDS = {
    "threat_share": (1e-6, 0.5),
    "triage_minutes": (0.01, 1440.0),
    "investigate_minutes": (0.01, 10_080.0),
    "triage_sigma": (0.0, 3.0),
    "contain_sigma": (0.0, 3.0),
    "dwell_sigma": (0.0, 3.0),
    "patience_days": (0.25, 60.0),
    "auc": (0.5, 0.9999),
    "analyst_miss": (0.0, 1.0),
    "day_swing": (0.0, 1.0),
    "peak_hour": (0.0, 24.0),
    "weekend_factor": (0.0, 1.0),
}


def separation(auc: float) -> float:
    """Distance d′ between the score means of threats and benign alerts, both normal with variance 1, at this AUC."""
    return sqrt(2) * _NORMAL.inv_cdf(auc)


def threshold(auc: float, miss: float) -> float:
    """Score below which alerts are closed, so that ``miss`` of the threats lie below it; −∞ for none."""
    return separation(auc) + _NORMAL.inv_cdf(miss) if miss > 0 else -inf


def closed_share(auc: float, miss: float) -> float:
    """Share of benign alerts below that threshold."""
    return _NORMAL.cdf(threshold(auc, miss)) if miss > 0 else 0.0


def severity_auc() -> float:
    """How well severity alone ranks, on the same scale; equal severities count half."""
    below = [sum(BENIGN_MIX[:k]) + BENIGN_MIX[k] / 2 for k in range(len(SEVERITIES))]
    return sum(share * b for share, b in zip(THREAT_MIX, below, strict=True))


def log_median(mean: float, sigma: float) -> float:
    """Logarithm of the median of a log-normal with this mean."""
    return log(mean) - sigma * sigma / 2


def long_triage_share(assumptions: Assumptions, minutes: float = 10.0) -> float:
    """Share of alerts whose triage takes longer than ``minutes``."""
    median = exp(log_median(assumptions.triage_minutes, assumptions.triage_sigma))
    return (
        1 - _NORMAL.cdf(log(minutes / median) / assumptions.triage_sigma)
        if assumptions.triage_sigma
        else float(median > minutes)
    )


def load(scenario: Scenario, assumptions: Assumptions) -> float:
    """Work that arrives in the measured days over the work that all seats can do; above 1 the queue cannot empty."""
    per_alert = assumptions.triage_minutes + assumptions.threat_share * assumptions.investigate_minutes
    extra = scenario.surge.days * (scenario.surge.factor - 1) / scenario.days if scenario.surge else 0.0
    seat_hours = sum(len(shift.days) * shift.hours * shift.seats for shift in scenario.shifts) / 7
    return scenario.per_day * (1 + extra) * per_alert / 60 / seat_hours
