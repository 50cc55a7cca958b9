"""What every command shares: the data directory, JSON on stdout, tables for people, progress on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table
from rich.text import Text

from countersign import config
from countersign.config import ENV_DATA
from countersign.errors import EnvironmentFault, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from countersign.bootstrap import Site

DataOption = Annotated[Path | None, typer.Option("--data", envvar=ENV_DATA, help="Data directory.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
DAY_MS = 86_400_000


@contextmanager
def opened(data: Path | None) -> Iterator[Site]:
    """The site of a data directory, closed afterwards."""
    from countersign.bootstrap import open_site  # noqa: PLC0415 - keeps `--help` quick

    site = open_site(data)
    try:
        yield site
    finally:
        site.close()


@contextmanager
def recorded(data: Path | None) -> Iterator[Engine]:
    """The database of a data directory as it is: no site is opened, so nothing is written and no setting counts but the
    database's address. Raises UsageError when there is none, EnvironmentFault when it is none of ours."""
    from sqlalchemy.exc import DatabaseError  # noqa: PLC0415 - keeps `--help` quick

    from countersign.store.engine import make_engine  # noqa: PLC0415

    directory = config.data_dir(data)
    file = directory / "countersign.sqlite"
    url = config.load(directory).database if directory.is_dir() else ""
    if not url and not file.is_file():
        raise UsageError("no database", where=str(directory), todo="name a data directory with --data")
    engine = make_engine(url or f"sqlite:///{file}")
    try:
        yield engine
    except DatabaseError as error:
        where = engine.url.render_as_string(hide_password=True)
        reason = str(error.orig).splitlines()[0]
        raise EnvironmentFault(f"record cannot be read ({reason})", where=where, todo="see `countersign doctor`") from error
    finally:
        engine.dispose()


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on a terminal, told (done, of how many); nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, size: bar.update(task, completed=done, total=size)


def warn_of_ledger(site: Site) -> None:
    """Say so when the ledger is not sealed in time (what is overdue is sealed first, where that can be done), or a witness
    refuses it."""
    from countersign.store.engine import reading  # noqa: PLC0415 - keeps `--help` quick
    from countersign.store.sealing import HELD, said  # noqa: PLC0415

    state = site.sealing.keep()
    if not state.in_time:
        note(f"{said(state, site.clock.now_ms())}; {HELD}")
    with reading(site.engine) as conn:
        heard = site.heard(conn)
    for line in heard.lines:
        note(line)


def emit(document: Any) -> None:  # noqa: ANN401 - any JSON value
    """Print one JSON document."""
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")


def visible(value: object) -> Text:
    """Text for a terminal: no markup, and control characters shown rather than obeyed."""
    return Text("".join(c if c.isprintable() else f"⟦U+{ord(c):04X}⟧" for c in str(value)))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """Print a table."""
    heads = [Column(name, overflow="fold") for name in columns]  # what does not fit goes on below; nothing is cut off
    made = Table(*heads, title=title or None, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        made.add_row(*(visible(cell) for cell in row))
    Console().print(made)


def note(text: str) -> None:
    """A line for a person, on stderr."""
    sys.stderr.write(text + "\n")


def day_ms(text: str, option: str) -> int:
    """Milliseconds since the epoch of a day's start, UTC. Raises UsageError."""
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text[:20]!r} is not a day", where=option, todo="write it as YYYY-MM-DD") from error
    return (day - date(1970, 1, 1)).days * DAY_MS
