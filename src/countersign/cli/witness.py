"""``countersign witness``: the server that cosigns other people's logs, with a key and a store of its own."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import platformdirs
import typer

from countersign.cli.common import JsonOption, emit, note, table
from countersign.config import FILE
from countersign.errors import ConflictError, NotFoundError
from countersign.ledger.note import parse_vkey
from countersign.ledger.witness import origin_hash
from countersign.witness.book import Book, create

ENV_DATA = "COUNTERSIGN_WITNESS_DIR"
PORT = 8460
WitnessOption = Annotated[
    Path | None, typer.Option("--data", envvar=ENV_DATA, help="The witness's own directory.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Cosign other people's logs.", no_args_is_help=True)
    group.command()(init)
    group.command("add-log")(add_log)
    group.command("drop-key")(drop_key)
    group.command()(key)
    group.command()(logs)
    group.command()(show)
    group.command()(serve)
    app.add_typer(group, name="witness")


def init(
    name: Annotated[str, typer.Argument(help="Name of the witness, such as witness.example.org/w1.")],
    data: WitnessOption = None,
) -> None:
    """Make key and store of a new witness, and print its key."""
    typer.echo(create(_directory(data), name))


def add_log(
    vkey: Annotated[str, typer.Argument(help="Key of the log, as its log.vkey holds it.")],
    origin: Annotated[str, typer.Option(help="First line of its checkpoints; default: the key's name.")] = "",
    data: WitnessOption = None,
) -> None:
    """Cosign a log's checkpoints from now on."""
    parsed = parse_vkey(vkey.strip())
    _book(data).trust(parsed, origin)
    note(f"{origin or parsed.name} is cosigned from now on")


def drop_key(
    vkey: Annotated[str, typer.Argument(help="Key of a log that signs no more, as it was given to add-log.")],
    data: WitnessOption = None,
) -> None:
    """Cosign nothing any more that only this key of a log signed; what was cosigned stays known."""
    parsed = parse_vkey(vkey.strip())
    if not _book(data).distrust(parsed):
        raise NotFoundError("no log is trusted by this key", where=str(parsed), todo="see `countersign witness logs --json`")
    note(f"{parsed.name}: this key is not trusted any more")


def key(data: WitnessOption = None) -> None:
    """Print the witness's key, which logs and verifiers configure."""
    typer.echo(_book(data).vkey)


def logs(data: WitnessOption = None, json: JsonOption = False) -> None:
    """Every log that is cosigned, and how far; exit 1 when one of them asked for a cosignature that contradicts another."""
    known = _book(data).known()
    if json:
        emit([one._asdict() for one in known])
    else:
        rows = [(one.origin, one.size, _when(one.at_s), one.refused, one.unshown) for one in known]
        table(("log", "entries cosigned", "when", "contradictions refused", "wrong proofs"), rows)
    if any(one.refused for one in known):
        raise typer.Exit(1)


def show(
    origin: Annotated[str, typer.Argument(help="First line of the log's checkpoints.")],
    refused: Annotated[bool, typer.Option("--refused", help="The checkpoints that were refused instead.")] = False,
    data: WitnessOption = None,
) -> None:
    """Print the last checkpoint cosigned of a log, with the signatures under it."""
    book = _book(data)
    if refused:
        for at_s, why, signed in book.refused(origin):
            note(f"{_when(at_s)}: {why}")
            typer.echo(signed)
        return
    found = book.latest(origin_hash(origin))
    if found is None:
        raise NotFoundError("no checkpoint of it was cosigned", where=origin, todo="see `countersign witness logs`")
    typer.echo(found, nl=False)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0: any that is free.")] = PORT,
    data: WitnessOption = None,
) -> None:
    """Answer POST /add-checkpoint until interrupted."""
    import uvicorn  # noqa: PLC0415 - only this command needs a server

    from countersign.cli.serve import bind  # noqa: PLC0415
    from countersign.witness.server import create_app  # noqa: PLC0415

    book = _book(data)
    with bind(host, port) as listener:
        shown = f"[{host}]" if ":" in host else host
        typer.echo(f"Witness  {book.vkey}\nServes   http://{shown}:{listener.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(create_app(book), log_level="warning", access_log=False))
        server.run(sockets=[listener])
    note("stopped")


def _book(data: Path | None) -> Book:
    return Book(_directory(data), lambda: int(time.time()))


def _directory(data: Path | None) -> Path:
    """The witness's own directory, never a site's: their keys must not lie side by side."""
    chosen = data or Path(os.environ.get(ENV_DATA) or platformdirs.user_data_dir("countersign-witness", appauthor=False))
    if (chosen / FILE).exists() or (chosen / "tlog").exists():
        todo = "give the witness a directory, and better a machine, of its own"
        raise ConflictError("this is the data directory of a site", where=str(chosen), todo=todo)
    return chosen


def _when(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat() if at_s else "never"
