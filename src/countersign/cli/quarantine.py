"""``countersign quarantine``: what could not be read, where and why, and another try after a fix."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import func, select

from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.errors import UsageError
from countersign.feed import Feeder
from countersign.sources.mapping import load_mapping
from countersign.store import tables as t
from countersign.store import words
from countersign.store.engine import reading
from countersign.store.quarantine import WAITING

_BECAME = ("accepted", "duplicates", "ignored", "quarantined", "waiting")
"""What may have become of a message that was sent through again; together they are all of them."""


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Messages that could not be read.", no_args_is_help=True)
    group.command("list")(show)
    group.command("replay")(replay)
    app.add_typer(group, name="quarantine")


def show(data: DataOption = None, json: JsonOption = False, limit: Annotated[int, typer.Option(min=1)] = 100) -> None:
    """List what waits, with file, line, field and error."""
    with opened(data) as site, reading(site.engine) as conn:
        statement = select(t.quarantine).where(t.quarantine.c.state == WAITING).order_by(t.quarantine.c.id).limit(limit)
        rows = [dict(row) for row in conn.execute(statement).mappings()]
        waits = conn.execute(select(func.count()).where(t.quarantine.c.state == WAITING)).scalar_one()
        for row in rows:
            row["origin"], row["error"] = words.clear(conn, row["origin"], row["error"])
    if waits > len(rows):
        note(f"{len(rows):,} of {waits:,} are listed: --limit {waits} lists all")
    if json:
        emit(rows)
        return
    where = [f"{row['origin']}:{row['position']}" + (f": {row['field']}" if row["field"] else "") for row in rows]
    table(
        ("number", "source", "where", "error"),
        [(row["id"], row["source"], place, row["error"]) for row, place in zip(rows, where, strict=True)],
    )


def replay(
    number: Annotated[list[int] | None, typer.Argument(min=0, max=2**62, help="Numbers; see `quarantine list`.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Everything that waits.")] = False,
    mapping: Annotated[Path | None, typer.Option(help="Corrected mapping file of the generic source.")] = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Put messages back into the inbox and process them; those that still fail are quarantined again."""
    text = load_mapping(mapping) if mapping else None
    with opened(data) as site:
        numbers = list(number or [])
        if all_:
            with reading(site.engine) as conn:
                statement = select(t.quarantine.c.id).where(t.quarantine.c.state == WAITING).order_by(t.quarantine.c.id)
                numbers = list(conn.execute(statement).scalars())
        if not numbers and not all_:
            raise UsageError("nothing named", todo="give numbers, or --all")
        feeder = Feeder(site)
        feeder.resubmit(numbers, mapping=text)
        summary = feeder.finish()
    done = {"resubmitted": summary.lines} | {name: getattr(summary, name) for name in _BECAME}
    if json:
        emit(done)
    else:
        table(("what", "count"), list(done.items()))
