"""MITRE ATT&CK Enterprise tactics in kill-chain order: a later tactic means the attacker has come further."""

from __future__ import annotations

from collections.abc import Iterable

KILL_CHAIN = (
    "TA0043",  # reconnaissance
    "TA0042",  # resource development
    "TA0001",  # initial access
    "TA0002",  # execution
    "TA0003",  # persistence
    "TA0004",  # privilege escalation
    "TA0005",  # defence evasion
    "TA0006",  # credential access
    "TA0007",  # discovery
    "TA0008",  # lateral movement
    "TA0009",  # collection
    "TA0011",  # command and control
    "TA0010",  # exfiltration
    "TA0040",  # impact
)
"""The stages that models are made on: a stage's number never changes its meaning."""
_ORDER = {tactic: place for place, tactic in enumerate(KILL_CHAIN)}
_ORDER["TA0112"] = _ORDER["TA0005"]  # ATT&CK 19 split defence impairment off defence evasion: the same stage


def stage(tactics: Iterable[str]) -> int:
    """Place of the furthest tactic in the kill chain, 0 to 13; -1 when none is known."""
    return max((_ORDER.get(tactic, -1) for tactic in tactics), default=-1)
