"""Scopes: where autonomy may be granted, each with its own limits. Every scope starts in ``advise`` (P11).

Nothing in this room raises a stage: going up takes a person (design: triage.md section 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

from countersign.model.alerts import Severity
from countersign.model.entities import EntityType
from countersign.model.findings import Finding


class Stage(StrEnum):
    """How much the agent may do alone in a scope."""

    OBSERVE = "observe"
    ADVISE = "advise"
    SUPERVISED = "supervised"
    AUTONOMOUS = "autonomous"


CLOSING_STAGES = frozenset({Stage.SUPERVISED, Stage.AUTONOMOUS})
"""Stages in which the agent may close."""
START_STAGE = Stage.ADVISE

EARLY_TACTICS = ("TA0043", "TA0042", "TA0001", "TA0007")
"""Reconnaissance, resource development, initial access, discovery: attempts, of which every site sees many. A tuple: scopes
are written into records, and a set has no order that two processes share."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A named selector with what it allows. severity_max: highest severity that may close. tactics: ATT&CK tactics a
    closed finding may carry (one without any tactic is within). closes_per_hour: budget. severity_unknown: whether a
    finding of a tool that grades nothing may close; a site says so where its tools are like that."""

    name: str
    title: str
    severity_max: Severity
    tactics: tuple[str, ...]
    closes_per_hour: int
    severity_unknown: bool = False


DEFAULT_SCOPES: Mapping[str, Scope] = MappingProxyType(
    {
        scope.name: scope
        for scope in (
            Scope("phishing", "Reported and detected mail", Severity.MEDIUM, EARLY_TACTICS, 120),
            Scope("endpoint", "Hosts and their logs", Severity.MEDIUM, EARLY_TACTICS, 300),
            Scope("network", "Traffic and intrusion detection", Severity.MEDIUM, EARLY_TACTICS, 300),
            Scope("identity", "Sign-ins and accounts", Severity.MEDIUM, EARLY_TACTICS, 120),
            Scope("cloud", "Cloud control planes", Severity.MEDIUM, EARLY_TACTICS, 120),
            Scope("other", "Everything else", Severity.LOW, (), 60),
        )
    }
)

_BY_WORD: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("phishing", ("proofpoint", "mimecast", "phish", "email", "mail gateway")),
    ("identity", ("okta", "duo", "onelogin", "entra", "active directory", "identity", "keycloak")),
    ("cloud", ("aws", "azure", "gcp", "guardduty", "cloudtrail", "microsoft365", "gsuite", "workspace", "github", "wiz")),
    ("network", ("suricata", "zeek", "snort", "firewall", "palo alto", "fortigate", "canary", "ids")),
    ("endpoint", ("wazuh", "aminer", "defender", "crowdstrike", "falcon", "sentinelone", "sysmon", "osquery", "elastic")),
)
"""First scope with a word of the product's name; the product is the tool's own name, not text from the event."""


def scope_of(finding: Finding) -> Scope:
    """The scope of a finding: by its product, else by what it speaks of, else ``other``."""
    return DEFAULT_SCOPES[_scope_by_product(finding.product) or _scope_by_entities(finding)]


@lru_cache(maxsize=1024)
def _scope_by_product(product: str) -> str:
    name = product.lower()
    words = set(name.replace("-", " ").replace("_", " ").split())
    for scope, terms in _BY_WORD:
        if any(term in words if len(term) <= 4 else term in name for term in terms):
            return scope
    return ""


def _scope_by_entities(finding: Finding) -> str:
    types = {entity.type for entity in finding.entities}
    for kind, scope in (
        (EntityType.MAIL, "phishing"),
        (EntityType.HOST, "endpoint"),
        (EntityType.USER, "identity"),
        (EntityType.IP, "network"),
    ):
        if kind in types:
            return scope
    return "other"
