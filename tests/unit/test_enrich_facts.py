"""Surroundings: what model and gate read out of the evidence, without naming a person."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from countersign.enrich.assets import Assets
from countersign.enrich.base import unavailable
from countersign.enrich.facts import Surroundings, surroundings
from countersign.enrich.identities import Identities
from countersign.enrich.intel import Intel
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.evidence import Evidence
from countersign.model.inventory import Asset, Criticality, Identity

ASSETS = Assets(
    (
        Asset("dc-1", "domain-controller", "", Criticality.CRITICAL, ("10.0.0.1",), ("dc-1.site.example",)),
        Asset("ws-1", "workstation", "", Criticality.LOW, ("10.0.1.0/24",)),
    )
)
IDENTITIES = Identities((Identity("m.heron", "admin", "", Criticality.HIGH, ("m.heron@site.example",)), Identity("guest")))


def ask(*entities: tuple[EntityType, str]) -> list[Evidence]:
    answers = [
        lookup.answer(Entity(kind, value, Role.OBSERVED)) for kind, value in entities for lookup in (ASSETS, IDENTITIES)
    ]
    return [a for a in answers if a is not None]


HOST, IP, USER, MAIL, URL, DOMAIN = (
    EntityType.HOST,
    EntityType.IP,
    EntityType.USER,
    EntityType.MAIL,
    EntityType.URL,
    EntityType.DOMAIN,
)


def test_nothing_known_is_not_the_same_as_known_and_worth_little() -> None:
    assert surroundings(()) == Surroundings(asset_criticality=-1, identity_criticality=-1)
    assert surroundings(ask((USER, "guest"))).identity_criticality == 0


def test_the_highest_counts_and_the_main_host_gives_the_role() -> None:
    evidence = ask((HOST, "ws-1"), (IP, "10.0.0.1"), (USER, "m.heron"))
    found = surroundings(evidence, "ws-1")
    assert (found.asset_criticality, found.identity_criticality) == (4, 3)
    assert found.host_role == "workstation"
    assert surroundings(evidence, "10.0.0.1").host_role == "domain-controller"
    assert surroundings(evidence, "elsewhere").host_role == ""
    assert surroundings(evidence).host_role == "workstation"


def test_unknown_is_what_is_neither_in_the_inventory_nor_provably_outside() -> None:
    found = surroundings(
        ask(
            (IP, "10.9.9.9"),
            (IP, "8.8.8.8"),
            (HOST, "ghost"),
            (DOMAIN, "www.example.com"),
            (URL, "http://10.9.9.8/x?secret=1"),
            (URL, "nothing/at all"),
            (USER, "eve"),
            (USER, "mallory"),
            (MAIL, "eve@evil.com"),
            (MAIL, "ghost@site.example"),
        )
    )
    assert found.unknown_entities == 7


def test_intel_is_counted_and_silence_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("evil.com\n")
    intel = Intel([tmp_path / "bad.txt"])
    entities = [Entity(DOMAIN, "a.evil.com", Role.ACTOR), Entity(DOMAIN, "good.com", Role.ACTOR)]
    evidence = [e for entity in entities if (e := intel.answer(entity))]
    evidence += [unavailable("geo", entities[0], "x"), unavailable("assets", entities[0], "y")]
    found = surroundings(evidence)
    assert (found.ti_hits, found.unavailable, found.unknown_entities) == (1, ("assets", "geo"), 0)


pool = st.sampled_from([(HOST, "dc-1"), (HOST, "ws-1"), (IP, "10.0.1.9"), (IP, "8.8.8.8"), (USER, "m.heron"), (USER, "eve")])


@given(st.lists(pool, max_size=6, unique=True), pool)
def test_more_evidence_never_makes_it_look_safer(base: list[tuple[EntityType, str]], more: tuple[EntityType, str]) -> None:
    before, after = surroundings(ask(*base)), surroundings(ask(*base, more))
    assert after.asset_criticality >= before.asset_criticality
    assert after.identity_criticality >= before.identity_criticality
    assert after.unknown_entities >= before.unknown_entities
