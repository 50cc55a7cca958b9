"""The docs are true: what exists stands in them, what they name exists, and their links lead somewhere."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import msgspec
import pytest
import typer

from countersign.cli.main import app
from countersign.config import TEMPLATE, Config
from countersign.enrich.inventory_file import read_inventory
from countersign.errors import CountersignError
from countersign.model.cases import Disposition
from countersign.model.entries import Kind
from countersign.store.read import Tab

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MADE_LATER = {"docs/images/queue.png"}
"""Made by ``make screenshots`` from the running product."""


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def commands() -> dict[str, Any]:
    """Full name → command, for every command that can be run."""

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield " ".join(path), command
            return
        if getattr(command, "invoke_without_command", False) and len(path) > 1:
            yield " ".join(path), command
        for name, child in inner.items():
            yield from walk(child, (*path, name))

    return dict(walk(typer.main.get_command(app), ("countersign",)))


def settings(kind: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key → default, for every setting."""
    for field in msgspec.structs.fields(kind):
        hint = get_type_hints(kind)[field.name]
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            yield from settings(hint, f"{prefix}{field.name}.")
        elif get_origin(hint) not in (dict, tuple):  # tables of tables are described in prose
            yield prefix + field.name, field.default


def rows(text: str) -> list[list[str]]:
    """Cells of every table row."""
    lines = [line.strip() for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def code(cell: str) -> str:
    found = re.match(r"`([^`]+)`", cell)
    return found.group(1) if found else ""


def test_every_command_has_its_row_with_every_option() -> None:
    documented = {code(row[0]).replace("\\|", "|"): row for row in rows(page("docs/reference/commands.md"))}
    names = commands()
    for name, command in names.items():
        below = tuple(f"{other} " for other in names if other.startswith(f"{name} "))
        mine = [usage for usage in documented if usage == name or usage.startswith((name + " ", name + "["))]
        mine = [usage for usage in mine if not below or not f"{usage} ".startswith(below)]
        assert len(mine) == 1, f"{name}: {mine}"
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        assert options - {"--help"} == set(re.findall(r"--[a-z-]+", mine[0])), name


def test_no_row_for_a_command_that_does_not_exist() -> None:
    names = commands()
    for row in rows(page("docs/reference/commands.md")):
        usage = code(row[0])
        if usage:
            assert any(usage == name or usage.startswith(name + " ") for name in names), usage


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_pages_name_only_commands_that_exist(path: Path) -> None:
    names = {tuple(name.split()) for name in commands()} | {("countersign",)}
    groups = {name[:2] for name in names if len(name) > 2}
    fenced = re.findall(r"```sh\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL))
    lines = [line for block in fenced for line in block.splitlines()] + spans
    for line in lines:
        words = line.replace(".venv/bin/", "").split()
        if not words or words[0] != "countersign" or len(words) < 2 or words[1].startswith("-"):
            continue
        long, short = tuple(words[:3]), tuple(words[:2])
        assert short in names or long in names or (short in groups and len(words) == 2), f"{path.name}: {line}"


def test_every_kind_of_entry_has_its_row_and_no_other_has() -> None:
    documented = [code(row[0]) for row in rows(page("docs/reference/entries.md"))]
    assert sorted(name for name in documented if name) == sorted(kind.value for kind in Kind)


def test_every_setting_has_its_row_with_default_and_variable() -> None:
    documented = {code(row[0]): row for row in rows(page("docs/reference/configuration.md")) if len(row) == 4}
    for key, default in settings(Config):
        row = documented.pop(key)
        assert code(row[1]) == (f'"{default}"' if isinstance(default, str) else str(default)), key
        assert code(row[2]) == "COUNTERSIGN_" + key.replace(".", "_").upper()
    assert [key for key in documented if key] == []


def flat(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted keys of a TOML document."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_the_template_of_init_holds_exactly_the_settings_and_their_defaults() -> None:
    assert msgspec.convert(tomllib.loads(TEMPLATE), Config) == Config()
    assert set(flat(tomllib.loads(TEMPLATE))) == {key for key, _ in settings(Config)}


def test_dispositions_and_tabs_are_named() -> None:
    text = page("docs/reference/commands.md")
    for word in (*Disposition, *Tab):
        assert f"`{word.value}`" in text


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads(page("pyproject.toml"))
    extras = project["project"].get("optional-dependencies", {}).values()
    lists = [
        project["build-system"]["requires"],
        project["project"]["dependencies"],
        *extras,
        *project["dependency-groups"].values(),
    ]
    wanted = {re.split(r"[\[<>=;~! ]", entry)[0] for entries in lists for entry in entries}
    documented = {code(row[0]): row for row in rows(page("docs/decisions/0002-dependencies.md"))}
    named = {name for name in documented if name}
    assert wanted - named == set(), "say in docs/decisions/0002-dependencies.md what they are for"
    assert named - wanted == set(), "declare them in pyproject.toml, or drop their lines"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(path: Path) -> None:
    prose = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        found = (path.parent / target).resolve()
        assert found.exists() or str(found.relative_to(ROOT)) in MADE_LATER, f"{path.name}: {target}"


def test_pages_that_the_code_points_to_exist() -> None:
    named = {
        name
        for file in (ROOT / "src").rglob("*")
        if file.suffix in {".py", ".html"}
        for name in re.findall(r"docs/[\w/.-]+\.md", file.read_text("utf-8"))
    }
    assert {name for name in named if not (ROOT / name).is_file()} == set()


@pytest.mark.parametrize("language", ["csv", "toml"])
def test_the_inventories_on_the_page_are_read(tmp_path: Path, language: str) -> None:
    block = re.findall(rf"```{language}\n(.*?)```", page("docs/how-to/import-an-inventory.md"), re.DOTALL)[0]
    file = tmp_path / f"site.{language}"
    file.write_text(block, "utf-8")
    try:
        found = read_inventory(file)
    except CountersignError as error:
        pytest.fail(str(error))
    assert "file-01" in {asset.name for asset in found.assets}
    assert "j.plover" in {identity.name for identity in found.identities}


def test_every_promise_has_its_row() -> None:
    stands = {row[0]: row[2] for row in rows(page("SECURITY.md")) if len(row) == 4}
    promises = {name: state for name, state in stands.items() if re.fullmatch(r"P\d+", name)}
    assert list(promises) == [f"P{n}" for n in range(1, 13)]
    assert set(promises.values()) <= {"now", "in part", "later"}


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_pages_fit_a_screen_line(path: Path) -> None:
    prose = [
        line
        for line in path.read_text("utf-8").splitlines()
        if not line.startswith(("|", "{", "- Reference", "- How", "!["))
    ]
    assert [line for line in prose if len(line) > 170] == []
