"""Erase one person: out of the evidence, the key table and every table, in one transaction with the entry that says so.

The ledger never held a name, so it stays as it is: entries go on saying the pseudonym, which leads nowhere any more. What
is derived from the evidence is rebuilt from what is left of it, so that ``rebuild`` gives the same rows ever after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Table, delete, insert, select, update

from countersign.approvals.status import Status
from countersign.errors import ConflictError
from countersign.ledger import erasures
from countersign.ledger.redaction import Redactor
from countersign.model.entries import Entry, Kind
from countersign.store import evidence, ledger, rebuild, words
from countersign.store import tables as t
from countersign.store import tables_people as tp
from countersign.store.act import person, required_reason
from countersign.store.erasing_pieces import FIXED, Piece, pieces
from countersign.store.erasing_who import Wanted, Who, identify, must_be_idle

UNFINISHED = (Status.PROPOSED, Status.APPROVED, Status.SEALED, Status.RUNNING)
_APART = frozenset({"entries", "evidence", "ledger_head", "deliveries", "seeds", "pseudonyms", "erased_evidence"})
"""Tables that hold no text about people, or are looked at by themselves."""
_OF_PEOPLE = (tp.sessions, tp.identities, tp.enrolments, tp.ceremonies)
_PAGE_ROWS = 2_000
SHOWN_MAX = 20


class Found(msgspec.Struct, frozen=True):
    """What there is of a person. names: what they are looked for by. others: names that contain one of those and stay. rows:
    per table, how many name them. evidence: per kind, how many pieces are written anew or go. entries: how many ledger
    entries name them in clear, which nothing can change; in_clear: the first of them. fixed: per kind, pieces known by their
    hash, which stay. unfinished: proposals about them that are not at their end. hosts: called exactly like them, which
    therefore lose their name too."""

    subject: str
    token: str
    names: tuple[str, ...]
    others: tuple[str, ...]
    rows: dict[str, int]
    evidence: dict[str, int]
    entries: int
    in_clear: tuple[int, ...]
    fixed: dict[str, int]
    unfinished: tuple[int, ...]
    hosts: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to erase."""
        return not self.rows and not self.evidence


def look(conn: Connection, wanted: Wanted) -> Found:
    """What there is of a person; nothing is written."""
    who = identify(conn, wanted)
    return _found(conn, who, [_light(one) for one in pieces(conn, who.redactor())])


def erase(conn: Connection, wanted: Wanted, reason: str, by: str, now_ms: int) -> tuple[Found, int]:
    """Erase them; returns what there was, and the index of the first entry, -1 when there was nothing. Raises ConflictError
    while they may act here or a response about them is under way, and when it is they who ask: the transaction is then to be
    rolled back, as it is by ``writing``."""
    reason = required_reason(reason)
    first, _ = ledger.lock_head(conn)
    who = identify(conn, wanted)
    redactor = who.redactor()
    if redactor.hits(by):
        raise ConflictError("nobody erases themselves", where="person", todo="have another person do it")
    must_be_idle(conn, who)
    every: list[Piece] = []
    replaced: list[erasures.Pair] = []
    for one in pieces(conn, redactor):  # each is replaced as it comes: a person may stand in most of what a site holds
        every.append(_light(one))
        if one.kind not in FIXED:
            replaced.append(_replace(conn, one))
    found = _found(conn, who, every)
    if found.nothing:
        return found, -1
    _must_be_finished(found)
    actor = person(conn, by)
    counts = {**{f"evidence {kind}": n for kind, n in found.evidence.items()}, **found.rows}
    said = erasures.bodies(words.hidden(conn, redactor.text(reason)), counts, sorted(dict(who.rows).values()), replaced)
    ledger.append(conn, [(Entry(Kind.PERSON_ERASED, now_ms, actor, who.subject, "command", body), "") for body in said])
    _forget(conn, who, redactor)
    rebuild.rebuild(conn)
    return found, first


def _found(conn: Connection, who: Who, every: Sequence[Piece]) -> Found:
    plain = who.redactor(encoded=False)
    rows = {name: number for name, number in sorted(_counts(conn, plain).items()) if number}
    if who.rows:
        rows["pseudonyms"] = len(who.rows)
    clear = [index for index, data in _entries(conn) if plain.hits(data.decode())]
    kinds = Counter(one.kind for one in every)
    loose = Redactor(who.names, who.token, encoded=False)
    return Found(
        subject=who.subject,
        token=who.token,
        names=who.names,
        others=tuple(name for name in who.others if loose.hits(name)),
        rows=rows,
        evidence={kind: number for kind, number in sorted(kinds.items()) if kind not in FIXED},
        entries=len(clear),
        in_clear=tuple(clear[:SHOWN_MAX]),
        fixed={kind: number for kind, number in sorted(kinds.items()) if kind in FIXED},
        unfinished=_unfinished(conn, {one.digest for one in every if one.kind == "proposal"}),
        hosts=who.hosts,
    )


