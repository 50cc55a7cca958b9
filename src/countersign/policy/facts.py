"""What the gate is told of one finding, and how the policy is asked about it.

Facts carry no person's identifier: only counts, classes and thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from countersign.autonomy.scopes import Scope, Stage
from countersign.model.alerts import Severity
from countersign.model.verdicts import Label
from countersign.policy.engine import Request, Uid, Value

CLOSE = "close"
AGENT, FINDING = Uid("Agent", "triage"), Uid("Finding", "this")
"""Who closes, and what: the policy knows a finding by its facts, so that answers can be remembered."""


class GateInput(msgspec.Struct, frozen=True, gc=False):
    """Everything the gate asks about one finding. ``None``: could not be established.

    p1_ppm: upper end of P(threat) at this score by the scope's own reviews, None while they vouch for no score at all.
    reviewed: closes and would-be closes of the scope that people reviewed since its evidence began.
    threshold_ppm: p1 in force for the scope (the hard cap holds besides).  probability_ppm: the model's one figure.
    asset_criticality, identity_criticality: highest ``inventory.Criticality`` among the entities, -1 when the inventory
    names none.  unknown_entities: entities neither in the inventory nor proven external.  pattern_known with
    pattern_doubt: ``triage.novelty.assess``.  sources_unavailable: names of required lookups that did not answer.
    case_undecided, case_threats: other findings of the case, and of the same entities within the last hour.
    sealed: the ledger's entries are sealed within the site's limit.
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
    sealed: bool | None = None


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
    "sealed": lambda g: g.sealed,
}
"""What the schema calls the facts of the gate's input."""
FIELDS: Mapping[str, tuple[str, ...]] = {name: (name,) for name in FACTS} | {
    "severity": ("severity", "scope.severity_unknown"),
    "severity_max": ("scope.severity_max",),
    "scope": ("scope.name",),
    "scope_tactics": ("scope.tactics",),
    "closes_per_hour": ("scope.closes_per_hour",),
}
"""Which fields of the input a fact is made of: the exact content by which a condition's answer is remembered."""
SPOKEN: Mapping[str, tuple[str, ...]] = {"pattern": ("pattern_doubt",)}
"""Fields that only the words of a condition read."""
