"""Questions behind the console's lists and header: plain functions over a connection, frozen views back.

Nothing here writes. Every list is bounded and pages by a cursor; counts come from one grouped pass over cases, which
the caller may keep for as long as the ledger's size has not changed. Case detail is in ``read_case``, raw matter in
``read_raw``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, func, not_, or_, select

from countersign.errors import UsageError
from countersign.model.alerts import Severity
from countersign.model.cases import CaseStatus, CloseState
from countersign.model.decisions import Action
from countersign.model.verdicts import Label
from countersign.store import autonomy as scope_states
from countersign.store import searching, switches, words
from countersign.store import tables as t
from countersign.store.autonomy import InForce
from countersign.triage.priority import CALLED_THREAT_PICO, TAKEN_BACK_PICO

PAGE_ROWS_MAX = 100
NOISE_SEVERITY_MAX = Severity.MEDIUM
"""A case called benign but above this severity is still put before a person first."""
PERSON = "person:"
TAKEN_BACK = (CloseState.THREAT.value, CloseState.RECALLED.value, CloseState.REOPENED.value)
"""A close that stands no longer, whoever took it back."""


class Tab(StrEnum):
    """The queue's tabs. ``noise``: open, and either advised to close or called benign at medium severity or less, unless a
    close in it was taken back."""

    NEEDS = "needs"
    NOISE = "noise"
    DISPOSED = "disposed"
    ALL = "all"


class CaseRow(msgspec.Struct, frozen=True):
    """One case as a list shows it. Probabilities in ppm, times in ms; owner and disposed_by as a person reads them."""

    id: str
    status: CaseStatus
    title: str
    severity: Severity
    host: str
    products: tuple[str, ...]
    tactics: tuple[str, ...]
    techniques: tuple[str, ...]
    stages: tuple[str, ...]
    findings: int
    alerts: int
    first_seen_ms: int
    last_seen_ms: int
    opened_ms: int
    updated_ms: int
    top_finding: str
    scope: str
    label: Label
    pico: int
    rank: int
    p0_ppm: int
    p1_ppm: int
    advice: Action
    why: str
    owner: str
    disposition: str
    reason: str
    disposed_by: str
    disposed_ms: int
    merged_into: str
    entry: int

    @property
    def ended_ms(self) -> int:
        """When it was disposed of; a close by the agent is the last that happened to its case."""
        return self.disposed_ms or self.updated_ms


class Bucket(msgspec.Struct, frozen=True):
    """Cases of one kind: how many, the alerts folded into them, the oldest one's opening (0 when there is none)."""

    cases: int = 0
    alerts: int = 0
    findings: int = 0
    oldest_ms: int = 0


class Counts(msgspec.Struct, frozen=True):
    """One pass over cases. ``merged`` cases count nowhere."""

    needs: Bucket
    noise: Bucket
    by_human: Bucket
    by_agent: Bucket
    quarantined: int

    @property
    def total(self) -> Bucket:
        """All cases that stand for themselves."""
        parts = (self.needs, self.noise, self.by_human, self.by_agent)
        return Bucket(sum(p.cases for p in parts), sum(p.alerts for p in parts), sum(p.findings for p in parts))

    def of(self, tab: Tab) -> int:
        """Cases under a tab."""
        disposed = self.by_human.cases + self.by_agent.cases
        return {Tab.NEEDS: self.needs.cases, Tab.NOISE: self.noise.cases, Tab.DISPOSED: disposed}.get(tab, self.total.cases)


class QueuePage(msgspec.Struct, frozen=True):
    """One page. ``cursor`` leads to the next one, "" on the last."""

    rows: tuple[CaseRow, ...]
    tab: Tab
    query: str
    cursor: str


class SourceRow(msgspec.Struct, frozen=True):
    """What one source has brought: findings and the alerts folded into them, and what waits in quarantine and inbox."""

    source: str
    products: tuple[str, ...]
    findings: int
    alerts: int
    last_seen_ms: int
    last_received_ms: int
    quarantined: int
    waiting: int


