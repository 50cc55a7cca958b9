"""Proposals that end by themselves: expired, or about a target that is no longer what it was. It only ever closes ways,
so the worker may do it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, select, update

from countersign.approvals.proposal import Proposal, read
from countersign.approvals.status import Event, Status, next_status
from countersign.errors import CountersignError, VerificationError
from countersign.model.entries import Actor, Entry, Kind
from countersign.model.responses import moved
from countersign.store import evidence, inventory, ledger, outbox
from countersign.store import tables as t

SYSTEM = Actor("system", "approvals")
KINDS = {Event.EXPIRED: Kind.PROPOSAL_EXPIRED, Event.CHANGED: Kind.PROPOSAL_OUTDATED}


def stored(conn: Connection, blob: str, digest: str) -> tuple[bytes, Proposal]:
    """The canonical bytes of a proposal and what they say. Raises NotFoundError when they were erased, VerificationError
    when they are not those of the digest."""
    data = evidence.get(conn, blob, bytes)
    found = read(data)
    if hashlib.sha256(data).hexdigest() != digest:
        raise VerificationError("the proposal is not what was recorded", where=digest[:12], todo="have it proposed anew")
    return data, found


def due(conn: Connection, now_ms: int) -> list[Row[Any]]:
    """Rows of proposals that wait and should not any more. Reads only."""
    rows = conn.execute(
        select(t.proposals).where(t.proposals.c.state == Status.PROPOSED.value).order_by(t.proposals.c.id)
    ).all()
    return [row for row in rows if row.expires_ms <= now_ms or _moved(conn, row)]


def settle(conn: Connection, now_ms: int) -> int:
    """End what is due, with an entry each; returns how many ended."""
    size, _ = ledger.lock_head(conn)
    entries = []
    for index, row in enumerate(due(conn, now_ms), size):
        event = Event.EXPIRED if row.expires_ms <= now_ms else Event.CHANGED
        body: dict[str, Any] = {"digest": row.digest}
        if event is Event.EXPIRED:
            body["expires"] = row.expires_ms
        entry = Entry(KINDS[event], now_ms, SYSTEM, str(row.id), str(row.id), body)
        state = apply_settled(conn, entry, index)
        outbox.tell(conn, state.value, row.id, row.action, row.case_id, now_ms)
        entries.append((entry, row.case_id))
    ledger.append(conn, entries)
    return len(entries)


def apply_settled(conn: Connection, said: Entry, index: int) -> Status:
    """Row of a proposal that ended by itself. Raises ConflictError when it had ended before."""
    event = next(event for event, kind in KINDS.items() if kind is said.kind)
    return advance(conn, int(said.subject), event, index)


def advance(conn: Connection, number: int, event: Event, index: int) -> Status:
    """Where an event leads a proposal. Raises ConflictError when it may not happen to it any more."""
    row = conn.execute(select(t.proposals.c.state).where(t.proposals.c.id == number)).one()
    state = next_status(Status(row.state), event)
    conn.execute(update(t.proposals).where(t.proposals.c.id == number).values(state=state.value, entry=index))
    return state


def changed(conn: Connection, proposal: Proposal) -> tuple[str, ...]:
    """What is no longer so of its targets, in words that name them; empty while all of it is."""
    return moved(proposal.targets, inventory.load(conn))


def _moved(conn: Connection, row: Row[Any]) -> bool:
    try:
        return bool(changed(conn, stored(conn, row.blob, row.digest)[1]))
    except CountersignError:  # erased or spoilt: nobody can read what they would approve
        return True


def apply_created(conn: Connection, said: Mapping[str, Any], requester: Actor, index: int) -> None:
    """Row of a proposal."""
    row = {
        "id": index,
        "action": said["action"],
        "case_id": said["case"],
        "digest": said["digest"],
        "blob": said["blob"],
        "requester_type": requester.type,
        "requester": requester.id,
        "people": said["people"],
        "denials": said["denials"],
        "expires_ms": said["expires"],
        "state": Status.PROPOSED.value,
        "entry": index,
    }
    conn.execute(t.proposals.insert().values(row))