def _counts(conn: Connection, redactor: Redactor) -> dict[str, int]:
    """Rows that name the person, per table."""
    tables = [table for table in t.metadata.sorted_tables if table.name not in _APART]
    return {table.name: sum(_changed(row, redactor) is not None for row in _rows(conn, table)) for table in tables}


def _rows(conn: Connection, table: Table) -> Iterator[Row[Any]]:
    result = conn.execute(select(table), execution_options={"yield_per": _PAGE_ROWS})
    for part in result.partitions():
        yield from part


def _changed(row: Row[Any], redactor: Redactor) -> dict[str, Any] | None:
    """The columns that name the person, as they are without; None when none does."""
    old = {name: value for name, value in row._mapping.items() if isinstance(value, str | bytes)}
    new = {name: redactor.value(value) for name, value in old.items()}
    return {name: new[name] for name in old if new[name] != old[name]} or None


def _entries(conn: Connection) -> Iterator[tuple[int, bytes]]:
    e, page = t.entries.c, 1_000
    rows = conn.execute(select(e.idx, e.bytes).order_by(e.idx).limit(page)).all()
    while rows:
        yield from ((row.idx, row.bytes) for row in rows)
        rows = conn.execute(select(e.idx, e.bytes).where(e.idx > rows[-1].idx).order_by(e.idx).limit(page)).all()


def _unfinished(conn: Connection, blobs: set[str]) -> tuple[int, ...]:
    p = t.proposals.c
    waits = select(p.id, p.blob).where(p.state.in_([one.value for one in UNFINISHED])).order_by(p.id)
    return tuple(row.id for row in conn.execute(waits) if row.blob in blobs)


def _must_be_finished(found: Found) -> None:
    if found.unfinished:
        numbers = ", ".join(map(str, found.unfinished))
        raise ConflictError("a response about this person is under way", where=f"proposal {numbers}", todo="end it first")


def _light(piece: Piece) -> Piece:
    """Without the bytes that take its place."""
    return msgspec.structs.replace(piece, new=None)


def _replace(conn: Connection, piece: Piece) -> erasures.Pair:
    """Put the new piece in place of the old one."""
    conn.execute(delete(t.evidence).where(t.evidence.c.digest == piece.digest))
    if piece.new is None:
        return piece.digest, ""
    evidence.put(conn, [piece.new])
    return piece.digest, piece.new.digest


def _forget(conn: Connection, who: Who, redactor: Redactor) -> None:
    """Everything that no rebuild makes: the key table, what let the person in, and tables that are not from the ledger."""
    for value, pseudonym in who.rows:
        _cut(conn, pseudonym, redactor.text(value))
    credentials = select(tp.passkeys.c.credential).where(tp.passkeys.c.person.in_(who.operator))
    conn.execute(delete(tp.passkey_uses).where(tp.passkey_uses.c.credential.in_(credentials)))
    for table in _OF_PEOPLE:
        conn.execute(delete(table).where(table.c.person.in_(who.operator)))
    derived = {table.name for table in t.PROJECTIONS} | _APART
    for table in t.metadata.sorted_tables:
        if table.name not in derived:
            _rewrite(conn, table, redactor)


def _cut(conn: Connection, pseudonym: str, value: str) -> None:
    """The name that led to the pseudonym is gone; the name that stands in the record now leads there, so that the record
    still gives the bytes of its entries."""
    p = t.pseudonyms
    conn.execute(delete(p).where(p.c.pseudonym == pseudonym))
    if conn.execute(select(p.c.value).where(p.c.value == value)).first() is None:
        conn.execute(insert(p).values(value=value, pseudonym=pseudonym))


def _rewrite(conn: Connection, table: Table, redactor: Redactor) -> None:
    keys = list(table.primary_key)
    for row in list(_rows(conn, table)):
        new = _changed(row, redactor)
        if new is not None:
            mine = [column == row._mapping[column.name] for column in keys]
            conn.execute(update(table).where(*mine).values(new))
