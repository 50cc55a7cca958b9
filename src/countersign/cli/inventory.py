"""``countersign inventory``: what the site owns and who works there, with criticality."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.enrich.inventory_file import read_inventory
from countersign.store import inventory as store
from countersign.store.engine import reading


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Assets and identities of the site.", no_args_is_help=True)
    group.command("import")(import_)
    group.command("show")(show)
    app.add_typer(group, name="inventory")


def import_(
    file: Annotated[Path, typer.Argument(help="CSV (kind,name,role,owner,criticality,addresses,aliases), TOML or JSON.")],
    replace: Annotated[bool, typer.Option("--replace", help="Drop what the file does not name.")] = False,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Add the file's assets and identities, or replace the inventory by them."""
    found = read_inventory(file)  # before the site is opened: a bad file changes nothing
    with opened(data) as site:
        counts = site.commands.import_inventory(found, file.name, "replace" if replace else "merge")
        site.seal()
    if json:
        emit(counts)
        return
    note(f"imported {counts['assets']} assets and {counts['identities']} identities from {file.name}")


def show(data: DataOption = None, json: JsonOption = False) -> None:
    """List the inventory."""
    with opened(data) as site, reading(site.engine) as conn:
        found = store.load(conn)
    if json:
        emit(msgspec.to_builtins(found))
        return
    columns = ("kind", "name", "role", "owner", "criticality", "addresses", "aliases")
    assets = [
        ("asset", a.name, a.role, a.owner, a.criticality.name.lower(), ", ".join(a.addresses), ", ".join(a.aliases))
        for a in found.assets
    ]
    people = [
        ("identity", i.name, i.role, i.owner, i.criticality.name.lower(), "", ", ".join(i.aliases)) for i in found.identities
    ]
    table(columns, [*assets, *people])
