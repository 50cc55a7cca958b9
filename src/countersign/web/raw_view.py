"""A raw alert as lines a person can read, with the fields an attacker can write marked. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

LINES_MAX = 2_000
DEPTH_MAX = 40


@dataclass(frozen=True, slots=True)
class Line:
    """One field. path: dotted, list places as numbers. value: as text. tainted: an attacker can write it."""

    depth: int
    name: str
    value: str
    kind: str
    tainted: bool
    path: str


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its duplicate keys kept."""


def fields(raw: bytes, header: bytes, tainted: Sequence[str]) -> tuple[Line, ...]:
    """Lines of a JSON document or of a CSV record with its header; () when it is neither."""
    text = raw.decode("utf-8", "replace")
    marks = frozenset(tainted)
    try:
        document = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return _record(text, header.decode("utf-8", "replace"), marks) if header else ()
    found: list[Line] = []
    for line in _walk(document, "", 0, marks):
        found.append(line)
        if len(found) >= LINES_MAX:
            break
    return tuple(found)


def _walk(value: Any, path: str, depth: int, marks: frozenset[str]) -> Iterator[Line]:  # noqa: ANN401 - any JSON
    pairs = value if isinstance(value, _Pairs) else enumerate(value) if isinstance(value, list) else [("", value)]
    for key, item in pairs:
        name = str(key)
        here = f"{path}.{name}" if path else name
        nested = isinstance(item, list) and bool(item)
        yield Line(depth, name, "" if nested else _scalar(item), _kind(item), _marked(here, marks), here)
        if nested and depth < DEPTH_MAX:
            yield from _walk(item, here, depth + 1, marks)


def _scalar(value: Any) -> str:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        return value
    if isinstance(value, _Pairs):
        return "{}"
    return json.dumps(value)


def _kind(value: Any) -> str:  # noqa: ANN401 - any JSON
    return "text" if isinstance(value, str) else "nested" if isinstance(value, list) else "plain"


def _marked(path: str, marks: frozenset[str]) -> bool:
    """A tainted path taints what lies below it; places in lists may be left out or written ``[]`` or ``*``."""
    names = [part for part in path.split(".") if not part.isdecimal()]
    return any(".".join(names[:n]) in marks or f"{'.'.join(names[:n])}[]" in marks for n in range(1, len(names) + 1))


def _record(text: str, header: str, marks: frozenset[str]) -> tuple[Line, ...]:
    names = next(csv.reader(io.StringIO(header)), [])
    values = next(csv.reader(io.StringIO(text)), [])
    pairs = list(zip(names, values, strict=False))[:LINES_MAX]
    return tuple(Line(0, name, value, "text", name in marks, name) for name, value in pairs)
