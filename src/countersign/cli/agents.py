"""``countersign agents``: who works here, what each may do at most, and the kill switch of each."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.store import agents as store
from countersign.store.engine import reading

Name = Annotated[str, typer.Argument(help="An agent.")]
Reason = Annotated[str, typer.Option(help="Why; goes into the ledger.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="The agents that work here, their keys and kill switches.", no_args_is_help=True)
    group.command("list")(show)
    for command in (add, stop, resume, retire):
        group.command()(command)
    app.add_typer(group, name="agents")


def show(data: DataOption = None, json: JsonOption = False) -> None:
    """List every agent: state, what it may do at most, its key, owner and purpose."""
    with opened(data) as site, reading(site.engine) as conn:
        everyone = store.everyone(conn)
    if json:
        emit([_document(one) for one in everyone])
        return
    columns = ("agent", "state", "may at most", "key", "owner", "purpose")
    rows = [(a.name, a.state, a.operations, a.fingerprint, a.owner, a.purpose) for a in everyone]
    table(columns, rows)
    for one in everyone:
        if one.state == "stopped":
            note(f"{one.name} was stopped by entry {one.stopped}: {one.reason}")


def _document(one: store.Registered) -> dict[str, Any]:
    return msgspec.structs.asdict(one) | {
        "state": one.state,
        "fingerprint": one.fingerprint,
        "operations": one.operations.split(" "),
    }


def add(
    name: Annotated[str, typer.Argument(help="Small letters, digits and hyphens.")],
    purpose: Annotated[str, typer.Option(help="What it is for, in one line.")],
    operation: Annotated[list[str], typer.Option(help="What it may do at most; several times for several.")],
    data: DataOption = None,
) -> None:
    """Propose an agent of the site's own, with a key made here; an approver's signature adds it."""
    from countersign.impact import Impact  # noqa: PLC0415 - keeps `--help` quick

    with opened(data) as site:
        number = Impact(site).agent(name, purpose, operation)
    _waits(number)


def stop(name: Name, reason: Reason, data: DataOption = None) -> None:
    """Kill switch: the agent's leases fail from the next batch on, and after a restart; needs no signature."""
    with opened(data) as site:
        site.commands.stop_agent(name, reason)
        site.seal()
    note(f"stopped: {name}")


def resume(name: Name, reason: Reason, data: DataOption = None) -> None:
    """Propose to lift an agent's kill switch; an approver's signature lifts it."""
    from countersign.impact import Impact  # noqa: PLC0415

    with opened(data) as site:
        number = Impact(site).agent_resume(name, reason)
    _waits(number)


def retire(name: Name, reason: Reason, data: DataOption = None) -> None:
    """Take an agent that the site added out for good; needs no signature."""
    with opened(data) as site:
        site.commands.retire_agent(name, reason)
        site.seal()
    note(f"retired: {name}")


def _waits(number: int) -> None:
    note(f"change {number} waits: countersign approve {number} --person NAME --sign-with KEY --reason TEXT")
