"""``countersign backtest``: what the site's own closed alerts would have earned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from countersign.cli.common import DataOption, JsonOption, emit, note, table, visible
from countersign.enrich.inventory_file import read_inventory
from countersign.sources import shipped
from countersign.sources.reader import input_files

if TYPE_CHECKING:
    from countersign.evaluate.backtest_labels import Labels


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(backtest)


def backtest(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Export of closed alerts: a file, or a directory of them.")],
    source: Annotated[str, typer.Option(help="Source, or a shipped mapping's name.")] = shipped.GENERIC,
    mapping: Annotated[
        str | None, typer.Option(help="Mapping of the generic source: a file or a shipped one's name.")
    ] = None,
    label_column: Annotated[str, typer.Option(help="Column or JSON path of what people found.")] = "",
    threat: Annotated[
        list[str] | None, typer.Option(metavar="VALUE", help="Label value that means a threat; * for any.")
    ] = None,
    benign: Annotated[
        list[str] | None, typer.Option(metavar="VALUE", help="Label value that means benign; * for any.")
    ] = None,
    unjudged: Annotated[list[str] | None, typer.Option(metavar="VALUE", help="Label value that says nothing.")] = None,
    inventory: Annotated[Path | None, typer.Option(help="Assets and identities (CSV, TOML, JSON).")] = None,
    minutes: Annotated[float, typer.Option(min=0.1, max=1440, help="What one finding costs a person.")] = 20.0,
    utc_offset_minutes: Annotated[int, typer.Option(min=-840, max=840, help="The site's offset, for office hours.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the HTML report and the figures.")] = None,
    report: Annotated[Path | None, typer.Option(help="File for the HTML report.")] = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Replay a site's own closed alerts in time order: what would have been closed when, the bound, and every miss by name.

    Ends with 1 when the bound was violated in a scope.
    """
    from countersign.evaluate import backtest_html, backtest_report, backtest_words  # noqa: PLC0415 - keeps `--help` quick
    from countersign.evaluate.backtest import Settings  # noqa: PLC0415
    from countersign.evaluate.backtest import backtest as replay  # noqa: PLC0415
    from countersign.evaluate.backtest_export import Wanted  # noqa: PLC0415

    del data  # every command takes it; nothing of a site is used
    input_files(file)  # a missing file is said before anything else that is missing
    name, text = shipped.resolve(source, mapping)
    wanted = Wanted(name, text, label_column, _labels(text, threat, benign, unjudged))
    settings = Settings(read_inventory(inventory) if inventory else None, minutes, utc_offset_minutes)
    with _progress() as say:
        found = replay(file, wanted, settings, say=say)
    written = [
        *(backtest_html.write(found, out) if out else ()),
        *([backtest_html.write_page(found, report)] if report else ()),
    ]
    for path in written:
        note(f"wrote {path}")
    if json:
        emit(found)
    else:
        for title, columns, rows in backtest_report.tables(found):
            table(columns, rows, title=f"\n{title}")
        _lines("Missed, by name", backtest_report.misses(found["sites"]))
        for title, lines in backtest_words.parts(found):
            _lines(title, lines)
    if found["bound_violated"]:
        raise typer.Exit(1)


def _labels(mapping: str, threat: list[str] | None, benign: list[str] | None, unjudged: list[str] | None) -> Labels:
    """The mapping's words, and over them the command's."""
    from countersign.evaluate.backtest_labels import Truth, labels  # noqa: PLC0415
    from countersign.sources.mapping import ReviewPick, parse_mapping  # noqa: PLC0415

    said = parse_mapping(mapping).review if mapping else ReviewPick()
    own = {Truth.THREAT: said.threat, Truth.BENIGN: said.benign, Truth.UNJUDGED: said.unjudged}
    named = {Truth.THREAT: threat or [], Truth.BENIGN: benign or [], Truth.UNJUDGED: unjudged or []}
    return labels(own, named)


def _lines(title: str, lines: Sequence[str]) -> None:
    typer.echo(f"\n{title}")
    for line in lines:
        typer.echo(f"- {visible(line).plain}")


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """The last line stays on a terminal; elsewhere every line is printed."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield note
        return
    with console.status("reading") as status:
        yield status.update
