"""One micro-batch inside its transaction: read, correlate, judge, and write findings, cases and entries together."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from countersign import flow
from countersign.authority.lease import VerifiedLease
from countersign.errors import CountersignError
from countersign.ledger import bodies
from countersign.model.alerts import Delivery
from countersign.model.decisions import Action
from countersign.model.entities import Entity
from countersign.model.entries import Actor, Entry, Kind
from countersign.model.evidence import Evidence
from countersign.model.records import FindingRecord
from countersign.ports import Source
from countersign.store import evidence, inbox, ledger, projection, quarantine, working


@dataclass(frozen=True, slots=True)
class Tools:
    """What bootstrap hands in, so that this room knows no concrete source, lookup or model.

    lease: mints the lease of one micro-batch (task, alerts, now) with the body of its ledger entry.
    answer: looks entities up under that lease.  judge: verdicts and decisions.  switches: kill switch state.
    """

    source: Callable[[str, bytes, str], Source]
    lease: Callable[[str, int, int], tuple[VerifiedLease, dict[str, Any]]]
    answer: Callable[[Sequence[Entity], VerifiedLease], tuple[Evidence, ...]]
    judge: Callable[[flow.Batch], list[flow.Judged]]
    killed: Callable[[Connection], frozenset[str]]
    prepare: Callable[[Connection], None]
    policy: str


@dataclass(slots=True)
class Report:
    """What one or more micro-batches did. ``seconds`` is CPU time by stage."""

    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    ignored: int = 0
    quarantined: int = 0
    findings: int = 0
    cases: int = 0
    closed: int = 0
    escalated: int = 0
    batches: int = 0
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, other: Report) -> None:
        """Sum two reports."""
        for name in ("lines", "accepted", "duplicates", "ignored", "quarantined", "findings", "cases"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.closed += other.closed
        self.escalated += other.escalated
        self.batches += other.batches
        for stage, seconds in other.seconds.items():
            self.seconds[stage] += seconds


@dataclass(slots=True)
class Read:
    """One claimed row, read. ``index`` is that of its entry."""

    row: inbox.Claimed
    delivery: Delivery
    reading: flow.Reading
    duplicates: int = 0


class Batch:
    """One micro-batch. Build it after taking the head lock, then ``run`` it, then commit."""

    def __init__(self, conn: Connection, tools: Tools, now_ms: int, head: tuple[int, int]) -> None:
        self.conn = conn
        self.tools = tools
        self.now_ms = now_ms
        self.size, self.next_case = head
        self.actor = Actor("agent", "triage")
        self.entries: list[tuple[Entry, str]] = []
        self.report = Report(batches=1)

    def run(self, claimed: list[inbox.Claimed], skip: frozenset[int]) -> Report:
        """Everything between the claim and the commit. ``skip``: places known to break things; they are quarantined."""
        self.tools.prepare(self.conn)
        lease = self._take_lease(sum(row.n for row in claimed))
        with self.timed("read"):
            reads = [self._read(row, skip) for row in claimed]
            items = self._new_items(reads)
            self._enter_received(reads)
        with self.timed("fold"):
            parts = flow.gather(items)
        with self.timed("load"):
            load = self._load(parts)
        with self.timed("correlate"):
            found = flow.correlate(
                parts,
                load.known,
                load.history,
                load.index,
                lambda entities: self.tools.answer(entities, lease),
                self.next_case,
            )
        with self.timed("judge"):
            batch = flow.Batch(
                placed=found.placed,
                cases=load.cases,
                patterns=load.patterns,
                unsettled_hosts=load.unsettled_hosts,
                killed=self.tools.killed(self.conn),
                now_ms=self.now_ms,
            )
            judged = self.tools.judge(batch)
        with self.timed("write"):
            self._write(found, judged, load)
            inbox.done(self.conn, claimed)
        return self.report

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the CPU time of the block to the report's stage."""
        start = time.process_time()
        yield
        self.report.seconds[stage] += time.process_time() - start

    def _enter(self, kind: Kind, subject: str, trigger: str, body: dict[str, Any], case: str = "") -> int:
        """Queue an entry; returns the index that it will have."""
        entry = Entry(kind=kind, time=self.now_ms, actor=self.actor, subject=subject, trigger=trigger, body=body)
        self.entries.append((entry, case))
        return self.size + len(self.entries) - 1

    def _take_lease(self, alerts: int) -> VerifiedLease:
        lease, body = self.tools.lease(f"batch-{self.size}", alerts, self.now_ms)
        self.actor = Actor("agent", "triage", lease.id)
        self._enter(Kind.LEASE_ISSUED, lease.id, "inbox", body)
        return lease

    def _read(self, row: inbox.Claimed, skip: frozenset[int]) -> Read:
        delivery = evidence.get(self.conn, row.blob, Delivery)
        try:
            source = self.tools.source(delivery.source, delivery.header, delivery.mapping)
        except CountersignError as error:  # a faulty mapping, or a source that is not there any more
            return Read(row, delivery, flow.unreadable(delivery, error))
        return Read(row, delivery, flow.read(delivery, row.blob, source, skip))

    def _new_items(self, reads: Sequence[Read]) -> list[flow.Item]:
        """Alerts that were not delivered before, by their own id; the others are counted, and stay in the raw blob."""
        keys = {
            (i, item.place): inbox.alert_key(item.alert.source, item.alert.uid, item.sha256)
            for i, read in enumerate(reads)
            for item in read.reading.items
            if item.alert.uid
        }
        seen = inbox.known_keys(self.conn, list(keys.values())) if keys else set()
        fresh: list[bytes] = []
        items = []
        for i, read in enumerate(reads):
            for item in read.reading.items:
                key = keys.get((i, item.place))
                if key is not None and key in seen:
                    read.duplicates += 1
                    continue
                if key is not None:
                    seen.add(key)
                    fresh.append(key)
                items.append(item)
        inbox.remember_keys(self.conn, fresh)
        return items

    def _enter_received(self, reads: Sequence[Read]) -> None:
        held = []
        for read in reads:
            reading, delivery, blob = read.reading, read.delivery, read.row.blob
            body = bodies.alert_received(
                source=delivery.source,
                origin=delivery.origin,
                blob=blob,
                digests=reading.digests,
                ignored=reading.ignored,
                duplicates=read.duplicates,
                bad=len(reading.bad),
            )
            index = self._enter(Kind.ALERT_RECEIVED, blob[:16], read.row.trigger, body)
            for bad in reading.bad:
                about = bodies.alert_quarantined(
                    source=delivery.source,
                    origin=delivery.origin,
                    position=delivery.positions[bad.place],
                    blob=blob,
                    item=bad.place,
                    sha256=reading.digests[bad.place],
                    field=bad.field,
                    error=bad.error,
                )
                held.append((self._enter(Kind.ALERT_QUARANTINED, blob[:16], str(index), about), about))
            self._tally(body)
        quarantine.hold(self.conn, held, self.now_ms)

    def _tally(self, body: dict[str, Any]) -> None:
        report = self.report
        report.lines += body["lines"]
        report.accepted += body["accepted"]
        report.duplicates += body["duplicates"]
        report.quarantined += body["quarantined"]
        report.ignored += sum(body["ignored"].values())

    def _load(self, parts: Sequence[flow.Part]) -> working.Working:
        return working.load(self.conn, [p.finding for p in parts], [p.pattern for p in parts])

    def _write(self, found: flow.Correlated, judged: Sequence[flow.Judged], load: working.Working) -> None:
        records = flow.records(found, judged)
        packed = projection.pack_records(records, [placed.refs for placed in found.placed])
        blob = evidence.pack("records", packed)
        if records:
            evidence.put(self.conn, [blob])
        self._merge(found, load)
        first = self._enter_decided(records, blob.digest)
        decided = [projection.decided(packed, blob.digest, i, first + i, self.now_ms, r) for i, r in enumerate(records)]
        projection.write_findings(self.conn, decided)
        working.save_history(self.conn, load.history)
        working.save_index(self.conn, load.index)
        projection.refresh_cases(self.conn, decided, dict.fromkeys(found.opened, self.now_ms))
        self._count(found, records)
        ledger.append(self.conn, self.entries, next_case=found.next_case)

    def _merge(self, found: flow.Correlated, load: working.Working) -> None:
        """Cases that turned out to be one matter; those opened and merged within this batch were never seen."""
        merges = []
        for merged in found.merged:
            if merged in found.opened:
                continue
            survivor = load.index.resolve(merged)
            index = self._enter(Kind.CASE_MERGED, merged, str(self.size), {"into": survivor}, survivor)
            merges.append(projection.Merge(merged, survivor, index, self.now_ms))
        projection.merge_cases(self.conn, merges)

    def _enter_decided(self, records: Sequence[FindingRecord], blob: str) -> int:
        """Queue the decisions' entries; returns the index of the first."""
        people: set[str] = set()
        for record in records:
            people |= bodies.personal_keys(record)
        pseudonyms = ledger.pseudonyms(self.conn, people)
        first = self.size + len(self.entries)
        for place, record in enumerate(records):
            body = bodies.finding_decided(record, blob=blob, place=place, policy=self.tools.policy, pseudonyms=pseudonyms)
            self._enter(Kind.FINDING_DECIDED, record.finding.id, str(self.size), body, record.case)
        return first

    def _count(self, found: flow.Correlated, records: Sequence[FindingRecord]) -> None:
        report = self.report
        report.findings = sum(record.first for record in records)
        report.cases = len([case for case in found.opened if case not in found.merged])
        report.closed = sum(record.decision.action is Action.CLOSE for record in records)
        report.escalated = len(records) - report.closed
        projection.count(self.conn, {name: getattr(report, name) for name in projection.COUNTED})
