"""Messages that could not be read: kept whole, shown with the error and its place, and resubmitted after a fix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from countersign.errors import ConflictError, NotFoundError
from countersign.model.alerts import Delivery
from countersign.store import evidence, inbox
from countersign.store import tables as t
from countersign.store.sql import insert_new

WAITING = "waiting"
RESUBMITTED = "resubmitted"


def hold(conn: Connection, held: Sequence[tuple[int, dict[str, Any]]], now_ms: int) -> None:
    """Rows for (entry index, entry body) pairs."""
    rows = [{"id": index, **body, "received_ms": now_ms, "state": WAITING} for index, body in held]
    insert_new(conn, t.quarantine, rows)


def resubmit(conn: Connection, ident: int, *, entry: int, now_ms: int, mapping: str | None = None) -> dict[str, Any]:
    """Put one quarantined message back into the inbox (with another mapping, if given); returns its row."""
    row = conn.execute(select(t.quarantine).where(t.quarantine.c.id == ident)).mappings().first()
    if row is None:
        raise NotFoundError(f"nothing in quarantine has the number {ident}")
    if row["state"] != WAITING:
        raise ConflictError(f"quarantined message {ident} was resubmitted before")
    old = evidence.get(conn, row["blob"], Delivery)
    place = row["item"]
    again = msgspec.structs.replace(
        old,
        positions=(old.positions[place],),
        raws=(old.raws[place],),
        mapping=old.mapping if mapping is None else mapping,
    )
    inbox.accept(conn, [again], [], trigger=str(entry), now_ms=now_ms)
    conn.execute(update(t.quarantine).where(t.quarantine.c.id == ident).values(state=RESUBMITTED))
    return dict(row)
