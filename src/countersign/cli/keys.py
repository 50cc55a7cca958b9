"""``countersign keys``: the log's key, and its rotation; ``countersign stamp``: a third party's word on when."""

from __future__ import annotations

from typing import Annotated

import typer

from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table

Reason = Annotated[str, typer.Option(help="Why; goes into the ledger.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="The key that signs the log.", no_args_is_help=True)
    group.command()(show)
    group.command("next")(following)
    group.command()(rotate)
    app.add_typer(group, name="keys")
    app.command()(stamp)


def show(data: DataOption = None, json: JsonOption = False) -> None:
    """Print the verifier key in force, and every handover from one key to the next."""
    from countersign.ledger import handover  # noqa: PLC0415 - keeps `--help` quick
    from countersign.store import rotation  # noqa: PLC0415
    from countersign.store.engine import reading  # noqa: PLC0415

    with opened(data) as site:
        vkey = str(site.log_key.vkey)
        with reading(site.engine) as conn:
            missing = rotation.missing(conn, site.tiles, [site.log_key.vkey])
        passed = [] if missing else [handover.check(one) for one in rotation.published(site.tiles)]
    rows = [(str(one.was), str(one.key), one.size) for one in passed]
    if json:
        handovers = [dict(zip(("was", "vkey", "size"), row, strict=True)) for row in rows]
        emit({"vkey": vkey, "handovers": handovers, "problems": missing})
    else:
        table(("key in force",), [(vkey,)])
        if rows:
            table(("from", "to", "under the checkpoint of"), rows)
    for line in missing:
        note(line)
    if missing:
        raise typer.Exit(1)


def following(data: DataOption = None) -> None:
    """Print the key that the next rotation puts in force, made now if it is not there, so that witnesses know it before."""
    from countersign.store import keys  # noqa: PLC0415 - keeps `--help` quick

    with opened(data) as site:
        typer.echo(str(keys.next_key(site.data, site.log_key.name).vkey))


def rotate(reason: Reason, data: DataOption = None) -> None:
    """Put a new key in force: the old one signs for it, and its secret half is deleted. Running services follow at once."""
    from countersign.store import rotation  # noqa: PLC0415 - keeps `--help` quick

    with opened(data) as site:
        operator, now_ms = site.commands.operator, site.clock.now_ms()
        vkey = rotation.rotate(site.data, site.engine, site.sealer, site.tiles, operator, reason, now_ms)
    typer.echo(str(vkey))
    note("tell everyone who holds the old key, witnesses first: it is published in log.vkey and /tlog/handovers.json")


def stamp(data: DataOption = None) -> None:
    """Have the newest checkpoint stamped by the configured timestamping authority (RFC 3161), now."""
    from countersign import stamping  # noqa: PLC0415 - keeps `--help` quick

    with opened(data) as site:
        made = stamping.stamp(site)
        folder = site.tiles.root / "stamps"
    if made is None:
        note("the newest checkpoint is stamped already")
    else:
        typer.echo(str(folder / f"{made.size}.tsr"))
