"""The plan of lookups that a case needs, fixed per type of entity, with what is done, unanswered and still open.

The plan does not depend on what an alert says: an attacker cannot shorten an investigation by writing to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from countersign.model.entities import EntityType
from countersign.model.evidence import Evidence, LookupStatus
from countersign.model.records import FindingRecord

PLAN: dict[EntityType, tuple[str, ...]] = {
    EntityType.HOST: ("assets", "intel"),
    EntityType.USER: ("identities",),
    EntityType.MAIL: ("identities",),
    EntityType.IP: ("assets", "geo", "warninglists", "intel"),
    EntityType.DOMAIN: ("assets", "warninglists", "intel"),
    EntityType.URL: ("assets", "warninglists", "intel"),
    EntityType.HASH: ("warninglists", "intel"),
    EntityType.PROCESS: (),
    EntityType.FILE: (),
}
"""Lookups that are asked about an entity of a type, in order."""


class StepState(StrEnum):
    """Where one question stands. ``unavailable`` was asked and not answered; ``open`` was not asked."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    UNAVAILABLE = "unavailable"
    OPEN = "open"


class PlanStep(msgspec.Struct, frozen=True):
    """One lookup about one entity. cite: digest of the answer, "" while there is none."""

    lookup: str
    entity: str
    state: StepState
    cite: str


class Plan(msgspec.Struct, frozen=True):
    """Every step, entities in order of first appearance."""

    steps: tuple[PlanStep, ...]

    @property
    def answered(self) -> int:
        """Steps with an answer, be it that nothing is known."""
        return sum(step.state in {StepState.FOUND, StepState.NOT_FOUND} for step in self.steps)

    @property
    def complete(self) -> bool:
        """Whether every question has its answer."""
        return self.answered == len(self.steps)


def plan(records: Sequence[FindingRecord], lookups: Iterable[str] | None = None) -> Plan:
    """The plan for one case. lookups: names of those that are plugged in; None means all of the fixed plan."""
    plugged = None if lookups is None else frozenset(lookups)
    answers = {(item.source, item.query): item for record in records for item in record.evidence}
    keys = dict.fromkeys((e.type, e.key) for record in records for e in record.finding.entities)
    return Plan(
        tuple(
            _step(name, key, answers.get((name, key)))
            for kind, key in keys
            for name in PLAN[kind]
            if plugged is None or name in plugged
        )
    )


def _step(lookup: str, entity: str, answer: Evidence | None) -> PlanStep:
    if answer is None:
        return PlanStep(lookup, entity, StepState.OPEN, "")
    states = {
        LookupStatus.FOUND: StepState.FOUND,
        LookupStatus.NOT_FOUND: StepState.NOT_FOUND,
        LookupStatus.UNAVAILABLE: StepState.UNAVAILABLE,
    }
    return PlanStep(lookup, entity, states[answer.status], answer.digest)
