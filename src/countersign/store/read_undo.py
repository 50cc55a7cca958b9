"""How it stands with taking an action back that was carried out, in words."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select

from countersign.approvals.status import Status
from countersign.store import tables as t
from countersign.store.undoing import ENDED

_SAID = {
    Status.PROPOSED: "Carried out. Its undo, number {}, waits for people.",
    Status.APPROVED: "Carried out. Its undo, number {}, is approved.",
    Status.SEALED: "Carried out. Its undo, number {}, is approved, and its intent is written down.",
    Status.RUNNING: "Carried out. Its undo, number {}, is being carried out.",
    Status.PROBED_OK: "Carried out, and taken back by number {}, as a probe from outside showed.",
    Status.UNDO_PROPOSED: "Carried out, and taken back by number {}, whose own undo was proposed since.",
    Status.PROBED_BAD: "Carried out. Its undo, number {}, is not shown to be effective: somebody has to look at the target.",
    Status.PERSON: "Carried out. Its undo, number {}, went to a person, and took nothing back.",
    Status.DENIED: "Carried out. Its undo, number {}, was denied, and took nothing back.",
    Status.EXPIRED: "Carried out. Its undo, number {}, expired, and took nothing back.",
    Status.OUTDATED: "Carried out. Its undo, number {}, is outdated, and took nothing back.",
}


class Undo(msgspec.Struct, frozen=True):
    """number: of the proposal that would take it back, 0 for none. note: how it stands, "" without one. may_be_proposed:
    it was carried out, and none waits, runs or was successful."""

    number: int = 0
    note: str = ""
    may_be_proposed: bool = False
    taken_back: bool = False


NONE = Undo()


def of(conn: Connection, number: int, now_ms: int) -> Undo:
    """Of an action, by its number."""
    q, p = t.performances.c, t.proposals.c
    row = conn.execute(select(q.undo, q.started_ms).where(q.proposal_id == number)).first()
    if row is None or not row.started_ms:
        return NONE
    if not row.undo:
        return Undo(may_be_proposed=True)
    back = conn.execute(select(p.state, p.expires_ms).where(p.id == row.undo)).one()
    state = Status(back.state)
    if state is Status.PROPOSED and back.expires_ms <= now_ms:
        state = Status.EXPIRED
    taken_back = state in (Status.PROBED_OK, Status.UNDO_PROPOSED)
    return Undo(row.undo, _SAID[state].format(row.undo), state in ENDED, taken_back)
