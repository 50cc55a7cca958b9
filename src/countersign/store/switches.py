"""Kill switches: ``*`` stops every scope, a scope's name stops that scope. They take effect with the next micro-batch,
because each one reads them in its own transaction, and they survive a restart, because they are rows."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from countersign.model.entries import Entry, Kind
from countersign.store import casework, ledger
from countersign.store import tables as t
from countersign.store.sql import upsert

ALL = "*"


def stopped(conn: Connection) -> frozenset[str]:
    """Names whose switch is on."""
    return frozenset(conn.execute(select(t.switches.c.name)).scalars())


def switch(conn: Connection, name: str, reason: str, who: str, now_ms: int, *, stop: bool) -> None:
    """A person stops or resumes a scope (or all). Resuming only lifts the switch: the stage stays what it was."""
    size, _ = ledger.lock_head(conn)
    kind = Kind.AUTONOMY_STOPPED if stop else Kind.AUTONOMY_RESUMED
    apply(conn, name, stopped=stop, entry=size)
    entry = Entry(kind, now_ms, casework.person(conn, who), name, "command", {"reason": reason})
    ledger.append(conn, [(entry, "")])


def apply(conn: Connection, name: str, *, stopped: bool, entry: int) -> None:
    """Row of a switch."""
    if stopped:
        upsert(conn, t.switches, [{"name": name, "value": "stopped", "entry": entry}])
    else:
        conn.execute(delete(t.switches).where(t.switches.c.name == name))
