"""How values read to a person: durations, probabilities, features, conditions, counterfactuals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from countersign.model.alerts import Severity
from countersign.model.attack import tactic_name
from countersign.model.cases import CaseStatus, LinkReason
from countersign.model.verdicts import PICO, PPM, Counterfactual, Label
from countersign.store.read_review import CloseRow
from countersign.triage.features import CATEGORICAL
from countersign.triage.tactics import KILL_CHAIN
from countersign.triage.text import PREFIX, REST

AGE_TARGET_MS = {
    Severity.FATAL: 900_000,
    Severity.CRITICAL: 900_000,
    Severity.HIGH: 3_600_000,
    Severity.MEDIUM: 14_400_000,
}
"""How long a case of a severity should wait at most; a day for the rest. Past it the age turns amber."""
AGE_TARGET_REST_MS = 86_400_000

SEVERITIES = {
    Severity.UNKNOWN: "severity not stated",
    Severity.INFORMATIONAL: "informational",
    Severity.LOW: "low",
    Severity.MEDIUM: "medium",
    Severity.HIGH: "high",
    Severity.CRITICAL: "critical",
    Severity.FATAL: "fatal",
}
STATUSES = {
    CaseStatus.OPEN: "open",
    CaseStatus.CLOSED_HUMAN: "closed by a person",
    CaseStatus.CLOSED_AGENT: "closed by the agent",
    CaseStatus.MERGED: "merged",
}
DISPOSITIONS = {
    "true_positive": "True positive",
    "benign": "Benign",
    "false_positive": "False positive",
    "test": "Test",
    "duplicate": "Duplicate",
}
DISPOSITION_HELP = {
    "true_positive": "a real threat",
    "benign": "it happened, and is allowed",
    "false_positive": "it did not happen",
    "test": "an exercise",
    "duplicate": "another case covers it",
}
LINK_REASONS = {
    LinkReason.FIRST: "opened the case",
    LinkReason.SAME_PATTERN: "same pattern",
    LinkReason.SAME_HOST: "same host",
    LinkReason.SAME_USER: "same user",
    LinkReason.SAME_ADDRESS: "same address",
    LinkReason.SAME_DOMAIN: "same domain",
    LinkReason.SAME_ARTEFACT: "same artefact",
    LinkReason.SAME_MAIL: "same mail",
}
FEATURES = {
    "alerts": "Alerts folded in",
    "actors": "Distinct sources",
    "pair_firings": "Earlier firings of this rule on this host",
    "pair_gap_s": "This rule was quiet here before, for",
    "rule_firings": "Earlier firings of this rule",
    "rule_gap_s": "This rule was quiet on the site before, for",
    "rule_hosts": "Hosts this rule has fired on",
    "host_rules_15m": "Rules firing on the host, 15 min",
    "host_alerts_15m": "Alerts on the host, 15 min",
    "site_rules_15m": "Rules firing on the site, 15 min",
    "site_alerts_15m": "Alerts on the site, 15 min",
    "tool": "Tool",
    "host_role": "Role of the host",
    "severity": "Severity the tool states",
    "tactic_stage": "Furthest ATT&CK tactic",
    "tactics_in_case": "Tactics in the case",
    "asset_criticality": "Asset criticality",
    "identity_criticality": "Identity criticality",
    "ti_hits": "Threat-intelligence hits",
    "off_hours": "Outside office hours",
    "pattern_share_ppm": "Threats among reviewed findings of this pattern",
    "rule_share_ppm": "Threats among reviewed findings of this rule",
    "host_rare_1h": "Other rules that broke a day's quiet here, 1 h",
}
_NUMBER = re.compile(r"-?[0-9]+", re.ASCII)
_CRITICALITIES = ("unknown", "low", "medium", "high", "critical")
_STAGES = tuple(tactic_name(tactic) for tactic in KILL_CHAIN)


CLOSE_STATES = {
    "benign": "confirmed benign by a person",
    "threat": "called a threat by a person",
    "recalled": "recalled with a miss",
    "reopened": "taken back: trouble turned up",
}
_NOT_WAITING = {
    "benign": "A person has answered on this close already.",
    "threat": "A person has answered on this close already.",
    "recalled": "A person took this close back while you were looking; it stands in the queue.",
    "reopened": "This close was taken back while you were looking: trouble turned up around it. It stands in the queue.",
}


def close_state(state: str, *, drawn: bool) -> str:
    """What became of a close."""
    return CLOSE_STATES.get(state) or ("waits for blind review" if drawn else "not drawn for review")


def not_waiting(state: str, *, drawn: bool) -> str:
    """Why a close takes no blind answer, without a word of what was found."""
    return _NOT_WAITING.get(state) or ("" if drawn else "This close was not drawn for review. Overturn it from its case.")


def reviewed_closes(closes: Sequence[CloseRow]) -> str:
    """How far people have looked at what the agent closed in a case."""
    confirmed = sum(close.state.value == "benign" for close in closes)
    waiting = sum(close.waits for close in closes)
    if confirmed and confirmed == len(closes):
        return "A person confirmed it in a blind review."
    said = "No person has looked at it yet" if not confirmed else f"People confirmed {confirmed} of {len(closes)} findings"
    return said + ("; it waits for blind review." if waiting else "; it was not drawn for blind review.")


def shares(*, pattern: bool, evidence: int, entities: int) -> str:
    """What a recalled close has in common with the miss."""
    parts = ["the pattern"] if pattern else []
    parts += [counted(evidence, "piece") + " of deciding evidence"] if evidence else []
    parts += [f"{entities:,} {'entity' if entities == 1 else 'entities'}"] if entities else []
    return ", ".join(parts) or "host and hour"


def feature(name: str) -> str:
    """A feature's name in words."""
    if name.startswith(PREFIX):
        return "Other words in the text" if name == REST else "Words in the text"
    return FEATURES.get(name, name.replace("_", " ").capitalize())


