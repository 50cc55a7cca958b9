"""Ask every lookup about every entity, once: answers are remembered per lookup version and entity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice

from countersign.authority.agents import Operation
from countersign.authority.grant import Grant, lookup
from countersign.authority.lease import demand
from countersign.enrich.base import LocalLookup, unavailable
from countersign.model.entities import Entity, EntityType
from countersign.model.evidence import Evidence

REMEMBERED_MAX = 50_000


class Enricher:
    """The only way to the lookups: it takes a proof for each of them with every question."""

    def __init__(self, lookups: Iterable[LocalLookup], *, remembered_max: int = REMEMBERED_MAX) -> None:
        self.lookups = tuple(lookups)
        self._remembered: dict[str, tuple[Evidence, ...]] = {}
        self._remembered_max = remembered_max
        self._versions = [one.version for one in self.lookups]
        self._checked: Grant | None = None
        self._asked = {kind: tuple(one for one in self.lookups if kind in one.types) for kind in EntityType}

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """(name, version) of every lookup, in the order in which they are asked."""
        return tuple([(lookup.name, lookup.version) for lookup in self.lookups])

    @property
    def required(self) -> frozenset[str]:
        """Names of the lookups without whose answer nothing may be closed."""
        return frozenset(lookup.name for lookup in self.lookups if lookup.required)

    def answer(self, entities: Sequence[Entity], granted: Grant) -> tuple[Evidence, ...]:
        """Evidence in the order of the entities, then of the lookups; an entity in two roles is asked about once.

        Raises LeaseRefused unless a verified lease for each lookup covers the task at hand. A grant cannot change, so it is
        checked when it is first seen.
        """
        if granted is not self._checked:
            self._check(granted)
        answers: dict[str, tuple[Evidence, ...]] = {}
        for entity in entities:
            key = entity.key
            known = self._remembered.get(key)
            answers[key] = self._ask(entity, key) if known is None else known
        return tuple(chain.from_iterable(answers.values()))

    def _check(self, granted: Grant) -> None:
        """Once a task: is every lookup covered, and does it still know what it knew when its answers were remembered?"""
        self._checked = None
        for one in self.lookups:
            resource = lookup(one.name)
            demand(granted.of(Operation.LOOKUP, resource), Operation.LOOKUP, resource, granted.use)
        if self._versions != (versions := [one.version for one in self.lookups]):
            self._remembered.clear()
            self._versions = versions
        self._checked = granted

    def silent(self, entities: Sequence[Entity], why: str) -> tuple[Evidence, ...]:
        """What is known when nobody may ask: that every source that would have been asked is unavailable."""
        each = {entity.key: entity for entity in entities}.values()
        return tuple(unavailable(one.name, entity, why) for entity in each for one in self._asked[entity.type])

    def _ask(self, entity: Entity, key: str) -> tuple[Evidence, ...]:
        evidence: list[Evidence] = []
        faults = 0
        for one in self._asked[entity.type]:
            try:
                answer = one.answer(entity)
            except Exception as error:  # noqa: BLE001, RUF100 - a lookup promises not to raise; this one did not answer
                answer = unavailable(one.name, entity, type(error).__name__)
                faults += 1
            if answer is not None:
                evidence.append(answer)
        answers = tuple(evidence)
        if not faults:  # a fault may pass, so it is asked again
            self._remember(key, answers)
        return answers

    def _remember(self, key: str, evidence: tuple[Evidence, ...]) -> None:
        if len(self._remembered) >= self._remembered_max:
            for old in list(islice(self._remembered, self._remembered_max // 8 + 1)):
                del self._remembered[old]
        self._remembered[key] = evidence
