"""The enricher: order, memory, faults, and no answer without a lease."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from countersign.authority.agents import Operation
from countersign.authority.lease import Revocations, VerifiedLease, mint, new_root_key, public_key, verify
from countersign.enrich import RESOURCE, Enricher, SiteData, make_enricher
from countersign.enrich.base import found, not_found
from countersign.errors import VerificationError
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.evidence import Evidence, LookupStatus
from countersign.model.inventory import Asset, Inventory

ROOT = new_root_key()
HOST = Entity(EntityType.HOST, "web-1", Role.TARGET)
SAME = Entity(EntityType.HOST, "web-1", Role.ACTOR)
USER = Entity(EntityType.USER, "m.heron", Role.ACTOR)


def lease(operation: Operation = Operation.LOOKUP, resource: str = RESOURCE) -> VerifiedLease:
    minted = mint(ROOT, agent="investigator", task="t", operations=[operation], resources=[resource], now_ms=1, expires_ms=9)
    return verify(
        minted,
        public_key(ROOT),
        task="t",
        operation=operation,
        resource=resource,
        now_ms=2,
        revoked=Revocations(frozenset(), 2),
    )


@dataclass
class Counting:
    """A hand-written lookup that counts how often it is asked, and can be broken."""

    name: str
    required: bool = False
    version: str = "1"
    types: frozenset[EntityType] = frozenset({EntityType.HOST, EntityType.USER})
    entries: int = 1
    problem: str = ""
    broken: bool = False
    asked: list[str] = field(default_factory=list)

    def answer(self, entity: Entity) -> Evidence | None:
        self.asked.append(entity.key)
        if self.broken:
            raise OSError("the disk is gone")
        if entity.type is EntityType.USER:
            return not_found(self.name, entity, {}, "nobody")
        return found(self.name, entity, {"version": self.version}, "somebody")


def test_order_is_entities_then_lookups_and_roles_do_not_double() -> None:
    enricher = Enricher([Counting("b"), Counting("a")])
    evidence = enricher.answer((USER, HOST, SAME), lease())
    assert [(e.query, e.source) for e in evidence] == [
        ("user:m.heron", "b"),
        ("user:m.heron", "a"),
        ("host:web-1", "b"),
        ("host:web-1", "a"),
    ]


def test_an_entity_is_asked_about_once_until_the_version_changes() -> None:
    lookup = Counting("a")
    enricher = Enricher([lookup])
    first = enricher.answer((HOST,), lease())
    assert enricher.answer((HOST,), lease()) == first
    assert lookup.asked == ["host:web-1"]
    lookup.version = "2"
    assert enricher.answer((HOST,), lease()) != first
    assert lookup.asked == ["host:web-1"] * 2


def test_a_fault_is_unavailable_and_not_remembered() -> None:
    lookup = Counting("a", broken=True)
    enricher = Enricher([lookup, Counting("b")])
    broken, fine = enricher.answer((HOST,), lease())
    assert (broken.status, broken.source, fine.status) == (LookupStatus.UNAVAILABLE, "a", LookupStatus.FOUND)
    assert "OSError" in broken.summary
    assert "disk" not in broken.summary, "text of a fault may hold anything"
    lookup.broken = False
    assert enricher.answer((HOST,), lease())[0].status is LookupStatus.FOUND


def test_a_lookup_is_not_asked_about_other_types() -> None:
    lookup = Counting("a")
    assert Enricher([lookup]).answer((Entity(EntityType.HASH, "00", Role.OBSERVED),), lease()) == ()
    assert lookup.asked == []


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    lookup = Counting("a")
    enricher = Enricher([lookup], remembered_max=16)
    held = lease()
    hosts = [Entity(EntityType.HOST, f"h{i}", Role.TARGET) for i in range(100)]
    for host in hosts:
        enricher.answer((host,), held)
        assert len(enricher._remembered) <= 16
    enricher.answer((hosts[-1],), held)
    assert len(lookup.asked) == 100
    enricher.answer((hosts[0],), held)
    assert len(lookup.asked) == 101


@pytest.mark.parametrize(
    "wrong",
    [lambda: lease(Operation.SUMMARISE), lambda: lease(resource="lookups/remote"), lambda: None, object],
    ids=["other operation", "other resource", "none", "something else"],
)
def test_no_answer_without_a_lease_for_it(wrong: object) -> None:
    lookup = Counting("a")
    assert callable(wrong)
    with pytest.raises(VerificationError):
        Enricher([lookup]).answer((HOST,), wrong())
    assert lookup.asked == []


def test_a_site_gets_what_is_configured_in_the_order_of_the_registry() -> None:
    enricher = make_enricher(SiteData(Inventory((Asset("web-1"),))))
    assert [name for name, _ in enricher.versions] == ["assets", "identities", "geo", "warninglists"]
    assert enricher.required == {"assets", "identities"}
    sources = [e.source for e in enricher.answer((HOST, Entity(EntityType.IP, "8.8.8.8", Role.ACTOR)), lease())]
    assert sources == ["assets", "assets", "geo", "warninglists"]
