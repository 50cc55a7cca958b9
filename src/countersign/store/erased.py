"""Where each piece of evidence is that an erasure replaced: a projection of ``person.erased``."""

from __future__ import annotations

from sqlalchemy import Connection, insert, update

from countersign.ledger import erasures
from countersign.ledger.redaction import TOKEN_PREFIX
from countersign.model.entries import Entry, Kind
from countersign.model.records import Records
from countersign.store import evidence, ledger
from countersign.store import tables as t


def restore(conn: Connection) -> None:
    """All rows, from the ledger. Before anything else is rebuilt, since everything else reads evidence."""
    for index, entry in ledger.stream_kind(conn, Kind.PERSON_ERASED):
        apply(conn, entry, index)


def apply(conn: Connection, entry: Entry, index: int) -> None:
    """Rows of one entry. A piece that replaced another and is replaced itself leads on to the newest."""
    e = t.erased_evidence
    for old, new in erasures.pairs(entry):
        conn.execute(update(e).where(e.c.instead == old).values(instead=new, entry=index))
        conn.execute(insert(e).values(digest=old, instead=new, entry=index))


def names_erased(conn: Connection, blob: str, place: int) -> bool:
    """Whether a person was erased from one record of a piece of evidence: only then may its decision replay otherwise."""
    if evidence.erased(conn, blob) is None:
        return False
    return TOKEN_PREFIX.encode() in evidence.get(conn, blob, Records).records[place]
