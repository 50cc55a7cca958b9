"""``countersign recall``: a close was wrong, and so may be whatever rests on the same reason."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.errors import UsageError
from countersign.store import read_closes
from countersign.store.engine import reading


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(recall)


def recall(
    ident: Annotated[str, typer.Argument(metavar="CASE")],
    reason: Annotated[str, typer.Option(help="What you found; goes into the ledger.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go to people.")] = False,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Call a case that the agent closed a threat: it opens, its scope steps back, its pattern is no longer verified, and
    every close that shares pattern, deciding evidence or an entity with it goes to people."""
    if not dry_run and not reason.strip():
        raise UsageError("a reason is required", where="--reason", todo="say in a few words what you found")
    with opened(data) as site:
        if dry_run:
            with reading(site.engine) as conn:
                found = read_closes.resting_on(conn, ident, site.clock.now_ms())
        else:
            found = site.commands.overturn(ident, reason)
            site.seal()
    if json:
        emit([msgspec.to_builtins(one) for one in found])
        return
    rows = [(f.finding, "yes" if f.pattern else "no", len(f.evidence), len(f.entities)) for f in found]
    table(("finding", "same pattern", "shared evidence", "shared entities"), rows)
    note(f"{len(found)} closes {'would go' if dry_run else 'went'} to people")
