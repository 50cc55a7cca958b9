"""``countersign bench``: how fast, in CPU time, on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from countersign.cli.common import JsonOption, emit, table
from countersign.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Measure speed in CPU time.", no_args_is_help=True)
    group.command("hot-path")(hot_path)
    group.command("score")(score)
    group.command("lease")(lease)
    group.command("ledger")(ledger)
    app.add_typer(group, name="bench")


def hot_path(
    file: Annotated[
        Path | None, typer.Option(help="Alerts to send; default: distinct 3 KB alerts made up on the spot.")
    ] = None,
    source: Annotated[str, typer.Option(help="Source of the file.")] = "",
    mapping: Annotated[Path | None, typer.Option(help="Mapping of the generic source.")] = None,
    alerts: Annotated[int, typer.Option(min=500, help="How many alerts to make up.")] = 20_000,
    database: Annotated[
        str, typer.Option(help="`postgres` (starts a server for the run) or the address of an empty one; default SQLite.")
    ] = "",
    closing: Annotated[
        bool, typer.Option("--closing", help="Alerts that the agent closes, in a scope that earned it.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Alerts the whole way, durable and audited: alerts per CPU-second, by stage."""
    from countersign.evaluate import bench, bench_alerts  # noqa: PLC0415 - keeps `--help` quick

    if file is not None and closing:
        raise UsageError("takes alerts made up on the spot, not a file", where="--closing", todo="leave one of the two out")
    if file is not None and not source:
        raise UsageError("a file needs its source", where="--source", todo="`countersign sources` lists them")
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        if closing:
            figures = bench.closing(Path(folder) / "site", alerts, database=database)
        elif file is None:
            feed = bench_alerts.deliveries(bench_alerts.distinct_alerts(alerts))
            figures = bench.hot_path(Path(folder) / "site", feed, database=database)
        else:
            feed = bench.file_deliveries(file, source, mapping.read_text("utf-8") if mapping else "")
            figures = bench.hot_path(Path(folder) / "site", feed, database=database)
    _show(figures, json=json)


def score(
    rows: Annotated[int, typer.Option(min=500)] = 20_000,
    json: JsonOption = False,
) -> None:
    """Scoring alone: CPU microseconds a row in batches of 500, and a finding with contributions and counterfactual."""
    from countersign.evaluate.bench_score import bench_score  # noqa: PLC0415

    _show(bench_score(rows), json=json)


def lease(
    rounds: Annotated[int, typer.Option(min=10, help="How often each is done.")] = 500,
    json: JsonOption = False,
) -> None:
    """Leases alone: CPU microseconds to mint one, to narrow it for a delegate, to verify a use, and for a whole batch."""
    from countersign.evaluate.bench_lease import bench_lease  # noqa: PLC0415

    _show(bench_lease(rounds), json=json)


def ledger(
    entries: Annotated[int, typer.Option(min=1_000, help="Entries of the log that is made and verified.")] = 1_000_000,
    alerts: Annotated[int, typer.Option(min=500, help="Alerts whose entries it is made of.")] = 20_000,
    json: JsonOption = False,
) -> None:
    """The ledger alone: appending, verifying, opening, proving, and its share of the hot path. CPU of one core; takes as
    much temporary room as the entries have bytes (2.4 GB for a million)."""
    from countersign.evaluate.bench_ledger import bench_ledger  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        figures = bench_ledger(Path(folder), entries, alerts)
    _show(figures, json=json)
    if not json:
        rows = [tuple(one.values()) for one in figures["opening"]]
        table(tuple(name.replace("_", " ") for name in figures["opening"][0]), rows)


def _show(figures: dict[str, Any], *, json: bool) -> None:
    if json:
        emit(figures)
        return
    table(("figure", "value"), [(k, v) for k, v in figures.items() if not isinstance(v, dict | list)])
    if "stages" in figures:
        rows = [(name, s["cpu_seconds"], s["alerts_per_cpu_second"]) for name, s in figures["stages"].items()]
        table(("stage", "CPU seconds", "alerts per CPU-second"), rows)
