"""The words of the gate: (have, need) of each condition that ships, and the one reason that tells a person most.

The answers are the engine's (``gate``); these only say them. "not known" stands for what could not be evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from countersign.autonomy.bounds import reviews_needed
from countersign.model.decisions import Outcome
from countersign.model.inventory import Criticality
from countersign.model.verdicts import PPM, Label
from countersign.policy.facts import GateInput
from countersign.policy.words import count, percent
from countersign.triage.model import HARD_CAP_PPM
from countersign.triage.novelty import EPSILON_PPM, REVIEWS_MIN

Words: TypeAlias = tuple[str, str]
REVIEWED_MIN = reviews_needed()
"""Fewest reviewed in a scope before anything in it closes, at the default risk and confidence."""


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


def _ledger(given: GateInput, _said: Outcome) -> Words:
    return "sealed in time" if given.sealed else "not sealed in time", "entries sealed within the site's limit"


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
    "ledger": _ledger,
}
CONDITIONS = tuple(CHECKS)
"""Names of the default set's conditions, in the order of every decision by it."""


def _criticality(value: int) -> str:
    return Criticality(value).name.lower() if value >= 0 else "not in the inventory"


def why(given: GateInput, failed: frozenset[str]) -> str:
    """The first reason that applies, most telling first, so that the queue's column tells cases apart; "" on a close."""
    if not failed:
        return ""
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
    yield "ledger", "ledger not sealed in time"
    yield "reviews", f"{given.reviewed or 0} of {REVIEWED_MIN} reviewed in this scope"
    yield "threshold", "too few reviews here at this score"
    yield "stage", f"scope in stage {given.stage.value}" if given.stage else "stage not known"


def _asset_words(given: GateInput) -> str:
    if given.asset_criticality is None or given.identity_criticality is None:
        return "criticality not known"
    kind = "asset" if given.asset_criticality >= given.identity_criticality else "identity"
    return f"{_criticality(max(given.asset_criticality, given.identity_criticality))}-value {kind}"
