"""How much waits for people: a count for the header, and nothing that could be answered."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from countersign.approvals.quorum import Standing
from countersign.approvals.status import Status
from countersign.store import tables as t


def waiting(conn: Connection, now_ms: int) -> int:
    """Actions and changes that people can still answer."""
    p, c = t.proposals.c, t.changes.c
    actions = select(func.count()).where(p.state == Status.PROPOSED.value, p.expires_ms > now_ms)
    changed = select(func.count()).where(c.state == Standing.WAITING.value, c.expires_ms > now_ms)
    return int(conn.execute(actions).scalar_one()) + int(conn.execute(changed).scalar_one())
