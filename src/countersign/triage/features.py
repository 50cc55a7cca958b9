"""What the score looks at: counts of the past and facts about the surroundings, never an identity as such.

Every value is an integer, or a short lower-case word for a category; -1 means "never" or "not known". Nothing here reads
text that an attacker writes (P10): messages, domains, URLs, file names and warning-list hits are no features, and
what an alert may say about itself (severity, tactic, intelligence hits) can only add to the score.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from countersign.correlate.history import Past
from countersign.model.entities import Role
from countersign.model.findings import Finding
from countersign.model.verdicts import PPM
from countersign.triage import tactics

FEATURES = (
    "alerts",
    "actors",
    "pair_firings",
    "pair_gap_s",
    "rule_firings",
    "rule_gap_s",
    "rule_hosts",
    "host_rules_15m",
    "host_alerts_15m",
    "site_rules_15m",
    "site_alerts_15m",
    "tool",
    "host_role",
    "severity",
    "tactic_stage",
    "tactics_in_case",
    "asset_criticality",
    "identity_criticality",
    "ti_hits",
    "off_hours",
    "pattern_share_ppm",
    "rule_share_ppm",
    "host_rare_1h",
)
"""Order of the values in a row; stored with every record, so it only ever grows at the end."""

CATEGORICAL = frozenset({"tool", "host_role"})
"""Features whose value is a word."""
UNKNOWN = "unknown"
"""Category when nothing is known."""

_ACTOR = Role.ACTOR
_VALUE_MAX = 2**53
_WORD_CHARS_MAX = 48
_DAY_S = 86_400
_OFFICE_HOURS = range(7, 19)
_WEEKEND = (5, 6)
_EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday; Monday is 0

NOTHING_PAST = Past(
    pair_firings=0,
    pair_gap_s=0,
    rule_firings=0,
    rule_gap_s=0,
    rule_hosts=0,
    rule_benign=0,
    rule_threat=0,
    host_rules=0,
    host_alerts=0,
    site_rules=0,
    site_alerts=0,
)
"""The past on a site's first alert."""


class Context(msgspec.Struct, frozen=True, gc=False):
    """What the hot path knows around a finding, before scoring it.

    past: counts before the finding.  case_stages: furthest tactic of each finding already in the case.
    asset_criticality and identity_criticality: highest ``inventory.Criticality`` among the entities, -1 when none is in
    the inventory.
    host_role: the inventory's role of the main host, "" when not known.  ti_hits: entities that threat intelligence
    names.  pattern_benign, pattern_threat: people's dispositions of findings of this pattern.
    tz_offset_min: the site's offset from UTC.
    """

    past: Past = NOTHING_PAST
    case_stages: frozenset[str] = frozenset()
    asset_criticality: int = -1
    identity_criticality: int = -1
    host_role: str = ""
    ti_hits: int = 0
    pattern_benign: int = 0
    pattern_threat: int = 0
    tz_offset_min: int = 0


def features(finding: Finding, context: Context) -> tuple[int | str, ...]:
    """One row, in the order of FEATURES."""
    past = context.past
    return (
        _number(finding.count),
        _actors(finding),
        _number(past.pair_firings),
        _number(past.pair_gap_s),
        _number(past.rule_firings),
        _number(past.rule_gap_s),
        _number(past.rule_hosts),
        _number(past.host_rules),
        _number(past.host_alerts),
        _number(past.site_rules),
        _number(past.site_alerts),
        _word(finding.product),
        _word(context.host_role),
        int(finding.severity),
        tactics.stage(finding.tactics),
        _steps(context.case_stages, tactics.furthest(finding.tactics)),
        context.asset_criticality,
        context.identity_criticality,
        _number(context.ti_hits),
        off_hours(finding.first_seen_ms, context.tz_offset_min),
        share_ppm(context.pattern_benign, context.pattern_threat),
        share_ppm(past.rule_benign, past.rule_threat),
        _number(past.host_rare),
    )


def _actors(finding: Finding) -> int:
    acting = [entity for entity in finding.entities if entity.role is _ACTOR]
    return len(acting) if len(acting) < 2 else len({entity.key for entity in acting})


def _steps(stages: frozenset[str], own: str) -> int:
    """Different stages of a case with the finding's own; one that is not known is none."""
    found = stages | {own}
    return len(found) - ("" in found)


def share_ppm(benign: int, threat: int) -> int:
    """Laplace-smoothed share of threats among reviewed findings in parts per million; -1 when none was reviewed."""
    total = benign + threat
    return -1 if total <= 0 else (threat + 1) * PPM // (total + 2)


def off_hours(time_ms: int, tz_offset_min: int) -> int:
    """1 at weekends and outside 07:00-19:00 of the site's own time, else 0."""
    day, second = divmod(time_ms // 1000 + tz_offset_min * 60, _DAY_S)
    weekend = (day + _EPOCH_WEEKDAY) % 7 in _WEEKEND
    return int(weekend or second // 3600 not in _OFFICE_HOURS)


def _number(value: int) -> int:
    return value if value <= _VALUE_MAX else _VALUE_MAX


@lru_cache(maxsize=4096)
def _word(text: str) -> str:
    return text.strip().lower()[:_WORD_CHARS_MAX] or UNKNOWN
