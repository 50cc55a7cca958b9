"""One network of the AIT Alert Data Set as a site lives through it: micro-batches in time order, and the truth apart.

Folding, history, linking and features are the product's own. What depends on decisions (the site's record, the case
gate) is left to ``evaluate.ait_online``: the stream is the same whatever the agent does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from countersign.autonomy.scopes import scope_of
from countersign.correlate import fold, link
from countersign.correlate.history import History
from countersign.evaluate.datasets import host_role, read_file
from countersign.model.alerts import CHUNK_ALERTS_MAX, Alert, Severity
from countersign.model.findings import Finding
from countersign.model.inventory import Criticality
from countersign.triage.features import Context, features
from countersign.triage.novelty import rarity

BATCH_MS = 60_000
"""A micro-batch holds at most this time and ``CHUNK_ALERTS_MAX`` alerts: a worker does not wait for more."""
_KEPT_MS = 3_600_000

Values = tuple[int | str, ...]


@dataclass(slots=True)
class Found:
    """One finding: (host, name, 5 minutes). step: the truth, "" when benign; nothing that decides may look at it. judged:
    whether people said anything at all. label_ms: when they did, 0 when that is not known."""

    id: str
    name: str
    anchor: str
    pattern: str
    rule: str
    scope: str
    first_ms: int
    entities: frozenset[str]
    step: str = ""
    judged: bool = True
    label_ms: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the gate asks about a finding besides its score (``GateInput``). As it stands here: of AIT-ADS, where hosts are
    in the inventory, none is high-value, and tools grade nothing."""

    asset_criticality: int = int(Criticality.MEDIUM)
    identity_criticality: int = -1
    unknown_entities: int = 0
    severity: Severity = Severity.UNKNOWN
    tactics: tuple[str, ...] = ()


HOSTS_KNOWN = Facts()


@dataclass(frozen=True, slots=True)
class Touch:
    """A finding as it stands after one micro-batch. values: in the order of FEATURES, the site's record not known."""

    finding: int
    values: Values
    rarity: int
    case: str
    facts: Facts = HOSTS_KNOWN


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch. merged: (case, the one that took it in), in order."""

    now_ms: int
    touches: tuple[Touch, ...]
    merged: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Stream:
    """A network. alerts: without the meta-alerts."""

    name: str
    sha256: str
    alerts: int
    found: tuple[Found, ...]
    batches: tuple[Batch, ...]

    @property
    def start_ms(self) -> int:
        """When watching begins."""
        return self.batches[0].now_ms if self.batches else 0


def read_stream(path: Path) -> Stream:
    """One network's stream. Raises ConfigError naming file and line."""
    alerts, steps, digest = read_file(path)
    return stream(path.name.split(".")[0], alerts, steps, sha256=digest)


def stream(name: str, alerts: list[Alert], steps: list[str], *, sha256: str = "") -> Stream:
    """The same from alerts in time order and the attack step of each ("" when benign)."""
    site = _Site()
    batches = tuple(site.batch(alerts[a:b], steps[a:b]) for a, b in cuts([alert.time_ms for alert in alerts]))
    return Stream(name, sha256, len(alerts), tuple(site.found), batches)


def cuts(times_ms: list[int]) -> Iterator[tuple[int, int]]:
    """Where micro-batches begin and end."""
    start = 0
    for i, time_ms in enumerate(times_ms):
        if time_ms // BATCH_MS != times_ms[start] // BATCH_MS or i - start >= CHUNK_ALERTS_MAX:
            yield start, i
            start = i
    if times_ms:
        yield start, len(times_ms)


@dataclass(slots=True)
class _Site:
    history: History = field(default_factory=History)
    index: link.Index = field(default_factory=link.Index)
    open: dict[str, tuple[int, Finding, str]] = field(default_factory=dict)  # id → (place in found, finding, case)
    found: list[Found] = field(default_factory=list)
    cases: int = 0

    def batch(self, alerts: list[Alert], steps: list[str]) -> Batch:
        """One micro-batch through folding, the past, linking and the features, as on the hot path."""
        merged_before = len(self.index.merged)
        parts, members = fold.fold(alerts)
        touches = []
        for part, places in zip(parts, members, strict=True):
            touches.append(self._touch(part, len(places)))
            one = self.found[touches[-1].finding]
            labels = {steps[i] for i in places} | {one.step}
            one.step = min(labels - {""}, default="")
        now_ms = alerts[-1].time_ms
        self._forget(now_ms)
        merged = tuple(list(self.index.merged.items())[merged_before:])
        return Batch(now_ms, tuple(touches), merged)

    def _touch(self, part: Finding, added: int) -> Touch:
        old = self.open.get(part.id)
        finding = part if old is None else fold.merge(old[1], part)
        past = self.history.take(finding, added=added, first=old is None)
        role = host_role(finding.host)
        pattern = fold.pattern(msgspec.structs.replace(finding, facets=(("host_role", role),)))
        keys = link.link_keys(finding, pattern, is_notable=link.notable(finding, past.pair_firings))
        if old is None:
            place, case = len(self.found), self._place(finding, keys)
            self.found.append(_found(finding, pattern))
        else:
            place, case = old[0], self.index.resolve(old[2])
            link.remember(finding, keys, case, self.index)
        self.open[finding.id] = (place, finding, case)
        return Touch(place, features(finding, Context(past=past, host_role=role)), rarity(finding, past), case)

    def _place(self, finding: Finding, keys: list[str]) -> str:
        placed = link.place(finding, keys, self.index, f"C-{self.cases}")
        self.cases += placed.opened
        return placed.case

    def _forget(self, now_ms: int) -> None:
        """Drop findings whose window is long over, to keep memory flat."""
        for ident in [i for i, (_, f, _) in self.open.items() if f.window_ms < now_ms - _KEPT_MS]:
            del self.open[ident]


def _found(finding: Finding, pattern: str) -> Found:
    return Found(
        id=finding.id,
        name=f"{finding.product}: {finding.rule}",
        anchor=finding.anchor,
        pattern=pattern,
        rule=finding.rule_key,
        scope=scope_of(finding).name,
        first_ms=finding.first_seen_ms,
        entities=frozenset(entity.key for entity in finding.entities),
    )
