"""Does a finding match what people have seen and judged before? (design: triage.md section 2)

A finding is *known* when its pattern has at least three human dispositions, all benign, the newest younger than 90 days,
and the finding is not unusual within that pattern: Mondrian conformal p-value above 5 % (Vovk, Gammerman & Shafer 2005,
chapter 4). Nonconformity is a sum of log-rarities and log-counts in milli-nats, deterministic and in integers.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from countersign.correlate.history import Past
from countersign.model.findings import Finding
from countersign.model.verdicts import PPM

REVIEWS_MIN = 3
AGE_MS_MAX = 90 * 86_400_000
EPSILON_PPM = 50_000
MILLI = 1000


@dataclass(frozen=True, slots=True)
class PatternRecord:
    """What people said of one pattern. newest_ms: time of the latest disposition. rarities: nonconformity of the
    findings they judged, in milli-nats."""

    benign: int = 0
    threat: int = 0
    newest_ms: int = 0
    rarities: tuple[int, ...] = ()


class Novelty(msgspec.Struct, frozen=True, gc=False):
    """known: the finding matches a verified pattern. p_ppm: conformal p-value, 0 while nothing was reviewed.
    reason: why it is not known, "" when it is."""

    known: bool
    p_ppm: int
    reason: str


def rarity(finding: Finding, past: Past) -> int:
    """Nonconformity in milli-nats: higher is stranger. Facets: this host for this rule, this rule on the site, hosts
    that ever had the rule; counts: repeats, entities, how busy host and site are."""
    known = _log(past.pair_firings + 1) + _log(min(past.rule_firings, past.site_alerts) + 1)
    busy = (
        past.rule_firings + 2,
        past.site_alerts + 2,
        finding.count + 1,
        len(finding.entities) + 1,
        past.rule_hosts + 1,
        past.host_rules + 1,
        past.host_alerts + 1,
        past.site_rules + 1,
    )
    return sum(map(_log, busy)) - known


@lru_cache(maxsize=65_536)
def _log(value: int) -> int:
    return round(MILLI * math.log(value))


def p_value_ppm(reviewed: Sequence[int], score: int) -> int:
    """Mondrian conformal p-value of ``score`` among the ``reviewed`` of its own pattern, ascending:
    (1 + #{>= score}) / (n + 1)."""
    return (1 + len(reviewed) - bisect_left(reviewed, score)) * PPM // (len(reviewed) + 1)


def assess(record: PatternRecord, score: int, now_ms: int, ranked: Sequence[int] | None = None) -> Novelty:
    """Whether a finding of nonconformity ``score`` is known at ``now_ms``. ranked: the record's rarities in ascending order,
    from a caller who asks about many findings of one pattern."""
    ranked = sorted(record.rarities) if ranked is None else ranked
    p_ppm = p_value_ppm(ranked, score) if ranked else 0
    reason = _doubt(record, p_ppm, now_ms)
    return Novelty(known=not reason, p_ppm=p_ppm, reason=reason)


def _doubt(record: PatternRecord, p_ppm: int, now_ms: int) -> str:
    if record.threat:
        return "a threat was confirmed in this pattern"
    if record.benign == 0:
        return "pattern never reviewed"
    if record.benign < REVIEWS_MIN:
        return f"pattern reviewed {record.benign} of {REVIEWS_MIN} times"
    if now_ms - record.newest_ms >= AGE_MS_MAX:
        return "last review older than 90 days"
    if p_ppm <= EPSILON_PPM:
        return "unlike the reviewed findings of its pattern"
    return ""
