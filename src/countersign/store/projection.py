"""Rows of the read side, as pure functions of records and entries, and the SQL that keeps cases in step with findings.

The hot path and ``rebuild`` write through these same functions, which is why they give the same rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, case, delete, func, select, update

from countersign.correlate.link import case_number
from countersign.model.attack import TACTIC_ORDER
from countersign.model.cases import CaseStatus
from countersign.model.decisions import Action
from countersign.model.records import FindingRecord, Records
from countersign.store import tables as t
from countersign.store.sql import among, chunks, insert_new, upsert

COUNTED = ("lines", "accepted", "duplicates", "ignored", "quarantined", "findings", "closed", "escalated")
"""Counters kept in the ``counters`` table."""
_encode = msgspec.msgpack.Encoder().encode


class Decided(NamedTuple):
    """One decision as it is written: its entry, its time, the record, the record's bytes, and its raw alerts."""

    entry: int
    time_ms: int
    record: FindingRecord
    data: bytes
    refs: bytes


def pack_records(records: Sequence[FindingRecord], refs: Sequence[Sequence[tuple[str, int]]]) -> Records:
    """Every record encoded once, with its raw alerts by number of blob."""
    blobs: dict[str, int] = {}
    numbered = [[(blobs.setdefault(blob, len(blobs)), place) for blob, place in some] for some in refs]
    return Records([_encode(record) for record in records], list(blobs), numbered)


def decided(packed: Records, place: int, entry: int, time_ms: int, record: FindingRecord) -> Decided:
    """One decision out of a packed batch."""
    refs = [(packed.blobs[blob], item) for blob, item in packed.refs[place]]
    return Decided(entry, time_ms, record, packed.records[place], _encode(refs))


def finding_row(one: Decided) -> dict[str, Any]:
    """Row of ``findings``."""
    record, entry, time_ms = one.record, one.entry, one.time_ms
    finding, verdict, decision = record.finding, record.verdict, record.decision
    return {
        "id": finding.id,
        "case_id": record.case,
        "source": finding.source,
        "product": finding.product,
        "rule": finding.rule,
        "title": finding.title,
        "severity": int(finding.severity),
        "host": finding.host,
        "pattern": record.pattern,
        "scope": decision.scope,
        "tactics": ",".join(finding.tactics),
        "techniques": ",".join(finding.techniques),
        "first_seen_ms": finding.first_seen_ms,
        "last_seen_ms": finding.last_seen_ms,
        "count": finding.count,
        "label": verdict.label.value,
        "rarity": record.rarity,
        "pico": verdict.pico,
        "p0_ppm": verdict.p0_ppm,
        "p1_ppm": verdict.p1_ppm,
        "action": decision.action.value,
        "advice": decision.advice.value,
        "why": decision.why,
        "entry": entry,
        "decided_ms": time_ms,
        "record": one.data,
    }


def write_findings(conn: Connection, several: Sequence[Decided]) -> None:
    """Write decisions; the last of a finding stands."""
    upsert(conn, t.findings, [finding_row(one) for one in several])
    rows = [{"finding_id": one.record.finding.id, "entry": one.entry, "refs": one.refs} for one in several]
    insert_new(conn, t.finding_alerts, rows)


def merge_case(conn: Connection, merged: str, survivor: str, entry: int, time_ms: int) -> None:
    """Everything of ``merged`` belongs to ``survivor`` from now on."""
    for table in (t.findings, t.entity_index):
        conn.execute(update(table).where(table.c.case_id == merged).values(case_id=survivor))
    found = conn.execute(select(t.cases).where(t.cases.c.id.in_([merged, survivor]))).all()
    values = {"status": CaseStatus.MERGED.value, "merged_into": survivor, "entry": entry, "updated_ms": time_ms}
    conn.execute(update(t.cases).where(t.cases.c.id == merged).values(values))
    united = {name: _united(name, *(",".join([getattr(row, name) for row in found]), "")) for name in _SETS}
    conn.execute(update(t.cases).where(t.cases.c.id == survivor).values(united))


def forget_links(conn: Connection, case_id: str) -> None:
    """A case that is closed attracts no new findings."""
    conn.execute(delete(t.entity_index).where(t.entity_index.c.case_id == case_id))


