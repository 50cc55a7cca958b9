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
ENVELOPE = {
    "actor": "who did it; a person stands as a pseudonym",
    "body": "what it says",
    "kind": "what happened",
    "subject": "what it is about",
    "tenant": "whose log it is",
    "time": "when it was written, milliseconds since the epoch",
    "trigger": "index of the entry that caused it, or the door it came through",
    "v": "version of the envelope",
}
_ROW = re.compile(r"^\| `([a-z_]+\.[a-z_]+)` \| (.*?) \| (.*) \|$", re.MULTILINE)
_FIELD = re.compile(r"`([a-z0-9_]+)`(?:,\s*`[a-z0-9_]+`)*\s*\(((?:[^()]|\([^()]*\))*)\)|`([a-z0-9_]+)`:\s*([^;,|]+)")


_CASE = re.compile(r"C-[0-9]{1,15}")
_FINDING = re.compile(r"F-[0-9A-Za-z]{1,64}")


@cache
def _table() -> dict[str, tuple[str, str]]:
    """kind → (written when, what the body holds)."""
    place = next((path for path in PLACES if path.is_file()), None)
    text = place.read_text("utf-8") if place else ""
    return {kind: (when, body) for kind, when, body in _ROW.findall(text)}


def written_when(kind: Kind | str) -> str:
    """When an entry of a kind is written, "" where the reference has no words."""
    return _plain(_table().get(str(kind), ("", ""))[0])


def holds(kind: Kind | str) -> str:
    """What its body holds, as the reference says it."""
    return _plain(_table().get(str(kind), ("", ""))[1])


def about(kind: Kind | str, name: str) -> str:
    """What one field of the body is, where the reference says more than its name."""
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
