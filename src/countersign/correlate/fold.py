"""Fold repeats: alerts with the same detection on the same entities within the same window are one finding.

Pure and order-independent but for text shown to people (the first message seen stays).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import msgspec

from countersign.model.alerts import ENTITIES_MAX, Alert
from countersign.model.entities import EntityType, Role
from countersign.model.findings import FOLD_WINDOW_MS, Finding, main_host

_T = TypeVar("_T")
IDS_MAX = 64
"""Most tactics, techniques and labels kept per finding: the sender chooses them, and a ledger entry is bounded."""
_KEYED = {
    kind: {role: f"{role}={kind}:" for role in Role}
    for kind in (EntityType.HOST, EntityType.USER, EntityType.IP, EntityType.MAIL)
}
"""Entity types that tell findings apart, and how each begins in a fold key by its role; domains, URLs, hashes and the like
vary per event and are merged instead."""


def fold_key(alert: Alert) -> str:
    """Two alerts with equal keys are repeats of one finding: source, product, rule, window in ms, and the entities that tell
    findings apart, each in its role."""
    window = alert.time_ms - alert.time_ms % FOLD_WINDOW_MS
    parts = [_KEYED[e.type][e.role] + e.value for e in alert.entities if e.type in _KEYED]
    parts.sort()
    return "\x1f".join([alert.source, alert.product, alert.rule, str(window), *parts])


def finding_id(alert: Alert) -> str:
    """``F-``, the window's number in 8 hex digits, and 16 over the fold key; the same in every process.

    Ids begin with their time so that what happens together is written together: an index over ids grows at its end."""
    return _named(fold_key(alert), alert)


def _named(key: str, alert: Alert) -> str:
    number = alert.time_ms // FOLD_WINDOW_MS & 0xFFFFFFFF
    return f"F-{number:08x}{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def start(alert: Alert, ident: str) -> Finding:
    """A finding of one alert."""
    return Finding(  # beyond 15 names, Python makes a dictionary for the call, which costs more than the finding
        ident,
        alert.source,
        alert.product,
        alert.rule,
        title=alert.title,
        severity=alert.severity,
        window_ms=alert.time_ms - alert.time_ms % FOLD_WINDOW_MS,
        first_seen_ms=alert.time_ms,
        last_seen_ms=alert.time_ms,
        count=1,
        tactics=alert.tactics[:IDS_MAX],
        techniques=alert.techniques[:IDS_MAX],
        entities=alert.entities[:ENTITIES_MAX],
        facets=alert.facets,
        tainted=alert.tainted,
        message=alert.message,
        labels=(alert.label,) if alert.label else (),
    )


def merge(old: Finding, new: Finding) -> Finding:
    """Two parts of the same finding as one: counts add, times span, severity is the highest, sets unite."""
    return msgspec.structs.replace(
        old,
        severity=max(old.severity, new.severity),
        first_seen_ms=min(old.first_seen_ms, new.first_seen_ms),
        last_seen_ms=max(old.last_seen_ms, new.last_seen_ms),
        count=old.count + new.count,
        tactics=_union(old.tactics, new.tactics)[:IDS_MAX],
        techniques=_union(old.techniques, new.techniques)[:IDS_MAX],
        entities=_union(old.entities, new.entities)[:ENTITIES_MAX],
        tainted=_union(old.tainted, new.tainted),
        labels=_union(old.labels, new.labels)[:IDS_MAX],
    )


def fold(alerts: Sequence[Alert]) -> tuple[list[Finding], list[list[int]]]:
    """Findings in order of first appearance, and for each the indices of its alerts."""
    groups: dict[str, list[int]] = {}
    for i, alert in enumerate(alerts):
        groups.setdefault(fold_key(alert), []).append(i)
    found = [_fold_group(key, [alerts[i] for i in members]) for key, members in groups.items()]
    return found, list(groups.values())


def _fold_group(key: str, ordered: Sequence[Alert]) -> Finding:
    first = ordered[0]
    ident = _named(key, first)
    if len(ordered) == 1:
        return start(first, ident)
    seen: set[tuple[object, ...]] = set()
    total = start(first, ident)
    count, low, high = 0, first.time_ms, first.time_ms
    for alert in ordered:
        count += 1
        low, high = min(low, alert.time_ms), max(high, alert.time_ms)
        shape = (alert.severity, alert.entities, alert.techniques, alert.tactics, alert.tainted, alert.label)
        if shape not in seen:
            seen.add(shape)
            total = merge(total, start(alert, ident))
    return msgspec.structs.replace(total, count=count, first_seen_ms=low, last_seen_ms=high)


def _union(left: tuple[_T, ...], right: tuple[_T, ...]) -> tuple[_T, ...]:
    if left == right or not right:
        return left
    return left + tuple(item for item in right if item not in set(left))


def pattern(finding: Finding, host_role: str = "") -> str:
    """(source, rule, entity roles, categorical facets, what the host is for): what people verify once and the gate then
    knows. A benign sign-in on a workstation says little about the same on a mail server, so the inventory's role counts."""
    roles = frozenset([(e.type, e.role) for e in finding.entities])
    return _pattern(finding.source, finding.product, finding.rule, roles, finding.facets, host_role)


@lru_cache(maxsize=8192)
def _pattern(
    source: str,
    product: str,
    rule: str,
    roles: frozenset[tuple[EntityType, Role]],
    facets: tuple[tuple[str, str], ...],
    host_role: str,
) -> str:
    where = [f"role={host_role}"] if host_role else []
    shape = sorted([f"{kind}/{role}" for kind, role in roles])
    text = "\x1f".join([source, product, rule, *shape, *[f"{k}={v}" for k, v in facets], *where])
    return "P-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


__all__ = ["finding_id", "fold", "fold_key", "main_host", "merge", "pattern", "start"]
