"""``countersign rebuild`` and ``replay``: the read side from the record, and the decisions from the record."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from countersign.cli.common import DataOption, JsonOption, emit, opened, progress, recorded, table
from countersign.evaluate.replay import Result
from countersign.evaluate.replay import replay as run_replay
from countersign.store import key_table, ledger, migrate
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
    """Recreate queue, cases and measures from the ledger and the evidence; exit 1 when they came out different, or the key
    table does not know whom an entry names."""
    with _engine(data, check=check) as engine, writing(engine) as conn:
        trial = conn.begin_nested()
        ledger.lock_head(conn)  # from here on nobody else writes, so before and after can be compared
        before = rebuilding.digests(conn)
        named = key_table.KeyTable()
        size = rebuilding.rebuild(conn, also=named.take)
        after = rebuilding.digests(conn)
        problems = named.problems(conn)
        if check:
            trial.rollback()
        else:
            trial.commit()
    differing = sorted(name for name in before if before[name] != after[name])
    ok = not (differing or problems)
    if json:
        emit({"ok": ok, "entries": size, "tables": len(after), "differing": differing, "problems": problems})
    else:
        rows = [(name, "different" if name in differing else "same", digest[:16]) for name, digest in after.items()]
        table(("table", "rows", "digest"), rows)
        if problems:
            table(("entry", "problem: no rebuild mends it, restore it from a backup"), [(p.index, p.what) for p in problems])
    if not ok:
        raise typer.Exit(1)


@contextmanager
def _engine(data: Path | None, *, check: bool) -> Iterator[Engine]:
    """Only to compare, no site is opened: that would set right what is registered at its start, and hide a change."""
    if check:
        with recorded(data) as engine:
            migrate.require(engine)
            yield engine
    else:
        with opened(data) as site:
            yield site.engine


def replay(
    ident: Annotated[str, typer.Argument(metavar="[ID]", help="Finding, case or other subject; all when left out.")] = "",
    week: Annotated[str, typer.Option(help="Only closes drawn for review in this week, such as 2026-W07.")] = "",
    jobs: Annotated[
        int, typer.Option(metavar="N", min=0, help="Processes for decisions of findings; 0: one for each processor.")
    ] = 0,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Recompute every decision from ledger and evidence, with the policy and model in force then, and compare bytes:
    verdicts, gates, draws, policy requests, approvals, actions, leases, autonomy; exit 1 when one differs."""
    with recorded(data) as engine, reading(engine) as conn, progress("entries") as tick:
        result = run_replay(conn, ident, week, jobs=jobs or os.cpu_count() or 1, tick=tick)
    if json:
        emit(result)
    else:
        _show(result)
    if result.problems:
        raise typer.Exit(1)


def _show(result: Result) -> None:
    rows = [(one.kind, one.replayed, one.same, sum(one.left.values())) for one in result.kinds]
    table(
        ("what", "replayed", "same bytes", "not replayable"),
        [*rows, ("all entries", result.replayed, result.same, result.left)],
    )
    if left := [(one.kind, number, why) for one in result.kinds for why, number in sorted(one.left.items())]:
        table(("not replayable", "entries", "because"), left)
    if result.problems:
        table(("entry", "kind", "differs in"), [(problem.index, problem.kind, problem.what) for problem in result.problems])
