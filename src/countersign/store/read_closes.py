"""Questions about what the agent closed. ``waiting`` is for blind review: it reads no verdict, so it can show none."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, func, select

from countersign.autonomy.recall import Recalled
from countersign.errors import ConflictError, NotFoundError, VerificationError
from countersign.model.alerts import Severity
from countersign.model.cases import CLOSED_STILL, CaseStatus, CloseState
from countersign.store import labelling, recalling, recorded
from countersign.store import tables as t
from countersign.store.act import check_text

LOST = "(its record is gone or was changed: see countersign verify)"
"""In place of a message."""


class Waiting(msgspec.Struct, frozen=True):
    """A close that was drawn for blind review, as far as it may be shown before the answer."""

    finding: str
    title: str
    rule: str
    host: str
    severity: str
    alerts: int
    first_seen_ms: int
    last_seen_ms: int
    message: str
    entities: tuple[str, ...]


def waiting(conn: Connection, limit: int) -> list[Waiting]:
    """Drawn closes without an answer, the oldest first."""
    f, c = t.findings.c, t.closes.c
    shown = (f.id, f.title, f.source, f.rule, f.host, f.severity, f.first_seen_ms, f.last_seen_ms, f.blob, f.place)
    drawn = select(*shown, f.count.label("alerts")).join(t.closes, c.finding_id == f.id)
    drawn = drawn.where(c.state == CloseState.CLOSED.value, c.drawn == 1)
    rows = conn.execute(drawn.order_by(c.closed_ms, f.id).limit(limit)).all()
    outlines = recorded.outlines(conn, [(row.blob, row.place) for row in rows], but=(NotFoundError, VerificationError))
    found = []
    for row in rows:
        outline = outlines.get((row.blob, row.place))
        found.append(
            Waiting(
                finding=row.id,
                title=row.title,
                rule=f"{row.source}/{row.rule}",
                host=row.host,
                severity=Severity(row.severity).name.lower(),
                alerts=row.alerts,
                first_seen_ms=row.first_seen_ms,
                last_seen_ms=row.last_seen_ms,
                message=outline.finding.message if outline else LOST,
                entities=tuple(entity.key for entity in outline.finding.entities) if outline else (),
            )
        )
    return found


def standing(conn: Connection) -> dict[str, int]:
    """Closes that stand, by scope."""
    c = t.closes.c
    counted = select(c.scope, func.count()).where(c.state.in_(CLOSED_STILL)).group_by(c.scope)
    return {row[0]: int(row[1]) for row in conn.execute(counted).all()}


def resting_on(conn: Connection, case_id: str, now_ms: int) -> list[Recalled]:
    """What calling this case a threat would recall. Raises NotFoundError, ConflictError when the agent did not close it."""
    check_text(case_id, "case")
    status = conn.execute(select(t.cases.c.status).where(t.cases.c.id == case_id)).scalar()
    if status is None:
        raise NotFoundError("no such case", where=case_id, todo="`countersign queue` lists the open ones")
    missed = labelling.closed_by_agent(conn, labelling.of_case(conn, case_id, threat=True))
    if status != CaseStatus.CLOSED_AGENT.value or not missed:
        raise ConflictError("the agent did not close this case", where=case_id, todo="reopen it instead")
    return recalling.resting(conn, missed, now_ms)
