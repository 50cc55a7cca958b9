"""The hall: one micro-batch walks alert → finding → evidence → case → verdict → decision.

Pure steps over values; ``store.hotpath`` calls them inside one transaction, and ``replay`` calls the same ones on what a
record holds. Nothing here knows a database, a clock or a network.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from countersign.autonomy.governor import Governed
from countersign.correlate import fold, link
from countersign.correlate.history import History, Past
from countersign.correlate.nearby import LEVEL, Nearby
from countersign.errors import CountersignError, SourceError
from countersign.model.alerts import Alert, Delivery, Ignored
from countersign.model.cases import Link
from countersign.model.decisions import Decision
from countersign.model.entities import Entity
from countersign.model.evidence import Evidence
from countersign.model.findings import Finding
from countersign.model.records import FindingRecord, Known
from countersign.model.verdicts import Label, Verdict
from countersign.ports import Source
from countersign.triage.novelty import PatternRecord

_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")


class Item(msgspec.Struct, frozen=True, gc=False):
    """One readable alert and where its raw bytes are."""

    alert: Alert
    blob: str
    place: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Bad:
    """One raw message that could not be read: ``place`` within the delivery, and why."""

    place: int
    field: str
    error: str


@dataclass(slots=True)
class Reading:
    """A delivery, read: every raw message is in exactly one of ``items``, ``ignored`` and ``bad``."""

    digests: list[bytes] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    bad: list[Bad] = field(default_factory=list)


def read(delivery: Delivery, blob: str, source: Source, skip: frozenset[int] = frozenset()) -> Reading:
    """Parse every raw message of a delivery; what cannot be read is named, never dropped. ``skip``: places known to fail."""
    reading = Reading([hashlib.sha256(raw).digest() for raw in delivery.raws])
    for place, raw in enumerate(delivery.raws):
        if place in skip:
            reading.bad.append(Bad(place, "", "could not be processed (internal error; see the service's log)"))
            continue
        try:
            parsed = source.parse(raw)
        except SourceError as error:
            reading.bad.append(Bad(place, error.where, _one_line(error)))
            continue
        if isinstance(parsed, Ignored):
            reading.ignored[parsed.reason] += 1
        else:
            reading.items.append(Item(parsed, blob, place, reading.digests[place]))
    return reading


def unreadable(delivery: Delivery, error: CountersignError) -> Reading:
    """The reading of a delivery whose source cannot even be made: every message is bad, for the same reason."""
    digests = [hashlib.sha256(raw).digest() for raw in delivery.raws]
    return Reading(digests, bad=[Bad(place, error.where, _one_line(error)) for place in range(len(digests))])


def _one_line(error: CountersignError) -> str:
    """The error without the values it quotes: it goes into the ledger, where no person may stand in clear (the raw
    message, beside the ledger, shows them)."""
    what = _QUOTED.sub("‹…›", error.what)
    text = f"{what}; {error.todo}" if error.todo else what
    return " ".join(text.split())[:500]


class Part(msgspec.Struct, frozen=True, gc=False):
    """What this batch adds to one finding: the folded finding, its pattern and its raw alerts."""

    finding: Finding
    pattern: str
    refs: tuple[tuple[str, int], ...]


def _no_role(_finding: Finding) -> str:
    return ""


def gather(items: Sequence[Item], role: Callable[[Finding], str] = _no_role) -> list[Part]:
    """Fold the alerts of one batch. role: what the inventory says that the finding's host is for."""
    findings, members = fold.fold([item.alert for item in items])
    return [
        Part(finding, fold.pattern(finding, role(finding)), tuple([(items[i].blob, items[i].place) for i in places]))
        for finding, places in zip(findings, members, strict=True)
    ]


class Placed(msgspec.Struct, frozen=True, gc=False):
    """A finding with its repeats folded in, its evidence, its past and its case. before: its trouble so far (``BENIGN``:
    none), None when it is new. settled: a person has judged it. left: a person took its close back: it is left to people.
    closed: the agent closed it before, and asks whether that stands.
    row, rarity: those of its record, when the gate is asked again and nothing was added."""

    finding: Finding
    pattern: str
    refs: tuple[tuple[str, int], ...]
    first: bool
    past: Past
    evidence: tuple[Evidence, ...]
    case: str
    links: tuple[Link, ...]
    before: Label | None
    settled: bool = False
    left: bool = False
    closed: bool = False
    row: tuple[int | str, ...] = ()
    rarity: int = 0


