"""Ask every lookup about every entity, once: answers are remembered per lookup version and entity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice

from countersign.authority.agents import Operation
from countersign.authority.lease import VerifiedLease
from countersign.enrich.base import LocalLookup, unavailable
from countersign.errors import VerificationError
from countersign.model.entities import Entity, EntityType
from countersign.model.evidence import Evidence

REMEMBERED_MAX = 50_000
RESOURCE = "lookups/local"
"""What a lease must name for local lookups."""


class Enricher:
    """The only way to the lookups: it takes proof of a lease with every question."""

    def __init__(self, lookups: Iterable[LocalLookup], *, remembered_max: int = REMEMBERED_MAX) -> None:
        self.lookups = tuple(lookups)
        self._remembered: dict[Entity, tuple[Evidence, ...]] = {}
        self._remembered_max = remembered_max
        self._versions = self.versions
        self._asked = {kind: tuple(one for one in self.lookups if kind in one.types) for kind in EntityType}

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """(name, version) of every lookup, in the order in which they are asked."""
        return tuple([(lookup.name, lookup.version) for lookup in self.lookups])

    @property
    def required(self) -> frozenset[str]:
        """Names of the lookups without whose answer nothing may be closed."""
        return frozenset(lookup.name for lookup in self.lookups if lookup.required)

    def answer(self, entities: Sequence[Entity], lease: VerifiedLease) -> tuple[Evidence, ...]:
        """Evidence in the order of the entities, then of the lookups; an entity in two roles is asked about once.

        Raises VerificationError when the lease is not one for local lookups.
        """
        if type(lease) is not VerifiedLease or lease.operation is not Operation.LOOKUP or lease.resource != RESOURCE:
            raise VerificationError("no lease for local lookups", where="enrich", todo=f"verify one for {RESOURCE}")
        if self._versions != (versions := self.versions):
            self._remembered.clear()
            self._versions = versions
        answers: dict[str, tuple[Evidence, ...]] = {}
        for entity in entities:
            known = self._remembered.get(entity)
            answers[entity.key] = known if known is not None else self._ask(entity)
        return tuple(chain.from_iterable(answers.values()))

    def _ask(self, entity: Entity) -> tuple[Evidence, ...]:
        evidence: list[Evidence] = []
        faults = 0
        for lookup in self._asked[entity.type]:
            try:
                answer = lookup.answer(entity)
            except Exception as error:  # noqa: BLE001, RUF100 - a lookup promises not to raise; this one did not answer
                answer = unavailable(lookup.name, entity, type(error).__name__)
                faults += 1
            if answer is not None:
                evidence.append(answer)
        if not faults:  # a fault may pass, so it is asked again
            self._remember(entity, tuple(evidence))
        return tuple(evidence)

    def _remember(self, entity: Entity, evidence: tuple[Evidence, ...]) -> None:
        if len(self._remembered) >= self._remembered_max:
            for old in list(islice(self._remembered, self._remembered_max // 8 + 1)):
                del self._remembered[old]
        self._remembered[entity] = evidence
