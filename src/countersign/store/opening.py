"""The first entry of a ledger (models: ``store.models``, policies: ``store.policies``)."""

from __future__ import annotations

from sqlalchemy import Connection, select

from countersign.model.entries import Actor, Entry, Kind
from countersign.store import ledger
from countersign.store import tables as t
from countersign.store.sql import insert_new

_SYSTEM = Actor("system", "countersign")


def open_ledger(conn: Connection, origin: str, vkey: str, version: str, now_ms: int) -> None:
    """Make the head row and the entry that opens the log, once. Raises VerificationError where the row of a log is gone."""
    if conn.execute(select(t.entries.c.idx).limit(1)).first() is None:
        insert_new(conn, t.ledger_head, [{"id": 1, "size": 0, "next_case": ledger.FIRST_CASE}])
    size, _ = ledger.lock_head(conn)
    if size == 0:
        body = {"origin": origin, "vkey": vkey, "countersign": version}
        ledger.append(conn, [(Entry(Kind.LEDGER_OPENED, now_ms, _SYSTEM, origin, "start", body), "")])
