"""The first entries of a ledger, and the one that says which policy is in force from here on (models: ``store.models``)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from countersign.model.entries import Actor, Entry, Kind
from countersign.store import ledger
from countersign.store import tables as t
from countersign.store.sql import insert_new

_SYSTEM = Actor("system", "countersign")


def open_ledger(conn: Connection, origin: str, vkey: str, version: str, now_ms: int) -> None:
    """Make the head row and the entry that opens the log, once."""
    insert_new(conn, t.ledger_head, [{"id": 1, "size": 0, "next_case": ledger.FIRST_CASE}])
    size, _ = ledger.lock_head(conn)
    if size == 0:
        body = {"origin": origin, "vkey": vkey, "countersign": version}
        ledger.append(conn, [(Entry(Kind.LEDGER_OPENED, now_ms, _SYSTEM, origin, "start", body), "")])


def activate_policy(conn: Connection, policy: str, conditions: Sequence[str], now_ms: int) -> None:
    """Record the policy when it differs from the one last recorded."""
    if _last(conn, Kind.POLICY_ACTIVATED) != policy:
        about = {"policy": policy, "conditions": list(conditions)}
        ledger.append(conn, [(Entry(Kind.POLICY_ACTIVATED, now_ms, _SYSTEM, policy, "start", about), "")])


def _last(conn: Connection, kind: Kind) -> str:
    index = ledger.last_index(conn, kind)
    if index < 0:
        return ""
    return str(conn.execute(select(t.entries.c.subject).where(t.entries.c.idx == index)).scalar_one())
