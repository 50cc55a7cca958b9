"""``countersign simulate``: what AI does to detection and response times, in overloaded SOCs and in a calm one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from countersign.cli.common import DataOption, JsonOption, emit, note, table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulate")(simulate)


def simulate(
    scenario: Annotated[list[str] | None, typer.Option(help="Only this scenario; can be repeated.")] = None,
    replications: Annotated[int, typer.Option(min=2, max=10_000, help="How often each scenario is drawn.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")] = 1,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a parameter; can be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for charts (SVG), tables and figures.")] = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Simulate six SOCs, five overloaded and one well-staffed, under no AI, ranking, and closing at several miss rates."""
    from countersign.evaluate import simulate as model  # noqa: PLC0415 - keeps `--help` quick
    from countersign.evaluate import simulate_report as report  # noqa: PLC0415
    from countersign.evaluate.simulate_model import with_settings  # noqa: PLC0415

    del data  # every command takes it; nothing of a site is used
    assumptions = with_settings(settings or [])
    result = model.simulate(scenario or (), replications=replications, seed=seed, assumptions=assumptions, progress=note)
    if out is not None:
        for path in report.write(result, out):
            note(f"wrote {path}")
    if json:
        emit(report.document(result))
        return
    typer.echo(f"Seed {result.seed}, {result.replications} replications; intervals are 95 %, over replications.")
    for one in [*report.parameters(result), *(t for s in result.scenarios for t in report.tables(s))]:
        table(one.columns, one.rows, title=f"\n{one.title}")
    typer.echo("\nIn plain words")
    for line in report.conclusion(result):
        typer.echo(f"- {line}")
