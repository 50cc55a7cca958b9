"""``countersign init``, ``doctor`` and ``token``: set a site up and see whether it is well."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.config import FILE, TEMPLATE, data_dir
from countersign.errors import UsageError
from countersign.sources import SOURCES
from countersign.store import agents, inbox, ledger
from countersign.store.commands import READ_TOKEN
from countersign.store.engine import reading


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(init)
    app.command()(doctor)
    app.command()(token)


def init(data: DataOption = None) -> None:
    """Write an annotated countersign.toml, and make keys and database."""
    folder = data_dir(data)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / FILE
    if path.exists():
        note(f"{path} is there already and stays as it is")
    else:
        path.write_text(TEMPLATE, "utf-8")
    with opened(data) as site:
        site.seal()
        typer.echo(f"data directory  {folder}\nlog key         {site.log_key.vkey}")


def token(
    source: Annotated[str, typer.Argument(help="Source that may be posted to with it, or api:read.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days until it expires.")] = 365,
    data: DataOption = None,
) -> None:
    """Issue a token for POST /intake/SOURCE, or (api:read) for reading /api/v1; it is shown once."""
    if source not in (*SOURCES, READ_TOKEN):
        raise UsageError(f"unknown source {source!r}", todo=f"use one of {', '.join((*SOURCES, READ_TOKEN))}")
    with opened(data) as site:
        typer.echo(site.commands.issue_token(source, days))
        site.seal()


def doctor(data: DataOption = None, json: JsonOption = False) -> None:
    """Say whether the site is well: database, keys, inbox, ledger, responses that are switched on."""
    from countersign.running import Hands  # noqa: PLC0415 - keeps `--help` quick
    from countersign.store import rotation  # noqa: PLC0415
    from countersign.store.sealing import said  # noqa: PLC0415
    from countersign.witnessing import in_words  # noqa: PLC0415

    with opened(data) as site:
        state = site.sealing.keep()  # what is overdue is sealed first, where that can be done
        with reading(site.engine) as conn:
            size, waiting = ledger.size(conn), inbox.waiting(conn)
            stopped, heard = agents.stopped(conn), site.heard(conn)
            cut_off = rotation.missing(conn, site.tiles, [site.log_key.vkey])
        sealed = site.sealer.checkpoint()
        hands = Hands(site)
        lame = hands.troubles()
        facts: dict[str, str | int] = {
            "data": str(site.data),
            "database": site.engine.url.render_as_string(hide_password=True),
            "configuration": str(site.data / FILE) if (site.data / FILE).exists() else "defaults",
            "log": str(site.log_key.vkey),
            "entries": size,
            "sealed": sealed.size if sealed else 0,
            "sealed in time": "yes" if state.in_time else said(state, site.clock.now_ms()),
            "handovers of its key": "; ".join(cut_off) or "published",
            "witnesses": "; ".join(heard.lines) or in_words(site),
            "waiting": waiting,
            "stopped agents": ", ".join(stopped) or "none",
            "model": site.model.id,
            "responses": "; ".join(lame) or (f"{len(hands.on)} switched on" if hands.on else "none is switched on"),
            "writable": int(all(os.access(_existing(one), os.W_OK) for one in (site.data, site.data / "tlog"))),
        }
    if json:
        emit(facts)
    else:
        table(("what", "is"), list(facts.items()))
    if not (state.in_time and facts["writable"]) or heard.alarms or cut_off or lame:
        raise typer.Exit(1)


def _existing(path: Path) -> Path:
    return path if path.exists() else path.parent
