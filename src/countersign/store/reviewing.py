"""Blind review of closes: a person answers without seeing the verdict, and the answer feeds the bounds (triage.md, 3).

Also the draws themselves, replayed from a week's seed once it is opened: anybody can check that no close was kept from
review.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, select, update

from countersign.autonomy.recall import Recalled
from countersign.errors import ConflictError, NotFoundError, UsageError
from countersign.model.cases import CloseState
from countersign.model.entries import Kind
from countersign.store import autonomy, labelling, recalling, words
from countersign.store import tables as t
from countersign.store.act import Act, check_text, optional_reason
from countersign.store.autonomy import InForce, Judgement

ANSWERS = ("benign", "threat")


def answer(conn: Connection, finding: str, said: str, reason: str, who: str, now_ms: int, force: InForce) -> list[Recalled]:
    """A person's blind answer on a drawn close. On ``threat`` it is a miss: everything that rests on the same reason goes to
    people. Returns those closes. Raises NotFoundError, ConflictError when it was not drawn or has its answer."""
    if said not in ANSWERS:
        raise UsageError(f"unknown answer {said!r}", where="answer", todo=f"use one of {', '.join(ANSWERS)}")
    check_text(finding, "finding")
    reason = words.hidden(conn, optional_reason(reason))
    act = Act(conn, who, now_ms, force)
    row = _close(conn, finding)
    case_id, rule = _place(conn, finding)
    threat = said == "threat"
    body = {
        "answer": said,
        "reason": reason,
        "case": case_id,
        "rule": rule,
        "scope": row.scope,
        "week": row.week,
        "q_ppm": [row.q_ppm, row.q_min_ppm],
        **labelling.about(conn, [finding]),
    }
    index = act.enter(Kind.REVIEW_ANSWERED, finding, str(row.entry), body, case_id)
    judged, news = apply_answered(conn, finding, body, index, now_ms)
    act.judge([judged])
    recalled = act.recall(case_id, [finding] if threat else [], news, "blind review")
    act.finish()
    return recalled


def apply_answered(
    conn: Connection, finding: str, body: Mapping[str, Any], entry: int, now_ms: int
) -> tuple[Judgement, list[str]]:
    """Rows of an answer: label, pattern, rule, judgement, and the close confirmed or taken back."""
    threat = body["answer"] == "threat"
    row = conn.execute(select(t.closes).where(t.closes.c.finding_id == finding)).one()
    p1 = conn.execute(select(t.findings.c.p1_ppm).where(t.findings.c.id == finding)).scalar_one()
    judged = labelling.blind(row, body["case"], p1, threat=threat)
    autonomy.keep(conn, [judged], entry, now_ms)
    labelling.learn(conn, body, threat=threat, now_ms=now_ms)
    news = labelling.settle(conn, [finding], threat=threat, source=labelling.BLIND, entry=entry, now_ms=now_ms)
    if threat:
        recalling.reopen(conn, [finding], CloseState.THREAT, "a blind review called it a threat", entry, now_ms)
    else:
        state = update(t.closes).where(t.closes.c.finding_id == finding).values(state=CloseState.BENIGN.value)
        conn.execute(state)
    return judged, news


def _close(conn: Connection, finding: str) -> Row[Any]:
    row = conn.execute(select(t.closes).where(t.closes.c.finding_id == finding)).first()
    if row is None:
        raise NotFoundError("no close of that finding", where=finding, todo="`countersign autonomy reviews` lists them")
    if row.state != CloseState.CLOSED.value:
        raise ConflictError(f"close is {row.state} already", where=finding, todo="reload the page")
    if not row.drawn:
        raise ConflictError("close was not drawn for review", where=finding, todo="open its case and overturn it there")
    return row


def _place(conn: Connection, finding: str) -> tuple[str, str]:
    f = t.findings.c
    columns = select(f.case_id, f.source, f.rule).where(f.id == finding)
    row = conn.execute(columns).one()
    return row.case_id, f"{row.source}/{row.rule}"
