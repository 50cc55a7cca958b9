"""Words about entries: those of the reference (``docs/reference/entries.md``), read off its table so that there is one text.

In an installed package the reference lies beside this module; in a checkout it is read where it stands.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from countersign.model.entries import Kind

HERE = Path(__file__).resolve().parent
PLACES = (HERE / "entries.md", HERE.parents[2] / "docs" / "reference" / "entries.md")
_ROW = re.compile(r"^\| `([a-z_]+\.[a-z_]+)` \| (.*?) \| (.*) \|$", re.MULTILINE)
_HEAD = re.compile(r"^### `([a-z_.]+)`")
_ITEM = re.compile(r"^- `([a-z0-9_]+)`: (.*)$")
_FIELD = re.compile(r"`([a-z0-9_]+)`(?:,\s*`[a-z0-9_]+`)*\s*\(((?:[^()]|\([^()]*\))*)\)|`([a-z0-9_]+)`:\s*([^;,|]+)")


_CASE = re.compile(r"C-[0-9]{1,15}")
_FINDING = re.compile(r"F-[0-9A-Za-z]{1,64}")


@cache
def _text() -> str:
    place = next((path for path in PLACES if path.is_file()), None)
    return place.read_text("utf-8") if place else ""


@cache
def _table() -> dict[str, tuple[str, str]]:
    """kind → (written when, what the body holds)."""
    return {kind: (when, body) for kind, when, body in _ROW.findall(_text())}


@cache
def _sections() -> dict[tuple[str, str], str]:
    """(kind, field) → words, of the kinds that have a section of their own."""
    found: dict[tuple[str, str], str] = {}
    kind = ""
    for line in _text().splitlines():
        if head := _HEAD.match(line):
            kind = head.group(1)
        elif item := _ITEM.match(line):
            found[kind, item.group(1)] = _plain(item.group(2))
    return found


def written_when(kind: Kind | str) -> str:
    """When an entry of a kind is written, "" where the reference has no words."""
    text = _plain(_table().get(str(kind), ("", ""))[0])
    return text[:1].upper() + text[1:]


def holds(kind: Kind | str) -> str:
    """What its body holds, as the reference says it."""
    return _plain(_table().get(str(kind), ("", ""))[1])


def about(kind: Kind | str, name: str) -> str:
    """What one field of the body is, where the reference says more than its name."""
    if words := _sections().get((str(kind), name)):
        return words
    body = _table().get(str(kind), ("", ""))[1]
    for bracketed, inside, named, after in _FIELD.findall(body):
        if name in (bracketed, named):
            return _plain(inside or after).strip()
    return ""


def page_of(kind: Kind | str, subject: str) -> str:
    """Address of the page about an entry's subject, "" where there is none."""
    noun = str(kind).partition(".")[0]
    if _CASE.fullmatch(subject):
        return f"/cases/{subject}"
    if _FINDING.fullmatch(subject):
        return f"/findings/{subject}/alerts"
    if noun in ("proposal", "change", "action") and subject.isdecimal():
        return f"/approvals/{subject}"
    return {"autonomy": "/autonomy", "agent": "/agents", "policy": "/policy"}.get(noun, "")


def _plain(text: str) -> str:
    return text.replace("`", "")
