"""What every lookup promises, whichever it is: a new line in ``LOOKUPS`` is covered without editing this file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from countersign.enrich import LOOKUPS, Factory, LocalLookup, NotConfigured, SiteData
from countersign.enrich.base import digest
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.evidence import LookupStatus
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.ports import Lookup
from tests.enrich_mmdb import write_mmdb
from tests.examples import examples

INVENTORY = Inventory(
    assets=(Asset("dc-1", "domain-controller", "m.heron", Criticality.CRITICAL, ("10.1.0.0/24",), ("dc-1.site.example",)),),
    identities=(Identity("m.heron", "admin", "", Criticality.HIGH, ("m.heron@site.example",)),),
)
USUAL = {
    EntityType.HOST: ["dc-1", "DC-1.site.example", "10.1.0.7", "8.8.8.8", "web-9"],
    EntityType.IP: [
        "10.1.0.7",
        "8.8.8.8",
        "fe80::1%eth0",
        "::ffff:8.8.8.8",
        "2001:4860:4860::8888",
        "127.0.0.1",
        "999.1.1.1",
    ],
    EntityType.DOMAIN: ["www.google.com", "evil.test.com", "localhost", "co.uk", "xn--", "a" * 300],
    EntityType.URL: ["https://evil.test.com/a?b=c", "http://[::1", "http://10.1.0.7:8080/", "//", "mailto:a@b.com"],
    EntityType.HASH: ["d41d8cd98f00b204e9800998ecf8427e", "0" * 64, "xyz"],
    EntityType.USER: ["m.heron", "SITE\\m.heron", "m.heron@site.example", "@", "\\"],
    EntityType.MAIL: ["m.heron@site.example", "a@evil.com", "nobody", "@"],
    EntityType.PROCESS: ["cmd.exe"],
    EntityType.FILE: ["/etc/passwd"],
}
ENTITIES = [Entity(kind, value, Role.OBSERVED) for kind, values in USUAL.items() for value in values]


def site(folder: Path) -> SiteData:
    """A site with an inventory, and a file in the folder of every lookup that wants one."""
    for name in LOOKUPS:
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "list.txt").write_text("dc-1.site.example\n")
    write_mmdb(folder / "geo" / "asn.mmdb", "8.8.8.0/24", {"autonomous_system_number": 64_500}, "Test-ASN")
    return SiteData(INVENTORY, folder)


def check_answers(lookup: LocalLookup, entities: list[Entity]) -> None:
    """Every promise about answers."""
    for entity in entities:
        evidence = lookup.answer(entity)
        assert evidence == lookup.answer(entity), "the same question has the same answer"
        if evidence is None:
            continue
        assert entity.type in lookup.types
        assert (evidence.source, evidence.query) == (lookup.name, entity.key)
        assert evidence.digest == digest(evidence.facts)
        assert list(evidence.facts) == sorted(evidence.facts)
        assert evidence.weight in {-1, 0, 1}
        assert evidence.summary
        assert "\n" not in evidence.summary
        if evidence.status is LookupStatus.FOUND:
            assert evidence.facts
        if evidence.status is not LookupStatus.FOUND:
            assert evidence.weight == 0, "only what was found can lean"


def check_described(name: str, lookup: LocalLookup) -> None:
    """It says what it is."""
    assert isinstance(lookup, Lookup)
    assert lookup.name == name
    assert lookup.version
    assert lookup.types <= set(EntityType)
    assert isinstance(lookup.required, bool)
    assert lookup.entries >= -1
    assert lookup.problem == ""


@pytest.fixture(params=list(LOOKUPS))
def plugged(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Factory, LocalLookup]:
    factory = LOOKUPS[request.param]
    lookup = factory(site(tmp_path))
    assert not isinstance(lookup, NotConfigured), "configured by an inventory and a file in its folder"
    return request.param, factory, lookup


def test_says_what_it_is(plugged: tuple[str, Factory, LocalLookup]) -> None:
    name, _, lookup = plugged
    check_described(name, lookup)


def test_answers_keep_their_shape(plugged: tuple[str, Factory, LocalLookup]) -> None:
    check_answers(plugged[2], ENTITIES)


def test_two_built_alike_answer_alike(plugged: tuple[str, Factory, LocalLookup], tmp_path: Path) -> None:
    _, factory, lookup = plugged
    other = factory(site(tmp_path))
    assert not isinstance(other, NotConfigured)
    assert other.version == lookup.version
    assert [other.answer(entity) for entity in ENTITIES] == [lookup.answer(entity) for entity in ENTITIES]


def test_a_site_without_anything_has_it_or_says_what_to_do(plugged: tuple[str, Factory, LocalLookup]) -> None:
    name, factory, _ = plugged
    lookup = factory(SiteData())
    if isinstance(lookup, NotConfigured):
        assert (lookup.name, bool(lookup.todo)) == (name, True)
    else:
        check_answers(lookup, ENTITIES)


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(kind=st.sampled_from(EntityType), value=st.text(max_size=80) | st.from_regex(r"[a-z0-9.:/@\\%\[\]_-]{0,40}"))
def test_never_raises_whatever_an_attacker_writes(
    plugged: tuple[str, Factory, LocalLookup], kind: EntityType, value: str
) -> None:
    check_answers(plugged[2], [Entity(kind, value, Role.ACTOR)])
