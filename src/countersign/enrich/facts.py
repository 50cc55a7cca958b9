"""What the evidence says about a finding's surroundings, as the model and the gate read it. Pure.

Texts made here may stand in a ledger entry, so they name hosts and addresses but never a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from countersign.enrich.base import EXTERNAL, ZONE
from countersign.model.entities import EntityType
from countersign.model.evidence import Evidence, LookupStatus
from countersign.model.inventory import Criticality

_LEVELS = {level.name.lower(): int(level) for level in Criticality}
_HIGH = int(Criticality.HIGH)
_FOUND, _NOT_FOUND = LookupStatus.FOUND, LookupStatus.NOT_FOUND
_EXTERNAL = (ZONE, EXTERNAL)
_PEOPLE = {EntityType.USER.value: "user", EntityType.MAIL.value: "mail address"}
_PLURALS = {"user": "users", "mail address": "mail addresses"}
_NAME_CHARS_MAX = 120


class Surroundings(msgspec.Struct, frozen=True, gc=False):
    """asset_criticality, identity_criticality: highest found (model.inventory.Criticality), -1 when none is in the
    inventory. host_role: role of the finding's host. ti_hits: entities on the site's list of bad indicators. high_value:
    what is HIGH or CRITICAL. unknown: what is neither in the inventory nor provably outside, unknown_entities how many.
    unavailable: sources that did not answer, sorted."""

    asset_criticality: int = -1
    identity_criticality: int = -1
    host_role: str = ""
    ti_hits: int = 0
    high_value: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    unknown_entities: int = 0
    unavailable: tuple[str, ...] = ()


class _Sum:
    """What has been read so far; ``levels`` are plain integers because enum comparison costs a microsecond here."""

    __slots__ = ("high", "hits", "levels", "roles", "silent", "unknown")

    def __init__(self) -> None:
        self.levels = {"assets": -1, "identities": -1}
        self.roles: dict[str, str] = {}
        self.high: list[str] = []
        self.unknown: list[str] = []
        self.silent: set[str] = set()
        self.hits = 0

    def found(self, item: Evidence) -> None:
        """Take criticality and role of something in the inventory, or a hit on the site's list."""
        if item.source == "intel":
            self.hits += 1
        elif item.source in self.levels:
            facts = dict(item.facts)
            level = _LEVELS.get(facts.get("criticality", ""), 0)
            self.levels[item.source] = max(self.levels[item.source], level)
            if level >= _HIGH:
                self.high.append(_label(item, "host", facts.get("name", "")))
            if item.source == "assets":
                self.roles.setdefault(item.query.partition(":")[2], facts.get("role", ""))

    def not_found(self, item: Evidence) -> None:
        """Take what the inventory does not know, unless it is provably outside."""
        if item.source in self.levels and _EXTERNAL not in item.facts:
            self.unknown.append(_label(item, "", dict(item.facts).get("host", "")))


def surroundings(evidence: Iterable[Evidence], host: str = "") -> Surroundings:
    """Sum up the evidence of one finding; ``host`` is its main host, the first host found when it is left out."""
    total = _Sum()
    for item in evidence:
        if item.status is _FOUND:
            total.found(item)
        elif item.status is _NOT_FOUND:
            total.not_found(item)
        else:
            total.silent.add(item.source)
    return Surroundings(
        asset_criticality=total.levels["assets"],
        identity_criticality=total.levels["identities"],
        host_role=total.roles.get(host, "") if host else next(iter(total.roles.values()), ""),
        ti_hits=total.hits,
        high_value=_fold(total.high),
        unknown=_fold(total.unknown),
        unknown_entities=len(total.unknown),
        unavailable=tuple(sorted(total.silent)),
    )


def _label(item: Evidence, kind: str, name: str) -> str:
    """``host dc-01``, ``ip 10.0.0.9``, ``user``: a person's name never appears."""
    asked, _, value = item.query.partition(":")
    if asked in _PEOPLE:
        return _PEOPLE[asked]
    if asked == EntityType.URL.value and not name:
        return asked  # a URL without a host may hold anything
    return f"{kind or asked} {(name or value)[:_NAME_CHARS_MAX]}"


def _fold(labels: list[str]) -> tuple[str, ...]:
    """Each label once, sorted; people are counted: ``2 users``."""
    if not labels:
        return ()
    people = Counter(label for label in labels if label in _PLURALS)
    counted = {f"{n} {_PLURALS[label] if n > 1 else label}" for label, n in people.items()}
    return tuple(sorted({label for label in labels if label not in _PLURALS} | counted))
