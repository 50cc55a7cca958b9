"""What people do to cases: dispose, reopen, assign. Each writes its entry and its rows in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from countersign.autonomy.recall import Recalled
from countersign.errors import ConflictError, NotFoundError, UsageError
from countersign.model.cases import CaseStatus, CloseState, Disposition
from countersign.model.entries import Actor, Entry, Kind
from countersign.store import autonomy, closing, labelling, ledger, recalling, words, working
from countersign.store import tables as t
from countersign.store.act import NOTHING, Act, check_text, person, required_reason
from countersign.store.autonomy import InForce, Judgement

THREAT = frozenset({Disposition.TRUE_POSITIVE})
BENIGN = frozenset({Disposition.BENIGN, Disposition.FALSE_POSITIVE})
"""``test`` and ``duplicate`` say nothing about the pattern."""


def dispose(
    conn: Connection,
    case_id: str,
    disposition: str,
    reason: str,
    who: str,
    version: int | None,
    now_ms: int,
    force: InForce = NOTHING,
    ask: labelling.Ask = labelling.ask_nobody,
) -> None:
    """A person says what the case was, open or closed by the agent. Raises ConflictError when it changed since ``version``
    (an entry index)."""
    act = Act(conn, who, now_ms, force)
    verdict = _disposition(disposition)
    reason = words.hidden(conn, required_reason(reason))
    row = _workable(conn, case_id, version)
    threat = _threat(verdict)
    findings = labelling.of_case(conn, case_id, threat=threat)
    missed = labelling.closed_by_agent(conn, findings, threat=True) if threat else []
    body = {
        "disposition": verdict.value,
        "reason": reason,
        "was": {"label": row["label"], "pico": row["pico"], "p_ppm": [row["p0_ppm"], row["p1_ppm"]]},
        **_judged(conn, findings, threat, force, ask),
    }
    index = act.enter(Kind.CASE_DISPOSED, case_id, "console", body, case_id)
    judged, news = apply_disposed(conn, case_id, body, act.actor, index, now_ms)
    act.judge(judged)
    act.recall(case_id, missed, news, reason)
    act.finish()


def apply_disposed(
    conn: Connection, case_id: str, body: Mapping[str, Any], actor: Actor, entry: int, now_ms: int
) -> tuple[list[Judgement], list[str]]:
    """Rows of a disposition: the case closes, its findings, patterns and rules gain a label.
    Returns the answer as the bounds count it, and the findings that are news as threats."""
    verdict = Disposition(body["disposition"])
    values = {
        "status": CaseStatus.CLOSED_HUMAN.value,
        "disposition": verdict.value,
        "reason": body["reason"],
        "disposed_by": actor.id,
        "disposed_ms": now_ms,
        "updated_ms": now_ms,
        "entry": entry,
    }
    conn.execute(update(t.cases).where(t.cases.c.id == case_id).values(values))
    return _labelled(conn, case_id, body, threat=_threat(verdict), entry=entry, now_ms=now_ms)


def _judged(
    conn: Connection, findings: Sequence[str], threat: bool | None, force: InForce, ask: labelling.Ask
) -> dict[str, Any]:
    """Part of a body: what the answer tells that was not known before."""
    fresh = labelling.fresh(conn, findings, threat=threat)
    judged = labelling.judgements(conn, fresh, ask(conn, fresh), force, threat=threat) if threat is not None else []
    about = labelling.about(conn, fresh)
    told = set(about["patterns"])
    return {**about, "judged": labelling.written([one for one in judged if one.pattern in told])}


def _labelled(
    conn: Connection, case_id: str, body: Mapping[str, Any], *, threat: bool | None, entry: int, now_ms: int
) -> tuple[list[Judgement], list[str]]:
    """A person's word about every finding of a case."""
    findings = labelling.of_case(conn, case_id, threat=threat)
    judged: list[Judgement] = []
    if threat is not None:
        judged = labelling.read(case_id, body.get("judged", ()), threat=threat)
        autonomy.keep(conn, judged, entry, now_ms)
        labelling.learn(conn, body, threat=threat, now_ms=now_ms)
    closed = labelling.closed_by_agent(conn, findings, threat=threat)
    news = labelling.settle(conn, findings, threat=threat, source=labelling.HUMAN, entry=entry, now_ms=now_ms)
    if threat is not None:  # a test or a duplicate answers no review
        closing.settle(conn, closed, CloseState.THREAT if threat else CloseState.BENIGN)
    return judged, news


def _threat(verdict: Disposition) -> bool | None:
    """Whether a disposition says threat or benign; None when it says neither (``test``, ``duplicate``)."""
    return True if verdict in THREAT else False if verdict in BENIGN else None


def reopen(conn: Connection, case_id: str, reason: str, who: str, now_ms: int, force: InForce = NOTHING) -> None:
    """A person takes a closed case up again. The label that its closing gave stays until the case is disposed anew; what the
    agent had closed in it is left to people from now on."""
    act = Act(conn, who, now_ms, force)
    reason = words.hidden(conn, required_reason(reason))
    row = _closed_case(conn, case_id)
    body = {"reason": reason, "was": row["disposition"]}
    index = act.enter(Kind.CASE_REOPENED, case_id, "console", body, case_id)
    apply_reopened(conn, case_id, body, act.actor, index, now_ms)
    act.finish()


