"""Careful English for features, times and lists: what the record says, and nothing beyond it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from countersign.model.alerts import Severity
from countersign.model.attack import tactic_name
from countersign.model.inventory import Criticality
from countersign.model.verdicts import PICO, PPM
from countersign.triage.features import CATEGORICAL
from countersign.triage.tactics import KILL_CHAIN
from countersign.triage.terms import MISSING_TEXT
from countersign.triage.text import PREFIX, REST

TEXT_CHARS_MAX = 120
"""Longest quoted title or name; the whole stands with the finding that is cited."""
_NUMBER = re.compile(r"[0-9]+")
_LAST_NUMBER = re.compile(r"([0-9]+)(?!.*[0-9])")

_FEATURES = {
    "alerts": "alerts folded into the finding",
    "actors": "distinct actors",
    "pair_firings": "earlier firings of the rule on this host",
    "pair_gap_s": "how long the rule had been quiet here before",
    "rule_firings": "earlier firings of the rule",
    "rule_gap_s": "how long the rule had been quiet on the site before",
    "rule_hosts": "hosts on which the rule has fired",
    "host_rules_15m": "different rules on the host within 15 minutes",
    "host_alerts_15m": "alerts on the host within 15 minutes",
    "site_rules_15m": "different rules on the site within 15 minutes",
    "site_alerts_15m": "alerts on the site within 15 minutes",
    "tool": "reporting tool",
    "host_role": "role of the host",
    "severity": "severity stated by the tool",
    "tactic_stage": "furthest ATT&CK tactic",
    "tactics_in_case": "tactics in the case",
    "asset_criticality": "criticality of the asset",
    "identity_criticality": "criticality of the identity",
    "ti_hits": "threat-intelligence hits",
    "off_hours": "outside office hours",
    "pattern_share_ppm": "share of threats among reviewed findings of this pattern",
    "rule_share_ppm": "share of threats among reviewed findings of this rule",
    "host_rare_1h": "other rules that broke a day's quiet here within the hour",
}
_LEVELS = tuple(level.name.lower() for level in Criticality)


def feature(name: str) -> str:
    """A feature's name in words; one that is not known here keeps its own."""
    if name.startswith(PREFIX):
        return "other words in the text" if name == REST else "words in the text"
    return _FEATURES.get(name, name.replace("_", " "))


def value(name: str, raw: int | str) -> str:
    """A feature's value in words; -1 stands for "never" or "not known"."""
    if isinstance(raw, str):
        if name.startswith(PREFIX):
            return f"“{clip(raw)}”"
        return _span_of_values(name, clip(raw)) or "not given"
    if raw < 0:
        return "never" if name.endswith("_gap_s") else "not known"
    if name.endswith("_gap_s"):
        return span(raw)
    if name.endswith("_ppm"):
        return percent(raw)
    return _scale(name, raw)


def _span_of_values(name: str, text: str) -> str:
    """A range as a counterfactual names it (``1034 to 1457``, ``9 or more``), its numbers in the words of the feature."""
    if name.endswith("_gap_s"):
        return _LAST_NUMBER.sub(r"\1 s", text)
    if text == MISSING_TEXT:
        return "not known"
    return text if name in CATEGORICAL else _NUMBER.sub(lambda found: value(name, int(found[0])), text)


def _scale(name: str, raw: int) -> str:
    if name == "off_hours":
        return "yes" if raw else "no"
    if name == "severity" and raw <= Severity.FATAL:
        return Severity(raw).name.lower()
    if name.endswith("_criticality") and raw < len(_LEVELS):
        return _LEVELS[raw]
    if name == "tactic_stage" and raw < len(KILL_CHAIN):
        return tactic_name(KILL_CHAIN[raw])
    return str(raw)


def weight(pico: int) -> str:
    """Signed log-odds: ``+1.42``."""
    return f"{pico / PICO:+.2f}".replace("-", "−")


def percent(ppm: int) -> str:
    """``0.6 %``, ``43 %``; a doubt is never rounded away to 0 % or 100 %."""
    if 0 < ppm < 1_000:
        return "below 0.1 %"
    if PPM - 1_000 < ppm < PPM:
        return "above 99.9 %"
    return f"{ppm / 10_000:.0f} %" if ppm >= 100_000 or ppm % 10_000 == 0 else f"{ppm / 10_000:.1f} %"


def span(seconds: int) -> str:
    """``40 s``, ``12 min``, ``5 h``, ``3 d``: rounded down."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{max(0, seconds)} s"


def moment(time_ms: int) -> str:
    """``2026-01-31 09:10 UTC``; a time that no calendar holds is given in milliseconds."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, OSError, ValueError):
        return f"{time_ms} ms"


def clip(text: str) -> str:
    """One line, bounded. Control and direction characters stay: the screen makes them visible."""
    line = " ".join(text.split())
    return line if len(line) <= TEXT_CHARS_MAX else line[: TEXT_CHARS_MAX - 1] + "…"


def count(number: int, noun: str) -> str:
    """``1 alert``, ``3 alerts``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
