"""What a simulation says: tables, charts, and the conclusion in plain words, drawn from the figures of this very run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from pathlib import Path
from typing import Any

import msgspec

from countersign.errors import EnvironmentFault
from countersign.evaluate import svg
from countersign.evaluate.simulate import Estimate, Result, ScenarioResult, WayResult
from countersign.evaluate.simulate_model import (
    SOURCES,
    WAYS,
    Shift,
    closed_share,
    long_triage_share,
    severity_auc,
)

DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Table:
    """A table of text cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def hours(value: float) -> str:
    """A time for people: minutes, hours or days."""
    if not isfinite(value):
        return "–"
    for limit, unit, name in ((2.0, 60.0, "min"), (48.0, 1.0, "h")):
        if value < limit:
            return f"{value * unit:.{1 if value * unit < 10 else 0}f} {name}"
    return f"{value / 24:.1f} d"


def percent(share: float) -> str:
    """A share of 1 as percent, with decimals only where they matter."""
    if not isfinite(share):
        return "–"
    return f"{100 * share:.{0 if abs(share) >= 0.1 or share == 0 else 1 if abs(share) >= 0.001 else 2}f} %"


def change(estimate: Estimate) -> str:
    """A change with its interval, as in ``−71 % (−80 to −62)``."""
    if isnan(estimate.mean):
        return "–"
    middle, low, high = (_signed(v) for v in (estimate.mean, estimate.low, estimate.high))
    return f"{middle} %" if isnan(estimate.low) else f"{middle} % ({low} to {high})"


def _signed(share: float) -> str:
    """Percent with its sign; 0 has none."""
    return f"{round(100 * share) or 0:+,d}".replace("-", "−").replace("+0", "0") if isfinite(share) else "–"


def parameters(result: Result) -> list[Table]:
    """What was assumed, and where each figure comes from."""
    values = msgspec.structs.asdict(result.assumptions)
    changed = {name for name, value in values.items() if value != getattr(type(result.assumptions)(), name)}
    rows = [(name, f"{value:g}", "set for this run" if name in changed else SOURCES[name]) for name, value in values.items()]
    derived = [
        ("triage over 10 minutes", percent(long_triage_share(result.assumptions)), "follows from the above"),
        (
            "AUC of severity",
            f"{severity_auc():.3f}",
            "follows from the shares of severities among benign alerts and threats: assumption",
        ),
    ]
    for way in WAYS:
        if way.miss and not way.ranked:
            share = percent(closed_share(result.assumptions.auc, way.miss))
            derived.append((f"closed at {100 * way.miss:g} % missed", share, "of benign alerts; follows from auc"))
    socs = []
    for one in result.scenarios:
        soc = one.scenario
        socs.append((soc.name, soc.title, f"{soc.per_day:,g}", seats(soc.shifts), f"{one.load:.2f}", soc.source))
    return [
        Table("Parameters", ("name", "value", "source"), tuple(rows + derived)),
        Table("Scenarios", ("name", "what it is", "alerts/day", "seats", "load", "source"), tuple(socs)),
    ]


def seats(shifts: Sequence[Shift]) -> str:
    """Seats on shift, as in ``Mon–Fri 8–16: 13``."""
    return "; ".join(
        f"{DAY_NAMES[s.days[0]]}–{DAY_NAMES[s.days[-1]]} {s.begin:g}–{s.begin + s.hours:g}: {s.seats}" for s in shifts
    )


def tables(one: ScenarioResult) -> list[Table]:
    """Detection, response and queue of one SOC."""
    head = f"{one.scenario.name}, load {one.load:.2f}"
    return [
        Table(
            f"{head}: time to detect",
            ("", "mean", "p50", "p90", "mean, against no AI", "found only"),
            tuple((*_times(way, "detect"), _time(way, "detect_found_mean")) for way in one.ways),
        ),
        Table(
            f"{head}: time to respond",
            ("", "mean", "p50", "p90", "mean, against no AI"),
            tuple(_times(way, "respond") for way in one.ways),
        ),
        Table(
            f"{head}: queue",
            ("", "closed", "looked at", "never", "threats found", "closed wrongly", "waiting", "age p50", "age p90"),
            tuple(_queue(way) for way in one.ways),
        ),
    ]


