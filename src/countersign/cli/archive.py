"""``countersign archive``: the log and old raw alerts into a folder that needs nothing of ours, and out of the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from countersign.cli.common import DAY_MS, DataOption, JsonOption, day_ms, emit, note, opened, table
from countersign.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(archive)


def archive(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    before: Annotated[str, typer.Option(help="Raw alerts received before this day (UTC), such as 2026-03-01.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Then take these raw alerts out of the database.")] = False,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Copy the published log and old raw alerts into a folder; by default those older than the retention time."""
    from countersign.store import archiving  # noqa: PLC0415 - keeps `--help` quick
    from countersign.store.engine import reading, writing  # noqa: PLC0415
    from countersign.store.keys import VKEY_FILE  # noqa: PLC0415
    from countersign.store.shredding import shred  # noqa: PLC0415

    with opened(data) as site:
        now_ms, days = site.clock.now_ms(), site.config.retention.raw_days
        oldest_kept_ms = now_ms - days * DAY_MS
        before_ms = day_ms(before, "--before") if before else oldest_kept_ms
        if remove and before_ms > oldest_kept_ms:
            todo = "name an earlier day, or archive without --remove"
            raise UsageError(f"raw alerts are kept for {days} days (retention.raw_days)", where="--before", todo=todo)
        site.seal()
        with reading(site.engine) as conn:
            made = archiving.write(
                conn, folder.absolute(), site.tiles.root, site.data / VKEY_FILE, before_ms, site.sealer.locked()
            )
        if remove:
            with writing(site.engine) as conn:
                made = archiving.remove(conn, made, site.commands.operator, now_ms)
            site.seal()
            shred(site.engine)
    if json:
        emit(made)
        return
    rows = [("folder", made.folder), ("pieces", made.pieces), ("bytes", made.size), ("removed", made.removed)]
    table(("archive", ""), [*rows, ("SHA256SUMS", made.sums)])
    note("check it with: sha256sum -c SHA256SUMS; each piece is named by its commitment, which is its SHA-256")
