"""Questions of the console's ledger page: entries by filter, newest first, one entry with what it led to, rows in a range.

Nothing here counts or reads the whole ledger: each filter begins with the index that narrows it most, every row is then held
against the whole filter, and a search that has looked at ``LOOKED_MAX`` rows says how far it came.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, func, literal, or_, select, tuple_

from countersign.errors import NotFoundError
from countersign.ledger.merkle import leaf_hash
from countersign.ledger.record import Row as LedgerRow
from countersign.model.entries import Actor, Entry, Kind
from countersign.store import tables as t

PAGE_ROWS = 50
LOOKED_MAX = 10_000
"""Rows that one page looks at: what a filter does not find in them is searched on from there."""
_CHUNK = 256
_CLOCKS = 2_000
"""Entries on either side of a time within which writers' clocks may disagree with the order of entries."""
LED_TO_MAX = 50
_BATCH = 1_500
"""An entry of a micro-batch is caused by one at most so far in front of it."""
_CASE = re.compile(r"C-[0-9]{1,15}")
_FINDING = re.compile(r"F-[0-9A-Za-z]{1,64}")
_NUMBER = re.compile(r"(?:^|\s)([0-9]{1,15})$")
_decode = msgspec.json.Decoder(Entry).decode


class Filter(msgspec.Struct, frozen=True):
    """What is looked for; "" and 0 leave it open. kind: a kind, or a noun with a dot (``action.``). actor: ``agent``,
    ``human``, ``system``, or an id of one. subject: a case, a finding, a scope, or whatever stands as subject. since_ms,
    until_ms: times of the entries, the end left out."""

    kind: str = ""
    actor: str = ""
    subject: str = ""
    since_ms: int = 0
    until_ms: int = 0

    @property
    def open(self) -> bool:
        """Whether it lets everything through."""
        return self == Filter()


class Found(msgspec.Struct, frozen=True):
    """One entry, with its canonical bytes. case_id: "" when it concerns none. damaged: the bytes are no entry; what is shown
    comes from the columns beside them."""

    idx: int
    case_id: str
    entry: Entry
    data: bytes
    damaged: bool = False

    @property
    def kind(self) -> str:
        """As text."""
        return str(self.entry.kind)

    @property
    def leaf(self) -> str:
        """Leaf hash of RFC 6962, hex."""
        return leaf_hash(self.data).hex()


class LedgerPage(msgspec.Struct, frozen=True):
    """Newest first. before: where the next page begins, 0 when there is none. partly: the search has looked at as many rows
    as one page may, and came to ``before``."""

    rows: tuple[Found, ...]
    before: int
    partly: bool


def page(conn: Connection, wanted: Filter, *, before: int | None = None, limit: int = PAGE_ROWS) -> LedgerPage:
    """One page of entries with an index below ``before``."""
    low, high = _bounds(conn, wanted)
    before = high if before is None else min(before, high)
    family = _family(conn, wanted.subject)
    found: list[Found] = []
    looked, last = 0, before
    for row in _candidates(conn, wanted, family, before, low):
        if len(found) == limit:
            return LedgerPage(tuple(found), last, partly=False)
        if looked == LOOKED_MAX:
            return LedgerPage(tuple(found), last, partly=True)
        looked, last = looked + 1, row.idx
        one = _found(row)
        if _matches(one, wanted, family):
            found.append(one)
    return LedgerPage(tuple(found), 0, partly=False)


def one(conn: Connection, index: int) -> Found:
    """One entry. Raises NotFoundError."""
    row = conn.execute(select(t.entries).where(t.entries.c.idx == index)).first()
    if row is None:
        raise NotFoundError("there is no such entry", where=f"entry {index}", todo="see the newest ones")
    return _found(row)


def cause(entry: Entry) -> int | None:
    """Index of the entry that caused this one, None when it came through a door."""
    found = _NUMBER.search(entry.trigger)
    return int(found.group(1)) if found else None


