"""The how-to is executed as it stands: one file, one registry line, the contract test, and an ingest by command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "add-a-source.md").read_text("utf-8")


def block(language: str, number: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[number]


def run(folder: Path, *command: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COUNTERSIGN_", "PYTEST_"))}
    environment |= {"PYTHONPATH": "src", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository's code and contract tests with the page's file, line and samples in it."""
    folder = tmp_path_factory.mktemp("copy")
    skipped = shutil.ignore_patterns("__pycache__", "vendor")
    for part in ("src", "docs/mappings", "tests/contract", "tests/vectors/sources"):
        shutil.copytree(ROOT / part, folder / part, ignore=skipped)
    for file in (ROOT / "pyproject.toml", *(ROOT / "tests").glob("*.py")):
        shutil.copy(file, folder / file.relative_to(ROOT))
    (folder / "src/countersign/sources/canary.py").write_text(block("python"), "utf-8")
    registry = folder / "src/countersign/sources/__init__.py"
    text = registry.read_text("utf-8")
    opening = "SOURCES: dict[str, SourceType] = {\n"
    text = text.replace(opening, block("python", 1) + "\n" + opening + block("python", 2))
    registry.write_text(text, "utf-8")
    samples = folder / "tests/vectors/sources/canary"
    samples.mkdir()
    (samples / "good.jsonl").write_text(block("json"), "utf-8")
    return folder


def commands() -> tuple[list[str], list[str]]:
    lines = [line.split() for line in block("sh").splitlines()]
    assert [line[0] for line in lines] == ["pytest", "countersign"]
    return lines[0], lines[1]


@pytest.mark.slow
def test_the_contract_covers_the_new_source_unedited(copy: Path) -> None:
    out = run(copy, *commands()[0], "-p", "no:cacheprovider")
    passed = re.search(r"(\d+) passed", out)
    assert passed
    assert int(passed.group(1)) >= 5


@pytest.mark.slow
def test_the_command_line_takes_it_at_once(copy: Path) -> None:
    document = json.loads(run(copy, *commands()[1], "--json"))
    assert (document["lines"], document["accepted"], document["ignored"], document["quarantined"]) == (3, 2, 1, 0)
    assert document["findings"] == 2


@pytest.mark.slow
def test_the_file_on_the_page_passes_the_checks_of_this_repository(copy: Path) -> None:
    file = "src/countersign/sources/canary.py"
    run(copy, "ruff", "check", "--no-cache", file)
    run(copy, "ruff", "format", "--check", "--no-cache", file)