class QuarantineRow(msgspec.Struct, frozen=True):
    """An alert that could not be read, and where: ``origin`` file or ``http``, 1-based ``position``, ``field`` path."""

    id: int
    source: str
    origin: str
    position: int
    blob: str
    item: int
    sha256: str
    field: str
    error: str
    received_ms: int
    state: str


class Autonomy(msgspec.Struct, frozen=True):
    """What the agent may do alone. closing: scopes where it may close, of ``scopes`` in all. closed: cases it closed so
    far. switches: kill switches that are on (``*`` or a scope). stages: of every scope. halted: scopes with an alarm or
    change that nobody has acknowledged. waiting: closes drawn for a blind review that has no answer yet."""

    closing: tuple[str, ...]
    scopes: int
    closed: int
    switches: tuple[str, ...]
    stages: dict[str, str]
    halted: tuple[str, ...]
    waiting: int


def queue(conn: Connection, *, tab: Tab, query: str = "", cursor: str = "", limit: int = PAGE_ROWS_MAX) -> QueuePage:
    """One page of a tab, highest rank first (newest first when disposed). Raises UsageError on a bad cursor."""
    size = max(1, min(limit, PAGE_ROWS_MAX))
    wanted = searching.conditions(query)
    ended = case((t.cases.c.disposed_ms > 0, t.cases.c.disposed_ms), else_=t.cases.c.updated_ms)
    by: ColumnElement[int] = ended if tab is Tab.DISPOSED else t.cases.c.rank
    statement = select(t.cases).where(_within(tab), *wanted, *_beyond(by, cursor))
    if tab is not Tab.DISPOSED:
        statement = statement.where(not_(_with_closes(*_DOUBTED)))
    found = list(conn.execute(statement.order_by(by.desc(), t.cases.c.id.desc()).limit(size + 1)))
    if tab in _STATES:
        found += _doubted(conn, tab, *wanted, *_beyond(_place(), cursor))
        found.sort(key=lambda row: (row.rank, row.id), reverse=True)
    rows = case_rows(conn, found[:size])
    last = rows[-1] if len(found) > size else None
    following = f"{last.ended_ms if tab is Tab.DISPOSED else last.rank}:{last.id}" if last else ""
    return QueuePage(rows=rows, tab=tab, query=query, cursor=following)


_DOUBTED = (CloseState.THREAT.value, CloseState.RECALLED.value)
_STATES: Mapping[Tab, Callable[[str], bool]] = {
    Tab.NEEDS: lambda status: status == CaseStatus.OPEN.value,
    Tab.ALL: lambda status: status != CaseStatus.MERGED.value,
}
"""Tabs that show cases with closes in doubt, and in which states."""


def _doubted(conn: Connection, tab: Tab, *narrowed: ColumnElement[bool]) -> list[Row[Any]]:
    """Cases with closes in doubt, which are few. They are read apart, by their ids, so that an index gives all the others in
    their order, however many there are."""
    found = conn.execute(cases().where(_with_closes(*_DOUBTED), *narrowed))
    return [row for row in found if _STATES[tab](row.status)]


def _beyond(by: ColumnElement[int], cursor: str) -> list[ColumnElement[bool]]:
    if not cursor:
        return []
    value, ident = _read_cursor(cursor)
    return [or_(by < value, and_(by == value, t.cases.c.id < ident))]


def cases() -> Select[Any]:
    """Every case as ``case_rows`` takes it, its rank being its place in the queue."""
    return select(*(_place().label(column.name) if column.name == "rank" else column for column in t.cases.c))


def _place() -> ColumnElement[int]:
    """The rank of a case, and what people's word on its closes adds: the score that let them be closed cannot say that."""
    threat, recalled = _with_closes(CloseState.THREAT.value), _with_closes(CloseState.RECALLED.value)
    return t.cases.c.rank + case((threat, CALLED_THREAT_PICO), (recalled, TAKEN_BACK_PICO), else_=0)


def _with_closes(*states: str) -> ColumnElement[bool]:
    """Whether a case holds a close of which this became."""
    found = select(t.findings.c.case_id).join(t.closes, t.closes.c.finding_id == t.findings.c.id)
    return t.cases.c.id.in_(found.where(t.closes.c.state.in_(states)))