def led_to(conn: Connection, index: int) -> tuple[Found, ...]:
    """Entries that this one caused, in their order: those of its own batch, and answers to what it put before people."""
    e = t.entries.c
    near = select(t.entries).where(e.idx > index, e.idx <= index + _BATCH, _ends_with(conn, f"{index}"))
    found = {row.idx: _found(row) for row in conn.execute(near.order_by(e.idx).limit(LED_TO_MAX))}
    for row in _walk(conn, [_rare(), e.subject == str(index)], _most(conn), index + 1, hint="entries_subject"):
        found.setdefault(row.idx, _found(row))
    caused = [found[idx] for idx in sorted(found) if cause(found[idx].entry) == index]
    return tuple(caused[:LED_TO_MAX])


def between(conn: Connection, start: int, stop: int) -> list[LedgerRow]:
    """Rows of entries [start, stop) as the verifier reads them."""
    e = t.entries.c
    rows = conn.execute(select(t.entries).where(e.idx >= start, e.idx < stop).order_by(e.idx))
    return [LedgerRow(row.idx, row.kind, row.subject, row.time_ms, _raw(row.bytes)) for row in rows]


def names(conn: Connection, pseudonyms: Sequence[str]) -> dict[str, str]:
    """What the key table has for these pseudonyms: (pseudonym, ``kind:value``). One that was erased is missing."""
    key = t.pseudonyms.c
    found = conn.execute(select(key.pseudonym, key.value).where(key.pseudonym.in_(sorted(set(pseudonyms))[:500])))
    return {row.pseudonym: row.value for row in found}


def pseudonym_of(conn: Connection, name: str) -> str:
    """Pseudonym of a person's name, the text itself when the key table knows none."""
    key = t.pseudonyms.c
    found = conn.execute(select(key.pseudonym).where(key.value == f"person:{name}")).scalar()
    return str(found) if found else name


# --- the search


def _candidates(conn: Connection, wanted: Filter, family: Sequence[str], before: int, low: int) -> Iterator[Row[Any]]:
    """Rows among which the filter's are, newest first, by the index that narrows it most."""
    e = t.entries.c
    streams: list[Iterator[Row[Any]]]
    if wanted.subject:
        streams = [_walk(conn, [e.case_id == case], before, low) for case in family]
        streams.append(_walk(conn, [_rare(), e.subject == wanted.subject], before, low, hint="entries_subject"))
        if not (_CASE.fullmatch(wanted.subject) or _FINDING.fullmatch(wanted.subject)):
            # perhaps a lease or a delivery, of which there are many: no index of subjects holds them
            streams += [_of_kind(conn, kind.value, before, low) for kind in (Kind.LEASE_ISSUED, Kind.ALERT_RECEIVED)]
    elif kinds := _kinds(wanted.kind):
        streams = [_of_kind(conn, kind, before, low) for kind in kinds]
    elif wanted.actor and wanted.actor not in ("agent", "triage"):
        streams = [_walk(conn, [_rare()], before, low, hint="entries_rare")]
        streams.append(_of_kind(conn, Kind.LEASE_ISSUED.value, before, low))
    else:
        streams = [_walk(conn, [], before, low)]
    return _once(heapq.merge(*streams, key=lambda row: -row.idx))


def _once(rows: Iterator[Row[Any]]) -> Iterator[Row[Any]]:
    last = -1
    for row in rows:
        if row.idx != last:
            last = row.idx
            yield row


def _walk(
    conn: Connection, where: Sequence[ColumnElement[bool]], before: int, low: int, *, hint: str = ""
) -> Iterator[Row[Any]]:
    """Rows with an index in [low, before), newest first, a few at a time."""
    e = t.entries.c
    statement = select(t.entries).order_by(e.idx.desc()).limit(_CHUNK)
    if hint:
        statement = statement.with_hint(t.entries, f"INDEXED BY {hint}", "sqlite")
    while before > low:
        rows = conn.execute(statement.where(*where, e.idx < before, e.idx >= low)).all()
        yield from rows
        if len(rows) < _CHUNK:
            return
        before = rows[-1].idx


