"""The gate: every condition of design/triage.md section 5, by name. All hold, or a person sees the finding.

Each condition is a total function of what is known. A fact that could not be established is ``None`` and makes the
condition *unevaluated*, which counts as failed (P4). The facts named carry no person's identifier: only counts,
classes and thresholds. Adding a doubt can only turn a condition from held to failed or unevaluated, never back, so no
added doubt turns an escalation into a close.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import msgspec

from countersign.autonomy.bounds import reviews_needed
from countersign.autonomy.scopes import CLOSING_STAGES, Scope, Stage
from countersign.model.alerts import Severity
from countersign.model.decisions import Action, Condition, Decision, Outcome
from countersign.model.inventory import Criticality
from countersign.model.verdicts import PPM, Label
from countersign.policy.words import count, percent
from countersign.triage.model import HARD_CAP_PPM
from countersign.triage.novelty import EPSILON_PPM, REVIEWS_MIN

MEMO_MAX = 8192
REVIEWED_MIN = reviews_needed()
"""Fewest reviewed in a scope before anything in it closes, at the default risk and confidence."""


class GateInput(msgspec.Struct, frozen=True, gc=False):
    """Everything the gate asks about one finding. ``None``: could not be established.

    p1_ppm: upper end of P(threat) at this score by the scope's own reviews, None while they vouch for no score at all.
    reviewed: closes and would-be closes of the scope that people reviewed since its evidence began.
    threshold_ppm: p1 in force for the scope (the hard cap holds besides).  probability_ppm: the model's one figure.
    asset_criticality, identity_criticality: highest ``inventory.Criticality`` among the entities, -1 when the inventory
    names none.  unknown_entities: entities neither in the inventory nor proven external.  pattern_known with
    pattern_doubt: ``triage.novelty.assess``.  sources_unavailable: names of required lookups that did not answer.
    case_undecided, case_threats: other findings of the case, and of the same entities within the last hour.
    closed_this_hour: closes of the scope.  concerns: raised by reasoners, or by people who took a close back.  ti_hits:
    entities that intelligence names.
    """

    scope: Scope
    stage: Stage | None
    stopped: bool | None
    alarm: bool | None
    reviewed: int | None
    label: Label
    p1_ppm: int | None
    threshold_ppm: int | None
    probability_ppm: int
    asset_criticality: int | None
    identity_criticality: int | None
    unknown_entities: int | None
    pattern_known: bool | None
    pattern_doubt: str
    novelty_ppm: int
    sources_unavailable: tuple[str, ...] | None
    case_undecided: int | None
    case_threats: int | None
    severity: Severity
    tactics: tuple[str, ...]
    closed_this_hour: int | None
    concerns: int | None
    ti_hits: int | None


@lru_cache(maxsize=MEMO_MAX)
def decide(given: GateInput) -> Decision:
    """Close only if every condition held. ``advice`` leaves the stage aside: what the gate would say if the scope's
    stage allowed closing; shown to people, never executed. ``why``: the most telling reason for a person, "" on a close.
    ``quiet``: nothing but the scope's own state speaks against closing.
    Remembered on the exact content of the request."""
    conditions = tuple(check(given) for check in CHECKS.values())
    failed = frozenset(c.name for c in conditions if c.outcome is not Outcome.HELD)
    return Decision(
        action=Action.ESCALATE if failed else Action.CLOSE,
        advice=Action.ESCALATE if failed - {"stage"} else Action.CLOSE,
        scope=given.scope.name,
        stage=(given.stage or Stage.ADVISE).value,
        conditions=conditions,
        why=_why(given, failed),
        quiet=_quiet(given, failed),
    )


_OWN_STATE = frozenset({"stage", "kill_switch", "alarm", "reviews", "threshold", "budget"})
"""Conditions about the scope, not about the finding."""


def _quiet(given: GateInput, failed: frozenset[str]) -> int:
    if given.label is not Label.BENIGN or failed - _OWN_STATE:
        return 0
    return 1 if "threshold" in failed and given.p1_ppm is not None else 2


def _stage(given: GateInput) -> Condition:
    return _answer(
        "stage",
        given.stage,
        given.stage in CLOSING_STAGES,
        given.stage.value if given.stage else "",
        "supervised or autonomous",
    )


def _kill_switch(given: GateInput) -> Condition:
    return _answer("kill_switch", given.stopped, not given.stopped, "on" if given.stopped else "off", "off")


def _alarm(given: GateInput) -> Condition:
    return _answer("alarm", given.alarm, not given.alarm, "raised" if given.alarm else "none", "none")


def _reviews(given: GateInput) -> Condition:
    seen = given.reviewed
    return _answer(
        "reviews", seen, seen is not None and seen >= REVIEWED_MIN, f"{seen} reviewed", f"at least {REVIEWED_MIN}"
    )


def _threshold(given: GateInput) -> Condition:
    p1, limit = given.p1_ppm, given.threshold_ppm
    if p1 is None or limit is None:
        return _unevaluated("threshold", "reviews here that vouch for this score")
    limit = min(limit, HARD_CAP_PPM)
    held = p1 <= limit and given.label is Label.BENIGN
    return _named("threshold", held, f"up to {percent(p1)}, {given.label.value}", f"at most {percent(limit)}, benign")


def _assets(given: GateInput) -> Condition:
    both = (given.asset_criticality, given.identity_criticality)
    if None in both:
        return _unevaluated("assets", "criticality below high")
    highest = max(value for value in both if value is not None)
    return _named("assets", highest < Criticality.HIGH, _criticality(highest), "below high")


def _entities_known(given: GateInput) -> Condition:
    unknown = given.unknown_entities
    return _answer("entities_known", unknown, unknown == 0, f"{unknown} unknown", "all in the inventory or external")


def _pattern(given: GateInput) -> Condition:
    held = bool(given.pattern_known) and given.novelty_ppm > EPSILON_PPM
    have = f"known, p {percent(given.novelty_ppm)}" if held else given.pattern_doubt or "not known"
    need = f"{REVIEWS_MIN} benign reviews under 90 days, p above {percent(EPSILON_PPM)}"
    return _answer("pattern", given.pattern_known, held, have, need)


def _sources(given: GateInput) -> Condition:
    silent = given.sources_unavailable
    have = ", ".join(silent) + " unavailable" if silent else "all answered"
    return _answer("sources", silent, not silent, have, "every required source answered")


def _intel(given: GateInput) -> Condition:
    return _answer("intel", given.ti_hits, given.ti_hits == 0, count(given.ti_hits, "hit"), "no hit")


def _case(given: GateInput) -> Condition:
    undecided, threats = given.case_undecided, given.case_threats
    if undecided is None or threats is None:
        return _unevaluated("case", "no other finding undecided or a threat")
    have = f"{undecided} undecided, {count(threats, 'threat')}"
    return _named("case", undecided == 0 and threats == 0, have, "no other finding undecided or a threat")


def _severity(given: GateInput) -> Condition:
    need = f"at most {given.scope.severity_max.name.lower()}"
    if given.severity is Severity.UNKNOWN and not given.scope.severity_unknown:
        return _unevaluated("severity", need)
    return _named("severity", given.severity <= given.scope.severity_max, given.severity.name.lower(), need)


def _tactic(given: GateInput) -> Condition:
    beyond = set(given.tactics) - set(given.scope.tactics)
    return _named("tactic", not beyond, ", ".join(given.tactics) or "none", "within the scope's tactics")


def _budget(given: GateInput) -> Condition:
    used, limit = given.closed_this_hour, given.scope.closes_per_hour
    return _answer("budget", used, used is not None and used < limit, f"{used} this hour", f"below {limit}")


def _concern(given: GateInput) -> Condition:
    return _answer("concern", given.concerns, given.concerns == 0, count(given.concerns, "concern"), "none raised")


CHECKS: dict[str, Callable[[GateInput], Condition]] = {
    "stage": _stage,
    "kill_switch": _kill_switch,
    "alarm": _alarm,
    "reviews": _reviews,
    "threshold": _threshold,
    "assets": _assets,
    "entities_known": _entities_known,
    "pattern": _pattern,
    "sources": _sources,
    "intel": _intel,
    "case": _case,
    "severity": _severity,
    "tactic": _tactic,
    "budget": _budget,
    "concern": _concern,
}
CONDITIONS = tuple(CHECKS)
"""Names of the conditions, in the order of every decision."""


def _answer(name: str, fact: object, held: bool, have: str, need: str) -> Condition:
    return _unevaluated(name, need) if fact is None else _named(name, held, have, need)


def _named(name: str, held: bool, have: str, need: str) -> Condition:
    return Condition(name, Outcome.HELD if held else Outcome.FAILED, have, need)


def _unevaluated(name: str, need: str) -> Condition:
    return Condition(name, Outcome.UNEVALUATED, "not known", need)


def _criticality(value: int) -> str:
    return Criticality(value).name.lower() if value >= 0 else "not in the inventory"


def _why(given: GateInput, failed: frozenset[str]) -> str:
    """The first reason that applies, most telling first, so that the queue's column tells cases apart."""
    return next((phrase for name, phrase in _reasons(given) if phrase and name in failed), "")


