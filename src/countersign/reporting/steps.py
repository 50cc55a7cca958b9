"""Entries as rows: when, who, and what the entry says."""

from __future__ import annotations

from collections.abc import Iterable

from countersign.reporting.model import Cited, Line
from countersign.reporting.says import Names, sentence, when

STEPS = ("time (UTC)", "who", "what the entry says")


def steps(found: Iterable[Cited], names: Names) -> tuple[Line, ...]:
    """One line for each entry."""
    return tuple(Line((when(o.entry), names.actor(o.entry.actor), sentence(o.entry, names)), (o.index,)) for o in found)