def _is_noise() -> ColumnElement[bool]:
    """Never a case with a close that was taken back: there the agent's own word is what is in doubt."""
    called = and_(t.cases.c.label == Label.BENIGN.value, t.cases.c.severity <= int(NOISE_SEVERITY_MAX))
    return and_(or_(t.cases.c.advice == Action.CLOSE.value, called), not_(_with_closes(*TAKEN_BACK)))


def _within(tab: Tab) -> ColumnElement[bool]:
    status = t.cases.c.status
    if tab is Tab.NEEDS:
        return and_(status == CaseStatus.OPEN.value, not_(_is_noise()))
    if tab is Tab.NOISE:
        return and_(status == CaseStatus.OPEN.value, _is_noise())
    if tab is Tab.DISPOSED:
        return status.in_([CaseStatus.CLOSED_HUMAN.value, CaseStatus.CLOSED_AGENT.value])
    return status != CaseStatus.MERGED.value


def _read_cursor(cursor: str) -> tuple[int, str]:
    value, _, ident = cursor.partition(":")
    try:
        return int(value), ident
    except ValueError as error:
        raise UsageError("cursor cannot be read", where="cursor", todo="start again from the first page") from error


def case_rows(conn: Connection, rows: Iterable[Row[Any]]) -> tuple[CaseRow, ...]:
    """Rows of ``cases`` with people's names put back for their pseudonyms."""
    found = list(rows)
    names = people(conn, {name for row in found for name in (row.owner, row.disposed_by) if name})
    reasons = words.clear(conn, *(row.reason for row in found))
    return tuple(_case_row(row, names, reason) for row, reason in zip(found, reasons, strict=True))


def plain(row: Row[Any]) -> dict[str, Any]:
    """A row as a dict of plain strings: SQLAlchemy's keys are of a class of their own, which msgspec refuses."""
    return {str(name): value for name, value in row._mapping.items()}


def _case_row(row: Row[Any], names: dict[str, str], reason: str) -> CaseRow:
    values = {str(key): value for key, value in row._mapping.items()} | {"reason": reason}
    for column in ("products", "tactics", "techniques", "stages"):
        values[column] = tuple(part for part in values[column].split(",") if part)
    for column in ("owner", "disposed_by"):
        values[column] = names.get(values[column], values[column])
    return msgspec.convert(values, CaseRow)


def people(conn: Connection, pseudonyms: set[str]) -> dict[str, str]:
    """Clear names of pseudonyms; one whose key was erased is missing and stays a pseudonym on the screen."""
    if not pseudonyms:
        return {}
    key = t.pseudonyms.c
    found = conn.execute(select(key.pseudonym, key.value).where(key.pseudonym.in_(sorted(pseudonyms)[:500])))
    return {row.pseudonym: row.value.removeprefix(PERSON) for row in found}


def counts(conn: Connection) -> Counts:
    """Cases per tab in one grouped pass, and what waits in quarantine."""
    c = t.cases.c
    noise = case((_is_noise(), 1), else_=0).label("noise")
    statement = select(
        c.status,
        noise,
        func.count().label("cases"),
        func.sum(c.alerts).label("alerts"),
        func.sum(c.findings).label("findings"),
        func.min(c.opened_ms).label("oldest"),
    ).group_by(c.status, noise)
    buckets: dict[tuple[str, int], Bucket] = {
        (row.status, row.noise): Bucket(row.cases, int(row.alerts), int(row.findings), row.oldest)
        for row in conn.execute(statement)
    }
    waiting = select(func.count()).select_from(t.quarantine).where(t.quarantine.c.state == "waiting")
    return Counts(
        needs=buckets.get((CaseStatus.OPEN, 0), Bucket()),
        noise=buckets.get((CaseStatus.OPEN, 1), Bucket()),
        by_human=_joined(buckets, CaseStatus.CLOSED_HUMAN),
        by_agent=_joined(buckets, CaseStatus.CLOSED_AGENT),
        quarantined=int(conn.execute(waiting).scalar_one()),
    )


