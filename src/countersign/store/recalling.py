"""Recall: closes that rest on the same reason as a confirmed miss go back to people, as one batch (triage.md section 6).

Also what a confirmed threat takes back around it: closes of its hour on its host, which the case gate would not have let
pass had it been known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from countersign.autonomy.recall import DAYS_MS, Close, Recalled, recall
from countersign.correlate.nearby import HOUR_MS
from countersign.model.cases import CLOSED_STILL, CaseStatus, CloseState
from countersign.model.decisions import Action
from countersign.store import projection
from countersign.store import tables as t
from countersign.store.closing import shared_of, take_back
from countersign.store.sql import among

IDS_MAX = 1_500
"""Most findings that one ``recall.opened`` entry names: entries are bounded, so a large recall is several."""
MISS, NEARBY = "miss", "threat_nearby"


def resting(conn: Connection, misses: Sequence[str], now_ms: int) -> list[Recalled]:
    """Closes that share pattern, deciding evidence or an entity with one of these misses, most similar first."""
    closes = {close.finding: close for close in _closes(conn, misses, now_ms)}
    found: dict[str, Recalled] = {}
    for miss in misses:
        for one in recall(closes[miss], closes.values(), now_ms) if miss in closes else ():
            if one.finding not in found and one.finding not in misses:
                found[one.finding] = one
    return sorted(found.values(), key=lambda one: (not one.pattern, -len(one.evidence), -len(one.entities), one.finding))


def _closes(conn: Connection, misses: Sequence[str], now_ms: int) -> list[Close]:
    c = t.closes.c
    columns = select(c.finding_id, c.closed_ms, c.pattern, c.shared)
    recent = columns.where(c.state.in_(CLOSED_STILL), c.closed_ms >= now_ms - DAYS_MS)
    rows = {row.finding_id: row for row in conn.execute(recent)}
    rows |= {row.finding_id: row for row in conn.execute(among(conn, columns, c.finding_id, misses))}
    closes = []
    for row in rows.values():
        entities, evidence = shared_of(row.shared)
        closes.append(Close(row.finding_id, row.closed_ms, row.pattern, frozenset(evidence), frozenset(entities)))
    return closes


def around(conn: Connection, findings: Sequence[str]) -> list[str]:
    """Closes that nobody has reviewed on the anchors of these confirmed threats within an hour."""
    f, c = t.findings.c, t.closes.c
    found: set[str] = set()
    for row in conn.execute(among(conn, select(f.anchor, f.first_seen_ms), f.id, findings)).all():
        near = (c.anchor == row.anchor, c.seen_ms >= row.first_seen_ms - HOUR_MS, c.seen_ms <= row.first_seen_ms + HOUR_MS)
        standing = select(c.finding_id).where(c.state == CloseState.CLOSED.value, *near)
        found.update(conn.execute(standing).scalars() if row.anchor else ())
    return sorted(found - set(findings))


def bodies(cause: str, reason: str, misses: Sequence[str], recalled: Sequence[Recalled]) -> list[dict[str, Any]]:
    """Bodies of the entries of one recall: for each close, whether it shares the pattern and how much else it shares."""
    rows = [[one.finding, int(one.pattern), len(one.evidence), len(one.entities)] for one in recalled]
    parts = [rows[i : i + IDS_MAX] for i in range(0, len(rows), IDS_MAX)] or [[]]
    return [{"cause": cause, "reason": reason, "misses": list(misses)[:IDS_MAX], "recalled": part} for part in parts]


def apply(conn: Connection, body: Mapping[str, Any], entry: int, now_ms: int) -> None:
    """Rows of a recall: its closes are closes no longer, and their cases open."""
    because = (
        "recalled: shares its reason with a miss" if body["cause"] == MISS else "recalled: a threat was confirmed nearby"
    )
    reopen(conn, [row[0] for row in body["recalled"]], CloseState.RECALLED, because, entry, now_ms)


def reopen(conn: Connection, findings: Sequence[str], state: CloseState, why: str, entry: int, now_ms: int) -> None:
    """These findings go to people; the cases that the agent had closed with them are open again."""
    if not findings:
        return
    take_back(conn, findings, state)
    f = t.findings.c
    cases: set[str] = set(conn.execute(among(conn, select(f.case_id), f.id, findings)).scalars())
    for ident in findings:
        changed = update(t.findings).where(f.id == ident, f.action == Action.CLOSE.value)
        conn.execute(changed.values(action=Action.ESCALATE.value, why=why))
    _open(conn, cases, why, entry, now_ms)


def _open(conn: Connection, cases: Collection[str], why: str, entry: int, now_ms: int) -> None:
    c = t.cases.c
    for case_id, (closed, _) in sorted(projection.closed_findings(conn, cases).items()):
        conn.execute(update(t.cases).where(c.id == case_id).values(closed=closed, entry=entry, updated_ms=now_ms))
        mine = update(t.cases).where(c.id == case_id, c.status == CaseStatus.CLOSED_AGENT.value)
        conn.execute(mine.values(status=CaseStatus.OPEN.value, why=why))
