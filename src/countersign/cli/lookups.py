"""``countersign lookups``: which lookups are plugged in, and in what state."""

from __future__ import annotations

from typing import Any

import typer

from countersign.cli.common import DataOption, JsonOption, emit, opened, table
from countersign.enrich import LocalLookup, NotConfigured, SiteData, plug_in
from countersign.store import inventory as store
from countersign.store.engine import reading


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lookups")(lookups)


def lookups(data: DataOption = None, json: JsonOption = False) -> None:
    """Show every lookup: state, version, entries, whether a close needs its answer."""
    with opened(data) as site:
        with reading(site.engine) as conn:
            found = store.load(conn)
        rows = [_row(lookup) for lookup in plug_in(SiteData(found, site.data, site.config.geo.files))]
    if json:
        emit(rows)
        return
    columns = ("name", "state", "version", "entries", "required", "note")
    shown = [tuple("" if row[name] is None else row[name] for name in columns) for row in rows]
    table(columns, [(*row[:4], "yes" if row[4] else "no", row[5]) for row in shown])


def _row(lookup: LocalLookup | NotConfigured) -> dict[str, Any]:
    """State: ``ready``, ``faulty`` (some answers are unavailable) or ``not configured``."""
    if isinstance(lookup, NotConfigured):
        return {
            "name": lookup.name,
            "state": "not configured",
            "version": "",
            "entries": None,
            "required": False,
            "note": lookup.todo,
        }
    entries = lookup.entries  # may load them, and so find a problem
    return {
        "name": lookup.name,
        "state": "faulty" if lookup.problem else "ready",
        "version": lookup.version,
        "entries": entries if entries >= 0 else None,
        "required": lookup.required,
        "note": lookup.problem,
    }
