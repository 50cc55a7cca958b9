"""Findings to put to the gate again: what their records hold, with what has changed around them since.

Counts of the past are those of the record. Local lookups are asked anew, and the site's own record of what people judged,
what happened nearby and what the scope may do are as they are now.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from countersign.correlate.nearby import BY_LEVEL
from countersign.flow import Placed
from countersign.model.cases import LEFT_TO_PEOPLE, CaseStatus
from countersign.model.decisions import Action
from countersign.model.entities import Entity
from countersign.model.entries import Kind
from countersign.model.evidence import Evidence
from countersign.model.records import FindingRecord, Outline
from countersign.model.verdicts import Label
from countersign.store import autonomy, ledger, recorded, working
from countersign.store import tables as t
from countersign.store.sql import among
from countersign.triage.features import NOTHING_PAST
from countersign.triage.novelty import REVIEWS_MIN

PAGE_FINDINGS = 500
_record = msgspec.msgpack.Decoder(FindingRecord).decode


@dataclass(frozen=True, slots=True)
class Asked:
    """Findings as the judge takes them, with what was decided on each before."""

    placed: list[Placed]
    before: list[Action]
    load: working.Working


def load(conn: Connection, findings: Collection[str], answer: Callable[[Sequence[Entity]], tuple[Evidence, ...]]) -> Asked:
    """The findings among these that a person has neither judged nor taken back, and whose case people have not closed. Local
    lookups are asked anew: a host may have become critical since."""
    rows = _rows(conn, findings)
    records = _records(conn, rows)
    recent = recorded.Recent()
    recent.hold({(row.blob, row.place): Outline(r.finding, r.links) for row, r in zip(rows, records, strict=True)})
    loaded = working.load(conn, [r.finding for r in records], [r.pattern for r in records], recent=recent)
    placed = []
    for row, record in zip(rows, records, strict=True):
        rule = loaded.history.rules.get(record.finding.rule_key)
        past = msgspec.structs.replace(
            NOTHING_PAST, rule_benign=rule.benign if rule else 0, rule_threat=rule.threat if rule else 0
        )
        placed.append(
            Placed(
                finding=record.finding,
                pattern=record.pattern,
                refs=(),
                first=False,
                past=past,
                evidence=answer(record.finding.entities),
                case=row.case_id,
                links=record.links,
                before=BY_LEVEL[row.trouble],
                closed=row.action == Action.CLOSE.value,
                row=record.features,
                rarity=record.rarity,
            )
        )
    return Asked(placed, [Action(row.action) for row in rows], loaded)


def _rows(conn: Connection, findings: Collection[str]) -> Sequence[Any]:
    f = t.findings.c
    wanted = select(f.id, f.case_id, f.trouble, f.action, f.blob, f.place)
    wanted = wanted.join(t.cases, t.cases.c.id == f.case_id).where(t.cases.c.status.in_(working.ATTRACTING))
    settled = select(t.labels.c.finding_id).where(t.labels.c.finding_id == f.id)
    left = select(t.closes.c.finding_id).where(t.closes.c.finding_id == f.id, t.closes.c.state.in_(LEFT_TO_PEOPLE))
    statement = among(conn, wanted.where(~settled.exists(), ~left.exists()), f.id, findings)
    return conn.execute(statement.order_by(f.id)).all()


def _records(conn: Connection, rows: Sequence[Any]) -> list[FindingRecord]:
    places = [(row.blob, row.place) for row in rows]
    found = dict(recorded.packed(conn, places))
    return [_record(found[place]) for place in places]


def mark(conn: Connection) -> int:
    """Index of the newest entry that may change the gate's answer about what waits: people's answers, scopes' states."""
    kinds = (
        Kind.CASE_DISPOSED,
        Kind.REVIEW_ANSWERED,
        Kind.AUTONOMY_OBSERVED,
        Kind.AUTONOMY_RESUMED,
        Kind.INVENTORY_IMPORTED,
    )
    return max(ledger.last_index(conn, kind) for kind in kinds)


def closing_scopes(conn: Connection, killed: Collection[str]) -> list[str]:
    """Scopes in which the agent may close at present."""
    states = autonomy.stored(conn)
    return [
        name
        for name, governed in sorted(states.items())
        if governed.state.may_close and governed.bands and not {"*", name} & set(killed)
    ]


def waiting(conn: Connection, scopes: Collection[str], after: str = "") -> list[str]:
    """Findings that wait for a person although their verdict is benign and their pattern verified by now, in open cases that
    nobody has taken: the next page of them, by id."""
    f = t.findings.c
    verified = select(t.patterns.c.pattern).where(t.patterns.c.threat == 0, t.patterns.c.benign >= REVIEWS_MIN)
    statement = select(f.id).join(t.cases, t.cases.c.id == f.case_id)
    statement = statement.where(
        t.cases.c.status == CaseStatus.OPEN.value,
        t.cases.c.owner == "",
        f.action == Action.ESCALATE.value,
        f.label == Label.BENIGN.value,
        f.pattern.in_(verified),
        f.id > after,
    )
    page = among(conn, statement, f.scope, scopes).order_by(f.id).limit(PAGE_FINDINGS)
    return list(conn.execute(page).scalars())
