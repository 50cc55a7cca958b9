"""Documents for programs, which the API and the MCP server both hand out: the screens' views, paged and with who closed.

Nothing here writes, and every list ends in a cursor, "" on the last page.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from countersign.errors import UsageError
from countersign.model.cases import CaseStatus
from countersign.model.records import FindingRecord
from countersign.store import read, read_case

_DIGITS_MAX = 18
_CLOSERS = {CaseStatus.CLOSED_HUMAN: "human", CaseStatus.CLOSED_AGENT: "agent"}


class Case(read.CaseRow, frozen=True):
    """A case as the queue lists it. closed_by: ``human``, ``agent``, or "" while nobody has closed it."""

    closed_by: str


class Cases(msgspec.Struct, frozen=True):
    """One page of cases."""

    items: tuple[Case, ...]
    cursor: str


class CaseDocument(msgspec.Struct, frozen=True):
    """A case with its newest findings (``case.findings`` says how many there are) and others of the same pattern."""

    case: Case
    findings: tuple[read_case.FindingLine, ...]
    similar: tuple[Case, ...]


class Entries(msgspec.Struct, frozen=True):
    """One page of ledger entries, newest first."""

    items: tuple[read_case.EntryView, ...]
    cursor: str


class Sources(msgspec.Struct, frozen=True):
    """Every source that has brought anything; one page holds them all."""

    items: tuple[read.SourceRow, ...]
    cursor: str = ""


def cases(conn: Connection, tab: str = "needs", query: str = "", cursor: str = "", limit: int = 50) -> Cases:
    """A page of a tab of the queue. Raises UsageError on an unknown tab or a bad cursor."""
    if tab not in list(read.Tab):
        raise UsageError(f"unknown tab {tab[:40]!r}", where="tab", todo=f"use one of {', '.join(read.Tab)}")
    page = read.queue(conn, tab=read.Tab(tab), query=query, cursor=cursor, limit=limit)
    return Cases(tuple(_case(row) for row in page.rows), page.cursor)


def case(conn: Connection, case_id: str) -> CaseDocument:
    """One case. Raises NotFoundError."""
    row = read_case.case_row(conn, case_id)
    top = read_case.records(conn, row, 1)
    others = read_case.similar(conn, row, top[0].pattern) if top else ()
    return CaseDocument(_case(row), read_case.finding_lines(conn, row.id), tuple(_case(other) for other in others))


def finding(conn: Connection, finding_id: str) -> FindingRecord:
    """One finding with everything its decision rests on. Raises NotFoundError."""
    return read_case.finding_record(conn, finding_id)


def entries(conn: Connection, case_id: str = "", cursor: str = "", limit: int = 50) -> Entries:
    """A page of the ledger, or of one case's entries. Raises UsageError on a bad cursor, NotFoundError on no such case."""
    if case_id:
        read_case.case_row(conn, case_id)
    size = max(1, min(limit, read_case.ENTRIES_MAX))
    found = read_case.ledger_entries(conn, before=_index(cursor), limit=size, case_id=case_id)
    more = len(found) == size and found[-1].idx > 0
    return Entries(found, str(found[-1].idx) if more else "")


def autonomy(conn: Connection) -> read.Autonomy:
    """What the agent may do alone."""
    return read.autonomy(conn)


def sources(conn: Connection) -> Sources:
    """What each source has brought."""
    return Sources(read.sources(conn))


def _case(row: read.CaseRow) -> Case:
    return Case(**msgspec.structs.asdict(row), closed_by=_CLOSERS.get(row.status, ""))


def _index(cursor: str) -> int | None:
    if not cursor:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= _DIGITS_MAX):
        raise UsageError("cursor cannot be read", where="cursor", todo="start again from the first page")
    return int(cursor)
