"""The way up of a scope, as the effect of a person's signed approval. Nothing on the agent's way imports this room: import
contracts in CI check it."""

from __future__ import annotations

from sqlalchemy import select

from countersign.autonomy import governor, promotion
from countersign.autonomy.states import Approval
from countersign.store import autonomy, switches
from countersign.store import tables as t
from countersign.store.act import Act

RISKS_MAX = 5_000
"""Latest closes from which the review draw takes its scale."""


def promote(act: Act, approval: Approval) -> None:
    """One stage up, within the transaction that holds the approval. Raises ConflictError with everything that is missing."""
    governance, scope = act.governance, approval.scope
    autonomy.observe(governance, act.force, switches.stopped(act.conn))
    governed = governance.states[scope]
    state, events = promotion.promote(governed.state, act.now_ms, by_person_approval=approval)
    columns = t.closes.c
    latest = select(columns.p1_ppm).where(columns.scope == scope).order_by(columns.closed_ms.desc()).limit(RISKS_MAX)
    risks = list(act.conn.execute(latest).scalars())
    governance.take(scope, (governor.promoted(governed, state, risks), events))
