"""``countersign demo``: the product over its own small estate, in a data directory of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.config import data_dir

if TYPE_CHECKING:
    from countersign.bootstrap import Site
    from countersign.feed import Summary

FOLDER = "demo"
MARK = "demo.loaded"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Run the alerts through, print the summary, and end.")] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port of the console; default from the configuration.")
    ] = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Load the demo estate and its alerts (all invented by this project) and open the console."""
    start = time.perf_counter()
    folder = data if data is not None else data_dir(None) / FOLDER
    with opened(folder) as site:
        summary = load(site)
        if summary is not None:
            summary.seconds = time.perf_counter() - start
        if once or json:
            _report(summary, json=json)
            return
        if summary is not None:
            note(f"{summary.accepted:,} alerts became {summary.findings:,} findings in {summary.cases:,} cases")
        from countersign.cli.serve import run  # noqa: PLC0415 - only when serving

        run(site, site.config.server.host, port or site.config.server.port, browser=not no_browser)


def load(site: Site) -> Summary | None:
    """Take inventory and alerts in; None when this data directory has them already."""
    from countersign.demo import alerts, estate  # noqa: PLC0415
    from countersign.feed import Feeder  # noqa: PLC0415
    from countersign.sources.reader import split_body  # noqa: PLC0415

    mark = site.data / MARK
    if mark.exists():
        return None
    site.commands.import_inventory(estate.inventory(), "demo", "replace")
    feeder = Feeder(site)
    for feed in alerts.deliveries(end_ms=_demo_end(site.data, site.clock.now_ms())):
        feeder.feed(iter(split_body(feed.body, feed.source, mapping=feed.mapping, origin=feed.name)))
    summary = feeder.finish()
    mark.write_text("loaded\n", "utf-8")
    return summary


def _demo_end(folder: Path, now_ms: int) -> int:
    """When the demo's alerts end: fixed at the first start, so that an interrupted load goes on with the same alerts."""
    path = folder / "demo.end"
    if not path.exists():
        path.write_text(str(now_ms), "utf-8")
    return int(path.read_text("utf-8"))


def _report(summary: Summary | None, *, json: bool) -> None:
    if summary is None:
        note("the demo is loaded already")
    elif json:
        emit(summary.document())
    else:
        names = ("lines", "accepted", "duplicates", "ignored", "quarantined", "findings", "cases", "escalated", "closed")
        table(("what", "count"), [(name, f"{getattr(summary, name):,}") for name in names])
