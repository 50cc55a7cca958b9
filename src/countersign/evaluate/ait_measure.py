"""Figures of one run, by the truth that the run itself never saw before a person said it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from countersign.autonomy.bounds import ALPHA_PPM, DELTA_PPM, lower_bound_ppm, upper_bound_ppm
from countersign.autonomy.review import commitment, week_of
from countersign.correlate.link import HOUR_MS
from countersign.evaluate.ait_online import Run
from countersign.evaluate.ait_scope import rates, seed
from countersign.evaluate.datasets import DNS_TUNNEL
from countersign.model.verdicts import PPM

SHARE_GOAL = 0.75
SHARE_GOAL_LATER = 0.90
F1_SLACK = 0.01
COURSE_POINTS = 200
_SHARES = ("benign_closed_share", "benign_closed_share_after_warmup")
_BRIEF = ("closed", "missed", *_SHARES, "for", "steps_lost", "bound_violated")


def measure(run: Run) -> dict[str, Any]:
    """One network's figures. missed: threats among what stayed closed; a step is lost when no finding of it reached a person
    by the queue or by being reopened (a blind review of a close does not count). Warm-up: until the scope's first promotion.
    closed_unread: closes that no blind review drew either."""
    found, start = run.stream.found, run.stream.start_ms
    threats = [i for i, one in enumerate(found) if one.step]
    benign = [i for i, one in enumerate(found) if not one.step]
    later = [i for i in benign if (at := run.scope_of(i).promoted_ms) is not None and found[i].first_ms >= at]
    missed = [i for i in threats if i in run.closed]
    apart = _without_tunnel(run, threats)
    kept = {found[i].step for i in run.read}
    events = [event for scope in run.scopes.values() for event in scope.events]
    promoted = [scope.promoted_ms for scope in run.scopes.values() if scope.promoted_ms is not None]
    return {
        "name": run.stream.name,
        "alerts": run.stream.alerts,
        "findings": len(found),
        "threats": len(threats),
        "closed": len(run.closed),
        "closed_unread": sum(i not in run.labels for i in run.closed),
        "escalated": len(run.read),
        "missed": len(missed),
        "missed_findings": [f"{found[i].name} on {found[i].anchor} ({found[i].step})" for i in missed],
        "benign": len(benign),
        "benign_closed": sum(i in run.closed for i in benign),
        "benign_closed_share": _share(benign, run.closed),
        "benign_after_warmup": len(later),
        "benign_closed_after_warmup": sum(i in run.closed for i in later),
        "benign_closed_share_after_warmup": _share(later, run.closed),
        "closed_from_hour": round((min(promoted) - start) / HOUR_MS, 1) if promoted else None,
        "for": interval(len(missed), len(run.closed)),
        "fnr": interval(len(missed), len(threats)),
        "missed_without_dnsteal": apart[0],
        "threats_without_dnsteal": apart[1],
        "fnr_without_dnsteal": interval(*apart),
        "cases": _cases(run),
        "steps": len({found[i].step for i in threats}),
        "steps_lost": sorted({found[i].step for i in threats} - kept),
        "taken_back": len(run.taken_back),
        "taken_back_threats": sum(bool(found[i].step) for i in run.taken_back),
        "recalled": len(run.recalled),
        "read_because": dict(Counter(run.why[i] or "with a threat" for i in benign if i in run.read).most_common()),
        "events": rates(events),
        "scopes": {name: _scope(run, name) for name in run.scopes},
        "reviewed_of_sampled": [sum(draw.reviewed for draw in run.draws), len(run.draws)],
        "seeds": _seeds(run),
        **_bound(run),
    }


def interval(part: int, whole: int) -> dict[str, float | None]:
    """Share with its 95 % interval (Clopper-Pearson); None where there is nothing to divide by."""
    if not whole:
        return {"share": None, "low": None, "high": None}
    low, high = lower_bound_ppm(whole, part, DELTA_PPM // 2), upper_bound_ppm(whole, part, DELTA_PPM // 2)
    return {"share": round(part / whole, 6), "low": low / PPM, "high": high / PPM}


def _share(among: Sequence[int], closed: Iterable[int]) -> float | None:
    inside = set(closed)
    return round(sum(i in inside for i in among) / len(among), 6) if among else None


def _without_tunnel(run: Run, threats: Sequence[int]) -> tuple[int, int]:
    apart = [i for i in threats if run.stream.found[i].step != DNS_TUNNEL]
    return sum(i in run.closed for i in apart), len(apart)


def _cases(run: Run) -> dict[str, Any]:
    """The same by cases: closed when all its findings are, missed when a threat is among them."""
    members: dict[str, list[int]] = {}
    merged = {gone: case for batch in run.stream.batches for gone, case in batch.merged}
    for i, first in run.cases.items():
        case = first
        while case in merged:
            case = merged[case]
        members.setdefault(case, []).append(i)
    closed = [some for some in members.values() if all(i in run.closed for i in some)]
    missed = sum(any(run.stream.found[i].step for i in some) for some in closed)
    return {"cases": len(members), "closed": len(closed), "missed": missed, "for": interval(missed, len(closed))}


def _scope(run: Run, name: str) -> dict[str, Any]:
    scope, start = run.scopes[name], run.stream.start_ms
    points = scope.course[:: max(1, len(scope.course) // COURSE_POINTS)] + scope.course[-1:]
    return {
        "stage": scope.state.stage.value,
        "reviewed": scope.state.reviewed,
        "threats": scope.state.threats,
        "bound_upper": scope.course[-1][2] / PPM if scope.course else 1.0,
        "course": [[round((at - start) / HOUR_MS, 2), reviewed, upper / PPM] for at, reviewed, upper in points],
        "events": [[round((e.at_ms - start) / HOUR_MS, 2), e.happened.value, e.after.value, e.cause] for e in scope.events],
    }


def _bound(run: Run) -> dict[str, Any]:
    """bound_upper: the worst that any scope shows at the end. Violated: at any moment the true share of threats among
    what a scope had closed so far, and kept closed, was above alpha; so a single miss among the first hundred violates."""
    shown = [scope.course[-1][2] / PPM for scope in run.scopes.values() if scope.course]
    worst = 0.0
    for scope in run.scopes.values():
        misses = 0
        ordered = sorted((at, i) for i, at in run.closed.items() if run.scope_of(i) is scope)
        for count, (_, i) in enumerate(ordered, start=1):
            misses += bool(run.stream.found[i].step)
            worst = max(worst, misses / count)
    return {"bound_upper": max(shown, default=1.0), "worst_for": round(worst, 6), "bound_violated": worst * PPM > ALPHA_PPM}


def _seeds(run: Run) -> dict[str, str]:
    """Commitment of each week's seed."""
    weeks = sorted({week_of(batch.now_ms) for batch in run.stream.batches})
    return {week: commitment(seed(run.stream.name, week), week) for week in weeks}


