"""The enricher: order, memory, faults, and no answer without a lease."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

import countersign
from countersign.authority.agents import Operation
from countersign.authority.grant import Grant, Part, alone, lookup
from countersign.authority.terms import LeaseRefused, Use
from countersign.enrich import Enricher, SiteData, make_enricher
from countersign.enrich.base import found, not_found
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.evidence import Evidence, LookupStatus
from countersign.model.inventory import Asset, Inventory

HOST = Entity(EntityType.HOST, "web-1", Role.TARGET)
SAME = Entity(EntityType.HOST, "web-1", Role.ACTOR)
USER = Entity(EntityType.USER, "m.heron", Role.ACTOR)


def lease(*names: str) -> Grant:
    """For the enricher, as triage hands it on."""
    return alone(Use("t", 1), "triage", [Part("enricher", Operation.LOOKUP, tuple(map(lookup, names or ("a", "b"))))])


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


def other(**changed: object) -> Grant:
    """Proofs that are good, used where they are not."""
    return msgspec.structs.replace(lease(), **changed)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda: lease("b"), "no lease"),
        (lambda: alone(Use("t", 1), "triage", [Part("triage", Operation.DECIDE, (lookup("a"),))]), "no lease"),
        (
            lambda: other(proofs={(Operation.LOOKUP, lookup("a")): lease("b").of(Operation.LOOKUP, lookup("b"))}),
            "other resource",
        ),
        (lambda: other(use=Use("another", 1)), "other task"),
        (lambda: other(use=Use("t", 1, "C-1")), "other case"),
        (lambda: other(use=Use("t", 60_001)), "expired"),
        (lambda: other(proofs={(Operation.LOOKUP, lookup("a")): object()}), "no lease"),
    ],
    ids=["other lookup", "other operation", "replayed on another lookup", "other task", "other case", "late", "not a proof"],
)
def test_no_answer_without_a_lease_for_it(wrong: Callable[[], Grant], reason: str) -> None:
    asked = Counting("a")
    with pytest.raises(LeaseRefused) as refused:
        Enricher([asked]).answer((HOST,), wrong())
    assert refused.value.reason == reason
    assert asked.asked == []


def test_a_refusal_is_not_forgotten_by_the_next_question() -> None:
    asked = Counting("a")
    enricher = Enricher([asked])
    enricher.answer((HOST,), lease())
    late = other(use=Use("another", 1))
    for _ in range(2):
        with pytest.raises(LeaseRefused):
            enricher.answer((USER,), late)
    assert asked.asked == ["host:web-1"]


def test_silence_asks_nothing_and_says_what_was_not_asked() -> None:
    asked = Counting("a", required=True)
    answers = Enricher([asked]).silent((HOST, SAME, USER), "no lease")
    assert [(e.source, e.query, e.status) for e in answers] == [
        ("a", "host:web-1", LookupStatus.UNAVAILABLE),
        ("a", "user:m.heron", LookupStatus.UNAVAILABLE),
    ]
    assert asked.asked == []


def test_a_site_gets_what_is_configured_in_the_order_of_the_registry() -> None:
    enricher = make_enricher(SiteData(Inventory((Asset("web-1"),))))
    assert [name for name, _ in enricher.versions] == ["assets", "identities", "geo", "warninglists"]
    assert enricher.required == {"assets", "identities"}
    sources = [
        e.source
        for e in enricher.answer(
            (HOST, Entity(EntityType.IP, "8.8.8.8", Role.ACTOR)), lease("assets", "identities", "geo", "warninglists")
        )
    ]
    assert sources == ["assets", "assets", "geo", "warninglists"]


def test_nothing_but_the_enricher_asks_a_lookup() -> None:
    """By construction: a lookup's ``answer`` takes one argument, and the enricher's takes the leases too."""
    root = Path(countersign.__file__).parent
    asking = []
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            named = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "answer"
            if named and len(node.args) + len(node.keywords) == 1:  # type: ignore[attr-defined]
                asking.append(path.relative_to(root).as_posix())
    assert asking == ["enrich/enricher.py"]
