"""The command line: a thin door. Exit codes: 0 done, 1 a check failed, 2 wrong use or bad input, 3 environment."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence

import typer

from countersign import __version__
from countersign.cli.rules import guard
from countersign.errors import CountersignError, EnvironmentFault

GROUPS = {
    "demo": ("demo",),
    "setup": ("init", "doctor", "token"),
    "ingest": ("ingest",),
    "serve": ("serve", "worker"),
    "inventory": ("inventory",),
    "plugged": ("sources",),
    "lookups": ("lookups",),
    "cases": ("queue", "case"),
    "responses": ("actions",),
    "quarantine": ("quarantine",),
    "autonomy": ("autonomy",),
    "recall": ("recall",),
    "people": ("people",),
    "tokens": ("tokens",),
    "approvals": ("propose", "approvals", "approve", "deny"),
    "policy": ("policy",),
    "agents": ("agents",),
    "leases": ("leases",),
    "ledger": ("verify", "proof"),
    "keys": ("stamp", "keys"),
    "witnesses": ("ledger",),
    "record": ("rebuild", "replay"),
    "erase": ("erase",),
    "archive": ("archive",),
    "witness": ("witness",),
    "report": ("report",),
    "learn": ("learn",),
    "backtest": ("backtest",),
    "bench": ("bench",),
    "simulate": ("simulate",),
    "evaluate": ("evaluate",),
    "mcp": ("mcp",),
}
"""Modules of this room and the commands that each adds, in the order of `--help`."""


def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version."),
) -> None:
    if version:
        typer.echo(f"countersign {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(2)


def build(modules: Iterable[str]) -> typer.Typer:
    """The program with the commands of some of these modules; no other is imported."""
    made = typer.Typer(
        help="Countersign: a governed AI SOC.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    made.callback(invoke_without_command=True)(_root)
    for name in modules:
        importlib.import_module(f"countersign.cli.{name}").register(made)
    return made


def __getattr__(name: str) -> typer.Typer:
    """``app``: every command, built when somebody asks for it."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = made = build(GROUPS)
    return made


def wanted(args: Sequence[str]) -> Sequence[str]:
    """The modules that hold the command which these arguments name; all of them when they name none, to list or suggest."""
    if args and args[0] == "--version":
        return ()
    word = args[0] if args else ""
    return [name for name, commands in GROUPS.items() if word in commands] or tuple(GROUPS)


def main() -> None:
    """Entry point: errors of ours are one line on stderr and the exit code that the contract names."""
    modules = wanted(sys.argv[1:])
    if modules:
        _log_to_stderr()
    try:
        guard(typer.main.get_command(build(modules)))()
    except CountersignError as error:
        sys.stderr.write(f"countersign: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("countersign: interrupted; what was accepted is on disk and will be processed\n")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        if not (reason := _database_fails(error)):
            raise
        sys.stderr.write(f"countersign: database fails ({reason}); check its file or server, or restore a backup\n")
        sys.exit(EnvironmentFault.exit_code)


def _log_to_stderr() -> None:
    """Plain tracebacks: the pretty ones print local variables, and with them what alerts say about people."""
    import logging  # noqa: PLC0415 - keeps `--version` quick

    import structlog  # noqa: PLC0415

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _database_fails(error: Exception) -> str:
    """What the database said; "" for an error that is none of its, or our own mistake."""
    from sqlalchemy.exc import DatabaseError, OperationalError  # noqa: PLC0415 - keeps `--help` quick

    if not isinstance(error, DatabaseError) or type(error) not in (DatabaseError, OperationalError):
        return ""
    return next(iter(str(error.orig).splitlines()), "no answer")