def _times(way: WayResult, kind: str) -> tuple[str, ...]:
    cells = (_time(way, f"{kind}_{name}") for name in ("mean", "p50", "p90"))
    return (way.title, *cells, change(way.change[f"{kind}_mean"]) if way.change else "")


def _time(way: WayResult, name: str) -> str:
    return hours(way.figures[name].mean)


def _queue(way: WayResult) -> tuple[str, ...]:
    shares = (percent(way.figures[name].mean) for name in ("closed", "looked_at", "never", "found", "wrongly_closed"))
    waiting = f"{way.figures['waiting'].mean:,.0f}"
    return (way.title, *shares, waiting, _time(way, "age_p50"), _time(way, "age_p90"))


def conclusion(result: Result) -> list[str]:
    """What the run shows, in plain words; each figure is this run's."""
    busy = [s for s in result.scenarios if s.scenario.overloaded]
    calm = [s for s in result.scenarios if not s.scenario.overloaded]
    overlooked = percent(result.assumptions.analyst_miss)
    return [
        *(_overloaded(busy) if busy else ()),
        *(_calm(one) for one in calm),
        _claim(busy, calm),
        QUEUEING,
        CLOSING,
        NOT_SHOWN.format(overlooked=overlooked),
    ]


QUEUEING = (
    "«70 % faster detection» is a statement about queueing: it holds only where alerts wait because too few people look; "
    "hiring, or silencing a noisy rule, does the same. It says nothing of how well a model understands an attack."
)
CLOSING = (
    "Closing saves people's work in both worlds. Its price is the threats closed with the rest: each is found only when it "
    "shows by itself, and where nobody waits no gain in time pays for that. Median and p90 can fall while the mean rises."
)
NOT_SHOWN = (
    "Not shown: a real SOC. One threat is one alert here (an attack that raises several has several chances); people do not "
    "tire and overlook {overlooked} of the threats they look at; the model does not drift; nobody reviews what was closed; "
    "and many parameters are assumptions, marked as such."
)


def _claim(busy: Sequence[ScenarioResult], calm: Sequence[ScenarioResult]) -> str:
    """In how many SOCs each way of working reaches 70 % faster detection and 50 % faster response, in the mean."""
    parts = []
    for k, way in enumerate(WAYS[1:], start=1):
        counts = [f"{sum(_reaches(s.ways[k]) for s in socs)} of {len(socs)}" for socs in (busy, calm)]
        parts.append(f"{way.title}: {counts[0]} and {counts[1]}")
    return (
        "«70 % faster detection and 50 % faster response», in the mean, is reached in so many of the overloaded and of the "
        f"well-staffed SOCs: {'; '.join(parts)}."
    )


def _reaches(way: WayResult) -> bool:
    return way.change["detect_mean"].mean <= -0.7 and way.change["respond_mean"].mean <= -0.5


def _overloaded(busy: Sequence[ScenarioResult]) -> Iterator[str]:
    where = f"In the {len(busy)} overloaded SOCs" if len(busy) > 1 else f"In the overloaded SOC «{busy[0].scenario.name}»"
    parts = []
    for k, way in enumerate(WAYS[1:], start=1):
        detect, respond = (_range([s.ways[k].change[name].mean for s in busy]) for name in ("detect_mean", "respond_mean"))
        parts.append(f"{way.title}: detection {detect}, response {respond}")
    yield f"{where}, mean time against no AI: " + "; ".join(parts) + "."
    unclear = [f"{w.title} in {s.scenario.name}" for s in busy for w in s.ways[1:] if _covers(w.change["detect_mean"])]
    if unclear:
        yield f"Not told apart from no difference (95 %), for detection: {', '.join(unclear)}."
    closing = [k for k, way in enumerate(WAYS) if way.miss and not way.ranked]
    better = sum(all(_mean(s, 1) <= _mean(s, k) for k in closing) for s in busy)
    yield (
        f"Ranking alone, which closes nothing, beat every closing without ranking in {better} of {len(busy)}, in the mean"
        + (": there the gain comes from looking at the right alert first, not from closing the others." if better else ".")
    )