def brief(measured: dict[str, Any]) -> dict[str, Any]:
    """The figures that stand beside ours."""
    return {key: measured[key] for key in _BRIEF}


def total(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All networks in one line; shares are the smallest and the pooled."""
    benign, closed = (sum(row[key] for row in rows) for key in ("benign", "benign_closed"))
    later, closed_later = (sum(row[key] for row in rows) for key in ("benign_after_warmup", "benign_closed_after_warmup"))
    return {
        "benign_closed_share": round(closed / benign, 6) if benign else None,
        "benign_closed_share_after_warmup": round(closed_later / later, 6) if later else None,
        "by_network": {row["name"]: [row["benign_closed_share"], row["benign_closed_share_after_warmup"]] for row in rows},
        **_summed(rows),
        "steps": sum(row["steps"] for row in rows),
        "steps_lost": [f"{row['name']}: {step}" for row in rows for step in row["steps_lost"]],
        "bound_violated": sum(row["bound_violated"] for row in rows),
    }


def _summed(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts of all networks and what they say of both risks."""
    sums = {key: sum(row[key] for row in rows) for key in ("findings", "threats", "closed", "missed")}
    apart = sum(row["threats_without_dnsteal"] for row in rows)
    missed_apart = sum(row["missed_without_dnsteal"] for row in rows)
    risks = {"for": (sums["missed"], sums["closed"]), "fnr": (sums["missed"], sums["threats"])}
    risks["fnr_without_dnsteal"] = (missed_apart, apart)
    return sums | {name: interval(*counts) for name, counts in risks.items()}


def goals(rows: Sequence[dict[str, Any]], offline: dict[str, Any]) -> list[dict[str, Any]]:
    """The acceptance figures: what, value, limit, held; shares over all networks together and of the worst."""
    f1 = offline["macro_f1"]
    apart = offline["macro_f1_without_dnsteal"]
    whole = total(rows)
    least = min((row["benign_closed_share"] or 0.0 for row in rows), default=0.0)
    later = min((row["benign_closed_share_after_warmup"] or 0.0 for row in rows), default=0.0)
    return [
        _goal("attack steps lost", sum(len(row["steps_lost"]) for row in rows), 0, most=True),
        _goal("threats among the closed", sum(row["missed"] for row in rows), 0, most=True),
        _goal("networks with the bound violated", sum(row["bound_violated"] for row in rows), 0, most=True),
        _goal("benign closed from the first minute, all networks", whole[_SHARES[0]] or 0.0, SHARE_GOAL, most=False),
        _goal("benign closed after the warm-up, all networks", whole[_SHARES[1]] or 0.0, SHARE_GOAL_LATER, most=False),
        _goal("benign closed from the first minute, worst network", least, SHARE_GOAL, most=False),
        _goal("benign closed after the warm-up, worst network", later, SHARE_GOAL_LATER, most=False),
        _goal("macro-F1 below LightGBM", round(f1["lightgbm"] - f1["ours"], 6), F1_SLACK, most=True),
        _goal("macro-F1 below LightGBM, without dnsteal", round(apart["lightgbm"] - apart["ours"], 6), F1_SLACK, most=True),
    ]


def _goal(what: str, value: float, limit: float, *, most: bool) -> dict[str, Any]:
    held = value <= limit if most else value >= limit
    return {"goal": what, "value": value, "limit": limit, "at": "most" if most else "least", "held": held}


def line(row: dict[str, Any]) -> str:
    """One network for the progress."""
    after = row["benign_closed_share_after_warmup"]
    shares = f"{row['benign_closed_share'] or 0:.1%} of the benign closed, {after or 0:.1%} after the warm-up"
    return f"{shares}, {row['missed']} threats closed, {len(row['steps_lost'])} of {row['steps']} steps lost"
