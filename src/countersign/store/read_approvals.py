"""Questions about what waits for people and what became of it: actions and changes side by side, the newest last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from countersign.approvals import signed
from countersign.approvals.change import Change, message
from countersign.approvals.quorum import Standing
from countersign.approvals.sheet import render
from countersign.approvals.status import Status
from countersign.errors import CountersignError, ErasedError, NotFoundError
from countersign.model.entries import Actor
from countersign.model.matters import Given, Line, Sheet
from countersign.model.responses import aim
from countersign.store import people, proposals, read_steps, read_undo, settling, words
from countersign.store import tables as t
from countersign.store.effects import Effect

ENDED_MAX = 25
CHANGE, ACTION = "change", "action"
_NOTES = {
    (ACTION, "approved"): "Approved, not run: responses are not switched on here.",
    (ACTION, "intent_sealed"): "Its intent is written down. It runs once a signed checkpoint covers that.",
    (ACTION, "running"): "It is being carried out, or was interrupted and will be probed.",
    (ACTION, "probed_ok"): "Carried out, and shown to hold by a probe from outside.",
    (ACTION, "probed_bad"): "Carried out, and not shown to be effective. Somebody has to look at the target.",
    (ACTION, "left_to_person"): "Not carried out: it went to a person.",
    (CHANGE, "approved"): "Approved and made, in one step.",
    (ACTION, "denied"): "Denied. Nothing was done; it would have to be proposed anew.",
    (CHANGE, "denied"): "Denied. Nothing was changed; it would have to be proposed anew.",
    (ACTION, "expired"): "Expired before enough people had approved. It would have to be proposed anew.",
    (CHANGE, "expired"): "Expired before enough people had approved. It would have to be proposed anew.",
    (ACTION, "outdated"): "A target changed since it was proposed. It would have to be proposed anew.",
    (CHANGE, "outdated"): "What it starts from is no longer so. It would have to be proposed anew.",
}


def waiting(conn: Connection, now_ms: int) -> tuple[Line, ...]:
    """Everything that can still be answered, what ends first at the top."""
    found = [line for line in _lines(conn, now_ms, ended=False) if line.state == "waiting"]
    return tuple(sorted(found, key=lambda line: (line.expires_ms, line.number)))


def ended(conn: Connection, now_ms: int) -> tuple[Line, ...]:
    """What was decided or ended last, the newest first."""
    found = [line for line in _lines(conn, now_ms, ended=True) if line.state != "waiting"]
    return tuple(sorted(found, key=lambda line: -line.entry))[:ENDED_MAX]


def sheet(conn: Connection, number: int, now_ms: int, effects: Mapping[str, Effect]) -> Sheet:
    """One of them whole, from its canonical bytes. Raises NotFoundError, VerificationError."""
    known = people.names(conn)
    if proposals.is_one(conn, number):
        one = proposals.held(conn, number)
        row = conn.execute(select(t.proposals).where(t.proposals.c.id == number)).one()
        line, data = _action(conn, row, known, now_ms), one.data
        moved = settling.changed(conn, one.proposal)
        undo = read_undo.of(conn, number, now_ms)
        way = read_steps.steps(conn, number, row.case_id, known, undo.number)
        note = undo.note or _note(line)
    else:
        change_row = conn.execute(select(t.changes).where(t.changes.c.id == number)).one_or_none()
        if change_row is None:
            raise NotFoundError("nothing of this number waits or waited", where=str(number), todo="see the approvals")
        line, data = _change(conn, change_row, known, now_ms), change_row.proposal.encode()
        moved = _moved(conn, signed.unchanged(data, change_row.digest), effects)
        way, undo = (), read_undo.NONE
        note = _note(line)
    if moved and line.state == "waiting":
        note = _NOTES[(line.kind, "outdated")]
    pseudonyms = tuple((who, known[who]) for who in sorted(known) if who in data.decode())
    return Sheet(
        line=line,
        lines=render(data),
        data=data.decode(),
        message=message(line.digest).decode(),
        given=_given(conn, line, known),
        names=pseudonyms,
        moved=moved if line.state == "waiting" else (),
        note=note,
        steps=way,
        undo=undo.number,
        can_undo=undo.may_be_proposed,
    )


def _note(line: Line) -> str:
    """What its state means, in words."""
    if (line.kind, line.state) == (ACTION, "expired") and line.approvals >= line.people:
        return "Approved, and expired before it was carried out. Nothing was done; it would have to be proposed anew."
    return _NOTES.get((line.kind, line.state), "")


def of_case(conn: Connection, case_id: str, now_ms: int) -> tuple[Line, ...]:
    """Actions proposed for a case, the newest first."""
    rows = conn.execute(select(t.proposals).where(t.proposals.c.case_id == case_id).order_by(t.proposals.c.id.desc()))
    known = people.names(conn)
    return tuple(_action(conn, row, known, now_ms) for row in rows.all())


def _lines(conn: Connection, now_ms: int, *, ended: bool) -> list[Line]:
    known = people.names(conn)
    p, c = t.proposals.c, t.changes.c
    open_actions, open_changes = p.state == Status.PROPOSED.value, c.state == Standing.WAITING.value
    if ended:
        over = (c.state != Standing.WAITING.value) | (c.expires_ms <= now_ms)
        actions = select(t.proposals).where(~open_actions | (p.expires_ms <= now_ms)).order_by(p.entry.desc())
        changed = select(t.changes).where(over).order_by(c.entry.desc())
        actions, changed = actions.limit(ENDED_MAX), changed.limit(ENDED_MAX)
    else:
        actions, changed = select(t.proposals).where(open_actions), select(t.changes).where(open_changes)
    found = [_action(conn, row, known, now_ms) for row in conn.execute(actions).all()]
    return [*found, *(_change(conn, row, known, now_ms) for row in conn.execute(changed).all())]


def _action(conn: Connection, row: Row[Any], known: Mapping[str, str], now_ms: int) -> Line:
    waits = row.state == Status.PROPOSED.value
    state = "expired" if waits and row.expires_ms <= now_ms else ("waiting" if waits else row.state)
    return Line(
        number=row.id,
        kind=ACTION,
        what=row.action,
        about=_about(conn, row),
        case=row.case_id,
        asked_by=known.get(row.requester, row.requester),
        asked_by_person=row.requester,
        expires_ms=row.expires_ms,
        people=row.people,
        approvals=_count(conn, row.id),
        denials=row.denials,
        state=state,
        digest=row.digest,
        entry=row.entry,
        taken_back=row.state == Status.UNDO_PROPOSED.value and read_undo.of(conn, row.id, now_ms).taken_back,
    )


def _about(conn: Connection, row: Row[Any]) -> str:
    """What an action is for, in words."""
    try:
        proposal = settling.stored(conn, row.blob, row.digest)[1]
    except ErasedError as error:
        return error.what
    outside = aim(proposal.parameters)
    return ", ".join(([outside] if outside else []) + [target.name for target in proposal.targets]) or "no system"


def _change(conn: Connection, row: Row[Any], known: Mapping[str, str], now_ms: int) -> Line:
    change = signed.unchanged(row.proposal.encode(), row.digest)
    expired = row.state == Standing.WAITING.value and row.expires_ms <= now_ms
    asked: Actor = change.requester
    answers = select(func.count()).select_from(t.answers)
    mine = (t.answers.c.change_id == row.id) & (t.answers.c.fingerprint != "")
    subject = known.get(change.subject, change.subject)
    steps = f"{subject}: {change.was} → {change.to}" if change.was and len(change.to) <= 40 else subject
    return Line(
        number=row.id,
        kind=CHANGE,
        what=row.change,
        about=steps,
        case="",
        asked_by=known.get(asked.id, f"{asked.type} {asked.id}"),
        asked_by_person=asked.id,
        expires_ms=row.expires_ms,
        people=change.people,
        approvals=int(conn.execute(answers.where(mine)).scalar_one()),
        denials=change.denials,
        state="expired" if expired else row.state,
        digest=row.digest,
        entry=row.entry,
    )


def _count(conn: Connection, number: int) -> int:
    """Approvals given so far."""
    c = t.proposal_answers.c
    statement = select(func.count()).select_from(t.proposal_answers).where(c.proposal_id == number, c.approve == 1)
    return int(conn.execute(statement).scalar_one())


def _given(conn: Connection, line: Line, known: Mapping[str, str]) -> tuple[Given, ...]:
    rows: Sequence[Row[Any]]
    if line.kind == ACTION:
        a = t.proposal_answers
        rows = conn.execute(select(a).where(a.c.proposal_id == line.number).order_by(a.c.entry)).all()
    else:
        rows = conn.execute(select(t.answers).where(t.answers.c.change_id == line.number).order_by(t.answers.c.entry)).all()
    return tuple(
        Given(
            by=known.get(row.person, row.person),
            approve=bool(row.fingerprint),
            reason=words.clear(conn, row.reason)[0],
            at_ms=row.at_ms,
            key=row.fingerprint,
            entry=row.entry,
        )
        for row in rows
    )


def _moved(conn: Connection, change: Change, effects: Mapping[str, Effect]) -> tuple[str, ...]:
    """What a change starts from, when it is no longer so."""
    effect = effects.get(change.change)
    if effect is None:
        return ()
    try:
        now = effect.now(conn, change)
    except CountersignError as error:  # it makes no sense any more
        return (error.what,)
    return () if now == change.was else (f"{change.subject} is {now or 'nothing'} now, not {change.was or 'nothing'}",)
