"""What becomes of actions that hold: when their undo is due, what people are told of it, and the rows of it."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from countersign.approvals.proposal import Proposal
from countersign.approvals.status import Event, Status
from countersign.errors import ConflictError, CountersignError, TargetFault
from countersign.ledger.canonical import decode
from countersign.model.responses import Effect, aim
from countersign.store import performing, proposals, settling
from countersign.store import tables as t
from countersign.store.performing import INTERRUPTED
from countersign.store.proposals import Held

ENDED = frozenset({Status.DENIED, Status.EXPIRED, Status.OUTDATED, Status.PERSON, Status.PROBED_BAD})
"""An undo that ended like this took nothing back."""
_About = tuple[frozenset[tuple[str, str]], str]
"""Targets by kind and name, and the address or domain."""
_MAY_HOLD = (Effect.HOLDS.value, Effect.UNKNOWN.value)
_MAY_COME = (TargetFault.TIMEOUT, INTERRUPTED)
"""Faults after which what was begun may still go on at the target, whatever a probe right afterwards saw."""


def due(conn: Connection, now_ms: int) -> list[int]:
    """Numbers of actions that hold, may hold, or may have come to hold after their probe, longer than they should, and whose
    undo does not wait or run."""
    q = t.performances.c
    may = q.effect.in_(_MAY_HOLD) | ((q.effect != "") & q.fault.in_(_MAY_COME))
    rows = conn.execute(select(t.performances).where(may, q.minutes > 0, q.started_ms > 0)).all()
    found = []
    for row in rows:
        since = max(row.probed_ms, row.undo_ms)
        if since + row.minutes * 60_000 <= now_ms and (not row.undo or _state(conn, row.undo) in ENDED):
            found.append(row.proposal_id)
    return found


def undoable(conn: Connection, number: int) -> Held:
    """A proposal whose action holds and could be taken back now. Raises ConflictError, NotFoundError."""
    held = proposals.held(conn, number)
    row = conn.execute(select(t.performances).where(t.performances.c.proposal_id == number)).first()
    if row is None or not row.started_ms:
        raise ConflictError("nothing was done, so nothing can be undone", where=str(number))
    if row.undo and _state(conn, row.undo) not in ENDED:
        raise ConflictError("its undo was proposed already", where=str(number), todo=f"see proposal {row.undo}")
    return held


def told(conn: Connection, held: Held) -> tuple[str, ...]:
    """What whoever takes an action back has to know besides: it was so before, or others hold the same."""
    written = select(t.entries.c.bytes).where(t.entries.c.idx == performing.intent(conn, held.id))
    before = decode(conn.execute(written).scalar_one()).body.get("before", "")
    lines = [f"number {other} holds the same, and ends with it" for other in _holding_too(conn, held)]
    if before == Effect.HOLDS.value:
        lines.append(f"it was so before number {held.id} was carried out: this may take back what somebody else did")
    return tuple(lines)


def _holding_too(conn: Connection, held: Held) -> list[int]:
    """Other actions of the same kind on the same targets that nothing took back; none of one that itself takes back."""
    if "undoes" in held.proposal.parameters and not held.proposal.parameters.get("minutes"):
        return []
    p, back = t.performances, t.performances.alias()
    undone = select(back.c.proposal_id).where(back.c.proposal_id == p.c.undo, back.c.effect == Effect.HOLDS.value)
    wanted = select(p.c.proposal_id).where(p.c.action == held.proposal.action, p.c.proposal_id != held.id)
    wanted = wanted.where(p.c.effect == Effect.HOLDS.value, ~undone.exists()).order_by(p.c.proposal_id)
    mine = _about(held.proposal)
    return [number for number in conn.execute(wanted).scalars().all() if _read(conn, number) == mine]


def _read(conn: Connection, number: int) -> _About | None:
    try:
        return _about(proposals.held(conn, number).proposal)
    except CountersignError:  # erased
        return None


def _about(proposal: Proposal) -> _About:
    return frozenset((one.kind.value, one.name) for one in proposal.targets), aim(proposal.parameters)


def apply_undo(conn: Connection, number: int, undo: int, at_ms: int) -> None:
    """Rows of an action whose undo was proposed."""
    state = _state(conn, number)
    if state in (Status.PROBED_OK, Status.PROBED_BAD):
        settling.advance(conn, number, Event.UNDO, undo)
    q = t.performances
    conn.execute(update(q).where(q.c.proposal_id == number).values(undo=undo, undo_ms=at_ms, entry=undo))


def _state(conn: Connection, number: int) -> Status:
    return Status(conn.execute(select(t.proposals.c.state).where(t.proposals.c.id == number)).scalar_one())
