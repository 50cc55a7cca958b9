"""``GET /metrics`` in OpenMetrics text: counters of the read side, none of them per alert."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from countersign.model.standing import Standing, Verified
from countersign.store import inbox, ledger, read
from countersign.store import tables as t
from countersign.store.sealing import SealState
from countersign.store.witnesses import Heard

_HELP = {
    "lines": "Raw messages received",
    "accepted": "Alerts accepted",
    "duplicates": "Deliveries that had been accepted before",
    "ignored": "Messages that are no alert",
    "quarantined": "Messages that could not be read",
    "findings": "Findings made",
}


def measures(conn: Connection, seal: SealState, heard: Heard, verified: Verified) -> str:
    """OpenMetrics exposition. seal, heard, verified: how the ledger is sealed, what witnesses say, what was read of it."""
    values = {row.name: row.value for row in conn.execute(select(t.counters))}
    lines: list[str] = []
    for name, about in _HELP.items():
        lines += [f"# TYPE countersign_{name} counter", f"# HELP countersign_{name} {about}."]
        lines.append(f"countersign_{name}_total {values.get(name, 0)}")
    lines += ["# TYPE countersign_cases gauge", "# HELP countersign_cases Cases by status."]
    statement = select(t.cases.c.status, func.count()).group_by(t.cases.c.status).order_by(t.cases.c.status)
    lines += [f'countersign_cases{{status="{status}"}} {n}' for status, n in conn.execute(statement)]
    broken = int(verified.state is Standing.BROKEN)
    for name, value, about in (
        ("inbox_waiting", inbox.waiting(conn), "Alerts accepted and not yet processed"),
        ("ledger_entries", ledger.size(conn), "Entries committed"),
        ("ledger_unsealed", seal.waiting if seal.known else "NaN", "Entries that no checkpoint covers yet"),
        ("ledger_does_not_verify", broken, "1 while the reading in the background finds something wrong"),
        ("witness_alarms", len(heard.alarms), "Witnesses that say that the log was rolled back or forked"),
        ("witness_refusals", len(heard.refusals), "Witnesses that do not cosign, for another reason"),
        ("ledger_sealed_in_time", int(seal.in_time), "0 while nothing closes and no action starts for want of a seal"),
    ):
        lines += [f"# TYPE countersign_{name} gauge", f"# HELP countersign_{name} {about}.", f"countersign_{name} {value}"]
    lines += _scopes(read.autonomy(conn))
    return "\n".join([*lines, "# EOF", ""])


def _scopes(agent: read.Autonomy) -> list[str]:
    """What the agent may do alone: one gauge a scope, and the blind reviews that wait."""
    lines = [
        "# TYPE countersign_scope_closes_alone gauge",
        "# HELP countersign_scope_closes_alone 1 where the agent may close.",
    ]
    for name, stage in agent.stages.items():
        lines.append(f'countersign_scope_closes_alone{{scope="{name}",stage="{stage}"}} {int(name in agent.closing)}')
    lines += [
        "# TYPE countersign_scope_alarm gauge",
        "# HELP countersign_scope_alarm 1 while nobody has acknowledged an alarm.",
    ]
    lines += [f'countersign_scope_alarm{{scope="{name}"}} {int(name in agent.halted)}' for name in agent.stages]
    waits = "countersign_reviews_waiting"
    return [
        *lines,
        f"# TYPE {waits} gauge",
        f"# HELP {waits} Closes that wait for a blind review.",
        f"{waits} {agent.waiting}",
    ]
