"""Questions behind **Closed by the agent**: the closes, what became of each, blind reviews that wait, recalls.

Nothing here writes. What a reviewer is shown before the answer is read by ``blind``, whose views have no field for a
verdict, score or decision: what is not read cannot be leaked by a template.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from countersign.correlate.nearby import HOUR_MS
from countersign.errors import NotFoundError, UsageError
from countersign.model.alerts import Severity
from countersign.model.cases import CaseStatus, CloseState
from countersign.model.entities import Entity
from countersign.model.entries import Kind
from countersign.model.evidence import LookupStatus
from countersign.model.records import FindingRecord
from countersign.store import read_case, words
from countersign.store import tables as t
from countersign.store.read import TAKEN_BACK, plain
from countersign.store.read_case import EntryView
from countersign.store.sql import among

PAGE_ROWS_MAX = 100
AROUND_MAX = 40
RECALL_ENTRIES_MAX = 20
RECALL_ROWS_MAX = 500


class Part(StrEnum):
    """Parts of the list. ``unread``: the draw passed them over, so nobody reviews them."""

    ALL = "all"
    WAITING = "waiting"
    UNREAD = "unread"
    CONFIRMED = "confirmed"
    BACK = "back"


class CloseRow(msgspec.Struct, frozen=True):
    """One close. drawn: whether a person reviews it blind. why: what sent it back. status: of its case."""

    finding_id: str
    case_id: str
    scope: str
    source: str
    rule: str
    title: str
    host: str
    severity: Severity
    closed_ms: int
    drawn: bool
    state: CloseState
    why: str
    status: CaseStatus

    @property
    def waits(self) -> bool:
        """For a blind review."""
        return self.drawn and self.state is CloseState.CLOSED


class ClosesPage(msgspec.Struct, frozen=True):
    """One page, newest first; ``cursor`` leads to the next, "" on the last."""

    rows: tuple[CloseRow, ...]
    part: Part
    cursor: str


class ClosesCount(msgspec.Struct, frozen=True):
    """Closes by what became of them. oldest_ms: closing of the one that has waited longest for its review, 0 without one."""

    waiting: int = 0
    unread: int = 0
    confirmed: int = 0
    back: int = 0
    oldest_ms: int = 0

    @property
    def total(self) -> int:
        """All closes there ever were, each finding once."""
        return self.waiting + self.unread + self.confirmed + self.back

    def of(self, part: Part) -> int:
        """Closes in a part of the list."""
        return {
            Part.WAITING: self.waiting,
            Part.UNREAD: self.unread,
            Part.CONFIRMED: self.confirmed,
            Part.BACK: self.back,
        }.get(part, self.total)


class Answered(msgspec.Struct, frozen=True):
    """What a lookup said, without which way it leans."""

    source: str
    said: str
    status: LookupStatus


class Nearby(msgspec.Struct, frozen=True):
    """Another finding on the same host or in the same case, as it came in."""

    id: str
    title: str
    source: str
    rule: str
    severity: Severity
    first_seen_ms: int
    count: int


class Blind(msgspec.Struct, frozen=True):
    """What a reviewer may see before answering: what came in and what lookups said, nothing that the agent made of it."""

    finding_id: str
    scope: str
    source: str
    product: str
    rule: str
    title: str
    message: str
    severity: Severity
    host: str
    tactics: tuple[str, ...]
    techniques: tuple[str, ...]
    first_seen_ms: int
    last_seen_ms: int
    count: int
    entities: tuple[Entity, ...]
    tainted: tuple[str, ...]
    answers: tuple[Answered, ...]
    around: tuple[Nearby, ...]
    alerts: tuple[read_case.AlertRef, ...]


class RecalledRow(msgspec.Struct, frozen=True):
    """One close of a recall and what it shares with the miss. status: of its case now."""

    finding_id: str
    case_id: str
    title: str
    host: str
    scope: str
    status: CaseStatus
    pattern: bool
    evidence: int
    entities: int


class Recall(msgspec.Struct, frozen=True):
    """One recall: the entries that record it, why, and its closes, most similar first; ``total`` may exceed ``rows``."""

    entry: EntryView
    entries: int
    cause: str
    reason: str
    case_id: str
    misses: tuple[str, ...]
    rows: tuple[RecalledRow, ...]
    total: int
    still_open: int


def _within(part: Part) -> ColumnElement[bool] | None:
    c = t.closes.c
    standing = c.state == CloseState.CLOSED.value
    return {
        Part.WAITING: and_(standing, c.drawn == 1),
        Part.UNREAD: and_(standing, c.drawn == 0),
        Part.CONFIRMED: c.state == CloseState.BENIGN.value,
        Part.BACK: c.state.in_(TAKEN_BACK),
    }.get(part)


def closes(conn: Connection, *, part: Part = Part.ALL, cursor: str = "", limit: int = PAGE_ROWS_MAX) -> ClosesPage:
    """One page of the closes, newest first. Raises UsageError on a bad cursor."""
    c = t.closes.c
    statement = _rows().order_by(c.closed_ms.desc(), c.finding_id.desc())
    within = _within(part)
    if within is not None:
        statement = statement.where(within)
    if cursor:
        at_ms, ident = _read_cursor(cursor)
        statement = statement.where(or_(c.closed_ms < at_ms, and_(c.closed_ms == at_ms, c.finding_id < ident)))
    size = max(1, min(limit, PAGE_ROWS_MAX))
    found = conn.execute(statement.limit(size + 1)).all()
    rows = tuple(msgspec.convert(plain(row), CloseRow, strict=False) for row in found[:size])
    following = f"{rows[-1].closed_ms}:{rows[-1].finding_id}" if len(found) > size else ""
    return ClosesPage(rows, part, following)


def _rows() -> Select[Any]:
    c, f = t.closes.c, t.findings.c
    columns: Select[Any] = select(
        c.finding_id, f.case_id, c.scope, f.source, f.rule, f.title, f.host, f.severity, c.closed_ms, c.drawn, c.state,
        f.why, t.cases.c.status,
    )  # fmt: skip
    return columns.join(t.findings, f.id == c.finding_id).join(t.cases, t.cases.c.id == f.case_id)


def _read_cursor(cursor: str) -> tuple[int, str]:
    value, _, ident = cursor.partition(":")
    if not value.isdecimal() or len(value) > 18:
        raise UsageError("cursor cannot be read", where="cursor", todo="start again from the first page")
    return int(value), ident


def counts(conn: Connection) -> ClosesCount:
    """Closes by what became of them, in one pass."""
    c = t.closes.c
    statement = select(c.state, c.drawn, func.count().label("n"), func.min(c.closed_ms).label("oldest"))
    found = {(row.state, row.drawn): row for row in conn.execute(statement.group_by(c.state, c.drawn))}

    def many(states: Sequence[str], draws: Sequence[int]) -> int:
        return sum(row.n for (state, drawn), row in found.items() if state in states and drawn in draws)

    standing, waits = CloseState.CLOSED.value, found.get((CloseState.CLOSED.value, 1))
    return ClosesCount(
        waiting=many([standing], [1]),
        unread=many([standing], [0]),
        confirmed=many([CloseState.BENIGN.value], [0, 1]),
        back=many(TAKEN_BACK, [0, 1]),
        oldest_ms=waits.oldest if waits else 0,
    )


def of_case(conn: Connection, case_id: str) -> tuple[CloseRow, ...]:
    """What the agent closed in a case, oldest first, at most a page."""
    c, f = t.closes.c, t.findings.c
    found = conn.execute(_rows().where(f.case_id == case_id).order_by(c.closed_ms, c.finding_id).limit(PAGE_ROWS_MAX)).all()
    return tuple(msgspec.convert(plain(row), CloseRow, strict=False) for row in found)


# --- blind review -----------------------------------------------------------------------------------------------------


def next_waiting(conn: Connection, after: str = "") -> str:
    """The finding whose review has waited longest, or the one after ``after``; "" when none waits but that."""
    c = t.closes.c
    waiting = select(c.finding_id).where(_within(Part.WAITING)).order_by(c.closed_ms, c.finding_id)  # type: ignore[arg-type]
    if after:
        at_ms = conn.execute(select(c.closed_ms).where(c.finding_id == after)).scalar()
        if at_ms is not None:
            later = or_(c.closed_ms > at_ms, and_(c.closed_ms == at_ms, c.finding_id > after))
            if found := conn.execute(waiting.where(later).limit(1)).scalar():
                return str(found)
        waiting = waiting.where(c.finding_id != after)
    return str(conn.execute(waiting.limit(1)).scalar() or "")


def close_row(conn: Connection, finding_id: str) -> CloseRow:
    """One close. Raises NotFoundError."""
    found = conn.execute(_rows().where(t.closes.c.finding_id == finding_id)).first()
    if found is None:
        raise NotFoundError("the agent closed no such finding", where=finding_id[:40], todo="look for it in the queue")
    return msgspec.convert(plain(found), CloseRow, strict=False)


def blind(conn: Connection, finding_id: str, *, alerts: int) -> Blind:
    """What a reviewer may see of a finding. alerts: most raw alerts named. Raises NotFoundError."""
    record = read_case.finding_record(conn, finding_id)
    row = conn.execute(select(t.findings).where(t.findings.c.id == finding_id)).one()
    finding = record.finding
    return Blind(
        finding_id=finding.id,
        scope=row.scope,
        source=finding.source,
        product=finding.product,
        rule=finding.rule,
        title=finding.title,
        message=finding.message,
        severity=finding.severity,
        host=finding.host,
        tactics=finding.tactics,
        techniques=finding.techniques,
        first_seen_ms=finding.first_seen_ms,
        last_seen_ms=finding.last_seen_ms,
        count=finding.count,
        entities=finding.entities,
        tainted=finding.tainted,
        answers=_answers(record),
        around=_around(conn, finding_id, row.case_id, row.anchor, finding.first_seen_ms),
        alerts=read_case.alert_refs(conn, finding_id, limit=alerts),
    )


def _answers(record: FindingRecord) -> tuple[Answered, ...]:
    """Each answer once, those that found something first."""
    said = dict.fromkeys(Answered(e.source, e.summary or e.query, e.status) for e in record.evidence)
    return tuple(sorted(said, key=lambda one: (one.status is not LookupStatus.FOUND, one.source, one.said)))


def _around(conn: Connection, finding_id: str, case_id: str, anchor: str, at_ms: int) -> tuple[Nearby, ...]:
    """Findings of the case, and on the same anchor within an hour, in the order they were first seen."""
    f = t.findings.c
    near = and_(f.anchor == anchor, f.first_seen_ms >= at_ms - HOUR_MS, f.first_seen_ms <= at_ms + HOUR_MS)
    columns: Select[Any] = select(f.id, f.title, f.source, f.rule, f.severity, f.first_seen_ms, f.count)
    linked = or_(f.case_id == case_id, near) if anchor else f.case_id == case_id
    statement = columns.where(linked, f.id != finding_id).order_by(func.abs(f.first_seen_ms - at_ms), f.id)
    found = [msgspec.convert(plain(row), Nearby) for row in conn.execute(statement.limit(AROUND_MAX)).all()]
    return tuple(sorted(found, key=lambda one: (one.first_seen_ms, one.id)))


# --- recalls ----------------------------------------------------------------------------------------------------------


def newest_recall(conn: Connection, case_id: str) -> int | None:
    """Index of the first entry of the newest recall that a case set off; None without one."""
    e = t.entries.c
    mine = select(t.entries).where(e.case_id == case_id, e.kind == Kind.RECALL_OPENED.value)
    found = conn.execute(mine.order_by(e.idx.desc()).limit(RECALL_ENTRIES_MAX)).all()
    views = read_case.entry_views(conn, found)
    return min((view.idx for view in views if view.trigger == views[0].trigger), default=None)


def recall(conn: Connection, idx: int) -> Recall:
    """The recall that an entry belongs to. Raises NotFoundError."""
    e = t.entries.c
    first = read_case.entry_views(conn, conn.execute(select(t.entries).where(e.idx == idx)).all())
    if not first or first[0].kind != Kind.RECALL_OPENED.value:
        raise NotFoundError("that entry records no recall", where=str(idx), todo="open it from the list of closes")
    entry = first[0]
    mine = select(t.entries).where(e.case_id == entry.case_id, e.kind == entry.kind, e.idx >= idx).order_by(e.idx)
    found = read_case.entry_views(conn, conn.execute(mine.limit(RECALL_ENTRIES_MAX)).all())
    parts = [view for view in found if view.trigger == entry.trigger]
    shared = {row[0]: row for view in parts for row in view.body["recalled"]}
    rows = _recalled(conn, shared)
    return Recall(
        entry=entry,
        entries=len(parts),
        cause=str(entry.body["cause"]),
        reason=words.clear(conn, str(entry.body["reason"]))[0],
        case_id=entry.case_id,
        misses=tuple(entry.body["misses"]),
        rows=rows[:RECALL_ROWS_MAX],
        total=len(shared),
        still_open=sum(row.status is CaseStatus.OPEN for row in rows),
    )


def _recalled(conn: Connection, shared: dict[str, list[Any]]) -> tuple[RecalledRow, ...]:
    """Rows in the order of the entry."""
    f, c = t.findings.c, t.cases.c
    columns = select(f.id, f.case_id, f.title, f.host, f.scope, c.status).join(t.cases, c.id == f.case_id)
    found = {row.id: row for row in conn.execute(among(conn, columns, f.id, list(shared))).all()}
    return tuple(
        RecalledRow(
            finding_id=ident,
            case_id=found[ident].case_id,
            title=found[ident].title,
            host=found[ident].host,
            scope=found[ident].scope,
            status=CaseStatus(found[ident].status),
            pattern=bool(row[1]),
            evidence=int(row[2]),
            entities=int(row[3]),
        )
        for ident, row in shared.items()
        if ident in found
    )