@dataclass(slots=True)
class Correlated:
    """Result of correlating one batch. ``merged`` maps a case to the one that took it in, in order."""

    placed: list[Placed]
    opened: list[str]
    merged: dict[str, str]
    next_case: int


def correlate(
    parts: Sequence[Part],
    known: Mapping[str, Known],
    history: History,
    index: link.Index,
    answer: Callable[[Sequence[Entity]], tuple[Evidence, ...]],
    next_case: int,
) -> Correlated:
    """Fold into what is known, take evidence, count the past, and place each finding in a case."""
    result = Correlated([], [], index.merged, next_case)
    for part in parts:
        old = known.get(part.finding.id)
        finding = fold.merge(old.finding, part.finding) if old else part.finding
        past = history.take(finding, added=part.finding.count, first=old is None)
        case, links = _place(finding, part.pattern, past, old, index, result)
        evidence = answer(finding.entities)
        result.placed.append(
            Placed(
                finding=finding,
                pattern=part.pattern,
                refs=part.refs,
                first=old is None,
                past=past,
                evidence=evidence,
                case=case,
                links=links,
                before=old.label if old else None,
                settled=old is not None and old.settled,
                left=old is not None and old.left,
            )
        )
    return result


def _place(
    finding: Finding, pattern: str, past: Past, old: Known | None, index: link.Index, result: Correlated
) -> tuple[str, tuple[Link, ...]]:
    keys = link.known_keys(finding, pattern, index, is_notable=link.notable(finding, past.pair_firings))
    if old is not None:
        case = index.resolve(old.case)
        if case in index.sizes:  # a closed case takes repeats of its own findings, but attracts nothing new
            link.remember(finding, keys, case, index)
        return case, old.links
    placed = link.place(finding, keys, index, f"C-{result.next_case}")
    if placed.opened:
        result.next_case += 1
        result.opened.append(placed.case)
    return placed.case, placed.links


@dataclass(slots=True)
class CaseState:
    """What triage must know of an open case: the furthest tactic of each finding, its size, and how many findings are
    undecided or threats."""

    stages: frozenset[str] = frozenset()
    findings: int = 0
    unsettled: dict[Label, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """What judging one micro-batch needs. nearby: trouble by anchor and on the site. confirmed: pattern keys
    (``link.pattern_key``) of threats that people confirmed, with the time. killed: names of scopes whose kill switch is on,
    ``*`` for all. governed: state of each scope. closed: closes of this hour by scope. sealed: the ledger is, in
    time."""

    placed: Sequence[Placed]
    cases: Mapping[str, CaseState]
    patterns: Mapping[str, PatternRecord]
    nearby: Nearby
    killed: frozenset[str]
    now_ms: int
    governed: Mapping[str, Governed] = field(default_factory=dict)
    confirmed: Mapping[str, int] = field(default_factory=dict)
    closed: Mapping[str, int] = field(default_factory=dict)
    sealed: bool | None = None


class Judged(msgspec.Struct, frozen=True, gc=False):
    """Features, verdict and decision of one finding; ``gate`` is msgpack of the gate's input. trouble: what it means for its
    neighbours. p1_ppm: upper end of P(threat) by the scope's own reviews, None where nothing vouches for the score."""

    features: tuple[int | str, ...]
    rarity: int
    verdict: Verdict
    decision: Decision
    gate: bytes
    trouble: Label
    p1_ppm: int | None = None


def records(found: Correlated, judged: Sequence[Judged]) -> list[FindingRecord]:
    """Everything about each finding of the batch, in one value each; cases are the surviving ones."""
    return [
        FindingRecord(
            finding=p.finding,
            pattern=p.pattern,
            case=_survivor(p.case, found.merged),
            links=p.links,
            evidence=p.evidence,
            features=j.features,
            rarity=j.rarity,
            verdict=j.verdict,
            decision=j.decision,
            gate=j.gate,
            first=p.first,
            added=len(p.refs),
            trouble=LEVEL[j.trouble],
        )
        for p, j in zip(found.placed, judged, strict=True)
    ]


def _survivor(case: str, merged: Mapping[str, str]) -> str:
    while case in merged:
        case = merged[case]
    return case