def _joined(buckets: dict[tuple[str, int], Bucket], status: CaseStatus) -> Bucket:
    pair = [found for noise in (0, 1) if (found := buckets.get((status, noise)))]
    oldest = min((b.oldest_ms for b in pair), default=0)
    return Bucket(sum(b.cases for b in pair), sum(b.alerts for b in pair), sum(b.findings for b in pair), oldest)


def autonomy(conn: Connection) -> Autonomy:
    """What the header says of the agent: the scopes' states as the last batch or the last person's act left them."""
    closed = select(func.count()).select_from(t.cases).where(t.cases.c.status == CaseStatus.CLOSED_AGENT.value)
    waits = select(func.count()).where(t.closes.c.state == CloseState.CLOSED.value, t.closes.c.drawn == 1)
    killed = switches.stopped(conn)
    states = scope_states.load(conn, InForce("", ""), 0).states
    closing = (name for name, governed in states.items() if governed.state.may_close and governed.bands)
    return Autonomy(
        closing=tuple(name for name in closing if not killed & {switches.ALL, name}),
        scopes=len(states),
        closed=int(conn.execute(closed).scalar_one()),
        switches=tuple(sorted(killed)),
        stages={name: governed.state.stage.value for name, governed in states.items()},
        halted=tuple(name for name, governed in states.items() if governed.state.halted),
        waiting=int(conn.execute(waits).scalar_one()),
    )


def ledger_size(conn: Connection) -> int:
    """Entries committed; 0 before the ledger is opened."""
    return int(conn.execute(select(t.ledger_head.c.size).where(t.ledger_head.c.id == 1)).scalar() or 0)


def sources(conn: Connection) -> tuple[SourceRow, ...]:
    """One row per source that has ever brought anything, by name."""
    f, q, i = t.findings.c, t.quarantine.c, t.inbox.c
    brought = conn.execute(
        select(
            f.source,
            f.product,
            func.count().label("findings"),
            func.sum(f.count).label("alerts"),
            func.max(f.last_seen_ms).label("seen"),
            func.max(f.decided_ms).label("received"),
        ).group_by(f.source, f.product)
    ).all()
    held = conn.execute(select(q.source, func.count().label("n")).where(q.state == "waiting").group_by(q.source))
    quarantined = {row.source: row.n for row in held}
    waiting = {row.source: int(row.n) for row in conn.execute(select(i.source, func.sum(i.n).label("n")).group_by(i.source))}
    names = sorted({row.source for row in brought} | set(quarantined) | set(waiting))
    return tuple(
        _source_row(name, [r for r in brought if r.source == name], quarantined.get(name, 0), waiting.get(name, 0))
        for name in names
    )


def _source_row(name: str, rows: list[Row[Any]], quarantined: int, waiting: int) -> SourceRow:
    return SourceRow(
        source=name,
        products=tuple(sorted({row.product for row in rows if row.product})),
        findings=sum(row.findings for row in rows),
        alerts=sum(int(row.alerts) for row in rows),
        last_seen_ms=max((row.seen for row in rows), default=0),
        last_received_ms=max((row.received for row in rows), default=0),
        quarantined=quarantined,
        waiting=waiting,
    )


def quarantined(conn: Connection, *, limit: int = PAGE_ROWS_MAX) -> tuple[QuarantineRow, ...]:
    """Newest first, those still waiting before those resubmitted."""
    q = t.quarantine.c
    later = case((q.state == "waiting", 0), else_=1)
    found = conn.execute(select(t.quarantine).order_by(later, q.id.desc()).limit(min(limit, PAGE_ROWS_MAX)))
    rows = [msgspec.convert(plain(row), QuarantineRow) for row in found]
    origins, errors = (words.clear(conn, *(getattr(row, name) for row in rows)) for name in ("origin", "error"))
    told = zip(rows, origins, errors, strict=True)
    return tuple(msgspec.structs.replace(row, origin=origin, error=error) for row, origin, error in told)
