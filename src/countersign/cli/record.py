"""``countersign rebuild`` and ``replay``: the read side from the record, and the verdicts from the record."""

from __future__ import annotations

from typing import Annotated

import typer

from countersign.cli.common import DataOption, JsonOption, emit, opened, table
from countersign.evaluate.replay import replay as run_replay
from countersign.store import ledger
from countersign.store import rebuild as rebuilding
from countersign.store.engine import reading, writing


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(rebuild)
    app.command()(replay)


def rebuild(
    check: Annotated[bool, typer.Option("--check", help="Compare only; leave the tables as they are.")] = False,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Recreate queue, cases and measures from the ledger and the evidence; exit 1 when they came out different."""
    with opened(data) as site, writing(site.engine) as conn:
        trial = conn.begin_nested()
        ledger.lock_head(conn)  # from here on nobody else writes, so before and after can be compared
        before = rebuilding.digests(conn)
        size = rebuilding.rebuild(conn)
        after = rebuilding.digests(conn)
        if check:
            trial.rollback()
        else:
            trial.commit()
    differing = sorted(name for name in before if before[name] != after[name])
    if json:
        emit({"ok": not differing, "entries": size, "tables": len(after), "differing": differing})
    else:
        rows = [(name, "different" if name in differing else "same", digest[:16]) for name, digest in after.items()]
        table(("table", "rows", "digest"), rows)
    if differing:
        raise typer.Exit(1)


def replay(
    ident: Annotated[str, typer.Argument(metavar="[ID]", help="Finding or case; all when left out.")] = "",
    week: Annotated[str, typer.Option(help="Only closes drawn for review in this week, such as 2026-W07.")] = "",
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Recompute verdicts and decisions from their records and compare bytes, and review draws from the week's committed
    seed; exit 1 when one differs."""
    with opened(data) as site, reading(site.engine) as conn:
        result = run_replay(conn, ident, week)
    if json:
        emit(result)
    else:
        table(("what", "count"), [("replayed", result.replayed), ("same bytes", result.same), ("erased", result.erased)])
        table(("entry", "differs in"), [(problem.index, problem.what) for problem in result.problems])
    if result.problems:
        raise typer.Exit(1)
