"""When a close was wrong: which other closes go back to people (design: triage.md section 6).

Exactly the closes of the last 90 days that share the pattern, the deciding evidence or an entity with the miss.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

DAYS_MS = 90 * 86_400_000


class Close(msgspec.Struct, frozen=True):
    """A finding that the agent closed. evidence: identifiers of what decided. entities: entity keys."""

    finding: str
    closed_ms: int
    pattern: str
    evidence: frozenset[str] = frozenset()
    entities: frozenset[str] = frozenset()


class Recalled(msgspec.Struct, frozen=True):
    """A close to reopen and what it shares with the miss, sorted."""

    finding: str
    pattern: bool
    evidence: tuple[str, ...]
    entities: tuple[str, ...]


def recall(miss: Close, closes: Iterable[Close], now_ms: int) -> tuple[Recalled, ...]:
    """The closes to reopen, most similar first: same pattern, then more shared evidence, then more shared entities; the
    newest first among equals. The miss itself is not among them. A close exactly 90 days old still is."""
    recent = (c for c in closes if c.finding != miss.finding and now_ms - DAYS_MS <= c.closed_ms <= now_ms)
    found = [(shared, close) for close in recent if (shared := _shared(miss, close))]
    found.sort(key=lambda pair: (_rank(pair[0]), -pair[1].closed_ms, pair[0].finding))
    return tuple(shared for shared, _ in found)


def _shared(miss: Close, close: Close) -> Recalled | None:
    same = bool(miss.pattern) and miss.pattern == close.pattern
    evidence, entities = sorted(miss.evidence & close.evidence), sorted(miss.entities & close.entities)
    if not (same or evidence or entities):
        return None
    return Recalled(close.finding, same, tuple(evidence), tuple(entities))


def _rank(shared: Recalled) -> tuple[bool, int, int]:
    return (not shared.pattern, -len(shared.evidence), -len(shared.entities))
