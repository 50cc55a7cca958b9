"""The how-to is executed: its file is imported, registered, and held to the contract of every lookup."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import countersign.enrich as room
from countersign.enrich import LOOKUPS, NotConfigured
from tests.contract.test_lookup_contract import ENTITIES, check_answers, check_described, site

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "add-a-lookup.md"
NAME = "maintenance"


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture
def module(tmp_path: Path) -> Iterator[ModuleType]:
    """The page's first block as a module of the room, taken out again afterwards."""
    path = tmp_path / f"{NAME}.py"
    path.write_text(blocks()[0], "utf-8")
    full = f"countersign.enrich.{NAME}"
    spec = importlib.util.spec_from_file_location(full, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[full] = made
    spec.loader.exec_module(made)
    setattr(room, NAME, made)
    before = dict(LOOKUPS)
    yield made
    LOOKUPS.clear()
    LOOKUPS.update(before)
    delattr(room, NAME)
    del sys.modules[full]


def test_the_page_works_as_written(module: ModuleType, tmp_path: Path) -> None:
    for block in blocks()[1:]:
        exec(compile(block, str(PAGE), "exec"), {})
    assert LOOKUPS[NAME] is module.make
    lookup = LOOKUPS[NAME](site(tmp_path))
    assert not isinstance(lookup, NotConfigured)
    check_described(NAME, lookup)
    check_answers(lookup, ENTITIES)


def test_the_page_names_things_that_exist() -> None:
    text = PAGE.read_text("utf-8")
    root = PAGE.parents[2]
    assert len(blocks()) == 3
    assert (root / "src/countersign/enrich/__init__.py").is_file()
    for path in re.findall(r"`pytest (\S+)`", text):
        assert (root / path).is_file()
