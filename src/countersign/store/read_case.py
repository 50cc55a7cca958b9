"""Questions behind the case page: its findings with everything they rest on, its like, its ledger entries."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select

from countersign.errors import NotFoundError
from countersign.model.alerts import Severity
from countersign.model.entries import Actor, Entry
from countersign.model.records import FindingRecord, Records
from countersign.model.verdicts import Label
from countersign.store import evidence, recorded
from countersign.store import tables as t
from countersign.store.read import CaseRow, case_rows, cases, people, plain
from countersign.triage import text

FINDINGS_MAX = 60
"""Most findings of a case read whole; the page says how many more there are."""
SIMILAR_MAX = 6
ENTRIES_MAX = 100
ALERTS_MAX = 200
LEAF_PREFIX = b"\x00"
"""RFC 6962 section 2.1: leaf hash = SHA-256(0x00 ‖ entry)."""


class EntryView(msgspec.Struct, frozen=True):
    """One ledger entry as a list shows it. digest: RFC 6962 leaf hash, hex. actor_name: clear if known."""

    idx: int
    kind: str
    time_ms: int
    actor: Actor
    actor_name: str
    subject: str
    trigger: str
    case_id: str
    body: dict[str, Any]
    digest: str


class CaseDetail(msgspec.Struct, frozen=True):
    """A case with its strongest findings read whole (top finding first, then by score) and its newest entries."""

    case: CaseRow
    records: tuple[FindingRecord, ...]
    top: FindingRecord | None
    similar: tuple[CaseRow, ...]
    entries: tuple[EntryView, ...]
    entries_total: int


class FindingLine(msgspec.Struct, frozen=True):
    """One finding in the case's list."""

    id: str
    source: str
    product: str
    rule: str
    title: str
    severity: Severity
    first_seen_ms: int
    last_seen_ms: int
    count: int
    label: Label
    pico: int
    entry: int


class AlertRef(msgspec.Struct, frozen=True, array_like=True):
    """Where one raw alert lies: evidence digest of its delivery, and its 0-based place in it."""

    blob: str
    place: int


def case_row(conn: Connection, case_id: str) -> CaseRow:
    """One case. Raises NotFoundError."""
    found = conn.execute(cases().where(t.cases.c.id == case_id)).all()
    if not found:
        raise NotFoundError("there is no such case", where=case_id, todo="look for it in the queue")
    return case_rows(conn, found)[0]


def case_detail(conn: Connection, case_id: str, *, findings: int = FINDINGS_MAX) -> CaseDetail:
    """Everything the case page shows. Raises NotFoundError."""
    row = case_row(conn, case_id)
    read = records(conn, row, findings)
    entries, total = case_entries(conn, case_id)
    return CaseDetail(
        case=row,
        records=read,
        top=read[0] if read else None,
        similar=similar(conn, row, read[0].pattern) if read else (),
        entries=entries,
        entries_total=total,
    )


def records(conn: Connection, row: CaseRow, most: int = FINDINGS_MAX) -> tuple[FindingRecord, ...]:
    """The case's findings read whole: the top finding, then the highest scores."""
    f = t.findings.c
    order = ((f.id != row.top_finding), f.pico.desc(), f.id)
    chosen = select(f.blob, f.place).where(f.case_id == row.id).order_by(*order).limit(min(most, FINDINGS_MAX))
    places = [(blob, place) for blob, place in conn.execute(chosen).all()]
    held = dict(recorded.packed(conn, places, but=(NotFoundError,)))  # without those that were erased, a case is readable
    return tuple(_readable(_decode_record(held[place])) for place in places if place in held)


def _readable(record: FindingRecord) -> FindingRecord:
    """With words where the verdict holds numbers of their hashes."""
    named = text.readable(record.finding, record.verdict.contributions)
    if named == record.verdict.contributions:
        return record
    return msgspec.structs.replace(record, verdict=msgspec.structs.replace(record.verdict, contributions=named))


_decode_record = msgspec.msgpack.Decoder(FindingRecord).decode


