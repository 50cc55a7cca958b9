"""``countersign autonomy``: what the agent may do alone, what that rests on, the way up and down, and the kill switch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from countersign.autonomy.scopes import DEFAULT_SCOPES
from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table, warn_of_ledger
from countersign.errors import UsageError
from countersign.store import read_closes, switches
from countersign.store.engine import reading

PER_CENT_PPM = 10_000
Scope = Annotated[str, typer.Argument(help="A scope.")]
Reason = Annotated[str, typer.Option(help="Why; goes into the ledger.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="What the agent may do alone.", no_args_is_help=True)
    for command in (status, promote, demote, stop, resume, acknowledge, reviews, review):
        group.command()(command)
    app.add_typer(group, name="autonomy")


def status(data: DataOption = None, json: JsonOption = False) -> None:
    """Every scope: its stage, what people reviewed, the bound on missed threats, and what is missing for the next stage."""
    from countersign.impact import standing  # noqa: PLC0415 - keeps `--help` quick

    with opened(data) as site:
        rows = standing(site)
        warn_of_ledger(site)
    if json:
        emit([msgspec.to_builtins(row) for row in rows])
        return
    table(
        ("scope", "stage", "may close alone", "kill switch", "reviewed", "threats", "bound", "closes"),
        [
            (
                row.scope,
                row.stage,
                "yes" if row.may_close else "no",
                "on" if row.stopped else "off",
                row.reviewed,
                row.threats,
                f"{row.bound_ppm / PER_CENT_PPM:.2f} %" if row.reviewed else "none",
                row.closes,
            )
            for row in rows
        ],
    )
    for row in rows:
        note(f"{row.scope}: before the next stage: {'; '.join(row.missing) or 'a person has to approve it'}")
    note("bound: with 95 % confidence, at most this share of what was or would be closed were threats")


def promote(
    scope: Scope,
    person: Annotated[str, typer.Option(help="Your name, as you are enrolled; with --sign-with.")] = "",
    sign_with: Annotated[
        Path | None, typer.Option("--sign-with", help="Your private key: approve at once what is proposed.")
    ] = None,
    reason: Reason = "",
    data: DataOption = None,
) -> None:
    """Propose a scope's next stage, on its evidence; it is made by an approver's signature and by nothing else."""
    from countersign.cli.approvals import answer  # noqa: PLC0415
    from countersign.impact import Impact  # noqa: PLC0415

    if sign_with is not None and not (person and reason.strip()):
        raise UsageError("an approval needs a person and a reason", where=scope, todo="give --person and --reason")
    with opened(data) as site:
        impact = Impact(site)
        number = impact.promotion(_known(scope))
        done = answer(impact, number, person, reason, sign_with, None) if sign_with else None
    if done:
        note(f"{scope} promoted from {done.change.was} to {done.change.to}")
        return
    note(f"change {number} waits: countersign approve {number} --person NAME --sign-with KEY --reason TEXT")


def demote(scope: Scope, reason: Reason = "demoted by a person", data: DataOption = None) -> None:
    """Take a scope out of the stages that close, at once; its evidence stays."""
    with opened(data) as site:
        site.commands.demote(_known(scope), reason)
        site.seal()
    note(f"{scope} is in stage advise")


def stop(
    scope: Annotated[str, typer.Argument(help="A scope, or * for all.")] = "*",
    reason: Reason = "stopped by a person",
    data: DataOption = None,
) -> None:
    """Kill switch: takes effect with the next micro-batch and survives a restart."""
    with opened(data) as site:
        site.commands.stop(_known(scope, every=True), reason)
        site.seal()
    note(f"stopped: {'every scope' if scope == switches.ALL else scope}")


def resume(
    scope: Annotated[str, typer.Argument(help="A scope, or * for all.")] = "*",
    reason: Reason = "resumed by a person",
    data: DataOption = None,
) -> None:
    """Lift the kill switch; no stage changes."""
    with opened(data) as site:
        site.commands.resume(_known(scope, every=True), reason)
        site.seal()


def acknowledge(scope: Scope, reason: Reason, data: DataOption = None) -> None:
    """Take note of a scope's alarm or change; its stage stays where it fell."""
    with opened(data) as site:
        site.commands.acknowledge(_known(scope), reason)
        site.seal()
    note(f"{scope}: noted")


def reviews(
    limit: Annotated[int, typer.Option(min=1, max=500)] = 25, data: DataOption = None, json: JsonOption = False
) -> None:
    """Closes that wait for a blind review, the oldest first: what is needed to judge them, and no verdict."""
    with opened(data) as site, reading(site.engine) as conn:
        waits = read_closes.waiting(conn, limit)
    if json:
        emit([msgspec.to_builtins(one) for one in waits])
        return
    table(
        ("finding", "what happened", "rule", "host", "severity", "alerts", "message"),
        [(w.finding, w.title, w.rule, w.host, w.severity, w.alerts, w.message) for w in waits],
    )


def review(
    finding: Annotated[str, typer.Argument(metavar="FINDING")],
    answer: Annotated[str, typer.Argument(help="benign or threat.")],
    reason: Annotated[str, typer.Option(help="What you saw; goes into the ledger.")] = "",
    data: DataOption = None,
) -> None:
    """Answer a blind review; a threat is a miss, and recalls what rests on the same reason."""
    with opened(data) as site:
        recalled = site.commands.review(finding, answer, reason)
        site.seal()
    note(f"{finding}: {answer}" + (f"; {len(recalled)} closes recalled" if answer == "threat" else ""))


def _known(scope: str, *, every: bool = False) -> str:
    if scope not in DEFAULT_SCOPES and not (every and scope == switches.ALL):
        choice = "* or one of " if every else "one of "
        raise UsageError(f"unknown scope {scope!r}", todo=f"use {choice}{', '.join(DEFAULT_SCOPES)}")
    return scope
