"""A command imports its own module alone; the table that says which module holds it says what the modules register."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
import typer

from countersign.cli import main
from tests import fakes


@pytest.mark.parametrize("module", main.GROUPS)
def test_the_table_names_what_a_module_registers(module: str) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    importlib.import_module(f"countersign.cli.{module}").register(app)
    assert set(typer.main.get_command(app).commands) == set(main.GROUPS[module])  # type: ignore[attr-defined]


def test_no_command_stands_in_two_modules() -> None:
    names = [name for names in main.GROUPS.values() for name in names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("args", "modules"),
    [
        ((), list(main.GROUPS)),
        (("--help",), list(main.GROUPS)),
        (("conquer",), list(main.GROUPS)),  # so that it can say what there is
        (("--version",), []),
        (("case", "show", "C-1"), ["cases"]),
        (("verify", "--json"), ["ledger"]),
    ],
)
def test_only_the_module_of_the_command_is_wanted(args: tuple[str, ...], modules: list[str]) -> None:
    assert list(main.wanted(args)) == modules


def imported(*args: str) -> set[str]:
    """Top-level packages that a command imports, in an interpreter of its own."""
    command = [sys.executable, "-X", "importtime", *fakes.command(*args)[1:]]
    done = subprocess.run(command, env=fakes.environment(), capture_output=True, check=True, text=True)
    names = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {name.partition(".")[0] for name in names}


def test_what_takes_long_to_import_is_not_imported_for_nothing() -> None:
    assert not {"sqlalchemy", "numpy", "webauthn", "cedarpy", "structlog", "httpx"} & imported("--version")
    assert "webauthn" not in imported("case", "--help")


@pytest.mark.slow
@pytest.mark.parametrize("module", main.GROUPS)
def test_a_module_stands_on_its_own(module: str) -> None:
    """Nothing of another command's imports is needed: the other tests' commands come from a process that has them all."""
    word = main.GROUPS[module][0]
    done = subprocess.run(fakes.command(word, "--help"), env=fakes.environment(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
