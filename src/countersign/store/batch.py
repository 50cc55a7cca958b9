"""One micro-batch inside its transaction: read, correlate, judge, and write findings, cases and entries together."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from countersign import flow
from countersign.authority.agents import Operation
from countersign.authority.grant import CASES, FINDINGS, Grant
from countersign.authority.lease import demand
from countersign.autonomy import governor, review
from countersign.correlate import nearby
from countersign.correlate.nearby import LEVEL
from countersign.errors import CountersignError, EnvironmentFault
from countersign.ledger import bodies, decisions
from countersign.ledger.decisions import DecisionEntry
from countersign.model.alerts import Delivery
from countersign.model.decisions import Action
from countersign.model.entries import Actor, Entry, Kind
from countersign.model.records import FindingRecord
from countersign.model.verdicts import PPM, Label
from countersign.store import (
    asking,
    autonomy,
    closing,
    inbox,
    leases,
    ledger,
    past,
    projection,
    quarantine,
    recorded,
    words,
    working,
)
from countersign.store.autonomy import InForce
from countersign.store.carried import Carried
from countersign.store.gear import Report, Tools
from countersign.store.labelling import Standing


@dataclass(slots=True)
class Read:
    """One claimed row, read. ``index`` is that of its entry."""

    row: inbox.Claimed
    delivery: Delivery
    reading: flow.Reading
    duplicates: int = 0


class Batch:
    """One micro-batch. Build it after taking the head lock, then ``run`` it, then commit."""

    def __init__(
        self, conn: Connection, tools: Tools, now_ms: int, head: tuple[int, int], carried: Carried | None = None
    ) -> None:
        self.conn = conn
        self.carried = carried or Carried()
        self.tools = tools
        self.now_ms = now_ms
        self.size, self.next_case = head
        self.actor = Actor("agent", "triage")
        self.entries: list[tuple[Entry | DecisionEntry, str]] = []
        self.report = Report(batches=1)
        self.force = InForce("", "")
        self.governance: autonomy.Governance
        self.granted: Grant
        self.seeds: dict[str, bytes] = {}

    def run(self, claimed: list[inbox.Claimed], skip: frozenset[int]) -> Report | None:
        """Everything between the claim and the commit. ``skip``: places known to break things; they are quarantined. None
        when no lease allows it: nothing is done but recording that, and the alerts go on waiting."""
        if not self._begin(f"inbox-{claimed[0].id}", sum(row.n for row in claimed)):
            return None
        with self.timed("read"):
            waiting = self.carried.deliveries(self.conn, claimed)
            reads = [self._read(row, one, skip) for row, one in zip(claimed, waiting, strict=True)]
            items = self._new_items(reads)
            self._enter_received(reads)
        with self.timed("fold"):
            parts = flow.gather(items, lambda finding: self.tools.role(finding, self.granted))
        with self.timed("load"):
            load = self.carried.load(self.conn, parts, self.size)
        with self.timed("correlate"):
            found = flow.correlate(
                parts,
                load.known,
                load.history,
                load.index,
                lambda entities: self.tools.answer(entities, self.granted),
                self.next_case,
            )
        with self.timed("judge"):
            judged = self.tools.judge(self._facts(found.placed, load))
        with self.timed("write"):
            self._write(found, judged, load)
            inbox.done(self.conn, claimed)
        with self.timed("ask again"):
            self._ask_again(found.placed, judged)
            self._finish(found.next_case)
        return self.report

    def ask(self, findings: Sequence[str]) -> Report | None:
        """Ask the gate again about findings that wait or were closed, because labels or trouble changed since. None when no
        lease allows it."""
        if not self._begin(f"ask-{findings[0]}", len(findings), "asked again"):
            return None
        self._ask(findings, "asked again")
        self._finish(self.next_case)
        return self.report

    def peek(self, findings: Sequence[str]) -> dict[str, Standing]:
        """What the gate would say of these findings at this moment; nothing is written."""
        self._look()
        granted = self.tools.lease(self.conn, f"peek-{self.size}", self.now_ms)
        asked = asking.load(self.conn, findings, lambda entities: self.tools.answer(entities, granted))
        judged = self.tools.judge(self._facts(asked.placed, asked.load)) if asked.placed else []
        return {
            p.finding.id: Standing(j.decision.quiet, j.verdict.pico, j.verdict.p1_ppm)
            for p, j in zip(asked.placed, judged, strict=True)
        }

    def _look(self) -> None:
        """State that every decision rests on: inventory, scopes, kill switches, the ledger's seal."""
        self.tools.prepare(self.conn)
        self.force = self.tools.in_force()
        self.governance = autonomy.load(self.conn, self.force, self.now_ms)
        self.killed = self.tools.killed(self.conn)
        self.sealed = self.tools.sealed(self.conn)
        autonomy.observe(self.governance, self.force, self.killed)

    def _begin(self, task: str, alerts: int, why: str = "inbox") -> bool:
        """The same, the lease, and the week's seed. False when a lease without which nothing can be written was refused. The
        task keeps its name when it is tried again, so that its refusal is recorded once."""
        self._look()
        self.granted = self.tools.lease(self.conn, task, self.now_ms)
        refused = leases.refused(self.conn, self.granted.refusals, self.size, self.now_ms)
        self.entries.extend((entry, "") for entry in refused)
        if not (self.granted.holds(Operation.DECIDE) and self.granted.holds(Operation.LINK)):
            ledger.append(self.conn, self.entries)
            return False
        self.seeds, opening = closing.commit_seeds(self.conn, self.now_ms, self.size + len(self.entries))
        self.entries.extend((entry, "") for entry in opening)
        self._enter_lease(alerts, why)
        return True

    def _finish(self, next_case: int) -> None:
        """The scopes' states, and everything into the ledger."""
        for entry in autonomy.write(self.conn, self.governance, self.size + len(self.entries), str(self.size)):
            self.entries.append((entry, ""))
        if self.entries:
            ledger.append(self.conn, self.entries, next_case=next_case)

    def _facts(self, placed: Sequence[flow.Placed], load: working.Working) -> flow.Batch:
        return flow.Batch(
            placed=placed,
            cases=load.cases,
            patterns=load.patterns,
            nearby=load.nearby,
            killed=self.killed,
            now_ms=self.now_ms,
            governed=self.governance.states,
            confirmed=load.confirmed,
            closed=closing.this_hour(self.conn, self.now_ms),
            sealed=self.sealed,
        )

    def _ask_again(self, placed: Sequence[flow.Placed], judged: Sequence[flow.Judged]) -> None:
        """Trouble that turned up: closes of its case and hour are put to the gate again."""
        news = [
            p
            for p, j in zip(placed, judged, strict=True)
            if j.trouble is not Label.BENIGN and LEVEL[j.trouble] > LEVEL[p.before or Label.BENIGN]
        ]
        if not news:
            return
        low = min(p.finding.first_seen_ms for p in news) - nearby.HOUR_MS
        high = max(p.finding.first_seen_ms for p in news) + nearby.HOUR_MS
        touched = closing.standing_near(self.conn, {p.case for p in news}, low, high)
        if touched:
            self._ask(touched, "trouble turned up")

    def _ask(self, findings: Sequence[str], why: str) -> None:
        """Decide anew; what is decided as before leaves no trace."""
        asked = asking.load(self.conn, findings, lambda entities: self.tools.answer(entities, self.granted))
        if not asked.placed:
            return
        judged = self.tools.judge(self._facts(asked.placed, asked.load))
        differ = [i for i, j in enumerate(judged) if j.decision.action is not asked.before[i]]
        if not differ:
            return
        some = flow.Correlated([asked.placed[i] for i in differ], [], {}, self.next_case)
        records = flow.records(some, [judged[i] for i in differ])
        decided = self._decided(records, [() for _ in records], [judged[i].p1_ppm for i in differ], f"{why} {self.size}")
        projection.refresh_cases(self.conn, decided, {})
        closed = sum(record.decision.action is Action.CLOSE for record in records)
        self.report.closed += closed
        self.report.reopened += len(records) - closed
        projection.count(self.conn, {"closed": closed, "reopened": len(records) - closed})

    def _decided(
        self,
        records: Sequence[FindingRecord],
        refs: Sequence[Sequence[tuple[str, int]]],
        p1s: Sequence[int | None],
        trigger: str,
    ) -> list[projection.Decided]:
        """Write decisions: records, their entries, rows of findings and of closes."""
        if not records:
            return []
        kept = projection.keep(self.conn, records, refs)
        draws = self._draws(records, p1s)
        first = self._enter_decided(records, kept, draws, trigger)
        decided = [
            projection.Decided(first + i, self.now_ms, r, *kept[i], self.force.policy, draws[i])
            for i, r in enumerate(records)
        ]
        self.carried.wrote(kept, records)
        self._demand(Operation.DECIDE, FINDINGS)
        projection.write_findings(self.conn, decided)
        closing.write(self.conn, decided)
        return decided

    def _draws(self, records: Sequence[FindingRecord], p1s: Sequence[int | None]) -> list[closing.Draw | tuple[()]]:
        """The draw of each close. One that is passed over for the first time is an observation of its scope."""
        closes = [i for i, r in enumerate(records) if r.decision.action is Action.CLOSE]
        draws: list[closing.Draw | tuple[()]] = [()] * len(records)
        if not closes:
            return draws
        week = review.week_of(self.now_ms)
        again = closing.earlier(self.conn, [records[i].finding.id for i in closes if not records[i].first])
        passed: Counter[str] = Counter()
        for i in closes:
            record, p1 = records[i], p1s[i]
            governed = self.governance.states[record.decision.scope]
            drawn = closing.draw(governed, record.finding.id, PPM if p1 is None else p1, week, self.seeds[week])
            draws[i] = drawn
            if not drawn[3] and record.finding.id not in again:
                passed[record.decision.scope] += 1
        for scope, number in passed.items():
            self.governance.take(scope, governor.undrawn(self.governance.states[scope], number, self.now_ms))
        return draws

    @property
    def end(self) -> int:
        """Entries in the ledger once this is committed."""
        return self.size + len(self.entries)

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

    def _enter_lease(self, alerts: int, why: str) -> None:
        lease = self.granted.lease
        assert lease is not None  # noqa: S101 - _begin saw proofs that came from it
        self.actor = Actor("agent", lease.agent, lease.id)
        self._enter(Kind.LEASE_ISSUED, lease.id, why, self.tools.issued(self.granted, alerts))

    def _demand(self, operation: Operation, resource: str) -> None:
        """No write in an agent's name without its lease."""
        demand(self.granted.of(operation, resource), operation, resource, self.granted.use)

    def _read(self, row: inbox.Claimed, delivery: Delivery, skip: frozenset[int]) -> Read:
        try:
            source = self.tools.source(delivery.source, delivery.header, delivery.mapping)
        except CountersignError as error:  # a faulty mapping, or a source that is not there any more
            return Read(row, delivery, flow.unreadable(delivery, error))
        return Read(row, delivery, flow.read(delivery, row.blob, source, skip))

    def _new_items(self, reads: Sequence[Read]) -> list[flow.Item]:
        """Alerts that were not delivered before, by their own id; the others are counted, and stay in the raw blob."""
        taken: set[bytes] = set()
        found: list[tuple[Read, flow.Item, bytes]] = []
        for read in reads:
            for item in read.reading.items:
                alert = item.alert
                key = inbox.alert_key(alert.source, alert.uid, item.sha256) if alert.uid else b""
                if key in taken:
                    read.duplicates += 1
                    continue
                if key:
                    taken.add(key)
                found.append((read, item, key))
        known = inbox.take_keys(self.conn, list(taken))
        for read, _, key in found if known else ():
            read.duplicates += key in known
        return [item for _, item, key in found if key not in known]

    def _enter_received(self, reads: Sequence[Read]) -> None:
        held = []
        texts = [text for read in reads for text in (read.delivery.origin, *(bad.error for bad in read.reading.bad))]
        said = iter(words.all_hidden(self.conn, texts))
        for read in reads:
            reading, delivery, blob = read.reading, read.delivery, read.row.blob
            body = bodies.alert_received(
                source=delivery.source,
                origin=(origin := next(said)),
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
                    origin=origin,
                    position=delivery.positions[bad.place],
                    blob=blob,
                    item=bad.place,
                    sha256=reading.digests[bad.place],
                    field=bad.field,
                    error=next(said),
                )
                held.append((self._enter(Kind.ALERT_QUARANTINED, blob[:16], str(index), about), about))
            self._tally(body)
        quarantine.hold(self.conn, held, self.now_ms)

    def _tally(self, body: dict[str, Any]) -> None:
        for name in ("lines", "accepted", "duplicates", "quarantined"):
            setattr(self.report, name, getattr(self.report, name) + body[name])
        self.report.ignored += sum(body["ignored"].values())

    def _write(self, found: flow.Correlated, judged: Sequence[flow.Judged], load: working.Working) -> None:
        records = flow.records(found, judged)
        self._demand(Operation.LINK, CASES)
        if taken := ledger.taken_cases(self.conn, found.opened):  # somebody set the counter back: alerts wait
            todo = "run countersign rebuild, which sets it right"
            raise EnvironmentFault(f"number of case {taken[0]} is given already", where="ledger_head", todo=todo)
        self._merge(found, load)
        refs = [placed.refs for placed in found.placed]
        decided = self._decided(records, refs, [j.p1_ppm for j in judged], str(self.size))
        past.save(self.conn, load.history)
        working.save_index(self.conn, load.index)
        projection.refresh_cases(self.conn, decided, dict.fromkeys(found.opened, self.now_ms))
        self._count(found, records)

    def _merge(self, found: flow.Correlated, load: working.Working) -> None:
        """Cases that turned out to be one matter; those opened and merged within this batch were never seen."""
        merges = []
        opened = set(found.opened)
        for merged in found.merged:
            if merged in opened:
                continue
            survivor = load.index.resolve(merged)
            index = self._enter(Kind.CASE_MERGED, merged, str(self.size), {"into": survivor}, survivor)
            merges.append(projection.Merge(merged, survivor, index, self.now_ms))
        projection.merge_cases(self.conn, merges)

    def _enter_decided(
        self,
        records: Sequence[FindingRecord],
        places: Sequence[recorded.Place],
        draws: Sequence[closing.Draw | tuple[()]],
        trigger: str,
    ) -> int:
        """Queue the decisions' entries; returns the index of the first."""
        people: set[str] = set()
        for record in records:
            people |= bodies.personal_keys(record)
        pseudonyms = ledger.pseudonyms(self.conn, people)
        first = self.size + len(self.entries)
        said = partial(bodies.decision, policy=self.force.policy, pseudonyms=pseudonyms)
        entered = partial(decisions.entry, self.actor, trigger, self.now_ms)
        self.entries.extend(
            (entered(record.finding.id, said(record, blob=blob, place=place, draw=draw)), record.case)
            for record, (blob, place), draw in zip(records, places, draws, strict=True)
        )
        return first

    def _count(self, found: flow.Correlated, records: Sequence[FindingRecord]) -> None:
        report = self.report
        report.findings = sum(record.first for record in records)
        report.cases = len([case for case in found.opened if case not in found.merged])
        report.closed = sum(record.decision.action is Action.CLOSE for record in records)
        report.escalated = len(records) - report.closed
        projection.count(self.conn, {name: getattr(report, name) for name in projection.COUNTED})
