"""``countersign erase``: take one person out of the database, the evidence and whatever is shown or exported."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.store import erasing
from countersign.store.act import required_reason
from countersign.store.engine import reading, writing
from countersign.store.erasing_who import Wanted
from countersign.store.shredding import files_naming, shred


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("erase")(erase)


def erase(
    person: Annotated[str, typer.Argument(help="Login, mail address or operator's name, in any case; or its entity key.")],
    also: Annotated[list[str] | None, typer.Option(help="Another name of the same person; once or more.")] = None,
    keep: Annotated[list[str] | None, typer.Option(help="A name, or key such as person:NAME, of somebody else.")] = None,
    reason: Annotated[str, typer.Option(help="Why; goes into the ledger.")] = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Erase. Without it nothing is changed: it is shown what would go.")
    ] = False,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Erase one person. The log stays as it is and verifies: it knows them by a pseudonym, which then leads nowhere."""
    wanted = Wanted((person, *(also or ())), tuple(keep or ()))
    with opened(data) as site:
        if not yes:
            with reading(site.engine) as conn:
                found, entry = erasing.look(conn, wanted), -1
        else:
            required_reason(reason)
            with writing(site.engine) as conn:
                found, entry = erasing.erase(conn, wanted, reason, site.commands.operator, site.clock.now_ms())
            site.seal()
            shred(site.engine)  # also when nothing was left to erase: whoever was interrupted here comes again
        folder = site.data
    files = tuple(files_naming(folder, found.names, found.others))  # once the database is closed: reading its file beside
    # an open connection of this process would let go of SQLite's locks
    if json:
        emit({**msgspec.to_builtins(found), "erased": yes, "entry": entry, "files": files})
    else:
        _show(found, entry, files, yes=yes)


def _show(found: erasing.Found, entry: int, files: tuple[str, ...], *, yes: bool) -> None:
    rows = [(f"evidence, {kind}", "pieces", number) for kind, number in found.evidence.items()]
    rows += [(name, "rows", number) for name, number in found.rows.items()]
    table(("where", "", "erased" if yes else "would go"), rows)
    for name in found.others:
        note(f"stays: {name} contains a name of theirs; if it is they, give it with --also")
    for kind, number in found.fixed.items():
        note(f"stays: {number} {kind} that name them; they are known by their hash: put one in force that does not")
    if found.entries:
        first = ", ".join(map(str, found.in_clear))
        note(f"stays: {found.entries} ledger entries name them in clear, for example {first}; nothing can change an entry")
    for host in found.hosts:
        note(f"goes too: the host {host} is called the same; import it into the inventory anew under another name")
    for number in found.unfinished:
        note(f"in the way: proposal {number} about them is not at its end")
    for file in files if yes else ():
        note(f"left: the file {file} in the data directory names them")
    note(_last(found, entry, yes=yes))


def _last(found: erasing.Found, entry: int, *, yes: bool) -> str:
    if found.nothing:
        return "nothing here names them" + ("; the database's files were written anew" if yes else "")
    if yes:
        return f"erased: entry {entry}; they are {found.token} from now on. Backups made before still name them"
    return f"nothing was changed; --yes --reason WHY erases {', '.join(found.names)}"