def _of_kind(conn: Connection, kind: str, before: int, low: int) -> Iterator[Row[Any]]:
    """The same of one kind. PostgreSQL takes the order of a kind that it has seldom seen from the primary key, and reads
    everything: compared and ordered as pairs, only the index of kinds will do."""
    e = t.entries.c
    if conn.dialect.name != "postgresql":
        yield from _walk(conn, [e.kind == kind], before, low)
        return
    pair = tuple_(e.kind, e.idx)
    statement = select(t.entries).order_by(e.kind.desc(), e.idx.desc()).limit(_CHUNK)
    while before > low:
        within = pair >= tuple_(literal(kind), literal(low)), pair < tuple_(literal(kind), literal(before))
        rows = conn.execute(statement.where(*within)).all()
        yield from rows
        if len(rows) < _CHUNK:
            return
        before = rows[-1].idx


def _rare() -> ColumnElement[bool]:
    return t.rare_entries()


def _kinds(wanted: str) -> list[str]:
    if not wanted.endswith("."):
        return [wanted] if wanted else []
    return [kind.value for kind in Kind if kind.value.startswith(wanted)]


def _family(conn: Connection, subject: str) -> list[str]:
    """The case that is looked for, or that of the finding, and the cases that were merged into it."""
    case = subject if _CASE.fullmatch(subject) else ""
    if _FINDING.fullmatch(subject):
        case = conn.execute(select(t.findings.c.case_id).where(t.findings.c.id == subject)).scalar() or ""
    c = t.cases.c
    found = [case] if case else []
    for one in found:  # grows while it is walked
        merged = select(c.id).where(c.merged_into == one, c.merged_into != "").order_by(c.id)
        found += [ident for ident in conn.execute(merged).scalars() if ident not in found]
    return found


def _matches(found: Found, wanted: Filter, family: Sequence[str]) -> bool:
    entry, kind = found.entry, found.kind
    if wanted.kind and kind != wanted.kind and not (wanted.kind.endswith(".") and kind.startswith(wanted.kind)):
        return False
    if wanted.actor and wanted.actor not in (entry.actor.type, entry.actor.id):
        return False
    of_case = bool(_CASE.fullmatch(wanted.subject)) and found.case_id in family
    if wanted.subject and entry.subject != wanted.subject and not of_case:
        return False
    if wanted.since_ms and entry.time < wanted.since_ms:
        return False
    return not (wanted.until_ms and entry.time >= wanted.until_ms)


def _bounds(conn: Connection, wanted: Filter) -> tuple[int, int]:
    """Indices between which the filter's times lie, with room for clocks that disagree."""
    most = _most(conn)
    low = _first_from(conn, wanted.since_ms, most) - _CLOCKS if wanted.since_ms else 0
    high = _first_from(conn, wanted.until_ms, most) + _CLOCKS if wanted.until_ms else most
    return max(0, low), min(most, high)


def newest(conn: Connection) -> int:
    """Index of the newest entry, -1 when there is none."""
    return _most(conn) - 1


def _most(conn: Connection) -> int:
    found = conn.execute(select(func.max(t.entries.c.idx))).scalar()
    return 0 if found is None else int(found) + 1


def _first_from(conn: Connection, time_ms: int, most: int) -> int:
    """About the first entry of this time or later, by halving."""
    e = t.entries.c
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        at = conn.execute(select(e.time_ms).where(e.idx >= middle).order_by(e.idx).limit(1)).scalar()
        low, high = (middle + 1, high) if at is not None and at < time_ms else (low, middle)
    return low


def _ends_with(conn: Connection, trigger: str) -> ColumnElement[bool]:
    """Canonical entries end with their trigger and version, so that the end of the bytes tells the cause."""
    data = t.entries.c.bytes
    ends = [f'{before}{trigger}","v":1}}'.encode() for before in ('"', " ")]  # alone, or behind a word: 7 is no end of 17
    return or_(*(func.substr(data, func.length(data) - len(end) + 1) == end for end in ends))


def _found(row: Row[Any]) -> Found:
    data = _raw(row.bytes)
    try:
        return Found(row.idx, row.case_id, _decode(data), data)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # tampered with: it is shown, and the verifier says what is wrong
        entry = Entry(row.kind, row.time_ms, Actor("", ""), row.subject, "", {})
        return Found(row.idx, row.case_id, entry, data, damaged=True)


def _raw(value: object) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode(errors="replace")
