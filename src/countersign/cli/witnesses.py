"""``countersign ledger``: how the log stands with the witnesses that the site configures."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="The log and its witnesses.", no_args_is_help=True)
    group.command()(status)
    group.command()(cosign)
    app.add_typer(group, name="ledger")


def status(data: DataOption = None, json: JsonOption = False) -> None:
    """How far the log is sealed and cosigned, and how it went with each witness; exit 1 when the quorum is missing."""
    from countersign.witnessing import status as standing  # noqa: PLC0415 - keeps `--help` quick

    with opened(data) as site:
        found = standing(site)
    alarms = [one.alarm for one in found.witnesses if one.alarm]
    if json:
        emit(found)
    else:
        table(("log", ""), [("sealed", found.sealed), ("cosigned", found.covered), ("quorum", found.quorum)])
        rows = [(one.name, one.size, one.behind, _when(one.cosigned_ms), one.error or "none") for one in found.witnesses]
        if rows:
            table(("witness", "cosigned", "behind", "when", "trouble"), rows)
        for line in alarms or ([found.why] if found.why else []):
            note(f"ALARM: {line}" if alarms else f"quorum missing: {line}")
    if alarms or found.why:
        raise typer.Exit(1)


def cosign(data: DataOption = None, json: JsonOption = False) -> None:
    """Seal, and ask every witness now, as `serve` and `worker` do by themselves; then the status."""
    from countersign.witnessing import Witnesses  # noqa: PLC0415 - as above

    with opened(data) as site:
        site.seal()
        Witnesses(site).ask(at_once=True)
    status(data, json)


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds") if at_ms else "never"
