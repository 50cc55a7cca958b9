"""A case as its page tells it: seven steps, a time line with weights, contributions, citations. Pure, values in and out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from countersign.investigate.summary import Sentence
from countersign.model.cases import CaseStatus
from countersign.model.evidence import Evidence, LookupStatus
from countersign.model.records import FindingRecord
from countersign.model.verdicts import PPM, Contribution
from countersign.store.read import CaseRow
from countersign.store.read_case import CaseDetail
from countersign.triage import priority
from countersign.web import words

GATE_PPM = 10_000
"""Where the gate is drawn when no decision says: the design's default α of 1 %."""
TIMELINE_MAX = 40
EVIDENCE_SHOWN = 5
"""Lookup answers shown at once under a moment; the others are one key away."""
STRONGEST_MAX = 4
CONTRIBUTIONS_MAX = 12


@dataclass(frozen=True, slots=True)
class Step:
    """state: "done", "now" or "todo"."""

    name: str
    state: str
    what: str


@dataclass(frozen=True, slots=True)
class Moment:
    """Findings of one rule on the time line: the first, the later ones like it, and the answers they were first to get."""

    record: FindingRecord
    more: tuple[FindingRecord, ...]
    evidence: tuple[Evidence, ...]

    @property
    def alerts(self) -> int:
        """Raw alerts behind all of them."""
        return sum(r.finding.count for r in (self.record, *self.more))

    @property
    def last_seen_ms(self) -> int:
        """When the newest was last seen."""
        return max(r.finding.last_seen_ms for r in (self.record, *self.more))


@dataclass(frozen=True, slots=True)
class Cited:
    """A sentence and the numbered places that it rests on: (number, anchor, title)."""

    text: str
    cites: tuple[tuple[int, str, str], ...]


def steps(detail: CaseDetail, sealed: int | None) -> tuple[Step, ...]:
    """The seven steps every case walks; the first that is not done is the one it stands at."""
    case, top = detail.case, detail.top
    answered = [e for r in detail.records for e in r.evidence]
    missing = sum(e.status is LookupStatus.UNAVAILABLE for e in answered)
    closed = case.status in (CaseStatus.CLOSED_HUMAN, CaseStatus.CLOSED_AGENT)
    by = "by the agent" if case.status is CaseStatus.CLOSED_AGENT else "by a person"
    kept = sealed is not None and case.entry < sealed
    facts = (
        ("Received", True, words.counted(case.alerts, "alert")),
        ("Correlated", True, words.counted(case.findings, "finding")),
        (
            "Enriched",
            bool(answered) and not missing,
            words.counted(len(answered), "answer") + (f", {missing} missing" if missing else ""),
        ),
        ("Verdict", top is not None, case.label.value),
        ("Decision", top is not None, "left to a person" if case.status is not CaseStatus.CLOSED_AGENT else "close"),
        ("Disposed", closed, by if closed else "waits for you"),
        ("Sealed", closed and kept, f"entry {case.entry:,}" if closed and kept else "sealed so far" if kept else "not yet"),
    )
    first_open = next((i for i, (_, done, _) in enumerate(facts) if not done and i > 2), len(facts))
    return tuple(
        Step(name, "done" if done else "now" if i == first_open else "todo", what)
        for i, (name, done, what) in enumerate(facts)
    )


def timeline(records: Sequence[FindingRecord]) -> tuple[Moment, ...]:
    """Rules in the order they first fired; repeats of a rule stand with its first finding, and each lookup answer where
    it was first given, those that lean first."""
    groups: dict[str, list[FindingRecord]] = {}
    for record in sorted(records, key=lambda r: (r.finding.first_seen_ms, r.finding.id)):
        groups.setdefault(record.finding.rule_key, []).append(record)
    seen: set[str] = set()
    moments = []
    for group in list(groups.values())[:TIMELINE_MAX]:
        asked = {evidence_anchor(e): e for r in group for e in r.evidence}
        fresh = [e for key, e in asked.items() if key not in seen]
        seen.update(asked)
        fresh.sort(key=lambda e: (-abs(e.weight), e.status is not LookupStatus.FOUND))
        moments.append(Moment(group[0], tuple(group[1:]), tuple(fresh)))
    return tuple(moments)


def contributions(record: FindingRecord) -> tuple[tuple[Contribution, ...], Contribution | None]:
    """The strongest terms, strongest first, and the sum of the others as one (None when there are none)."""
    ordered = sorted((c for c in record.verdict.contributions if c.pico), key=lambda c: -abs(c.pico))
    shown, rest = ordered[:CONTRIBUTIONS_MAX], ordered[CONTRIBUTIONS_MAX:]
    other = Contribution(f"{len(rest)} smaller terms", "", sum(c.pico for c in rest)) if rest else None
    return tuple(shown), other


