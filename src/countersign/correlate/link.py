"""Link findings into cases, with a reason code per link.

Two kinds of link. The *pattern* link gathers recurrences of one detection on one host (or mailbox, or account), so that
routine noise is one case and not a thousand. *Entity* links tie different detections together (same hash, domain, mail,
address, user, host), and count only between notable findings: medium severity or more, or, where the tool gives no
severity, rare on that host. Only entity links merge cases. Pure; the database adapter loads the rows of ``Index`` that a
micro-batch can touch.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from countersign.model.alerts import Severity
from countersign.model.cases import Link, LinkReason
from countersign.model.entities import Entity, EntityType
from countersign.model.findings import Finding

HOUR_MS = 3_600_000
CASE_FINDINGS_MAX = 200
"""A case larger than this is no longer one matter; later findings open a new one."""
HUB_FINDINGS_MAX = 60
"""An entity in more findings than this is infrastructure (proxy, resolver, scanner) and links nothing."""
RARE_FIRINGS_MAX = 3
KEYS_MAX = 24
"""Most link keys per finding."""

_REASONS: dict[EntityType, tuple[LinkReason, int]] = {
    EntityType.HASH: (LinkReason.SAME_ARTEFACT, 24 * HOUR_MS),
    EntityType.URL: (LinkReason.SAME_ARTEFACT, 24 * HOUR_MS),
    EntityType.DOMAIN: (LinkReason.SAME_DOMAIN, 24 * HOUR_MS),
    EntityType.MAIL: (LinkReason.SAME_MAIL, 12 * HOUR_MS),
    EntityType.IP: (LinkReason.SAME_ADDRESS, 12 * HOUR_MS),
    EntityType.USER: (LinkReason.SAME_USER, 4 * HOUR_MS),
    EntityType.HOST: (LinkReason.SAME_HOST, HOUR_MS),
}
_PATTERN = (LinkReason.SAME_PATTERN, 24 * HOUR_MS)


class Row(msgspec.Struct, gc=False):
    """Where a link key was seen last. ``findings`` counts since the key was last idle for longer than its window, or people
    closed its case."""

    case: str
    finding: str
    last_seen_ms: int
    findings: int


@dataclass(slots=True)
class Index:
    """Working set of link keys and of the sizes of the open cases they lead to; ``changed`` must be written back. keys: the
    link keys of a batch's notable findings, by id, where they were worked out already."""

    rows: dict[str, Row] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    def resolve(self, case: str) -> str:
        """The case that ``case`` was merged into, or itself."""
        while case in self.merged:
            case = self.merged[case]
        return case

    def attracts(self, case: str) -> bool:
        """Whether the case, or the one that it was merged into, is open."""
        return case in self.sizes or self.resolve(case) in self.sizes


class Placed(msgspec.Struct, frozen=True, gc=False):
    """Where a finding went: its case, why, whether the case is new, and cases merged into it on the way."""

    case: str
    links: tuple[Link, ...]
    opened: bool
    merged: tuple[str, ...]


def notable(finding: Finding, pair_firings: int) -> bool:
    """Whether the finding may tie different detections together."""
    if finding.severity is _UNKNOWN:
        return pair_firings < RARE_FIRINGS_MAX
    return finding.severity >= _MEDIUM


_UNKNOWN, _MEDIUM = Severity.UNKNOWN, Severity.MEDIUM


def pattern_key(pattern: str, anchor: str) -> str:
    """Link key of recurrences."""
    return f"{pattern}@{anchor}"


def link_keys(finding: Finding, pattern: str, *, is_notable: bool) -> list[str]:
    """Every key under which this finding can be found, strongest first; bounded."""
    keys = [pattern_key(pattern, finding.anchor)]
    if is_notable:
        ranked = sorted([(_ORDER[e.type], e.key) for e in linking(finding.entities)])
        keys.extend(dict.fromkeys([key for _, key in ranked]))
    return keys[:KEYS_MAX]


def most_keys(finding: Finding, pattern: str) -> list[str]:
    """Every key that the finding may turn out to have: as if it were notable, where that is still open."""
    return link_keys(finding, pattern, is_notable=notable(finding, pair_firings=0))