def refresh_cases(conn: Connection, several: Sequence[Decided], opened: Mapping[str, int]) -> None:
    """Recompute the cases that these decisions touch. opened: new case → its opening time."""
    touched = {one.record.case: one for one in several}
    fresh = _fresh_sets(several)
    for part in chunks(sorted(touched, key=case_number)):
        old = {row.id: row for row in conn.execute(among(conn, select(t.cases), t.cases.c.id, part)).all()}
        totals, tops = _totals(conn, part), _tops(conn, part)
        rows = []
        for case_id in part:
            last, before = touched[case_id], old.get(case_id)
            sets = {
                name: _united(name, getattr(before, name) if before is not None else "", fresh[case_id][name])
                for name in _SETS
            }
            row = {"id": case_id, **_state(before, opened.get(case_id, 0)), **totals[case_id], **tops[case_id], **sets}
            rows.append(row | {"entry": last.entry, "updated_ms": last.time_ms})
        upsert(conn, t.cases, rows)


_SETS = ("products", "tactics", "techniques")
"""Columns that hold a comma-separated set, which only grows."""


def _fresh_sets(several: Sequence[Decided]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(lambda: dict.fromkeys(_SETS, ""))
    for one in several:
        finding, sets = one.record.finding, found[one.record.case]
        for name, values in zip(_SETS, ((finding.product,), finding.tactics, finding.techniques), strict=True):
            sets[name] = _united(name, sets[name], ",".join(values))
    return found


@lru_cache(maxsize=4096)
def _united(name: str, one: str, two: str) -> str:
    """Union of two comma-separated sets: tactics in kill-chain order, everything else sorted."""
    values = {*one.split(","), *two.split(",")} - {""}
    return ",".join(sorted(values, key=tactic_order) if name == "tactics" else sorted(values))


_STATE = ("status", "opened_ms", "owner", "disposition", "reason", "disposed_by", "disposed_ms", "merged_into")


def _state(old: Row[Any] | None, opened_ms: int) -> dict[str, Any]:
    if old is not None:
        return {name: getattr(old, name) for name in _STATE}
    blank: dict[str, Any] = dict.fromkeys(_STATE, "")
    return blank | {"status": CaseStatus.OPEN.value, "opened_ms": opened_ms, "disposed_ms": 0}


def _totals(conn: Connection, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    f = t.findings.c
    escalated = func.sum(case((f.advice == Action.CLOSE.value, 0), else_=1))
    statement = select(
        f.case_id,
        func.count().label("findings"),
        func.sum(f.count).label("alerts"),
        func.min(f.first_seen_ms).label("first_seen_ms"),
        func.max(f.last_seen_ms).label("last_seen_ms"),
        func.max(f.severity).label("severity"),
        escalated.label("escalated"),
    )
    statement = among(conn, statement, f.case_id, ids).group_by(f.case_id)
    names = ("findings", "alerts", "first_seen_ms", "last_seen_ms", "severity")
    totals: dict[str, dict[str, Any]] = {}
    for case_id, *numbers, escalations in conn.execute(statement).all():
        totals[case_id] = dict(zip(names, map(int, numbers), strict=True))
        totals[case_id]["advice"] = (Action.ESCALATE if escalations else Action.CLOSE).value
    return totals


_TOP = ("title", "host", "scope", "label", "pico", "p0_ppm", "p1_ppm", "why")


def _tops(conn: Connection, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    f = t.findings.c
    place = func.row_number().over(partition_by=f.case_id, order_by=(f.pico.desc(), f.id)).label("place")
    ranked = select(f.case_id, f.id.label("top_finding"), *(f[name] for name in _TOP), place)
    ranked = among(conn, ranked, f.case_id, ids).subquery()
    names = ("top_finding", *_TOP)
    chosen = select(ranked.c.case_id, *(ranked.c[name] for name in names)).where(ranked.c.place == 1)
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in conn.execute(chosen).all()}


def tactic_order(tactic: str) -> tuple[int, str]:
    """Place in the kill chain; unknown tactics last."""
    return (TACTIC_ORDER.get(tactic, len(TACTIC_ORDER)), tactic)


def count(conn: Connection, added: Mapping[str, int]) -> None:
    """Add to counters."""
    names = sorted(name for name, value in added.items() if value)
    old = {row.name: row.value for row in conn.execute(select(t.counters).where(t.counters.c.name.in_(names)))}
    upsert(conn, t.counters, [{"name": name, "value": old.get(name, 0) + added[name]} for name in names])
