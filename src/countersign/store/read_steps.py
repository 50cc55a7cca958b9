"""The way of one action, moment by moment, as its entries tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from countersign.approvals.status import Event
from countersign.errors import CountersignError
from countersign.ledger.canonical import decode
from countersign.model.entries import Entry, Kind
from countersign.model.matters import Step
from countersign.model.responses import Effect
from countersign.store import evidence, words
from countersign.store import tables as t

_WHAT = {
    Kind.PROPOSAL_CREATED: "proposed",
    Kind.PROPOSAL_APPROVED: "approved",
    Kind.PROPOSAL_DENIED: "denied",
    Kind.PROPOSAL_EXPIRED: "expired",
    Kind.PROPOSAL_OUTDATED: "outdated",
    Kind.ACTION_INTENDED: "intent written",
    Kind.ACTION_WAITING: "waits for witnesses",
    Kind.ACTION_STARTED: "started",
    Kind.ACTION_PROBED: "probed",
    Kind.ACTION_LEFT: "left to a person",
}
_EFFECT = {
    Effect.HOLDS.value: "the effect holds",
    Effect.ABSENT.value: "not effective",
    Effect.UNKNOWN.value: "could not be shown to hold",
}
_ENDED = {Event.EXPIRED.value: "expired", Event.CHANGED.value: "outdated"}
_BEFORE = {
    Effect.HOLDS.value: "; it was so before already",
    Effect.ABSENT.value: "; before, it was not so",
    Effect.UNKNOWN.value: "; whether it was so before is not known",
}

PARTS = ("check", "seal", "start", "do", "probe")
"""What is timed, in the order in which it happens."""


def steps(conn: Connection, number: int, case_id: str, known: Mapping[str, str], undo: int = 0) -> tuple[Step, ...]:
    """Everything that was entered about a proposal, the oldest first. known: names by pseudonym. undo: number of the
    proposal that takes it back, whose outcome is told as well; 0 for none."""
    e = t.entries.c
    kinds = [kind.value for kind in _WHAT]
    created = select(e.idx, e.bytes).where(e.idx == number)
    rows = list(conn.execute(created).all())
    later = select(e.idx, e.bytes).where(e.case_id == case_id, e.subject == str(number), e.kind.in_(kinds), e.idx > number)
    rows += conn.execute(later.order_by(e.idx)).all()
    entries = [(row.idx, decode(row.bytes)) for row in rows]
    approved_ms = max((entry.time for _, entry in entries if entry.kind is Kind.PROPOSAL_APPROVED), default=0)
    begun = any(entry.kind is Kind.ACTION_INTENDED for _, entry in entries)
    own = tuple(Step(one.time, _what(one, begun), _text(conn, one, known, approved_ms), index) for index, one in entries)
    return own + (_back(conn, undo, case_id, known) if undo else ())


def _back(conn: Connection, undo: int, case_id: str, known: Mapping[str, str]) -> tuple[Step, ...]:
    """How the action was taken back, as far as it was: what of the undo's own way concerns this one."""
    way = steps(conn, undo, case_id, known)
    told = [one for one in way[1:] if one.what not in ("approved", "intent written", "started")]
    first = msgspec.structs.replace(way[0], what="undo proposed", text=f"number {undo}, {way[0].text}")
    return (first, *(msgspec.structs.replace(one, what=f"undo {one.what}") for one in told))


def _what(entry: Entry, begun: bool) -> str:
    """An approval that ended before anything was begun leaves nothing to a person."""
    ended = _ENDED.get(entry.body["event"]) if entry.kind is Kind.ACTION_LEFT and not begun else None
    return ended or _WHAT[entry.kind]


def _text(conn: Connection, entry: Entry, known: Mapping[str, str], approved_ms: int) -> str:
    body, who = entry.body, known.get(entry.actor.id, entry.actor.id)
    if entry.kind is Kind.ACTION_INTENDED:
        count = len(body["approvals"])
        checked = "one approval" if count == 1 else f"{count} approvals"
        before = _BEFORE.get(body.get("before", ""), "")
        return f"by {who}, under lease {entry.actor.lease[:12]}, on {checked} checked again{before}"
    if entry.kind is Kind.ACTION_WAITING:
        needed = f"{body['quorum']} cosignatures are needed over entry {body['intent']:,}"
        return f"{needed}; they cover {body['cosigned']:,} entries"
    if entry.kind is Kind.ACTION_STARTED:
        return f"the intent is covered by the checkpoint of {body['sealed']:,} entries"
    if entry.kind is Kind.ACTION_PROBED:
        return _probed(conn, body, entry.time - approved_ms)
    if entry.kind is Kind.ACTION_LEFT:
        return _detail(conn, body["blob"])
    return f"by {who}" + (f": {words.clear(conn, body['reason'])[0]}" if body.get("reason") else "")


def _probed(conn: Connection, body: Mapping[str, Any], after_ms: int) -> str:
    """after_ms: since the last approval."""
    times = sorted(body["ms"].items(), key=lambda one: PARTS.index(one[0]) if one[0] in PARTS else len(PARTS))
    took = f"{after_ms:,} ms after its approval: " + ", ".join(f"{name} {ms:,} ms" for name, ms in times)
    fault = f"; it met: {body['fault']}" if body["fault"] else ""
    return f"{_EFFECT[body['effect']]}: {_detail(conn, body['blob'])}{fault} ({took})"


def _detail(conn: Connection, blob: str) -> str:
    try:
        return str(evidence.get(conn, blob, dict[str, str])["detail"])
    except CountersignError:
        return "what was found was erased"
