"""``countersign autonomy``: what the agent may do alone, and the kill switch."""

from __future__ import annotations

from typing import Annotated

import typer

from countersign.autonomy.scopes import DEFAULT_SCOPES, START_STAGE
from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.errors import UsageError
from countersign.store import switches
from countersign.store.engine import reading


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="What the agent may do alone.", no_args_is_help=True)
    for command in (status, stop, resume):
        group.command()(command)
    app.add_typer(group, name="autonomy")


def status(data: DataOption = None, json: JsonOption = False) -> None:
    """Every scope, its stage, and whether its kill switch is on."""
    with opened(data) as site, reading(site.engine) as conn:
        off = switches.stopped(conn)
    rows = [
        {
            "scope": scope.name,
            "stage": START_STAGE.value,
            "may_close": False,
            "stopped": bool(off & {switches.ALL, scope.name}),
        }
        for scope in DEFAULT_SCOPES.values()
    ]
    if json:
        emit(rows)
        return
    table(
        ("scope", "stage", "may close alone", "kill switch"),
        [(r["scope"], r["stage"], "no", "on" if r["stopped"] else "off") for r in rows],
    )


def stop(
    scope: Annotated[str, typer.Argument(help="A scope, or * for all.")] = "*",
    reason: Annotated[str, typer.Option(help="Why; goes into the ledger.")] = "stopped by a person",
    data: DataOption = None,
) -> None:
    """Kill switch: takes effect with the next micro-batch and survives a restart."""
    with opened(data) as site:
        site.commands.stop(_known(scope), reason)
        site.seal()
    note(f"stopped: {'every scope' if scope == '*' else scope}")


def resume(
    scope: Annotated[str, typer.Argument(help="A scope, or * for all.")] = "*",
    reason: Annotated[str, typer.Option(help="Why; goes into the ledger.")] = "resumed by a person",
    data: DataOption = None,
) -> None:
    """Lift the kill switch; no stage changes."""
    with opened(data) as site:
        site.commands.resume(_known(scope), reason)
        site.seal()


def _known(scope: str) -> str:
    if scope != switches.ALL and scope not in DEFAULT_SCOPES:
        raise UsageError(f"unknown scope {scope!r}", todo=f"use * or one of {', '.join(DEFAULT_SCOPES)}")
    return scope
