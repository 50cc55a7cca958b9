"""``countersign leases``: what agents were allowed for which task, and taking it back."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.store import leases as store
from countersign.store.engine import reading

Ident = Annotated[str, typer.Argument(metavar="ID", help="A lease's id, or that of one handed on from it.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="What agents may do, for one task at a time.", no_args_is_help=True)
    group.command("list")(show_all)
    group.command()(show)
    group.command()(revoke)
    app.add_typer(group, name="leases")


def show_all(
    limit: Annotated[int, typer.Option(min=1, max=500)] = 25, data: DataOption = None, json: JsonOption = False
) -> None:
    """List the leases issued last, the newest first."""
    with opened(data) as site, reading(site.engine) as conn:
        found, now_ms = store.newest(conn, limit), site.clock.now_ms()
    if json:
        emit([_document(one, now_ms) for one in found])
        return
    rows = [
        (one.id, one.state(now_ms), one.body["agent"], one.body["task"], _handed(one), one.entry, _signed(one))
        for one in found
    ]
    table(("lease", "state", "agent", "task", "handed on to", "entry", "signed by its agent"), rows)


def show(ident: Ident, data: DataOption = None, json: JsonOption = False) -> None:
    """Show a lease: task, operations, resources, what was handed on of it, and whether its agent's key signed it."""
    with opened(data) as site, reading(site.engine) as conn:
        now_ms = site.clock.now_ms()
        one, holder = store.find(conn, ident, now_ms)
    if json:
        emit(_document(one, now_ms) | {"asked": ident, "holder": holder})
        return
    typer.echo(f"{one.id}  {one.state(now_ms)}  entry {one.entry}  signed by its agent: {_signed(one)}")
    table(("what", "value"), [(name, _text(value)) for name, value in one.body.items() if name != "handed"])
    rows = [(h["to"], h["id"], _text(h["operations"]), _text(h["resources"])) for h in one.body.get("handed", ())]
    table(("handed on to", "id", "operations", "resources"), rows)


def revoke(
    ident: Ident, reason: Annotated[str, typer.Option(help="Why; goes into the ledger.")], data: DataOption = None
) -> None:
    """Let no use of a lease, nor of what was handed on from it, pass any more; needs no signature."""
    with opened(data) as site:
        one = site.commands.revoke_lease(ident, reason)
        site.seal()
    note(f"revoked: {ident} of {one.body['agent']}, task {one.body['task']}")


def _document(one: store.Issued, now_ms: int) -> dict[str, Any]:
    return msgspec.structs.asdict(one) | {"state": one.state(now_ms)}


def _handed(one: store.Issued) -> str:
    return ", ".join(handed["to"] for handed in one.body.get("handed", ()))


def _signed(one: store.Issued) -> str:
    return "yes" if one.signed else "no"


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