def _calm(one: ScenarioResult) -> str:
    parts = [f"{way.title}: {change(way.change['detect_mean'])}" for way in one.ways[1:]]
    return (
        f"In the SOC «{one.scenario.name}» (load {one.load:.2f}) detection takes {hours(_mean(one, 0))} without AI. "
        f"Mean time against that: {'; '.join(parts)}. {_calm_verdict(one)}"
    )


def _calm_verdict(one: ScenarioResult) -> str:
    slower = [way.title for way in one.ways[1:] if way.change["detect_mean"].low > 0]
    if slower:
        return f"Slower beyond chance: {', '.join(slower)}. A missed threat costs weeks where it would have cost minutes."
    return "No way of working was slower beyond chance; none can gain much."


def _mean(one: ScenarioResult, k: int) -> float:
    return one.ways[k].figures["detect_mean"].mean


def _covers(estimate: Estimate) -> bool:
    return not (estimate.low > 0 or estimate.high < 0)


def _range(values: Sequence[float]) -> str:
    low, high = _signed(min(values)), _signed(max(values))
    return f"{low} %" if low == high else f"{low} to {high} %"


def document(result: Result) -> dict[str, Any]:
    """The run as JSON values: figures, parameters with sources, conclusion."""
    return {
        **msgspec.to_builtins(result),
        "ways": msgspec.to_builtins(WAYS),
        "sources": SOURCES,
        "severity_auc": severity_auc(),
        "units": "times in hours, shares and changes as fractions of 1, waiting in alerts by day",
        "conclusion": conclusion(result),
    }


def charts(result: Result) -> dict[str, str]:
    """File name → SVG."""
    groups = [f"{s.scenario.title} (load {s.load:.2f})" for s in result.scenarios]
    made = {}
    for name, title, axis, log in (
        ("detect_mean", "Mean time to detect, missed threats included", "hours, logarithmic; line: 95 % interval", True),
        ("respond_mean", "Mean time to respond, missed threats included", "hours, logarithmic; line: 95 % interval", True),
        ("never", "Alerts nobody and nothing ever looked at", "share of all alerts; line: 95 % interval", False),
    ):
        series = [(way.title, [_interval(s.ways[k].figures[name]) for s in result.scenarios]) for k, way in enumerate(WAYS)]
        made[f"{name.replace('_', '-')}.svg"] = svg.interval_chart(title, groups, series, axis=axis, log=log)
    for one in result.scenarios:
        lines = [(way.title, way.waiting) for way in one.ways]
        made[f"waiting-{one.scenario.name}.svg"] = svg.line_chart(
            f"Alerts waiting: {one.scenario.title}",
            lines,
            x_axis="measured day",
            y_axis="alerts in the queue, mean of replications",
        )
    return made


def _interval(estimate: Estimate) -> svg.Interval:
    return estimate.low, estimate.mean, estimate.high


def markdown(result: Result) -> str:
    """Everything that is printed, as a page."""
    parts = ["# Simulation", "", f"Seed {result.seed}, {result.replications} replications.", ""]
    for one in [*parameters(result), *(table for scenario in result.scenarios for table in tables(scenario))]:
        parts += [f"## {one.title}", "", _row(one.columns), _row(["---"] * len(one.columns)), *map(_row, one.rows), ""]
    parts += ["## Conclusion", "", *(f"{line}\n" for line in conclusion(result))]
    return "\n".join(parts)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def write(result: Result, folder: Path) -> list[Path]:
    """Write charts, tables and figures; raises ``EnvironmentFault`` when that cannot be done."""
    files = {
        **charts(result),
        "simulation.md": markdown(result),
        "simulation.json": msgspec.json.format(msgspec.json.encode(document(result)), indent=1).decode() + "\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            part = folder / f".{name}.part"
            part.write_text(text, "utf-8")
            os.replace(part, folder / name)
    except OSError as error:
        raise EnvironmentFault(f"cannot write the simulation: {error.strerror}", where=str(folder)) from None
    return [folder / name for name in files]
