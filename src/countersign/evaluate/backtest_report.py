"""Tables of ``countersign backtest``: for a terminal and for the HTML report."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from countersign.evaluate.ait_report import Table
from countersign.evaluate.backtest_words import percent

SITES_SHOWN = 20
PERIODS_MAX = 14
MISSES_SHOWN = 50
_NEVER = "not earned"


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """Every table, in the order of the report."""
    yield _account(found["account"])
    yield _labels(found["account"])
    shown = found["sites"][:SITES_SHOWN]
    if len(found["sites"]) > 1:
        yield _sites(found["sites"])
    yield _closed(shown)
    yield _bounds(shown)
    yield _earned(shown)
    yield _when(shown)
    yield _hours(shown)
    yield _tuned(shown)


def _account(read: dict[str, Any]) -> Table:
    rows = [
        ("lines or elements read", f"{read['lines']:,}"),
        ("messages", f"{read['messages']:,}"),
        ("alerts", f"{read['alerts']:,}"),
        ("further rows of these alerts", f"{read['more_rows']:,}"),
        *((f"no alert: {reason}", f"{count:,}") for reason, count in read["ignored"].items()),
        ("could not be read", f"{read['unreadable']:,}"),
    ]
    return "What was read", ("what", "count"), [tuple(row) for row in rows]


def _labels(read: dict[str, Any]) -> Table:
    most = [(value, truth, f"{count:,}") for value, truth, count in read["labels"][:SITES_SHOWN]]
    rest = sum(count for _, _, count in read["labels"][SITES_SHOWN:])
    rows: list[tuple[str, ...]] = [*most, *([("(others)", "", f"{rest:,}")] if rest else [])]
    return "What people said", ("value", "taken as", "alerts"), rows


def _sites(sites: list[dict[str, Any]]) -> Table:
    columns = ("site", "findings", "threats", "closed", "missed")
    rows: list[tuple[str, ...]] = [(s["name"], *(f"{s[key]:,}" for key in columns[1:])) for s in sites[:SITES_SHOWN]]
    if len(sites) > SITES_SHOWN:
        rest = sites[SITES_SHOWN:]
        rows.append((f"{len(rest):,} smaller sites", *(f"{sum(s[key] for s in rest):,}" for key in columns[1:])))
    return "Sites, each judged apart", columns, rows


def _scopes(sites: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for site in sites:
        for name, scope in site["scopes"].items():
            yield (f"{site['name']}, {name}" if len(sites) > 1 else name), scope


def _closed(sites: list[dict[str, Any]]) -> Table:
    rows: list[tuple[str, ...]] = [
        (
            name,
            f"{scope['findings']:,}",
            f"{scope['threats_seen']:,}",
            f"{scope['not_judged']:,}",
            f"{scope['closed']:,}",
            percent(scope["benign_closed"] / scope["benign"] if scope["benign"] else None, 1),
            f"{scope['closed_not_judged']:,}",
            f"{scope['taken_back']:,}",
            f"{scope['missed']:,}",
        )
        for name, scope in _scopes(sites)
    ]
    columns = (
        "scope",
        "findings",
        "threats",
        "unjudged",
        "closed",
        "of benign",
        "closed unjudged",
        "reopened",
        "missed",
    )
    return "What would have been closed", columns, rows


def _bounds(sites: list[dict[str, Any]]) -> Table:
    rows: list[tuple[str, ...]] = [
        (
            name,
            f"{scope['reviewed']:,}",
            f"{scope['threats_reviewed']:,}",
            percent(scope["bound_upper"]),
            percent(scope["bound_anytime"]),
            _interval(scope["for"]),
            percent(scope["worst_for"]),
            "VIOLATED" if scope["bound_violated"] else "kept",
        )
        for name, scope in _scopes(sites)
    ]
    columns = ("scope", "reviewed", "threats", "bound", "bound, anytime", "threats among closed", "at the worst", "promise")
    return "The bound, and what came of it", columns, rows


def _earned(sites: list[dict[str, Any]]) -> Table:
    rows: list[tuple[str, ...]] = [
        (
            name,
            scope["stage"],
            _certificate(scope["certificate"]),
            _certificate(scope["strict_certificate"]),
            _minute(scope["earned"]["supervised"]),
            _minute(scope["earned"]["autonomous"]),
            "; ".join(scope["missing"]) or "nothing",
        )
        for name, scope in _scopes(sites)
    ]
    columns = (
        "scope",
        "stage",
        "certificate",
        "strict",
        "supervised from",
        "autonomous from",
        "missing for the next",
    )
    return "What would have been earned, and when", columns, rows


def _when(sites: list[dict[str, Any]]) -> Table:
    rows: list[tuple[str, ...]] = [
        (name, period, f"{findings:,}", f"{closed:,}", percent(closed / findings, 1), f"{missed:,}")
        for name, scope in _scopes(sites)
        for period, findings, closed, missed in periods(scope["by_day"])
    ]
    return (
        "Closed when, by the day (over long times the week) a finding came",
        ("scope", "from", "findings", "closed", "share", "missed"),
        rows,
    )


def periods(by_day: list[list[Any]]) -> list[list[Any]]:
    """Days, or as many weeks or months together as leave few rows."""
    for key in (lambda day: day, _monday, lambda day: day[:7], lambda day: day[:4]):
        sums: dict[str, list[int]] = {}
        for day, *counts in by_day:
            old = sums.setdefault(key(day), [0] * len(counts))
            sums[key(day)] = [a + b for a, b in zip(old, counts, strict=True)]
        if len(sums) <= PERIODS_MAX:
            break
    return [[name, *counts] for name, counts in sums.items()]


def _monday(day: str) -> str:
    at = date.fromisoformat(day)
    return (at - timedelta(days=at.weekday())).isoformat()


def misses(sites: list[dict[str, Any]]) -> list[str]:
    """Every miss in one line, the first ``MISSES_SHOWN`` of them."""
    every = [miss for site in sites for scope in site["scopes"].values() for miss in scope["misses"]]
    lines = [
        f"{m['finding']} ({m['rule']}) {m['name']} on {m['host']}, case {m['case']}: {m['label']}, "
        f"closed {_minute(m['closed'])}, {'found by a review' if m['found_by_review'] else 'found by nobody'}"
        for m in every[:MISSES_SHOWN]
    ]
    rest = len(every) - len(lines)
    return [*lines, *([f"and {rest} more (--json names them)"] if rest else [])] or ["none"]


def _hours(sites: list[dict[str, Any]]) -> Table:
    rows: list[tuple[str, ...]] = [
        (
            name,
            f"{scope['closed']:,}",
            f"{scope['hours_closed']:,.1f}",
            f"{scope['closed_unread']:,}",
            f"{scope['hours_saved']:,.1f}",
        )
        for name, scope in _scopes(sites)
    ]
    columns = ("scope", "closed", "hours out of the queue", "never read", "hours saved")
    return "Hours", columns, rows


def _tuned(sites: list[dict[str, Any]]) -> Table:
    rows: list[tuple[str, ...]] = []
    for site in sites:
        one = site["tuned"]
        if one is None:
            rows.append((site["name"], "no threshold to be had", "", "", "", ""))
            continue
        kept = "BROKEN" if one["broken"] else "kept this time"
        rows.append(
            (
                site["name"],
                f"{one['closed']:,} of {one['applied_to']:,}",
                percent(one["benign_closed_share"], 1),
                f"{one['missed']:,}",
                _interval(one["for"]),
                kept,
            )
        )
    columns = ("site", "closed", "of benign", "missed", "threats among closed", "promise")
    return "Warning: a threshold simply tuned on the first half of the alerts, on the second half", columns, rows


def _certificate(one: dict[str, Any]) -> str:
    return f"{percent(one['alpha'])}: {'yes' if one['certified'] else 'no'}"


def _interval(one: dict[str, float | None]) -> str:
    low, high = one["low"], one["high"]
    return "–" if low is None or high is None else f"{percent(one['share'])} ({100 * low:.2f}–{100 * high:.2f})"


def _minute(at: str | None) -> str:
    return at[:16].replace("T", " ") if at else _NEVER
