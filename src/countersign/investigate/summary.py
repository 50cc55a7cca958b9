"""The draft of a case's summary: templates filled from the record, every sentence with what it rests on.

Nothing is inferred here. What no record says gets no sentence; what a lookup could not say is said to be unknown. A title
stands in quotation marks, because a tool or an attacker wrote it, and is escaped by whoever shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from countersign.authority.agents import Operation
from countersign.authority.grant import case
from countersign.authority.lease import VerifiedLease, demand
from countersign.authority.terms import Use
from countersign.investigate import phrases
from countersign.investigate.phrases import clip, count, listed, moment, percent, weight
from countersign.model.attack import TACTIC_ORDER, tactic_name
from countersign.model.evidence import Evidence, LookupStatus
from countersign.model.findings import Finding
from countersign.model.records import FindingRecord
from countersign.model.verdicts import Contribution, Label

STEPS_MAX = 7
UNKNOWNS_MAX = 4
TERMS_MAX = 3
CITES_MAX = 12
NAMES_MAX = 4


class Sentence(msgspec.Struct, frozen=True):
    """text: one sentence. cites: ids of findings (``F-…``), of contributions (``F-…/feature``), and digests of evidence
    (``source:query`` where a lookup gave no answer and so no digest); never empty."""

    text: str
    cites: tuple[str, ...]


def summarise(ident: str, records: Sequence[FindingRecord], lease: VerifiedLease | None, use: Use) -> tuple[Sentence, ...]:
    """The draft for the latest record of each finding of the case ``ident``; empty when there are none. Raises LeaseRefused
    unless the investigator's lease covers this case."""
    demand(lease, Operation.SUMMARISE, case(ident), use)
    if not records:
        return ()
    ordered = sorted(records, key=lambda r: (r.finding.first_seen_ms, r.finding.id))
    top = strongest(ordered)
    parts: tuple[Iterator[Sentence], ...] = (
        _extent(ordered, use.now_ms),
        _course(ordered),
        _assets(ordered),
        _verdict(top),
        _speaks(top, "For a threat", lambda c: c.pico > 0),
        _found(ordered, "Lookups add", 1),
        _speaks(top, "Against it", lambda c: c.pico < 0),
        _found(ordered, "Reassuring", -1),
        _unknown(ordered),
        _change(top),
        _decision(top),
    )
    return tuple(sentence for part in parts for sentence in part)


def strongest(records: Sequence[FindingRecord]) -> FindingRecord:
    """The record with the highest score, the earliest of equals."""
    return min(records, key=lambda r: (-r.verdict.pico, r.finding.first_seen_ms, r.finding.id))


def evidence_cite(item: Evidence) -> str:
    """How a piece of evidence is cited."""
    return item.digest or f"{item.source}:{item.query}"


def term_cites(record: FindingRecord, terms: Sequence[str]) -> tuple[str, ...]:
    """A finding and some of its contributions."""
    return _unique([record.finding.id, *(f"{record.finding.id}/{name}" for name in terms)])


def _extent(ordered: Sequence[FindingRecord], now_ms: int) -> Iterator[Sentence]:
    findings = [r.finding for r in ordered]
    first, last = findings[0], max(findings, key=lambda f: f.last_seen_ms)
    speakers: dict[str, Finding] = {}
    for finding in findings:
        speakers.setdefault(finding.product, finding)
    alerts = count(sum(f.count for f in findings), "alert")
    who = _names([clip(product) for product in speakers])
    quiet = (now_ms - last.last_seen_ms) // 1000
    ago = f", {phrases.span(quiet)} ago" if quiet >= 60 else ""
    start, end = moment(first.first_seen_ms), moment(last.last_seen_ms)
    when = f"at {start}" if start == end else f"between {start} and {end}"
    text = f"{who} reported {alerts} in {count(len(findings), 'finding')} {when}{ago}."
    yield Sentence(text, _ids([first, last, *speakers.values()]))


def _course(ordered: Sequence[FindingRecord]) -> Iterator[Sentence]:
    """In order of time: the first finding of every (tactic, place), at most ``STEPS_MAX``, then how many there were more."""
    steps: dict[tuple[str, str], list[Finding]] = {}
    for record in ordered:
        steps.setdefault((_tactic(record.finding), _place(record)), []).append(record.finding)
    groups = list(steps.items())
    kept = _telling(groups)
    for (tactic, host), members in kept:
        head = members[0]
        where = f" on {clip(host)}" if host else ""
        what = f"{tactic_name(tactic)}{where}" if tactic else f"Activity without a stated tactic{where}"
        more = f", then {count(len(members) - 1, 'further finding')}" if len(members) > 1 else ""
        text = f"{moment(head.first_seen_ms)}: {what}, reported by {clip(head.product)} as “{clip(head.title)}”{more}."
        yield Sentence(text, _ids(members))
    rest = [members[0] for step, members in groups if (step, members) not in kept]
    if rest:
        yield Sentence(f"{count(len(rest), 'further step')} {_are(rest)} in the record.", _ids(rest))


def _telling(
    groups: list[tuple[tuple[str, str], list[Finding]]],
) -> list[tuple[tuple[str, str], list[Finding]]]:
    """The first step, because it may be where it began, and the most severe others, in their order of time."""
    ranked = sorted(groups[1:], key=lambda g: (-max(f.severity for f in g[1]), g[1][0].first_seen_ms))
    kept = [groups[0], *ranked[: STEPS_MAX - 1]]
    return [group for group in groups if group in kept]


def _place(record: FindingRecord) -> str:
    """The finding's host; an address by the name that the inventory gives it."""
    host = record.finding.host
    named = (item for item in record.evidence if item.source == "assets" and item.query == f"ip:{host}")
    return next((dict(item.facts)["name"] for item in named if dict(item.facts).get("name")), host)


