"""JSON field paths of a mapping, compiled: decoded message → the text, or texts, found there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from countersign.sources.mapping import Step, as_text, steps

Values = str | tuple[str, ...]
"""One field's value: a text ("" when missing), or several where the path passes through a list."""
VALUES_MAX = 64
_Walk = Callable[[list[Any]], list[Any]]


def first(value: Values) -> str:
    """The first text, "" if there is none."""
    if isinstance(value, str):
        return value
    return value[0] if value else ""


def many(value: Values) -> tuple[str, ...]:
    """All texts."""
    return (value,) if isinstance(value, str) else value


def compile_path(path: str) -> Callable[[dict[str, Any]], Values]:
    """The function that reads ``path`` out of a decoded JSON object. Missing parts and wrong types give "" or ()."""
    parsed = steps(path)
    if all(kind == "name" for kind, _, _ in parsed):
        return _plain([text for _, text, _ in parsed])
    walks = [_walk(step) for step in parsed]

    def read(body: dict[str, Any]) -> Values:
        nodes: list[Any] = [body]
        for walk in walks:
            nodes = walk(nodes)[:VALUES_MAX]
        return tuple([text for node in nodes if (text := as_text(node))])

    return read


def _plain(names: list[str]) -> Callable[[dict[str, Any]], Values]:
    last = names[-1]
    above = names[:-1]

    def read(body: dict[str, Any]) -> Values:
        node: Any = body
        for name in above:
            node = node.get(name)
            if not isinstance(node, dict):
                return ""
        found = node.get(last)
        if isinstance(found, str):
            return found
        if isinstance(found, list):
            return tuple([text for item in found[:VALUES_MAX] if (text := as_text(item))])
        return as_text(found)

    return read


def _walk(step: Step) -> _Walk:
    kind, text, value = step
    if kind == "name":
        return lambda nodes: [node[text] for node in nodes if isinstance(node, dict) and text in node]
    if kind == "index":
        place = int(text)
        return lambda nodes: [node[place] for node in nodes if isinstance(node, list) and len(node) > place]
    if kind == "json":
        return lambda nodes: [inner for node in nodes if isinstance(node, str) for inner in _decoded(node)]
    if kind == "key":
        return lambda nodes: [item for item in _items(nodes) if isinstance(item, dict) and as_text(item.get(text)) == value]
    return lambda nodes: list(_items(nodes))


def _items(nodes: list[Any]) -> Iterable[Any]:
    for node in nodes:
        if isinstance(node, list):
            yield from node[:VALUES_MAX]


def _decoded(text: str) -> list[Any]:
    try:
        return [msgspec.json.decode(text)]
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return []
