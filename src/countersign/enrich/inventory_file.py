"""Read a site's inventory from CSV, TOML or JSON; what is wrong is named with file, line and field.

CSV: header with any of ``kind name role owner criticality addresses aliases`` (``kind`` and ``name`` must be there), lists
separated by ``;``. TOML: ``[[asset]]`` and ``[[identity]]`` tables. JSON: ``{"assets": […], "identities": […]}``, or one
array of objects with ``kind``.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from countersign.enrich.inventory_rules import FIELDS, Builder, Record
from countersign.errors import ConfigError
from countersign.model.inventory import Inventory

FILE_BYTES_MAX = 128 * 1024 * 1024
_KINDS = {"asset": "asset", "assets": "asset", "identity": "identity", "identities": "identity"}


def read_inventory(path: Path) -> Inventory:
    """Read the whole file or raise ConfigError at the first thing that is wrong; the ending decides the format."""
    readers = {".csv": _csv, ".toml": _toml, ".json": _json}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ConfigError(f"unknown ending {path.suffix!r}", where=str(path), todo="use .csv, .toml or .json")
    builder = Builder()
    for record in reader(path.name, _text(path)):
        builder.add(record)
    return builder.inventory()


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"larger than {FILE_BYTES_MAX} bytes", where=path.name, todo="split it and import with --merge")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError("not UTF-8", where=f"{path.name}:{line}", todo="save the file as UTF-8") from None


def _csv(file: str, text: str) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(file, header)
        for row in reader:
            if any(cell.strip() for cell in row):
                yield _row(f"{file}:{reader.line_num}", header, row)
    except csv.Error as error:
        raise ConfigError(str(error), where=f"{file}:{reader.line_num}", todo="check quotes and line ends") from None


def _check_header(file: str, header: list[str]) -> None:
    where, allowed = f"{file}:1", ("kind", *FIELDS)
    for name in header:
        if name not in allowed:
            raise ConfigError(f"unknown column {name!r}", where=where, todo=f"use {', '.join(allowed)}")
        if header.count(name) > 1:
            raise ConfigError(f"column {name!r} stands twice", where=where)
    for name in ("kind", "name"):
        if name not in header:
            raise ConfigError(
                f"no column {name!r}", where=where, todo=f"the first line names the columns: {', '.join(allowed)}"
            )


def _row(where: str, header: list[str], row: list[str]) -> Record:
    if len(row) > len(header):
        raise ConfigError(f"{len(row)} cells under {len(header)} columns", where=where, todo="quote cells that hold a comma")
    cells: dict[str, Any] = {name: cell.strip() for name, cell in zip(header, row, strict=False)}
    for name in ("addresses", "aliases"):
        if name in cells:
            cells[name] = [part.strip() for part in cells[name].split(";") if part.strip()]
    return Record(where, _kind(where, cells.pop("kind", "")), cells)


def _kind(where: str, kind: object) -> str:
    known = _KINDS.get(kind.strip().lower()) if isinstance(kind, str) else None
    if known is None:
        raise ConfigError(f"unknown kind {kind!r}", where=f"{where}: kind", todo="use asset or identity")
    return known


def _toml(file: str, text: str) -> Iterator[Record]:
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        line = re.search(r"at line (\d+)", str(error))
        raise ConfigError(f"not TOML: {error}", where=f"{file}:{line[1]}" if line else file) from None
    headers = {kind: _header_lines(text, kind) for kind in document}
    return _tables(file, document, headers)


def _header_lines(text: str, kind: str) -> list[int]:
    header = re.compile(rf"\s*\[\[\s*[\"']?{re.escape(kind)}[\"']?\s*\]\]")
    return [number for number, line in enumerate(text.splitlines(), 1) if header.match(line)]


def _json(file: str, text: str) -> Iterator[Record]:
    try:
        document = json.loads(text, object_pairs_hook=_no_doubles)
    except json.JSONDecodeError as error:
        raise ConfigError(f"not JSON: {error.msg}", where=f"{file}:{error.lineno}") from None
    except (RecursionError, ValueError) as error:
        raise ConfigError(f"not JSON: {error}", where=file) from None
    lines = _object_lines(text)
    if isinstance(document, list):
        return _array(file, document, lines)
    if isinstance(document, dict):
        places = iter(lines)
        ordered = {k: [next(places, 0) for _ in v] for k, v in document.items() if isinstance(v, list)}
        return _tables(file, document, ordered)
    return _refuse(file)


def _refuse(file: str) -> NoReturn:
    raise ConfigError("holds neither an object nor an array", where=file, todo='write {"assets": [], "identities": []}')


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return made


def _object_lines(text: str) -> list[int]:
    """Line of each object that is an element of an array, in the order of the text."""
    lines, line, stack = [], 1, ""
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}\n]', text, re.DOTALL):
        mark = token[0]
        if mark == "{" and stack.endswith("["):
            lines.append(line)
        if mark in "[{":
            stack += mark
        elif mark in "]}":
            stack = stack[:-1]
        line += mark.count("\n")
    return lines


def _array(file: str, items: list[Any], lines: list[int]) -> Iterator[Record]:
    for place, item in enumerate(items):
        where = f"{file}:{lines[place]}" if place < len(lines) else f"{file}: [{place}]"
        fields = _object(where, item)
        yield Record(where, _kind(where, fields.pop("kind", "")), fields)


def _tables(file: str, document: dict[str, Any], lines: dict[str, list[int]]) -> Iterator[Record]:
    for key, items in document.items():
        if key not in _KINDS:
            raise ConfigError(f"unknown key {key!r}", where=file, todo="use assets and identities")
        if not isinstance(items, list):
            raise ConfigError("must be an array", where=f"{file}: {key}")
        for place, item in enumerate(items):
            known = lines.get(key, [])
            where = f"{file}:{known[place]}" if len(known) == len(items) and known[place] else f"{file}: {key}[{place}]"
            yield Record(where, _KINDS[key], _object(where, item))


def _object(where: str, item: object) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ConfigError("must be an object with a name", where=where)
    return dict(item)