def finding_record(conn: Connection, finding_id: str) -> FindingRecord:
    """One finding read whole. Raises NotFoundError."""
    where = conn.execute(select(t.findings.c.blob, t.findings.c.place).where(t.findings.c.id == finding_id)).first()
    if where is None:
        raise NotFoundError("there is no such finding", where=finding_id, todo="open it from its case")
    return _decode_record(evidence.get(conn, where.blob, Records).records[where.place])


def finding_lines(conn: Connection, case_id: str, *, limit: int = FINDINGS_MAX) -> tuple[FindingLine, ...]:
    """The case's findings in the order they were first seen, newest ``limit`` of them."""
    columns = [t.findings.c[field] for field in FindingLine.__struct_fields__]
    statement = select(*columns).where(t.findings.c.case_id == case_id)
    found = conn.execute(statement.order_by(t.findings.c.first_seen_ms.desc(), t.findings.c.id).limit(limit)).all()
    return tuple(msgspec.convert(plain(row), FindingLine) for row in reversed(found))


def alert_refs(conn: Connection, finding_id: str, *, limit: int = ALERTS_MAX) -> tuple[AlertRef, ...]:
    """Raw alerts behind a finding, oldest batch first, at most ``limit``."""
    every = (AlertRef(*place) for _, _, places in recorded.alerts(conn, [finding_id]) for place in places)
    return tuple(islice(every, limit))


def similar(conn: Connection, row: CaseRow, pattern: str, *, limit: int = SIMILAR_MAX) -> tuple[CaseRow, ...]:
    """Other cases holding a finding of the same pattern, those judged by people first, then the newest."""
    f, c = t.findings.c, t.cases.c
    same = select(f.case_id).where(f.pattern == pattern, f.case_id != row.id).distinct()
    statement = cases().where(c.id.in_(same), c.status != "merged")
    return case_rows(conn, conn.execute(statement.order_by(c.disposed_ms.desc(), c.updated_ms.desc()).limit(limit)).all())


def case_entries(conn: Connection, case_id: str, *, limit: int = ENTRIES_MAX) -> tuple[tuple[EntryView, ...], int]:
    """The case's newest ledger entries, newest first, and how many there are."""
    e = t.entries.c
    found = conn.execute(select(t.entries).where(e.case_id == case_id).order_by(e.idx.desc()).limit(limit)).all()
    total = len(found)
    if total == limit:
        total = int(conn.execute(select(func.count()).select_from(t.entries).where(e.case_id == case_id)).scalar_one())
    return entry_views(conn, found), total


def ledger_entries(
    conn: Connection, *, before: int | None = None, limit: int = ENTRIES_MAX, case_id: str = ""
) -> tuple[EntryView, ...]:
    """Newest entries of the whole ledger, or of one case, before index ``before`` if given."""
    statement = select(t.entries).order_by(t.entries.c.idx.desc()).limit(min(limit, ENTRIES_MAX))
    if case_id:
        statement = statement.where(t.entries.c.case_id == case_id)
    if before is not None:
        statement = statement.where(t.entries.c.idx < before)
    return entry_views(conn, conn.execute(statement).all())


def entry_views(conn: Connection, rows: list[Row[Any]] | Any) -> tuple[EntryView, ...]:  # noqa: ANN401 - SQLAlchemy's sequence
    """Rows of ``entries`` decoded, with clear names put back for pseudonyms."""
    read = [(row, msgspec.json.decode(row.bytes, type=Entry)) for row in rows]
    names = people(conn, {entry.actor.id for _, entry in read if entry.actor.type == "human"})
    return tuple(_entry_view(row, entry, names) for row, entry in read)


def _entry_view(row: Row[Any], entry: Entry, names: dict[str, str]) -> EntryView:
    return EntryView(
        idx=row.idx,
        kind=entry.kind.value,
        time_ms=entry.time,
        actor=entry.actor,
        actor_name=names.get(entry.actor.id, entry.actor.id),
        subject=entry.subject,
        trigger=entry.trigger,
        case_id=row.case_id,
        body=entry.body,
        digest=hashlib.sha256(LEAF_PREFIX + row.bytes).hexdigest(),
    )
