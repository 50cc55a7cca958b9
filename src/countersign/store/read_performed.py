"""What became of an action that was carried out: as its probe found it."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select

from countersign.errors import CountersignError
from countersign.model.responses import Effect, Seen
from countersign.store import evidence
from countersign.store.tables_actions import performances


class Performed(msgspec.Struct, frozen=True):
    """started_ms, probed_ms: milliseconds since the epoch."""

    seen: Seen
    started_ms: int
    probed_ms: int


def performed(conn: Connection, number: int) -> Performed | None:
    """None while nothing was done, or what was done is not probed yet."""
    row = conn.execute(select(performances).where(performances.c.proposal_id == number)).one_or_none()
    if row is None or not row.started_ms or not row.effect:
        return None
    try:
        detail = str(evidence.get(conn, row.blob, dict[str, str])["detail"])
    except CountersignError:
        detail = "what was found was erased"
    return Performed(Seen(Effect(row.effect), detail), row.started_ms, row.probed_ms)
