"""Messages about what waits for people: written in the transaction that they tell of, worked off after it (at least once).

A message names the action and the case and nothing else. It lies here once until it is known which channels there are, then
once for each of them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, select, update

from countersign.store import tables as t

WAITS, SENT, FAILED = "waits", "sent", "failed"
TRIES_MAX = 8
FIRST_DELAY_MS = 5_000
"""Doubled with each try: the last comes about ten minutes after the first."""
CLAIM_MS = 60_000
KEPT_MS = 7 * 86_400_000
"""How long messages that are done stay to be looked at."""


class Notice(msgspec.Struct, frozen=True):
    """One message for one channel. event: ``waits``, ``approved``, ``denied``, ``expired``, ``outdated``, or
    ``witness_alarm``, ``witness_well``. number: of the proposal or change; of a witness, how many entries the log has. what:
    the action, the kind of change, or which witnesses. case: "" of a change and of a witness."""

    id: int
    channel: str
    event: str
    number: int
    what: str
    case: str
    made_ms: int
    state: str = WAITS
    tries: int = 0
    next_ms: int = 0
    error: str = ""


def tell(conn: Connection, event: str, number: int, what: str, case: str, now_ms: int) -> None:
    """Put a message down."""
    conn.execute(t.notices.insert().values(_values("", event, number, what, case, now_ms, now_ms)))


def spread(conn: Connection, channels: Collection[str]) -> int:
    """One message for each channel in place of those that were put down; returns how many those were."""
    statement = select(t.notices).where(t.notices.c.channel == "").order_by(t.notices.c.id)
    rows = conn.execute(statement.with_for_update(skip_locked=True)).all()  # two workers may come at once
    for row in rows:
        for channel in channels:
            values = _values(channel, row.event, row.number, row.what, row.case_id, row.made_ms, row.made_ms)
            conn.execute(t.notices.insert().values(values))
        conn.execute(delete(t.notices).where(t.notices.c.id == row.id))
    return len(rows)


def pending(conn: Connection) -> bool:
    """Whether a message waits to be spread."""
    return conn.execute(select(t.notices.c.id).where(t.notices.c.channel == "").limit(1)).first() is not None


def due(conn: Connection, now_ms: int, most: int = 20) -> list[Notice]:
    """Messages whose time has come, the oldest first."""
    c = t.notices.c
    ready = (c.state == WAITS) & (c.channel != "") & (c.next_ms <= now_ms)
    return [_notice(row) for row in conn.execute(select(t.notices).where(ready).order_by(c.id).limit(most))]


def claim(conn: Connection, notice: Notice, now_ms: int) -> bool:
    """Whether the message is this worker's to send; another takes it over when this one is gone for a minute."""
    c = t.notices.c
    same = (c.id == notice.id) & (c.next_ms == notice.next_ms) & (c.state == WAITS)
    return conn.execute(update(t.notices).where(same).values(next_ms=now_ms + CLAIM_MS)).rowcount == 1


def done(conn: Connection, notice: Notice, now_ms: int, error: str = "") -> None:
    """How a try went. After the last one the message stays as failed, to be seen."""
    values: dict[str, Any] = {"tries": notice.tries + 1, "error": error[:500]}
    if not error:
        values["state"] = SENT
    elif notice.tries + 1 >= TRIES_MAX:
        values["state"] = FAILED
    else:
        values["next_ms"] = now_ms + FIRST_DELAY_MS * 2**notice.tries
    conn.execute(update(t.notices).where(t.notices.c.id == notice.id).values(values))
    old = (t.notices.c.state != WAITS) & (t.notices.c.made_ms < now_ms - KEPT_MS)
    conn.execute(delete(t.notices).where(old))


def troubled(conn: Connection, most: int = 20) -> tuple[Notice, ...]:
    """Messages that failed, for good or so far, the newest first."""
    statement = select(t.notices).where(t.notices.c.error != "").where(t.notices.c.state != SENT)
    return tuple(_notice(row) for row in conn.execute(statement.order_by(t.notices.c.id.desc()).limit(most)))


def _values(channel: str, event: str, number: int, what: str, case: str, made_ms: int, next_ms: int) -> dict[str, Any]:
    return {
        "channel": channel,
        "event": event,
        "number": number,
        "what": what,
        "case_id": case,
        "made_ms": made_ms,
        "state": WAITS,
        "tries": 0,
        "next_ms": next_ms,
        "error": "",
    }


def _notice(row: Row[Any]) -> Notice:
    return Notice(*tuple(row))
