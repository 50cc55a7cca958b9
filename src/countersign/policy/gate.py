"""The gate: every condition of design/triage.md section 5, by name. All hold, or a person sees the finding.

The conditions are the clauses of the one Cedar permit for ``close`` (``default/close.cedar``, or the one that a site has
activated). Each is asked of the engine by itself and remembered on the exact content of what it reads; when all hold, the
whole set decides the whole request. A fact that could not be established is ``None`` here and left out of the request: the
condition is then *unevaluated*, which counts as failed (P4). The words beside an answer are this module's; the answer is the
engine's. Facts carry no person's identifier: only counts, classes and thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from countersign.autonomy.bounds import reviews_needed
from countersign.autonomy.scopes import Scope, Stage
from countersign.errors import ConfigError
from countersign.model.alerts import Severity
from countersign.model.decisions import Action, Condition, Decision, Outcome
from countersign.model.inventory import Criticality
from countersign.model.verdicts import PPM, Label
from countersign.policy import conditions
from countersign.policy.conditions import Probe
from countersign.policy.engine import PolicyEngine, Request, Uid, Value
from countersign.policy.shipped import default_engine
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


CLOSE = "close"
AGENT, FINDING = Uid("Agent", "triage"), Uid("Finding", "this")
"""Who closes, and what: the policy knows a finding by its facts, so that answers can be remembered."""
_OWN_STATE = frozenset({"stage", "kill_switch", "alarm", "reviews", "threshold", "budget"})
"""Conditions about the scope, not about the finding."""


class Gate:
    """One policy set's gate. Raises ConfigError, naming file and line, unless exactly one permit closes: its clauses are the
    conditions, and a forbid that speaks of closing is one more."""

    def __init__(self, engine: PolicyEngine) -> None:
        self._engine = engine
        concerned = [one for one in engine.policies.values() if conditions.concerns(one, CLOSE, AGENT.type)]
        permits = [one for one in concerned if one.effect == "permit"]
        if len(permits) != 1:
            where = permits[1].id if permits else "close.cedar"
            todo = 'name the action in every permit (action == Action::"…"), and let one speak of close'
            raise ConfigError(f"{len(permits)} permits close", where=where, todo=todo)
        forbids = [conditions.forbid_probe(one) for one in concerned if one.effect == "forbid"]
        self._asked = tuple(_Asked(probe, _shipped(engine)) for probe in (*conditions.probes(permits[0]), *forbids))
        self.conditions = tuple(one.name for one in self._asked)
        self.probes = tuple(one.probe for one in self._asked)
        self.decide = lru_cache(maxsize=MEMO_MAX)(self._decide)

    def _decide(self, given: GateInput) -> Decision:
        """Close only if every condition held and the whole set says so. ``advice`` leaves the stage aside: what the gate would
        say if the scope's stage allowed closing; shown to people, never executed. ``why``: the most telling reason for a
        person, "" on a close. ``quiet``: nothing but the scope's own state speaks against closing.
        Remembered on the exact content of the request."""
        found = tuple([asked.answer(given) for asked in self._asked])
        failed = frozenset([c.name for c in found if c.outcome is not Outcome.HELD])
        if not failed and not (said := self._engine.decide(request(given))).allowed:
            found = (*found, Condition("policy", Outcome.FAILED, said.why, "the policy set allows it"))
            failed = frozenset(["policy"])
        return Decision(
            action=Action.ESCALATE if failed else Action.CLOSE,
            advice=Action.ESCALATE if failed - {"stage"} else Action.CLOSE,
            scope=given.scope.name,
            stage=(given.stage or Stage.ADVISE).value,
            conditions=found,
            why=_why(given, failed),
            quiet=_quiet(given, failed),
        )


class _Asked:
    """One condition, asked of the engine once for each content of what it reads and says."""

    def __init__(self, probe: Probe, shipped: bool) -> None:
        self.name, self.probe = probe.name, probe
        self._words = CHECKS.get(probe.name) if shipped or _same(probe) else None
        fields = dict.fromkeys(path for fact in probe.facts for path in _FIELDS.get(fact, ()))
        fields |= dict.fromkeys(_SPOKEN.get(probe.name, ()))
        if probe.forbids or "principal" in probe.source:
            fields |= {"stopped": None}
        self._key: Callable[[GateInput], Any] = attrgetter(*fields) if fields else lambda _given: None
        self._remembered: dict[Any, Condition] = {}

    def answer(self, given: GateInput) -> Condition:
        """By the engine, in words."""
        key = self._key(given)
        known = self._remembered.get(key)
        if known is None:
            if len(self._remembered) >= MEMO_MAX:
                self._remembered.clear()
            known = self._remembered[key] = self._ask(given)
        return known

    def _ask(self, given: GateInput) -> Condition:
        asked = request(given)
        said = conditions.outcome(self.probe, asked)
        unknown = said == "error" or (said == "failed" and any(fact not in asked.context for fact in self.probe.optional))
        outcome = Outcome.HELD if said == "held" else Outcome.UNEVALUATED if unknown else Outcome.FAILED
        if self._words is None:
            have = conditions.have(self.probe, asked)
            return Condition(self.name, outcome, have, self.probe.source)
        have, need = self._words(given, outcome)
        return Condition(self.name, outcome, "not known" if unknown else have, need)


@cache
def default_gate() -> Gate:
    """The gate of the default set."""
    return Gate(default_engine())


def request(given: GateInput) -> Request:
    """The facts as the policy is asked about them; what could not be established is left out, and so is a severity that no
    tool gave where the scope does not say that such findings may close."""
    facts = {name: take(given) for name, take in FACTS.items()}
    context = {name: value for name, value in facts.items() if value is not None}
    agent: dict[str, Value] = {"id": AGENT.id, "killed": given.stopped is not False, "operations": ("finding.decide",)}
    return Request(AGENT, CLOSE, FINDING, {AGENT: agent, FINDING: {}}, context)


def _severity_fact(given: GateInput) -> int | None:
    unknown = given.severity is Severity.UNKNOWN and not given.scope.severity_unknown
    return None if unknown else int(given.severity)


FACTS: Mapping[str, Callable[[GateInput], Value | None]] = {
    "stage": lambda g: g.stage and g.stage.value,
    "stopped": lambda g: g.stopped,
    "alarm": lambda g: g.alarm,
    "reviewed": lambda g: g.reviewed,
    "label": lambda g: g.label.value,
    "p1_ppm": lambda g: g.p1_ppm,
    "threshold_ppm": lambda g: g.threshold_ppm,
    "asset_criticality": lambda g: g.asset_criticality,
    "identity_criticality": lambda g: g.identity_criticality,
    "unknown_entities": lambda g: g.unknown_entities,
    "pattern_known": lambda g: g.pattern_known,
    "novelty_ppm": lambda g: g.novelty_ppm,
    "sources_unavailable": lambda g: g.sources_unavailable,
    "ti_hits": lambda g: g.ti_hits,
    "case_undecided": lambda g: g.case_undecided,
    "case_threats": lambda g: g.case_threats,
    "severity": _severity_fact,
    "severity_max": lambda g: int(g.scope.severity_max),
    "tactics": lambda g: g.tactics,
    "scope": lambda g: g.scope.name,
    "scope_tactics": lambda g: g.scope.tactics,
    "closed_this_hour": lambda g: g.closed_this_hour,
    "closes_per_hour": lambda g: g.scope.closes_per_hour,
    "concerns": lambda g: g.concerns,
}
"""What the schema calls the facts of the gate's input."""
_FIELDS: Mapping[str, tuple[str, ...]] = {name: (name,) for name in FACTS} | {
    "severity": ("severity", "scope.severity_unknown"),
    "severity_max": ("scope.severity_max",),
    "scope": ("scope.name",),
    "scope_tactics": ("scope.tactics",),
    "closes_per_hour": ("scope.closes_per_hour",),
}
"""Which fields of the input a fact is made of: the exact content by which a condition's answer is remembered."""
_SPOKEN: Mapping[str, tuple[str, ...]] = {"pattern": ("pattern_doubt",)}
"""Fields that only the words of a condition read."""


