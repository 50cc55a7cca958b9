"""The way up of a scope: proposed on its evidence, made by people's signed approval. Nothing on the agent's way imports this
room: import contracts in CI check it."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, select

from countersign.approvals.change import Change
from countersign.autonomy import governor, promotion
from countersign.autonomy.states import LADDER, Approval
from countersign.errors import ConflictError, NotFoundError
from countersign.store import autonomy, ledger, switches
from countersign.store import tables as t
from countersign.store.autonomy import SYSTEM, Governance, InForce
from countersign.store.effects import Approved, Effect

PROMOTE = "autonomy.promote"
RISKS_MAX = 5_000
"""Latest closes from which the review draw takes its scale."""


def effect(force: Callable[[], InForce]) -> Effect:
    """One stage up, in the transaction that records the approval."""

    def now(conn: Connection, change: Change) -> str:
        return _known(autonomy.load(conn, force(), 0), change.subject).state.stage.value

    def do(conn: Connection, approved: Approved, now_ms: int) -> None:
        promote(conn, approved.promotion(), force(), now_ms, str(approved.entry))

    return Effect(now, do)


def proposal(conn: Connection, scope: str, force: InForce, now_ms: int) -> Change:
    """The next stage of a scope, with the figures that it rests on. The governor proposes it, so that whoever signs is not
    the one who asked. Raises ConflictError with everything that is missing."""
    governance = autonomy.load(conn, force, now_ms)
    governed = _known(governance, scope)
    autonomy.observe(governance, force, switches.stopped(conn))
    state = governance.states[scope].state
    if lacking := promotion.missing(state, now_ms):
        raise ConflictError("cannot be promoted: " + ", ".join(lacking), where=scope)
    after = LADDER[LADDER.index(state.stage) + 1]
    figures: dict[str, str | int] = {
        "reviewed": state.reviewed,
        "threats": state.threats,
        "bound_ppm": governed.bound_ppm,
        "alpha_ppm": state.rules.alpha_ppm,
        "delta_ppm": state.rules.delta_ppm,
        "certificate_unats": state.certificate.unats,
        "strict_unats": state.strict.unats,
    }
    return Change(change=PROMOTE, subject=scope, was=state.stage.value, to=after.value, requester=SYSTEM, evidence=figures)


def promote(conn: Connection, approval: Approval, force: InForce, now_ms: int, trigger: str) -> None:
    """Rows and entries of one stage up. Raises ConflictError with everything that is missing."""
    size, _ = ledger.lock_head(conn)
    governance, scope = autonomy.load(conn, force, now_ms), approval.scope
    _known(governance, scope)
    autonomy.observe(governance, force, switches.stopped(conn))
    governed = governance.states[scope]
    state, events = promotion.promote(governed.state, now_ms, by_person_approval=approval)
    columns = t.closes.c
    latest = select(columns.p1_ppm).where(columns.scope == scope).order_by(columns.closed_ms.desc()).limit(RISKS_MAX)
    risks = list(conn.execute(latest).scalars())
    governance.take(scope, (governor.promoted(governed, state, risks), events))
    ledger.append(conn, [(entry, "") for entry in autonomy.write(conn, governance, size, trigger)])


def _known(governance: Governance, scope: str) -> governor.Governed:
    if scope not in governance.states:
        raise NotFoundError("no such scope", where=scope, todo="`countersign autonomy status` lists them")
    return governance.states[scope]
