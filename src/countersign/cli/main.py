"""The command line: a thin door. Exit codes: 0 done, 1 a check failed, 2 wrong use or bad input, 3 environment."""

from __future__ import annotations

import importlib
import logging
import sys

import structlog
import typer
from sqlalchemy.exc import DatabaseError, OperationalError

from countersign import __version__
from countersign.cli.rules import guard
from countersign.errors import CountersignError, EnvironmentFault

GROUPS = (
    "demo",
    "setup",
    "ingest",
    "serve",
    "inventory",
    "plugged",
    "lookups",
    "cases",
    "responses",
    "quarantine",
    "autonomy",
    "recall",
    "people",
    "tokens",
    "approvals",
    "policy",
    "agents",
    "leases",
    "ledger",
    "keys",
    "record",
    "learn",
    "backtest",
    "bench",
    "simulate",
    "evaluate",
    "mcp",
)
"""Modules of this room with commands, in the order of `--help`."""

app = typer.Typer(
    help="Countersign: a governed AI SOC.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version."),
) -> None:
    if version:
        typer.echo(f"countersign {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(2)


for _name in GROUPS:
    importlib.import_module(f"countersign.cli.{_name}").register(app)


def main() -> None:
    """Entry point: errors of ours are one line on stderr and the exit code that the contract names."""
    # Plain tracebacks: the pretty ones print local variables, and with them what alerts say about people.
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        guard(typer.main.get_command(app))()
    except CountersignError as error:
        sys.stderr.write(f"countersign: {error}\n")
        sys.exit(error.exit_code)
    except DatabaseError as error:
        if type(error) not in (DatabaseError, OperationalError):  # the others are our own mistakes
            raise
        reason = next(iter(str(error.orig).splitlines()), "no answer")
        sys.stderr.write(f"countersign: database fails ({reason}); check its file or server, or restore a backup\n")
        sys.exit(EnvironmentFault.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("countersign: interrupted; what was accepted is on disk and will be processed\n")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
