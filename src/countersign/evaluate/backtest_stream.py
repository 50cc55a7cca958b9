"""An export as its site lived through it: micro-batches in time order, and what people found apart (``ait_online.play``).

Folding, history, linking, scopes and features are the product's own; so are the inventory's answers, when there is an
inventory. The incident that the site's tool put an alert into ties findings into one case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from countersign.authority.agents import Operation
from countersign.authority.grant import Part, alone, lookup
from countersign.authority.terms import Use
from countersign.autonomy.scopes import scope_of
from countersign.correlate import fold, link
from countersign.correlate.history import History
from countersign.enrich import Enricher
from countersign.enrich.assets import Assets
from countersign.enrich.facts import Surroundings, surroundings
from countersign.enrich.identities import Identities
from countersign.evaluate.ait_stream import HOSTS_KNOWN, Batch, Facts, Found, Stream, Touch, cuts
from countersign.evaluate.backtest_export import Judged
from countersign.evaluate.backtest_labels import Truth
from countersign.model.alerts import Severity
from countersign.model.entities import Entity
from countersign.model.findings import Finding
from countersign.model.inventory import Criticality, Inventory
from countersign.triage import tactics
from countersign.triage.features import Context, features
from countersign.triage.novelty import rarity

_KEPT_MS = 3_600_000
_REMEMBERED_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Lived:
    """One site's stream. partly: findings of which people judged some repeats only. graded: scopes whose tools grade.
    held: entities in the inventory or provably outside were not asked for, because there is no inventory."""

    stream: Stream
    partly: int
    graded: frozenset[str]
    held: bool


def live(
    name: str,
    alerts: Sequence[Judged],
    inventory: Inventory | None = None,
    *,
    utc_offset_min: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> Lived:
    """The stream of one site from its alerts in order of time. Without an inventory every entity counts as known and none as
    high-value."""
    site = _Site(_Known(inventory) if inventory else None, utc_offset_min)
    batches = []
    for start, end in cuts([one.alert.time_ms for one in alerts]):
        batches.append(site.batch(alerts[start:end]))
        if start // 50_000 != end // 50_000:
            say(f"{name}: {end:,} of {len(alerts):,} alerts folded into {len(site.found):,} findings")
    site.settle()
    stream = Stream(name, "", len(alerts), tuple(site.found), tuple(batches))
    return Lived(stream, site.partly, frozenset(site.graded), inventory is None)


class _Known:
    """What the inventory says of entities, each asked about once."""

    def __init__(self, inventory: Inventory) -> None:
        self._enricher = Enricher((Assets(inventory.assets), Identities(inventory.identities)))
        names = tuple(lookup(name) for name, _ in self._enricher.versions)
        self._granted = alone(Use("backtest", 0), "enricher", [Part("enricher", Operation.LOOKUP, names)])
        self._remembered: dict[tuple[tuple[Entity, ...], str], Surroundings] = {}

    def around(self, finding: Finding) -> Surroundings:
        key = (finding.entities, finding.host)
        known = self._remembered.get(key)
        if known is None:
            if len(self._remembered) >= _REMEMBERED_MAX:
                self._remembered.clear()
            answers = self._enricher.answer(finding.entities, self._granted)
            known = self._remembered[key] = surroundings(answers, finding.host)
        return known


_HELD = Surroundings(asset_criticality=int(Criticality.MEDIUM))


@dataclass(slots=True)
class _Verdicts:
    """What people said of the alerts of one finding."""

    threat: str = ""
    threat_ms: int = 0
    benign: bool = False
    benign_ms: int = 0
    silent: bool = False

    def take(self, one: Judged) -> None:
        if one.truth is Truth.THREAT:
            self.threat_ms = one.label_ms if not self.threat else min(self.threat_ms, one.label_ms)
            self.threat = self.threat or one.label
        elif one.truth is Truth.BENIGN:
            self.benign, self.benign_ms = True, max(self.benign_ms, one.label_ms)
        else:
            self.silent = True


@dataclass(slots=True)
class _Site:
    known: _Known | None
    utc_offset_min: int
    history: History = field(default_factory=History)
    index: link.Index = field(default_factory=link.Index)
    open: dict[str, tuple[int, Finding, str]] = field(default_factory=dict)  # id → (place in found, finding, case)
    found: list[Found] = field(default_factory=list)
    verdicts: list[_Verdicts] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    stages: dict[str, set[str]] = field(default_factory=dict)
    graded: set[str] = field(default_factory=set)
    cases: int = 0
    partly: int = 0

    def batch(self, alerts: Sequence[Judged]) -> Batch:
        """One micro-batch through folding, the inventory, the past, linking and the features, as on the hot path."""
        merged_before = len(self.index.merged)
        parts, members = fold.fold([one.alert for one in alerts])
        touches = []
        for part, places in zip(parts, members, strict=True):
            touches.append(self._touch(part, len(places), {alerts[i].group for i in places} - {""}))
            for i in places:
                self.verdicts[touches[-1].finding].take(alerts[i])
        now_ms = alerts[-1].alert.time_ms
        self._forget(now_ms)
        merged = tuple(list(self.index.merged.items())[merged_before:])
        return Batch(now_ms, tuple(touches), merged)

    def settle(self) -> None:
        """What people found, finding by finding: a threat if any repeat is one, benign if any is and none is a threat."""
        for found, said in zip(self.found, self.verdicts, strict=True):
            found.step, found.judged = said.threat, bool(said.threat or said.benign)
            found.label_ms = said.threat_ms if said.threat else said.benign_ms
            self.partly += found.judged and said.silent

    def _touch(self, part: Finding, added: int, groups: set[str]) -> Touch:
        old = self.open.get(part.id)
        finding = part if old is None else fold.merge(old[1], part)
        past = self.history.take(finding, added=added, first=old is None)
        around = self.known.around(finding) if self.known else _HELD
        role = around.host_role
        facets = (*finding.facets, ("host_role", role)) if role else finding.facets
        pattern = fold.pattern(msgspec.structs.replace(finding, facets=facets))
        keys = link.link_keys(finding, pattern, is_notable=link.notable(finding, past.pair_firings))
        if old is None:
            place, case = len(self.found), self._place(finding, keys)
            self.found.append(_found(finding, pattern))
            self.verdicts.append(_Verdicts())
        else:
            place, case = old[0], self.index.resolve(old[2])
            link.remember(finding, keys, case, self.index)
        for group in sorted(groups):
            case = self._tie(case, group)
        self.open[finding.id] = (place, finding, case)
        if finding.severity is not Severity.UNKNOWN:
            self.graded.add(self.found[place].scope)
        stages = self.stages.setdefault(case, set())
        context = Context(
            past=past,
            case_stages=frozenset(stages),
            asset_criticality=around.asset_criticality,
            identity_criticality=around.identity_criticality,
            host_role=role,
            tz_offset_min=self.utc_offset_min,
        )
        stages.add(tactics.furthest(finding.tactics))
        return Touch(place, features(finding, context), rarity(finding, past), case, _facts(finding, around, self.known))

    def _place(self, finding: Finding, keys: list[str]) -> str:
        placed = link.place(finding, keys, self.index, f"C-{self.cases}")
        self.cases += placed.opened
        for gone in placed.merged:
            self._join(gone, placed.case)
        return placed.case

    def _tie(self, case: str, group: str) -> str:
        """One case for what the site's tool calls one incident, as long as it stays one matter."""
        other = self.index.resolve(self.groups.setdefault(group, case))
        sizes = self.index.sizes
        if other == case or other not in sizes or case not in sizes:
            return case
        kept, gone = sorted((other, case), key=link.case_number)
        if sizes[kept] + sizes[gone] >= link.CASE_FINDINGS_MAX:
            return case
        sizes[kept] += sizes.pop(gone)
        self.index.merged[gone] = kept
        self._join(gone, kept)
        return kept

    def _join(self, gone: str, kept: str) -> None:
        self.stages.setdefault(kept, set()).update(self.stages.pop(gone, ()))

    def _forget(self, now_ms: int) -> None:
        """Drop findings whose window is long over, to keep memory flat."""
        for ident in [i for i, (_, f, _) in self.open.items() if f.window_ms < now_ms - _KEPT_MS]:
            del self.open[ident]


def _facts(finding: Finding, around: Surroundings, known: _Known | None) -> Facts:
    if known is None and not finding.tactics and finding.severity is Severity.UNKNOWN:
        return HOSTS_KNOWN
    return Facts(
        around.asset_criticality,
        around.identity_criticality,
        around.unknown_entities,
        finding.severity,
        finding.tactics,
    )


def _found(finding: Finding, pattern: str) -> Found:
    return Found(
        id=finding.id,
        name=f"{finding.product}: {finding.title}",
        anchor=finding.anchor or "(none named)",
        pattern=pattern,
        rule=finding.rule_key,
        scope=scope_of(finding).name,
        first_ms=finding.first_seen_ms,
        entities=frozenset(entity.key for entity in finding.entities),
    )
