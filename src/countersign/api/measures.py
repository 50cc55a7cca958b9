"""``GET /metrics`` in OpenMetrics text: counters of the read side, none of them per alert."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from countersign.store import inbox, ledger
from countersign.store import tables as t

_HELP = {
    "lines": "Raw messages received",
    "accepted": "Alerts accepted",
    "duplicates": "Deliveries that had been accepted before",
    "ignored": "Messages that are no alert",
    "quarantined": "Messages that could not be read",
    "findings": "Findings made",
}


def measures(conn: Connection) -> str:
    """OpenMetrics exposition."""
    values = {row.name: row.value for row in conn.execute(select(t.counters))}
    lines: list[str] = []
    for name, about in _HELP.items():
        lines += [f"# TYPE countersign_{name} counter", f"# HELP countersign_{name} {about}."]
        lines.append(f"countersign_{name}_total {values.get(name, 0)}")
    lines += ["# TYPE countersign_cases gauge", "# HELP countersign_cases Cases by status."]
    statement = select(t.cases.c.status, func.count()).group_by(t.cases.c.status).order_by(t.cases.c.status)
    lines += [f'countersign_cases{{status="{status}"}} {n}' for status, n in conn.execute(statement)]
    for name, value, about in (
        ("inbox_waiting", inbox.waiting(conn), "Alerts accepted and not yet processed"),
        ("ledger_entries", ledger.size(conn), "Entries committed"),
    ):
        lines += [f"# TYPE countersign_{name} gauge", f"# HELP countersign_{name} {about}.", f"countersign_{name} {value}"]
    return "\n".join([*lines, "# EOF", ""])