def value(name: str, raw: int | str) -> str:
    """A feature's value in words; -1 is "never" or "not known". A text such as ``8 to 19`` names a range."""
    if isinstance(raw, str):
        return (
            raw
            if name in CATEGORICAL or name.startswith(PREFIX)
            else _NUMBER.sub(lambda found: value(name, int(found[0])), raw)
        )
    if name.endswith("_gap_s"):
        return "never" if raw < 0 else span(raw * 1000)
    if name == "off_hours":
        return "yes" if raw else "no"
    if raw < 0:
        return "none reviewed" if name.endswith("share_ppm") else "not known"
    if name.endswith("_ppm"):
        return percent(raw)
    return _scale(name, raw)


def _scale(name: str, raw: int) -> str:
    if name == "tactic_stage" and raw < len(_STAGES):
        return _STAGES[raw]
    if name.endswith("_criticality") and raw < len(_CRITICALITIES):
        return _CRITICALITIES[raw]
    if name == "severity" and raw in SEVERITIES:
        return SEVERITIES[Severity(raw)]
    return f"{raw:,}"


def span(ms: int) -> str:
    """A duration in its two largest units: ``12h 33m``."""
    minutes = max(0, ms) // 60_000
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days >= 100:
        return f"{days}d"
    if days:
        return f"{days}d {hours:02}h"
    if hours:
        return f"{hours}h {rest:02}m"
    if minutes:
        return f"{rest}m"
    return f"{max(0, ms) // 1000}s"


def counted(number: int, noun: str) -> str:
    """``1 alert``, ``2,310 alerts``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def clock(ms: int) -> str:
    """UTC time of day."""
    return _utc(ms).strftime("%H:%M:%S")


def stamp(ms: int) -> str:
    """UTC date and time."""
    return _utc(ms).strftime("%Y-%m-%d %H:%M:%S")


def iso(ms: int) -> str:
    """For the ``datetime`` attribute."""
    return _utc(ms).strftime("%Y-%m-%dT%H:%M:%SZ")


def _utc(ms: int) -> datetime:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(0, UTC)


def late(severity: Severity, age_ms: int) -> bool:
    """Has a case of this severity waited past its target?"""
    return age_ms > AGE_TARGET_MS.get(severity, AGE_TARGET_REST_MS)


def percent(ppm: int) -> str:
    """``0.61 %``; never rounds a doubt away to 0 % or 100 %."""
    if 0 < ppm < 100:
        return "< 0.01 %"
    if PPM - 100 < ppm < PPM:
        return "> 99.99 %"
    share = ppm / 10_000
    if 99 <= share < 100:
        return f"{ppm // 100 / 100:g} %"
    return f"{share:.0f} %" if share >= 10 or share == int(share) else f"{share:.2f} %"


def odds(pico: int) -> str:
    """Signed log-odds with two digits: ``+1.42``."""
    return f"{pico / PICO:+.2f}".replace("-", "−")


def confidence(label: Label, p0_ppm: int, p1_ppm: int) -> tuple[int, int]:
    """(least, most) share in ppm that the verdict shown is right. For *insufficient* it is the probability of a threat:
    the side it leans to would change from row to row, and 0.87 beside "insufficient" reads like a threat."""
    return (PPM - p1_ppm, PPM - p0_ppm) if label is Label.BENIGN else (p0_ppm, p1_ppm)


def counterfactual(found: Counterfactual) -> str:
    """What would have to be different for the score to cross the threshold, as one sentence."""
    if not found.possible or not found.changes:
        return "No change of what the score looks at would move it over the threshold."
    parts = [
        f"“{feature(c.feature)}” were {value(c.feature, c.new)} instead of {value(c.feature, c.old)}" for c in found.changes
    ]
    listed = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    return f"The score would cross the threshold if {listed}."


CONDITIONS = {
    "stage": "The scope's stage lets the agent close",
    "kill_switch": "Kill switch off",
    "alarm": "No alarm raised",
    "reviews": "Enough reviewed here",
    "threshold": "Probability of a threat within the threshold",
    "assets": "No high-value asset or identity",
    "entities_known": "Everyone and everything known",
    "pattern": "Pattern judged benign by people before",
    "sources": "Every required source answered",
    "intel": "No threat-intelligence hit",
    "ledger": "Entries sealed in time",
    "case": "Nothing else in the case undecided or a threat",
    "severity": "Severity within the scope",
    "tactic": "Tactics within the scope",
    "budget": "Closes this hour below the budget",
    "concern": "No reasoner raised a concern",
    "concerns": "No reasoner raised a concern",
    "requester": "Not the one who asked",
    "entitled": "A person who may approve",
    "digest": "Exactly what was put before people",
    "expiry": "Before it expires",
    "unused": "Not used before",
    "signature": "The signature holds",
    "approved": "A person has approved",
    "approver": "A person, and not the one who asked",
    "in_time": "The approval has not expired",
    "second": "A second person too, where it takes two",
    "harmless": "Touches no system",
    "lease": "A lease for this task and target",
    "operation": "The operation is one that the agent may do",
    "task": "A lease for this task",
    "resource": "A lease for this source",
    "kind": "Something that agents may ask for",
}


def condition(name: str) -> str:
    """A gate condition's name in words."""
    return CONDITIONS.get(name, name.replace("_", " ").capitalize())
