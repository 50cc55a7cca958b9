"""``countersign sources``: what is plugged in, and what came of it."""

from __future__ import annotations

import typer

from countersign.cli.common import DataOption, JsonOption, emit, opened, table
from countersign.sources import SOURCES
from countersign.store import read
from countersign.store.engine import reading


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sources)


def sources(data: DataOption = None, json: JsonOption = False) -> None:
    """Every source, what it has delivered and when."""
    with opened(data) as site, reading(site.engine) as conn:
        seen = {row.source: row for row in read.sources(conn)}
    if json:
        emit([{"source": name, "seen": seen.get(name)} for name in SOURCES])
        return
    rows = []
    for name in SOURCES:
        row = seen.get(name)
        rows.append((name, row.findings if row else 0, row.alerts if row else 0, row.quarantined if row else 0))
    table(("source", "findings", "alerts", "in quarantine"), rows)