def _shipped(engine: PolicyEngine) -> bool:
    return engine is default_engine()


def _same(probe: Probe) -> bool:
    """Whether the clause is the one that ships under this name, so that its words are true of it."""
    return any(one.clause == probe.clause for one in default_gate().probes if one.name == probe.name)


def _quiet(given: GateInput, failed: frozenset[str]) -> int:
    if given.label is not Label.BENIGN or failed - _OWN_STATE:
        return 0
    return 1 if "threshold" in failed and given.p1_ppm is not None else 2


# -- words: (have, need) of each condition; "not known" stands for what could not be evaluated

Words = tuple[str, str]


def _stage(given: GateInput, _said: Outcome) -> Words:
    return given.stage.value if given.stage else "", "supervised or autonomous"


def _kill_switch(given: GateInput, _said: Outcome) -> Words:
    return "on" if given.stopped else "off", "off"


def _alarm(given: GateInput, _said: Outcome) -> Words:
    return "raised" if given.alarm else "none", "none"


def _reviews(given: GateInput, _said: Outcome) -> Words:
    return f"{given.reviewed} reviewed", f"at least {REVIEWED_MIN}"


def _threshold(given: GateInput, _said: Outcome) -> Words:
    p1, limit = given.p1_ppm, given.threshold_ppm
    if p1 is None or limit is None:
        return "", "reviews here that vouch for this score"
    return f"up to {percent(p1)}, {given.label.value}", f"at most {percent(min(limit, HARD_CAP_PPM))}, benign"


