"""Append entries in the transaction that made them true.

The row of ``ledger_head`` hands out indices. Its lock orders commits, so the log has no gaps and its order is the commit
order. Tiles and checkpoints are made from committed rows by the sealer.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence

from sqlalchemy import Connection, func, select, update

from countersign.errors import VerificationError
from countersign.ledger.canonical import decode, encode
from countersign.ledger.decisions import DecisionEntry
from countersign.model.entries import Entry, Kind
from countersign.store import tables as t
from countersign.store.sql import Among, chunks, insert_new, insert_rows

FIRST_CASE = 1001
_OF_CASES = Among(select(t.entries.c.case_id), t.entries.c.case_id)


def lock_head(conn: Connection) -> tuple[int, int]:
    """(size, next case number); holds the head until commit."""
    statement = select(t.ledger_head.c.size, t.ledger_head.c.next_case).where(t.ledger_head.c.id == 1).with_for_update()
    row = conn.execute(statement).first()
    return _number(row and row.size), _number(row and row.next_case)


def origin(conn: Connection) -> str:
    """Name of this log, as its first entry says: it stays when its key is rotated. Raises VerificationError."""
    first = conn.execute(select(t.entries.c.bytes).where(t.entries.c.idx == 0)).scalar()
    if first is None:
        raise VerificationError("its first entry was deleted", where="entries", todo="restore it from a backup")
    return str(decode(first).body["origin"])


def taken_cases(conn: Connection, cases: Collection[str]) -> list[str]:
    """Those of these cases that entries are about already: a number is never given twice."""
    return sorted({row.case_id for row in _OF_CASES.rows(conn, cases)}) if cases else []


def size(conn: Connection) -> int:
    """Number of committed entries. Raises VerificationError."""
    return _number(conn.execute(select(t.ledger_head.c.size)).scalar())


def _number(held: object) -> int:
    """What the head holds, unless its row was deleted, or changed to what no number is (SQLite takes anything)."""
    if not isinstance(held, int):
        what = "its row was deleted" if held is None else "its row holds no number"
        raise VerificationError(what, where="ledger_head", todo="restore it from a backup")
    return held


def last_index(conn: Connection, kind: Kind) -> int:
    """Index of the newest entry of a kind, -1 when there is none."""
    found = conn.execute(select(func.max(t.entries.c.idx)).where(t.entries.c.kind == kind.value)).scalar()
    return -1 if found is None else int(found)


def append(conn: Connection, entries: Sequence[tuple[Entry | DecisionEntry, str]], *, next_case: int | None = None) -> int:
    """Append (entry, case id or "") pairs; returns the index of the first. Must be the last writes before commit."""
    first, _ = lock_head(conn)
    rows = [
        (index, str(entry.kind), entry.subject, case, entry.time, encode(entry))
        for index, (entry, case) in enumerate(entries, first)
    ]
    insert_rows(conn, t.entries, rows)
    values = {"size": first + len(rows)} | ({"next_case": next_case} if next_case is not None else {})
    conn.execute(update(t.ledger_head).where(t.ledger_head.c.id == 1).values(values))
    return first


def stream(conn: Connection, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Entry]]:
    """Committed entries in order, a page at a time."""
    page = 1000
    while True:
        statement = select(t.entries.c.idx, t.entries.c.bytes).where(t.entries.c.idx >= start)
        if stop is not None:
            statement = statement.where(t.entries.c.idx < stop)
        rows = conn.execute(statement.order_by(t.entries.c.idx).limit(page)).all()
        yield from ((row.idx, decode(row.bytes)) for row in rows)
        if len(rows) < page:
            return
        start = rows[-1].idx + 1


def stream_kind(conn: Connection, kind: Kind, start: int = 0) -> Iterator[tuple[int, Entry]]:
    """Committed entries of one kind in order, from index ``start`` on; for kinds of which there are few."""
    statement = select(t.entries.c.idx, t.entries.c.bytes).where(t.entries.c.kind == kind.value, t.entries.c.idx >= start)
    statement = statement.order_by(t.entries.c.idx)
    for row in conn.execute(statement):
        yield row.idx, decode(row.bytes)


def pseudonyms(conn: Connection, values: Iterable[str]) -> dict[str, str]:
    """Pseudonym of each value (an entity key of a person, or ``person:NAME``); unknown ones are given one.

    Pseudonyms are random, so nothing leads back from them but the key table: an erasure takes the row (``erasing``).
    """
    wanted = sorted(set(values))
    known: dict[str, str] = {}
    for part in chunks(wanted):
        statement = select(t.pseudonyms.c.value, t.pseudonyms.c.pseudonym).where(t.pseudonyms.c.value.in_(part))
        known.update((row.value, row.pseudonym) for row in conn.execute(statement))
    new = [{"value": v, "pseudonym": f"{v.partition(':')[0]}~{secrets.token_hex(6)}"} for v in wanted if v not in known]
    insert_new(conn, t.pseudonyms, new)
    return known | {row["value"]: row["pseudonym"] for row in new}
