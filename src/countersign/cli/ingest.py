"""``countersign ingest``: feed alerts from files, and process them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.errors import CountersignError, SourceError, UsageError
from countersign.feed import Feeder, Summary
from countersign.model.alerts import Delivery
from countersign.sources import make_source, shipped
from countersign.sources.reader import input_files, read_deliveries, read_stream


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(ingest)


def ingest(
    file: Annotated[str, typer.Argument(help="File, directory, or - for standard input.", metavar="FILE|DIR|-")],
    source: Annotated[str, typer.Option(help="Name of the source; `countersign sources` lists them.")],
    mapping: Annotated[
        str | None, typer.Option(metavar="F", help="Mapping of the generic source: a TOML file, or a shipped one's name.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Keep reading what is appended.")] = False,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Take alerts in and process them: prints what became of every line."""
    start = time.perf_counter()
    source, text = shipped.resolve(source, mapping)
    make_source(source, mapping=text)
    with opened(data) as site, _progress(quiet=json) as tick:
        feeder = Feeder(site, tick)
        error: CountersignError | None = None
        try:
            error = _feed(feeder, file, source, text, follow=follow)
        finally:
            summary = feeder.finish()
    summary.seconds = time.perf_counter() - start
    if json:
        emit(summary.document())
    else:
        _print(summary)
    if error is not None:
        raise error


def _feed(feeder: Feeder, file: str, source: str, mapping: str, *, follow: bool) -> CountersignError | None:
    """Feed everything; a file that is broken does not stop the others. Returns the first error."""
    if file == "-":
        return _one(feeder, read_stream(sys.stdin.buffer, source, origin="-", mapping=mapping), chain=False)
    root = Path(file)
    paths = input_files(root)
    if follow and len(paths) != 1:
        raise UsageError("only one file can be followed", where=file, todo="name the file itself")
    errors: list[CountersignError | None] = []
    for path in paths:
        origin = path.name if path == root else path.relative_to(root).as_posix()
        found_in = read_deliveries(path, source, origin=origin, mapping=mapping, follow=follow)
        errors.append(_one(feeder, found_in, chain=True))
    found = [error for error in errors if error is not None]
    for error in found[1:]:
        note(f"countersign: {error}")
    return found[0] if found else None


def _one(feeder: Feeder, deliveries: Iterator[Delivery], *, chain: bool) -> CountersignError | None:
    try:
        feeder.feed(deliveries, chain=chain)
    except (SourceError, UsageError) as error:
        return error
    return None


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _lines: None
        return
    columns = (SpinnerColumn(), TextColumn("alerts"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("alerts", total=None)
        yield lambda lines: progress.update(task, completed=lines)


def _print(summary: Summary) -> None:
    names = ("lines", "accepted", "duplicates", "ignored", "quarantined", "findings", "cases", "escalated", "closed")
    table(("what", "count"), [(name, f"{getattr(summary, name):,}") for name in names])
    note(f"{summary.seconds:.1f} s; ledger holds {summary.size:,} entries")
    if summary.waiting:
        note(f"{summary.waiting:,} alerts are on disk and wait: an agent is stopped (`countersign agents list`)")
    if summary.unsealed:
        note(f"taken in and processed, but not sealed: {summary.unsealed}")
    if summary.quarantined:
        note("some messages could not be read: `countersign quarantine list` shows where and why")
