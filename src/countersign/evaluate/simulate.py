"""``countersign simulate``: what ranking and closing do to the time until threats are found, in busy and in calm SOCs.

Every threat of the measured days counts, found or not: one that was wrongly closed, dropped or overlooked is found when
it shows by itself, after its dwell time. The run goes on past the measured days until every fate is known, so that no
time is censored. Means over found threats alone are reported beside, because that is the figure usually quoted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nan, sqrt
from statistics import NormalDist

import msgspec
import numpy as np

from countersign.errors import UsageError
from countersign.evaluate.simulate_engine import Floats, Outcome, Workload, draw, seat_windows, work
from countersign.evaluate.simulate_model import SCENARIOS, WAYS, Assumptions, Scenario, Way, load

SAMPLE_HOURS = 6.0
TIMES = ("detect_mean", "detect_p50", "detect_p90", "respond_mean", "respond_p50", "respond_p90", "detect_found_mean")


class Estimate(msgspec.Struct, frozen=True):
    """Mean over replications with its 95 % confidence interval (Student); NaN where nothing was observed.

    An interval ends where the quantity does: no time below 0, no change below −1.
    """

    mean: float
    low: float
    high: float


class WayResult(msgspec.Struct, frozen=True):
    """Figures by name (times in hours, shares of 1), and the change of each time against no AI (−0.7: 70 % less)."""

    way: str
    title: str
    figures: dict[str, Estimate]
    change: dict[str, Estimate]
    waiting: list[tuple[float, float]]


class ScenarioResult(msgspec.Struct, frozen=True):
    """One SOC under every way of working."""

    scenario: Scenario
    load: float
    ways: list[WayResult]


class Result(msgspec.Struct, frozen=True):
    """The whole run."""

    seed: int
    replications: int
    assumptions: Assumptions
    scenarios: list[ScenarioResult]


def simulate(
    names: Sequence[str] = (),
    *,
    replications: int = 12,
    seed: int = 1,
    assumptions: Assumptions | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Result:
    """Run the named scenarios (default all). The same arguments give the same result; scenarios do not affect each other."""
    known = {scenario.name: scenario for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            raise UsageError(f"there is no scenario {name}", where="--scenario", todo=f"known: {', '.join(known)}")
    assumed = assumptions or Assumptions()
    results = []
    for scenario in [known[name] for name in names] or SCENARIOS:
        progress(f"{scenario.name}: {replications} replications of {scenario.days} days")
        results.append(run_scenario(scenario, assumed, replications, seed))
    return Result(seed=seed, replications=replications, assumptions=assumed, scenarios=results)


def run_scenario(scenario: Scenario, assumptions: Assumptions, replications: int, seed: int) -> ScenarioResult:
    """Every way of working over the same draws."""
    figures: dict[str, list[dict[str, float]]] = {way.name: [] for way in WAYS}
    waiting: dict[str, list[Floats]] = {way.name: [] for way in WAYS}
    for replication in range(replications):
        drawn = draw(scenario, assumptions, seed, replication)
        windows = seat_windows(scenario.shifts, drawn.end)
        for way in WAYS:
            outcome = work(drawn, way, assumptions, windows)
            counts, ages = queue(drawn, outcome, 24 * assumptions.patience_days)
            figures[way.name].append(measure(drawn, outcome) | _ageing(counts, ages))
            waiting[way.name].append(counts)
    base = figures[WAYS[0].name]
    ways = [_way_result(way, figures[way.name], base, np.mean(waiting[way.name], axis=0)) for way in WAYS]
    return ScenarioResult(scenario=scenario, load=load(scenario, assumptions), ways=ways)


def measure(drawn: Workload, outcome: Outcome) -> dict[str, float]:
    """Figures of one replication, over the alerts that arrived in the measured days."""
    here = (drawn.arrival >= drawn.begin) & (drawn.arrival < drawn.until)
    bad = here & drawn.threat
    reached = outcome.start + drawn.triage - drawn.arrival
    found = outcome.handled & ~drawn.overlooked & (np.nan_to_num(reached, nan=np.inf) < drawn.dwell)
    detect = np.where(found, reached, drawn.dwell)
    respond = detect + drawn.investigate + drawn.contain
    alerts, threats = int(here.sum()), int(bad.sum())
    shares = {"closed": outcome.closed, "looked_at": outcome.handled, "never": outcome.dropped}
    fates = {"found": found, "wrongly_closed": outcome.closed, "threats_never": outcome.dropped}
    return {
        "alerts": alerts,
        "threats": threats,
        **{name: _share(int((here & kind).sum()), alerts) for name, kind in shares.items()},
        **{name: _share(int((bad & kind).sum()), threats) for name, kind in fates.items()},
        **_times("detect", detect[bad]),
        **_times("respond", respond[bad]),
        "detect_found_mean": _times("", detect[bad & found])["_mean"],
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else nan


def _times(name: str, hours: Floats) -> dict[str, float]:
    if not len(hours):
        return {f"{name}_{kind}": nan for kind in ("mean", "p50", "p90")}
    middle, late = np.quantile(hours, (0.5, 0.9))
    return {f"{name}_mean": float(hours.mean()), f"{name}_p50": float(middle), f"{name}_p90": float(late)}


def queue(drawn: Workload, outcome: Outcome, patience: float) -> tuple[Floats, Floats]:
    """Every six hours of the measured days: how many alerts wait; and, all together, how long each has waited by then."""
    counts, ages = [], []
    for time in np.arange(drawn.begin, drawn.until, SAMPLE_HOURS):
        low, high = np.searchsorted(drawn.arrival, (time - patience, time), side="right")
        still = drawn.arrival[low:high][outcome.leave[low:high] > time]
        counts.append(len(still))
        ages.append(time - still)
    return np.asarray(counts, dtype=np.float64), np.concatenate(ages)


def _ageing(counts: Floats, ages: Floats) -> dict[str, float]:
    middle, late = np.quantile(ages, (0.5, 0.9)) if len(ages) else (0.0, 0.0)
    return {"waiting": float(counts.mean()), "age_p50": float(middle), "age_p90": float(late)}


def _way_result(way: Way, mine: list[dict[str, float]], base: list[dict[str, float]], waiting: Floats) -> WayResult:
    change = {name: estimate([a[name] / b[name] - 1 for a, b in zip(mine, base, strict=True)], least=-1) for name in TIMES}
    return WayResult(
        way=way.name,
        title=way.title,
        figures={name: estimate([row[name] for row in mine]) for name in mine[0]},
        change=change if way.name != WAYS[0].name else {},
        waiting=[(k * SAMPLE_HOURS / 24, float(count)) for k, count in enumerate(waiting)],
    )


def estimate(values: Sequence[float], *, least: float = 0.0) -> Estimate:
    """Mean with Student's 95 % interval; replications without an observation (NaN) are left out."""
    seen = np.asarray([v for v in values if np.isfinite(v)], dtype=np.float64)
    if len(seen) < 2:
        return Estimate(float(seen[0]) if len(seen) else nan, nan, nan)
    mean, half = float(seen.mean()), student(len(seen) - 1) * float(seen.std(ddof=1)) / sqrt(len(seen))
    return Estimate(mean, max(least, mean - half), mean + half)


def student(freedom: int, level: float = 0.95) -> float:
    """Two-sided quantile of Student's t: exact for 1 and 2 degrees of freedom, else Cornish–Fisher (error < 0.4 %)."""
    p = (1 + level) / 2
    if freedom == 1:
        return float(np.tan(np.pi * (p - 0.5)))
    if freedom == 2:
        return (2 * p - 1) / sqrt(2 * p * (1 - p))
    z, v = NormalDist().inv_cdf(p), float(freedom)
    terms = (
        (z**3 + z) / (4 * v),
        (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2),
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3),
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4),
    )
    return z + sum(terms)