def _reasons(given: GateInput) -> Iterator[tuple[str, str]]:
    """(condition, phrase), lazily: words are made only until one applies."""
    insufficient = given.label is Label.INSUFFICIENT
    yield "kill_switch", "agent stopped by a person"
    yield "alarm", "alarm: misses above the limit"
    yield "assets", _asset_words(given)
    yield "case", f"case holds {count(given.case_threats, 'other threat')}" if given.case_threats else ""
    yield "intel", f"threat intelligence: {count(given.ti_hits, 'hit')}"
    if given.label is Label.THREAT:
        yield "threshold", f"looks like a threat: {percent(given.probability_ppm)}"
    yield "severity", f"severity {given.severity.name.lower()}" if given.severity else ""
    yield "tactic", "tactic beyond the scope"
    yield "concern", "a person or a reasoner raised a concern"
    yield "sources", f"{', '.join(given.sources_unavailable or ('a source',))} unavailable"
    yield "threshold", "too little known for a verdict" if insufficient else ""
    yield "threshold", f"may be a threat: up to {percent(given.p1_ppm)}" if given.p1_ppm not in (None, PPM) else ""
    yield "case", f"case holds {count(given.case_undecided, 'other open finding')}"
    yield "pattern", given.pattern_doubt or "pattern not known"
    yield "entities_known", "entity not in the inventory"
    yield "budget", "hourly budget of closes used up"
    yield "severity", "severity not given"
    yield "reviews", f"{given.reviewed or 0} of {REVIEWED_MIN} reviewed in this scope"
    yield "threshold", "too few reviews here at this score"
    yield "stage", f"scope in stage {given.stage.value}" if given.stage else "stage not known"


def _asset_words(given: GateInput) -> str:
    if given.asset_criticality is None or given.identity_criticality is None:
        return "criticality not known"
    kind = "asset" if given.asset_criticality >= given.identity_criticality else "identity"
    return f"{_criticality(max(given.asset_criticality, given.identity_criticality))}-value {kind}"