def rank_parts(row: CaseRow) -> tuple[priority.Part, ...]:
    """What the case's place in the queue is made of."""
    held = (row.pico, row.stages, row.products, row.severity)
    return priority.parts(*held, said=row.rank - priority.rank(*held))


def strongest(record: FindingRecord) -> tuple[tuple[Contribution, ...], tuple[Contribution, ...]]:
    """What speaks most for a threat, and most against one."""
    ordered = sorted(record.verdict.contributions, key=lambda c: -abs(c.pico))
    positive = tuple(c for c in ordered if c.pico > 0)[:STRONGEST_MAX]
    return positive, tuple(c for c in ordered if c.pico < 0)[:STRONGEST_MAX]


def leaning(records: Sequence[FindingRecord], sign: int, most: int = STRONGEST_MAX) -> tuple[Evidence, ...]:
    """Lookup answers that lean one way, each once."""
    found = {evidence_anchor(e): e for r in records for e in r.evidence if e.weight * sign > 0}
    return tuple(found.values())[:most]


def gate_ppm(record: FindingRecord | None) -> int:
    """The threshold that the decision's own condition names (``need`` states it in per cent)."""
    for condition in record.decision.conditions if record else ():
        if condition.name == "threshold":
            return _ppm_in(condition.need) or GATE_PPM
    return GATE_PPM


def _ppm_in(text: str) -> int:
    """``at most 1.0 %, benign`` → 10,000; 0 when it names no share."""
    found = re.search(r"([0-9]+(?:\.[0-9]+)?) %", text)
    return min(round(float(found[1]) * PPM / 100), PPM) if found else 0


def cited(sentences: Sequence[tuple[str, Sequence[str]]], records: Sequence[FindingRecord]) -> tuple[Cited, ...]:
    """Number what the sentences cite, in order of first mention, and lead each number to its place on the page."""
    anchors = {r.finding.id: (r.finding.id, r.finding.title) for r in records}
    for record in records:
        for item in record.evidence:
            name = (evidence_anchor(item), f"{item.source}: {item.summary or item.query}")
            anchors.setdefault(item.digest or f"{item.source}:{item.query}", name)
        for term in record.verdict.contributions:
            key = f"{record.finding.id}/{term.feature}"
            anchors[key] = (term_anchor(record, term), f"{words.feature(term.feature)}: {words.odds(term.pico)}")
    numbers: dict[str, int] = {}
    result = []
    for text, cites in sentences:
        known = [cite for cite in dict.fromkeys(cites) if cite in anchors]
        marks = tuple((numbers.setdefault(cite, len(numbers) + 1), *anchors[cite]) for cite in known)
        result.append(Cited(text, marks))
    return tuple(result)


def evidence_anchor(item: Evidence) -> str:
    """Fragment name of an answer. Two questions with the same answer in words share one line, and so one name."""
    said = f"{item.source}\0{item.status.value}\0{item.summary or item.query}".encode("utf-8", "surrogatepass")
    return f"ev-{hashlib.sha256(said).hexdigest()[:16]}"


def term_anchor(record: FindingRecord, term: Contribution) -> str:
    """Fragment name of a contribution's row."""
    return f"term-{record.finding.id}-{term.feature}"


def drawn_from(case: CaseRow, records: Sequence[FindingRecord], drafted: Sequence[Sentence]) -> tuple[Cited, ...]:
    """The draft as it is shown. Where only the strongest findings were read it says so, and the counts are the case's."""
    sentences = [(sentence.text, sentence.cites) for sentence in drafted]
    shown = cited(sentences, records)
    if case.findings <= len(records):
        return shown
    text = f"{case.alerts:,} alerts in {case.findings:,} findings; what follows is drawn from the {len(records)} strongest."
    return (Cited(text, ()), *shown[1:])


def chips(case: CaseRow, record: FindingRecord | None) -> tuple[tuple[str, str, str], ...]:
    """(kind, text, title) of the few things a reader scans for."""
    found = [("host", case.host, "host")] if case.host else []
    for entity in record.finding.entities if record else ():
        if entity.type.value in ("user", "mail", "ip") and entity.value != case.host and len(found) < 4:
            found.append((entity.type.value, entity.value, entity.role.value))
    return tuple(found)