def _assets(given: GateInput, _said: Outcome) -> Words:
    asset, identity = given.asset_criticality, given.identity_criticality
    if asset is None or identity is None:
        return "", "criticality below high"
    return _criticality(max(asset, identity)), "below high"


def _entities_known(given: GateInput, _said: Outcome) -> Words:
    return f"{given.unknown_entities} unknown", "all in the inventory or external"


def _pattern(given: GateInput, said: Outcome) -> Words:
    held = said is Outcome.HELD
    have = f"known, p {percent(given.novelty_ppm)}" if held else given.pattern_doubt or "not known"
    return have, f"{REVIEWS_MIN} benign reviews under 90 days, p above {percent(EPSILON_PPM)}"


def _sources(given: GateInput, _said: Outcome) -> Words:
    silent = given.sources_unavailable
    return ", ".join(silent) + " unavailable" if silent else "all answered", "every required source answered"


def _intel(given: GateInput, _said: Outcome) -> Words:
    return count(given.ti_hits, "hit"), "no hit"


def _case(given: GateInput, _said: Outcome) -> Words:
    have = f"{given.case_undecided} undecided, {count(given.case_threats, 'threat')}"
    return have, "no other finding undecided or a threat"


def _severity(given: GateInput, _said: Outcome) -> Words:
    return given.severity.name.lower(), f"at most {given.scope.severity_max.name.lower()}"


def _tactic(given: GateInput, _said: Outcome) -> Words:
    return ", ".join(given.tactics) or "none", "within the scope's tactics"


def _budget(given: GateInput, _said: Outcome) -> Words:
    return f"{given.closed_this_hour} this hour", f"below {given.scope.closes_per_hour}"


def _concern(given: GateInput, _said: Outcome) -> Words:
    return count(given.concerns, "concern"), "none raised"


CHECKS: dict[str, Callable[[GateInput, Outcome], Words]] = {
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
"""Names of the default set's conditions, in the order of every decision by it."""


def _criticality(value: int) -> str:
    return Criticality(value).name.lower() if value >= 0 else "not in the inventory"


def _why(given: GateInput, failed: frozenset[str]) -> str:
    """The first reason that applies, most telling first, so that the queue's column tells cases apart."""
    said = next((phrase for name, phrase in _reasons(given) if phrase and name in failed), "")
    return said or next((f"policy: {name.replace('_', ' ')}" for name in sorted(failed)), "")


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


decide = default_gate().decide
"""What the default set's gate says; remembered on the exact content of the request."""