def _tactic(finding: Finding) -> str:
    """The furthest tactic that the tool stated, "" when it stated none."""
    return max(finding.tactics, key=lambda t: TACTIC_ORDER.get(t, -1), default="")


def _assets(ordered: Sequence[FindingRecord]) -> Iterator[Sentence]:
    known: dict[str, tuple[str, str, list[str]]] = {}
    for item in _evidence(ordered):
        facts = dict(item.facts)
        if item.source == "assets" and item.status is LookupStatus.FOUND and facts.get("name"):
            role, level = facts.get("role", ""), facts.get("criticality", "")
            known.setdefault(facts["name"], (role, level, []))[2].append(evidence_cite(item))
    for level, word in (("critical", "critical"), ("high", "high"), ("medium", "medium"), ("low", "low")):
        named = [(name, row) for name, row in sorted(known.items()) if row[1] == level]
        if named:
            hosts = [f"{clip(name)} ({clip(role)})" if role else clip(name) for name, (role, _, _) in named]
            cites = _unique(cite for _, (_, _, cites) in named for cite in cites)
            verb = "is an asset" if len(named) == 1 else "are assets"
            yield Sentence(f"{_names(hosts)} {verb} of {word} criticality in the inventory.", cites)


def _verdict(top: FindingRecord) -> Iterator[Sentence]:
    verdict, finding = top.verdict, top.finding
    said = {
        Label.THREAT: "the model's verdict is threat",
        Label.BENIGN: "the model's verdict is benign",
        Label.INSUFFICIENT: "the model finds too little for a verdict",
    }[verdict.label]
    least, most = percent(verdict.p0_ppm), percent(verdict.p1_ppm)
    chance = least if least == most else f"{least} to {most}"
    text = f"For the strongest finding, “{clip(finding.title)}”, {said}: probability of a threat {chance}."
    yield Sentence(text, (finding.id,))


def _speaks(top: FindingRecord, lead: str, wanted: Callable[[Contribution], bool]) -> Iterator[Sentence]:
    terms = sorted((c for c in top.verdict.contributions if wanted(c)), key=lambda c: (-abs(c.pico), c.feature))
    if terms := terms[:TERMS_MAX]:
        said = [f"{phrases.feature(c.feature)} {phrases.value(c.feature, c.value)} ({weight(c.pico)})" for c in terms]
        yield Sentence(f"{lead}: {listed(said)}.", term_cites(top, [c.feature for c in terms]))


def _found(ordered: Sequence[FindingRecord], lead: str, sign: int) -> Iterator[Sentence]:
    """What lookups found that leans one way, except for the inventory, which has its own sentence."""
    items = [
        item
        for item in _evidence(ordered)
        if item.status is LookupStatus.FOUND and item.weight * sign > 0 and item.summary and item.source != "assets"
    ][:UNKNOWNS_MAX]
    if items:
        said = [f"{clip(item.query)} ({clip(item.source)}: {clip(item.summary)})" for item in items]
        yield Sentence(f"{lead}: {listed(said)}.", _unique(evidence_cite(item) for item in items))


def _unknown(ordered: Sequence[FindingRecord]) -> Iterator[Sentence]:
    silent = [item for item in _evidence(ordered) if item.status is LookupStatus.UNAVAILABLE]
    if silent:
        sources = sorted({clip(item.source) for item in silent})
        text = f"Not known: {_names(sources)} gave no answer about {_names(_queries(silent))}."
        yield Sentence(text, _unique(evidence_cite(item) for item in silent))
    absent = [item for item in _evidence(ordered) if _is_stranger(item)]
    if absent:
        text = f"Not in the inventory: {_names(_queries(absent))}."
        yield Sentence(text, _unique(evidence_cite(item) for item in absent))


def _is_stranger(item: Evidence) -> bool:
    """Inside or unplaced, and the inventory does not know it; what is proven external is expected not to be there."""
    return (
        item.status is LookupStatus.NOT_FOUND
        and item.source in {"assets", "identities"}
        and dict(item.facts).get("zone") != "external"
        and not item.query.startswith("url:")  # its host is there by itself
    )


def _change(top: FindingRecord) -> Iterator[Sentence]:
    found = top.verdict.counterfactual
    if not found.possible or not found.changes:
        return
    said = [
        f"{phrases.feature(c.feature)} were {phrases.value(c.feature, c.new)} instead of {phrases.value(c.feature, c.old)}"
        for c in found.changes
    ]
    text = f"The score of the strongest finding would cross the threshold if {listed(said)}."
    yield Sentence(text, term_cites(top, [c.feature for c in found.changes]))


def _decision(top: FindingRecord) -> Iterator[Sentence]:
    if top.decision.why:
        yield Sentence(f"Before a person because: {clip(top.decision.why)}.", (top.finding.id,))


def _evidence(ordered: Sequence[FindingRecord]) -> list[Evidence]:
    """Each piece once, in order of first use."""
    return list({evidence_cite(item): item for record in ordered for item in record.evidence}.values())


def _queries(items: Sequence[Evidence]) -> list[str]:
    return list(dict.fromkeys(clip(item.query.replace(":", " ", 1)) for item in items))


def _names(names: Sequence[str]) -> str:
    """At most ``NAMES_MAX`` names and how many there are besides."""
    kept = list(names[:NAMES_MAX])
    return listed([*kept, f"{len(names) - NAMES_MAX} more"] if len(names) > NAMES_MAX else kept)


def _are(items: Sequence[object]) -> str:
    return "is" if len(items) == 1 else "are"


def _ids(findings: Sequence[Finding]) -> tuple[str, ...]:
    return _unique(finding.id for finding in findings)


def _unique(cites: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cites))[:CITES_MAX]
