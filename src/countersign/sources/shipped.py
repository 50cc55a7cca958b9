"""Mappings that come with the product, found by name: for exports of tools that many sites use."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from countersign.errors import UsageError
from countersign.sources import SOURCES
from countersign.sources.mapping import load_mapping

GENERIC = "generic"
_ENDING = ".toml"


def names() -> tuple[str, ...]:
    """Every shipped mapping, by name."""
    files = resources.files("countersign.sources").joinpath("mappings").iterdir()
    return tuple(sorted(file.name.removesuffix(_ENDING) for file in files if file.name.endswith(_ENDING)))


def text(name: str) -> str:
    """The shipped mapping of that name. Raises UsageError naming the ones there are."""
    if name not in names():
        raise UsageError(f"no mapping named {name!r}", todo=f"name a file, or one of: {', '.join(names())}")
    return resources.files("countersign.sources").joinpath("mappings", name + _ENDING).read_text("utf-8")


def resolve(source: str, mapping: str | None) -> tuple[str, str]:
    """(source, mapping text) for what a person named. A shipped mapping's name does for a source, too, and stands for the
    generic source with it. Raises UsageError for unknown names, ConfigError for a faulty file."""
    if mapping is not None:
        path = Path(mapping)
        return source, load_mapping(path) if path.suffix or path.exists() else text(mapping)
    if source == GENERIC:
        todo = f"name one with --mapping FILE, or one of: {', '.join(names())}"
        raise UsageError("source generic needs a mapping", todo=todo)
    if source in SOURCES:
        return source, ""
    if source in names():
        return GENERIC, text(source)
    known = ", ".join((*sorted(SOURCES), *names()))
    raise UsageError(f"no source named {source!r}", todo=f"use one of: {known}")
