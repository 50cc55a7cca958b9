"""Figures of one backtest, scope by scope, by what people said; findings that nobody judged are counted apart."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from countersign.autonomy import promotion
from countersign.autonomy.bounds import ALPHA_PPM, DELTA_PPM, reviews_needed, upper_bound_ppm
from countersign.autonomy.evidence import bets, log_sum, weights
from countersign.autonomy.scopes import Stage
from countersign.autonomy.states import Happened
from countersign.autonomy.threshold import naive_threshold_without_any_guarantee
from countersign.evaluate.ait_measure import COURSE_POINTS, interval
from countersign.evaluate.ait_online import Run
from countersign.evaluate.ait_scope import ScopeRun
from countersign.evaluate.backtest_stream import Lived
from countersign.model.verdicts import PPM
from countersign.triage.calibrate import merged_ppm
from countersign.triage.model import HARD_CAP_PPM, Model

MINUTES_PER_FINDING = 20.0
"""What one finding costs a person: the mean that `countersign simulate` uses, with its source (``simulate_model``)."""
MISSES_MAX = 1_000
_BINS = (0, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, PPM + 1)
_HALVINGS = 40


def measure(run: Run, lived: Lived, model: Model, minutes: float) -> dict[str, Any]:
    """One site. missed: threats among what stayed closed. reviewed, threats, bound: what the scope rests on at the end."""
    scopes = {name: _scope(run, scope, minutes) for name, scope in run.scopes.items()}
    found = run.stream.found
    return {
        "name": run.stream.name,
        "alerts": run.stream.alerts,
        "findings": len(found),
        "judged": sum(one.judged for one in found),
        "judged_in_part": lived.partly,
        "threats": sum(bool(one.step) for one in found),
        "from": moment(min((one.first_ms for one in found), default=0)),
        "to": moment(max((one.first_ms for one in found), default=0)),
        "inventory": not lived.held,
        "ungraded": sorted(set(run.scopes) - lived.graded),
        **_sums(scopes),
        "scopes": scopes,
        "reliability": reliability(run, model),
        "tuned": tuned(run),
        "funnel": _funnel(run),
    }


def _sums(scopes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    keys = (
        "closed",
        "closed_not_judged",
        "closed_unread",
        "benign",
        "benign_closed",
        "missed",
        "hours_closed",
        "hours_saved",
    )
    total = {key: round(sum(scope[key] for scope in scopes.values()), 1) for key in keys}
    total["for"] = interval(int(total["missed"]), int(total["closed"] - total["closed_not_judged"]))
    total["fnr"] = interval(int(total["missed"]), sum(scope["threats_seen"] for scope in scopes.values()))
    total["bound_violated"] = any(scope["bound_violated"] for scope in scopes.values())
    return total


def _scope(run: Run, scope: ScopeRun, minutes: float) -> dict[str, Any]:
    found = run.stream.found
    mine = [i for i, _ in enumerate(found) if run.scope_of(i) is scope]
    closed = [i for i in mine if i in run.closed]
    judged = [i for i in closed if found[i].judged]
    missed = [i for i in judged if found[i].step]
    benign = [i for i in mine if found[i].judged and not found[i].step]
    unread = [i for i in judged if i not in run.labels]
    worst = worst_for(run, judged)
    merged = {gone: case for batch in run.stream.batches for gone, case in batch.merged} if missed else {}
    return {
        "findings": len(mine),
        "threats_seen": sum(bool(found[i].step) for i in mine),
        "benign": len(benign),
        "not_judged": sum(not found[i].judged for i in mine),
        "closed": len(closed),
        "closed_not_judged": len(closed) - len(judged),
        "closed_unread": len(unread),
        "benign_closed": sum(i in run.closed for i in benign),
        "taken_back": sum(i in run.taken_back or i in run.recalled for i in mine),
        "missed": len(missed),
        "brought_back": sum(bool(found[i].step) and (i in run.taken_back or i in run.recalled) for i in mine),
        "misses": [miss(run, i, merged) for i in missed[:MISSES_MAX]],
        "by_day": _by_day(run, mine),
        "why_a_person": dict(Counter(run.why[i] or "with a threat" for i in mine if i in run.read).most_common()),
        "hours_closed": round(len(closed) * minutes / 60, 1),
        "hours_saved": round(len(unread) * minutes / 60, 1),
        "for": interval(len(missed), len(judged)),
        "worst_for": round(worst, 6),
        "bound_violated": worst * PPM > ALPHA_PPM,
        **_standing(run, scope),
    }


def _standing(run: Run, scope: ScopeRun) -> dict[str, Any]:
    """Where the scope stands at the end, and how it came there."""
    state = scope.state
    end_ms = max((batch.now_ms for batch in run.stream.batches), default=0)
    points = scope.course[:: max(1, len(scope.course) // COURSE_POINTS)] + scope.course[-1:]
    last = promotion.missing(state, end_ms) if state.stage is not Stage.AUTONOMOUS else ()
    return {
        "stage": state.stage.value,
        "reviewed": state.reviewed,
        "threats_reviewed": state.threats,
        "reviews_needed": reviews_needed(),
        "bound_upper": upper_bound_ppm(state.reviewed, state.threats) / PPM,
        "bound_anytime": anytime_ppm(scope) / PPM,
        "certificate": _certificate(state.certificate.log_e, state.certificate.certified, state.certificate.alpha_ppm),
        "strict_certificate": _certificate(state.strict.log_e, state.strict.certified, state.strict.alpha_ppm),
        "certified_at": _first(scope, Happened.CERTIFIED, ""),
        "earned": {stage.value: _first(scope, Happened.PROMOTED, stage.value) for stage in _CLOSING},
        "missing": list(last),
        "bands": [
            {"reviewed": band.reviewed, "threats": band.threats, "p_ppm": band.p_ppm, "passed": band.passed}
            for band in scope.bands
        ],
        "events": [[moment(e.at_ms), e.happened.value, e.after.value, str(e.cause)] for e in scope.events],
        "course": [[moment(at), reviewed, upper / PPM] for at, reviewed, upper in points],
    }


_CLOSING = (Stage.SUPERVISED, Stage.AUTONOMOUS)


def _certificate(log_e: float, certified: bool, alpha_ppm: int) -> dict[str, Any]:
    """e: how strongly the reviews speak for a risk below alpha; certified at 1/delta."""
    return {"alpha": alpha_ppm / PPM, "e": float(f"{math.exp(min(log_e, 700)):.4g}"), "certified": certified}


def _first(scope: ScopeRun, happened: Happened, after: str) -> str | None:
    """When something happened first, None if it never did."""
    times = [e.at_ms for e in scope.events if e.happened is happened and after in {"", e.after.value}]
    return moment(min(times)) if times else None


def anytime_ppm(scope: ScopeRun) -> int:
    """Smallest alpha that all observations since the evidence last began certify, each under the design of its own draw:
    the bound that may be looked at after every review (Waudby-Smith & Ramdas 2023). PPM when they certify none."""
    low, high = 0, PPM
    for _ in range(_HALVINGS if scope.seen else 0):
        middle = (low + high) // 2
        if middle in (low, PPM):
            break
        alpha, logs = middle / PPM, list(weights())
        for (x, q_min_ppm), times in scope.seen.items():
            logs = [
                log + times * math.log1p(bet * (alpha - x)) for log, bet in zip(logs, bets(alpha, q_min_ppm), strict=True)
            ]
        low, high = (low, middle) if log_sum(tuple(logs)) >= math.log(PPM / DELTA_PPM) else (middle, high)
    return high


def worst_for(run: Run, judged: Sequence[int]) -> float:
    """Highest share of threats among what was closed, judged and stayed closed, at any moment."""
    worst, misses = 0.0, 0
    for count, i in enumerate(sorted(judged, key=lambda i: run.closed[i]), start=1):
        misses += bool(run.stream.found[i].step)
        worst = max(worst, misses / count)
    return worst


def miss(run: Run, i: int, merged: dict[str, str]) -> dict[str, Any]:
    """One miss by name. merged: a case → the one that took it in."""
    one, case = run.stream.found[i], run.cases.get(i, "")
    while case in merged:
        case = merged[case]
    return {
        "finding": one.id,
        "rule": one.rule,
        "name": one.name,
        "host": one.anchor,
        "case": case,
        "label": one.step,
        "seen": moment(one.first_ms),
        "closed": moment(run.closed[i]),
        "found_by_review": i in run.labels,
    }


def _by_day(run: Run, mine: Sequence[int]) -> list[list[Any]]:
    """[day, findings, closed, missed], by the day on which the finding came."""
    days: dict[str, list[int]] = {}
    for i in mine:
        one = run.stream.found[i]
        day = days.setdefault(moment(one.first_ms)[:10], [0, 0, 0])
        day[0] += 1
        day[1] += i in run.closed
        day[2] += i in run.closed and bool(one.step)
    return [[day, *counts] for day, counts in sorted(days.items())]


def _funnel(run: Run) -> list[list[Any]]:
    found = run.stream.found
    closed = list(run.closed)
    steps = (
        ("alerts", run.stream.alerts),
        ("findings", len(found)),
        ("closed by the agent", len(closed)),
        ("of these never read by anybody", sum(found[i].judged and i not in run.labels for i in closed)),
        ("missed: closed, and a threat", sum(bool(found[i].step) for i in closed)),
    )
    return [list(step) for step in steps]


def reliability(run: Run, model: Model) -> list[dict[str, Any]]:
    """Findings by the probability of a threat that the shipped model gave them, against what people found."""
    bins = [[0, 0, 0] for _ in _BINS[1:]]
    for i, score in run.scores.items():
        if not run.stream.found[i].judged:
            continue
        said = merged_ppm(*model.calibration.interval(score))
        place = next(k for k, top in enumerate(_BINS[1:]) if said < top)
        bins[place][0] += 1
        bins[place][1] += bool(run.stream.found[i].step)
        bins[place][2] += said
    return [
        {"from": _BINS[k] / PPM, "findings": n, "said": total / n / PPM, "found": interval(threats, n)}
        for k, (n, threats, total) in enumerate(bins)
        if n
    ]


def tuned(run: Run) -> dict[str, Any] | None:
    """What a threshold simply tuned would do: the highest score below which the first half of the judged findings holds at
    most alpha threats, applied to the second half. No promise, no patterns, no cases. None when there is no such score."""
    found = run.stream.found
    order = sorted((i for i in run.scores if found[i].judged), key=lambda i: found[i].first_ms)
    half = len(order) // 2
    first, second = order[:half], order[half:]
    top = naive_threshold_without_any_guarantee([run.scores[i] for i in first], [bool(found[i].step) for i in first])
    if top is None or not second:
        return None
    closed = [i for i in second if run.scores[i] <= top]
    missed = [i for i in closed if found[i].step]
    benign = [i for i in second if not found[i].step]
    return {
        "tuned_on": len(first),
        "applied_to": len(second),
        "closed": len(closed),
        "missed": len(missed),
        "for": interval(len(missed), len(closed)),
        "benign_closed_share": round((len(closed) - len(missed)) / len(benign), 6) if benign else None,
        "broken": len(missed) * PPM > ALPHA_PPM * len(closed),
        "misses": [f"{found[i].name} on {found[i].anchor}" for i in missed[:MISSES_MAX]],
    }


def moment(at_ms: int) -> str:
    """ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def promise() -> dict[str, float]:
    """What the bound promises."""
    return {"alpha": ALPHA_PPM / PPM, "delta": DELTA_PPM / PPM, "hard_cap": HARD_CAP_PPM / PPM}