def known_keys(finding: Finding, pattern: str, index: Index, *, is_notable: bool) -> list[str]:
    """``link_keys``, not worked out twice."""
    known = index.keys.get(finding.id)
    if known is None:
        return link_keys(finding, pattern, is_notable=is_notable)
    return known if is_notable else known[:1]


def linking(entities: Iterable[Entity]) -> list[Entity]:
    """Entities that can tie findings together; loopback and broadcast addresses never do."""
    return [e for e in entities if (kind := e.type) in _REASONS and not (kind is EntityType.IP and _meaningless(e.value))]


def place(finding: Finding, keys: list[str], index: Index, next_case: str) -> Placed:
    """Choose the case of a new finding and record its keys in the index."""
    hits = _hits(finding, keys, index)
    if not hits:
        index.sizes[next_case] = 1
        remember(finding, keys, next_case, index)
        return Placed(case=next_case, links=(Link(finding.id, next_case, _FIRST, ""),), opened=True, merged=())
    tied = [hit for hit in hits if hit.reason is not _SAME_PATTERN]
    targets = list(dict.fromkeys([hit.case for hit in tied])) or [hits[0].case]
    case, merged = (targets[0], ()) if len(targets) == 1 else _join(targets, index)
    links = tuple([hit for hit in (tied or hits) if hit.case == case or hit.case in merged])
    index.sizes[case] += 1
    remember(finding, keys, case, index)
    return Placed(case=case, links=links, opened=False, merged=merged)


_FIRST, _SAME_PATTERN = LinkReason.FIRST, LinkReason.SAME_PATTERN


def remember(finding: Finding, keys: Collection[str], case: str, index: Index) -> None:
    """Note that ``finding`` of ``case`` carries ``keys``. A key is counted anew once its case attracts nothing any more."""
    ident, seen, rows = finding.id, finding.last_seen_ms, index.rows
    index.changed.update(keys)
    for key in keys:
        row = rows.get(key)
        if row is None or seen - row.last_seen_ms > _window(key)[1] or not index.attracts(row.case):
            rows[key] = Row(case, ident, seen, 1)
            continue
        row.findings += row.finding != ident
        row.case, row.finding = case, ident
        row.last_seen_ms = max(row.last_seen_ms, seen)


def _hits(finding: Finding, keys: list[str], index: Index) -> list[Link]:
    found = []
    for key in keys:
        row = index.rows.get(key)
        if row is None or (row.findings > HUB_FINDINGS_MAX and not key.startswith("P-")):
            continue
        reason, window = _window(key)
        case = index.resolve(row.case)
        near = abs(finding.first_seen_ms - row.last_seen_ms) <= window
        if near and index.sizes.get(case, CASE_FINDINGS_MAX) < CASE_FINDINGS_MAX:
            found.append(Link(finding.id, case, reason, key))
    return found


def _join(targets: list[str], index: Index) -> tuple[str, tuple[str, ...]]:
    """The oldest target takes in the others as long as it stays one matter."""
    ordered = sorted(targets, key=case_number)
    survivor, merged = ordered[0], []
    for other in ordered[1:]:
        if index.sizes[survivor] + index.sizes[other] >= CASE_FINDINGS_MAX:
            continue
        index.sizes[survivor] += index.sizes.pop(other)
        index.merged[other] = survivor
        merged.append(other)
    return survivor, tuple(merged)


def case_number(case: str) -> int:
    """Number of a case id, so that C-999 comes before C-1000."""
    return int(case.rpartition("-")[2])


def _window(key: str) -> tuple[LinkReason, int]:
    kind = key.partition(":")[0]
    return _BY_PREFIX.get(kind, _PATTERN)


_BY_PREFIX: Mapping[str, tuple[LinkReason, int]] = {kind.value: rule for kind, rule in _REASONS.items()}
_ORDER = {kind: rank for rank, kind in enumerate(_REASONS)}


_ORDINARY = re.compile(r"(?:[1-9]|[1-9]\d|1[013-9]\d|12[0-689]|2[01]\d|22[0-3])\.")
"""Starts of IPv4 addresses that are neither unspecified (0), loopback (127) nor multicast and broadcast (224 and up)."""


@lru_cache(maxsize=65_536)
def _meaningless(value: str) -> bool:
    if _ORDINARY.match(value):  # saves reading nearly every address as one
        return False
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return address.is_loopback or address.is_multicast or address.is_unspecified or value == "255.255.255.255"
