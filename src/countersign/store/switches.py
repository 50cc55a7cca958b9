"""Kill switches: ``*`` stops every scope, a scope's name stops that scope. They take effect with the next micro-batch,
because each one reads them in its own transaction, and they survive a restart, because they are rows."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from countersign.autonomy import governor
from countersign.autonomy.scopes import DEFAULT_SCOPES
from countersign.errors import NotFoundError
from countersign.model.entries import Kind
from countersign.store import autonomy, words
from countersign.store import tables as t
from countersign.store.act import NOTHING, Act, required_reason
from countersign.store.autonomy import InForce
from countersign.store.sql import upsert

ALL = "*"


def stopped(conn: Connection) -> frozenset[str]:
    """Names whose switch is on."""
    return frozenset(conn.execute(select(t.switches.c.name)).scalars())


def switch(conn: Connection, name: str, reason: str, who: str, now_ms: int, *, stop: bool, force: InForce = NOTHING) -> None:
    """A person stops or resumes a scope (or all). A stopped scope steps back at once; resuming only lifts the switch: its
    stage stays what it is."""
    reason = words.hidden(conn, required_reason(reason))
    if name != ALL:
        _known(name)
    act = Act(conn, who, now_ms, force)
    kind = Kind.AUTONOMY_STOPPED if stop else Kind.AUTONOMY_RESUMED
    index = act.enter(kind, name, "command", {"reason": reason})
    apply(conn, name, stopped=stop, entry=index)
    if force != NOTHING:
        autonomy.observe(act.governance, force, stopped(conn))
    act.finish()


def demote(conn: Connection, scope: str, reason: str, who: str, now_ms: int, force: InForce) -> None:
    """A person takes a scope out of the stages that close. Raises ConflictError when it is in none."""
    reason = words.hidden(conn, required_reason(reason))
    _known(scope)
    act = Act(conn, who, now_ms, force)
    autonomy.observe(act.governance, force, stopped(conn))
    stage = act.governance.states[scope].state.stage
    lowered, events = governor.step_down(act.governance.states[scope], now_ms)
    body = {"before": stage.value, "after": lowered.state.stage.value, "cause": events[0].cause, "reason": reason}
    act.enter(Kind.AUTONOMY_DEMOTED, scope, "command", body)
    act.governance.take(scope, (lowered, ()))
    act.finish()


def acknowledge(conn: Connection, scope: str, reason: str, who: str, now_ms: int, force: InForce) -> None:
    """A person takes note of an alarm or change. Raises ConflictError when none stands."""
    reason = words.hidden(conn, required_reason(reason))
    _known(scope)
    act = Act(conn, who, now_ms, force)
    noted = governor.acknowledge(act.governance.states[scope], now_ms, act.actor.id)
    act.enter(Kind.AUTONOMY_ACKNOWLEDGED, scope, "command", {"reason": reason})
    act.governance.take(scope, (noted[0], ()))
    act.finish()


def _known(scope: str) -> None:
    if scope not in DEFAULT_SCOPES:
        raise NotFoundError("no such scope", where=scope, todo="`countersign autonomy status` lists them")


def apply(conn: Connection, name: str, *, stopped: bool, entry: int) -> None:
    """Row of a switch."""
    if stopped:
        upsert(conn, t.switches, [{"name": name, "value": "stopped", "entry": entry}])
    else:
        conn.execute(delete(t.switches).where(t.switches.c.name == name))