def overturn(
    conn: Connection, case_id: str, reason: str, who: str, now_ms: int, force: InForce, ask: labelling.Ask
) -> list[Recalled]:
    """A person says that a case the agent closed is a threat: it opens, the scope steps back, the pattern is no longer
    verified, and every close that rests on the same reason goes to people. Returns those closes."""
    act = Act(conn, who, now_ms, force)
    reason = words.hidden(conn, required_reason(reason))
    check_text(case_id, "case")
    row = _closed_case(conn, case_id)
    findings = labelling.of_case(conn, case_id, threat=True)
    missed = labelling.closed_by_agent(conn, findings)
    if row["status"] != CaseStatus.CLOSED_AGENT.value or not missed:
        raise ConflictError("the agent did not close this case", where=case_id, todo="reopen it instead")
    body = {
        "reason": reason,
        "was": row["status"],
        "threat": 1,
        **_judged(conn, findings, True, force, ask),
    }
    index = act.enter(Kind.CASE_REOPENED, case_id, "console", body, case_id)
    judged, news = apply_reopened(conn, case_id, body, act.actor, index, now_ms)
    act.judge(judged)
    found = act.recall(case_id, missed, news, reason)
    act.finish()
    return found


def apply_reopened(
    conn: Connection, case_id: str, body: Mapping[str, Any], actor: Actor, entry: int, now_ms: int
) -> tuple[list[Judgement], list[str]]:
    """Rows of a reopening, and, when the case is called a threat with it, of the labels."""
    labelled: tuple[list[Judgement], list[str]] = ([], [])
    closed = labelling.closed_by_agent(conn, labelling.of_case(conn, case_id, threat=True))
    if body.get("threat"):
        labelled = _labelled(conn, case_id, body, threat=True, entry=entry, now_ms=now_ms)
    values = {
        "status": CaseStatus.OPEN.value,
        "disposition": "",
        "reason": "",
        "disposed_by": "",
        "disposed_ms": 0,
        "updated_ms": now_ms,
        "entry": entry,
    }
    if not _case(conn, case_id)["owner"]:  # whoever takes a case up again has it, and the agent leaves it alone
        values["owner"] = actor.id
    recalling.reopen(conn, closed, CloseState.RECALLED, "a person took the close back", entry, now_ms)
    conn.execute(update(t.cases).where(t.cases.c.id == case_id).values(values))
    return labelled


def assign(conn: Connection, case_id: str, owner: str, who: str, now_ms: int) -> None:
    """Give the case to a person (by name), or to nobody with an empty name."""
    size, _ = ledger.lock_head(conn)
    _workable(conn, case_id, None, (CaseStatus.OPEN.value,))
    actor = person(conn, who)
    holder = person(conn, owner).id if owner else ""
    apply_assigned(conn, case_id, holder, size, now_ms)
    entry = Entry(Kind.CASE_ASSIGNED, now_ms, actor, case_id, "console", {"owner": holder})
    ledger.append(conn, [(entry, case_id)])


def apply_assigned(conn: Connection, case_id: str, owner: str, entry: int, now_ms: int) -> None:
    """Rows of an assignment."""
    values = {"owner": owner, "updated_ms": now_ms, "entry": entry}
    conn.execute(update(t.cases).where(t.cases.c.id == case_id).values(values))


def _case(conn: Connection, case_id: str) -> Mapping[str, Any]:
    row = conn.execute(select(t.cases).where(t.cases.c.id == case_id)).mappings().first()
    if row is None:
        raise NotFoundError("no such case", where=case_id, todo="`countersign queue` lists the open ones")
    return dict(row)


def _closed_case(conn: Connection, case_id: str) -> Mapping[str, Any]:
    row = _case(conn, case_id)
    if row["status"] not in {CaseStatus.CLOSED_HUMAN.value, CaseStatus.CLOSED_AGENT.value}:
        raise ConflictError("only a closed case can be reopened", where=case_id)
    return row


def _workable(
    conn: Connection, case_id: str, version: int | None, states: Collection[str] = working.ATTRACTING
) -> Mapping[str, Any]:
    """A case that a person may work on: open, or closed by the agent."""
    row = _case(conn, case_id)
    if row["status"] not in states:
        where_to = f" into {row['merged_into']}" if row["merged_into"] else ""
        raise ConflictError(f"case is {row['status'].replace('_', ' by ', 1)}{where_to}", where=case_id, todo="reload it")
    if version is not None and row["entry"] != version:
        raise ConflictError("case changed since you opened it", where=case_id, todo="reload it and decide again")
    return row


def _disposition(text: str) -> Disposition:
    try:
        return Disposition(text)
    except ValueError:
        known = ", ".join(d.value for d in Disposition)
        raise UsageError(f"unknown disposition {text!r}", where="disposition", todo=f"use one of {known}") from None


__all__ = ["apply_assigned", "apply_disposed", "apply_reopened", "assign", "dispose", "overturn", "person", "reopen"]
