"""What every lookup is made of: what the site gives it, how it answers, and how it says that it is not configured."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import msgspec

from countersign.model.entities import Entity, EntityType
from countersign.model.evidence import Evidence, LookupStatus
from countersign.model.inventory import Inventory
from countersign.ports import Lookup

SUMMARY_CHARS_MAX = 300
ZONE = "zone"
"""Fact that says where an entity stands: ``external`` is a proof, ``internal`` only that there is none."""
EXTERNAL = "external"
INTERNAL = "internal"

_encode = msgspec.json.Encoder().encode
_FOUND, _NOT_FOUND = LookupStatus.FOUND, LookupStatus.NOT_FOUND


@dataclass(frozen=True, slots=True)
class SiteData:
    """What a lookup may be built from. folder: the data directory, None when there is none (then no site files).
    geo: MaxMind DB files named in the configuration, in the order in which they are asked."""

    inventory: Inventory = field(default_factory=Inventory)
    folder: Path | None = None
    geo: tuple[Path, ...] = ()

    def files(self, sub: str, *endings: str) -> list[Path]:
        """Files of a sub-folder of the data directory with one of the endings, by name."""
        if self.folder is None or not (self.folder / sub).is_dir():
            return []
        return sorted(p for p in (self.folder / sub).iterdir() if p.is_file() and p.suffix.lower() in endings)


@dataclass(frozen=True, slots=True)
class NotConfigured:
    """The lookup has nothing to answer from; ``todo`` says what a person can do about it."""

    name: str
    todo: str


class LocalLookup(Lookup, Protocol):
    """A lookup that answers from memory.

    types: entity types it may answer for.  entries: how many things it knows, -1 when nobody counts them.
    problem: why some answers are ``unavailable``, "" when all is well.
    """

    types: frozenset[EntityType]

    @property
    def entries(self) -> int:
        """How many things it knows; may load them."""
        ...

    @property
    def problem(self) -> str:
        """One line, "" when all is well."""
        ...


def digest(facts: tuple[tuple[str, str], ...]) -> str:
    """SHA-256, hex, of the facts as a JSON array of pairs (RFC 8785: no spaces, UTF-8)."""
    return hashlib.sha256(_encode(facts)).hexdigest()


@lru_cache(maxsize=4096)
def _settled(told: tuple[tuple[str, str], ...]) -> tuple[tuple[tuple[str, str], ...], str]:
    """The facts that are not empty, by name, and their digest."""
    pairs = tuple(sorted([fact for fact in told if fact[1]]))
    return pairs, digest(pairs)


_NOTHING = _settled(())
_ONLY = {"": _NOTHING} | {zone: _settled(((ZONE, zone),)) for zone in (EXTERNAL, INTERNAL)}
"""What most answers state: nothing, or where the entity stands."""


def found(source: str, entity: Entity, facts: Mapping[str, str], summary: str, weight: int = 0) -> Evidence:
    """Evidence that the source knows the entity; empty facts are left out."""
    pairs, hashed = _settled(tuple(facts.items()))
    return Evidence(source, entity.key, _FOUND, pairs, hashed, _line(summary), weight)


def not_found(source: str, entity: Entity, facts: Mapping[str, str], summary: str, zone: str = "") -> Evidence:
    """Evidence that the source was asked and does not know the entity. zone: one more fact, "" when nobody can say."""
    pairs, hashed = _settled((*facts.items(), (ZONE, zone))) if facts else _ONLY[zone]
    return Evidence(source, entity.key, _NOT_FOUND, pairs, hashed, _line(summary))


def unavailable(source: str, entity: Entity, why: str) -> Evidence:
    """The source could not answer; this can never support a close."""
    return Evidence(source, entity.key, LookupStatus.UNAVAILABLE, *_NOTHING, _line(f"{source} unavailable: {why}"))


def _line(text: str) -> str:
    if text.isprintable() and "  " not in text and len(text) <= SUMMARY_CHARS_MAX:
        return text.strip(" ")  # the one printable white space is the plain blank: nearly every text is a line already
    return " ".join(text.split())[:SUMMARY_CHARS_MAX]
