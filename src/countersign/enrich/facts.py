"""What the evidence says about a finding's surroundings, as the model and the gate read it: numbers and a role. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from countersign.enrich.base import EXTERNAL, ZONE
from countersign.model.evidence import Evidence, LookupStatus
from countersign.model.inventory import Criticality

_LEVELS = {level.name.lower(): int(level) for level in Criticality}
_FOUND, _NOT_FOUND = LookupStatus.FOUND, LookupStatus.NOT_FOUND
_EXTERNAL = (ZONE, EXTERNAL)
_INVENTORY = ("assets", "identities")


class Surroundings(msgspec.Struct, frozen=True, gc=False):
    """asset_criticality, identity_criticality: highest found (model.inventory.Criticality), -1 when none is in the
    inventory. host_role: role of the finding's host. ti_hits: entities on the site's list of bad indicators.
    unknown_entities: how many are neither in the inventory nor provably outside. unavailable: sources that did not answer,
    sorted."""

    asset_criticality: int = -1
    identity_criticality: int = -1
    host_role: str = ""
    ti_hits: int = 0
    unknown_entities: int = 0
    unavailable: tuple[str, ...] = ()


def surroundings(evidence: Iterable[Evidence], host: str = "") -> Surroundings:
    """Sum up the evidence of one finding; ``host`` is its main host, the first host found when it is left out."""
    levels = {"assets": -1, "identities": -1}  # plain integers: comparing enum members costs a microsecond here
    roles: dict[str, str] = {}
    silent: set[str] = set()
    hits = unknown = 0
    for item in evidence:
        source, status = item.source, item.status
        if status is _NOT_FOUND:
            unknown += source in _INVENTORY and _EXTERNAL not in item.facts
        elif status is not _FOUND:
            silent.add(source)
        elif source == "intel":
            hits += 1
        elif source in _INVENTORY:
            _take(item, levels, roles)
    role = roles.get(host, "") if host else next(iter(roles.values()), "")
    return Surroundings(levels["assets"], levels["identities"], role, hits, unknown, tuple(sorted(silent)))


def _take(item: Evidence, levels: dict[str, int], roles: dict[str, str]) -> None:
    """Criticality and role of something in the inventory."""
    facts = dict(item.facts)
    levels[item.source] = max(levels[item.source], _LEVELS.get(facts.get("criticality", ""), 0))
    if item.source == "assets":
        roles.setdefault(item.query.partition(":")[2], facts.get("role", ""))
