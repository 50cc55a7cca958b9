"""Assets and identities: names, aliases, networks, and what an attacker's spelling must not achieve."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.enrich.addresses import Networks, is_public, parse_address, registered_domain
from countersign.enrich.assets import Assets
from countersign.enrich.identities import Identities
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.evidence import LookupStatus
from countersign.model.inventory import Asset, Criticality, Identity

ASSETS = Assets(
    (
        Asset(
            "dc-1",
            "domain-controller",
            "m.heron",
            Criticality.CRITICAL,
            ("10.1.0.5", "2001:db8:1::/48"),
            ("dc-1.site.example",),
        ),
        Asset("office", "network", "", Criticality.LOW, ("10.1.0.0/16",)),
        Asset("lab", "network", "", Criticality.MEDIUM, ("10.1.2.0/24",)),
        Asset("web-1.corp.com", "webserver", "", Criticality.MEDIUM, ("198.51.100.10",)),
        Asset("db.east.corp.com"),
        Asset("db.west.corp.com"),
    )
)
IDENTITIES = Identities(
    (
        Identity("m.heron", "admin", "", Criticality.HIGH, ("m.heron@site.co.uk", "site\\m.heron")),
        Identity("svc-backup", "service-account"),
    )
)


def asset(kind: EntityType, value: str) -> tuple[str, str]:
    """(name of the asset, or "", zone) for a value."""
    evidence = ASSETS.answer(Entity(kind, value, Role.TARGET))
    assert evidence is not None
    facts = dict(evidence.facts)
    assert ("name" in facts) == (evidence.status is LookupStatus.FOUND)
    return facts.get("name", ""), facts["zone"]


def person(kind: EntityType, value: str) -> tuple[str, str]:
    evidence = IDENTITIES.answer(Entity(kind, value, Role.ACTOR))
    assert evidence is not None
    facts = dict(evidence.facts)
    return facts.get("name", ""), facts.get("zone", "")


@pytest.mark.parametrize(
    ("kind", "value", "name"),
    [
        (EntityType.HOST, "dc-1", "dc-1"),
        (EntityType.HOST, "DC-1.Site.Example.", "dc-1"),
        (EntityType.DOMAIN, "dc-1.site.example", "dc-1"),
        (EntityType.URL, "https://dc-1.site.example:8443/x", "dc-1"),
        (EntityType.URL, "http://10.1.0.5/", "dc-1"),
        (EntityType.HOST, "10.1.0.5", "dc-1"),
        (EntityType.IP, "10.1.0.5", "dc-1"),
        (EntityType.IP, "::ffff:10.1.0.5", "dc-1"),
        (EntityType.IP, "2001:db8:1:2::9", "dc-1"),
        (EntityType.IP, "10.1.2.3", "lab"),
        (EntityType.IP, "10.1.3.3", "office"),
        (EntityType.IP, "198.51.100.10", "web-1.corp.com"),
        (EntityType.HOST, "web-1", "web-1.corp.com"),
    ],
)
def test_known_by_name_alias_address_and_the_narrowest_network(kind: EntityType, value: str, name: str) -> None:
    assert asset(kind, value) == (name, "internal")


@pytest.mark.parametrize(
    ("kind", "value", "zone"),
    [
        (EntityType.IP, "10.2.0.1", "internal"),
        (EntityType.IP, "127.0.0.1", "internal"),
        (EntityType.IP, "fe80::1%eth0", "internal"),
        (EntityType.IP, "8.8.8.8", "external"),
        (EntityType.HOST, "8.8.8.8", "external"),
        (EntityType.HOST, "ghost", "internal"),
        (EntityType.HOST, "db", "internal"),  # two hosts have that label
        (EntityType.HOST, "dc-1.evil.com", "internal"),  # a chosen name is no proof, and not ours
        (EntityType.HOST, "web-1.corp.com.evil.com", "internal"),
        (EntityType.DOMAIN, "dc-1.evil.com", "external"),
        (EntityType.DOMAIN, "new.corp.com", "internal"),  # the site's own domain
        (EntityType.DOMAIN, "corp.com", "internal"),
        (EntityType.DOMAIN, "notcorp.com", "external"),
        (EntityType.DOMAIN, "intranet", "internal"),
        (EntityType.DOMAIN, "host.local", "internal"),
        (EntityType.URL, "https://x.evil.com@dc-9.corp.com/", "internal"),
        (EntityType.URL, "https://dc-1.site.example@evil.com/", "external"),
        (EntityType.URL, "not a url", "internal"),
    ],
)
def test_unknown_is_outside_only_with_proof(kind: EntityType, value: str, zone: str) -> None:
    assert asset(kind, value) == ("", zone)


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        (EntityType.USER, "m.heron", ("m.heron", "")),
        (EntityType.USER, "SITE\\m.heron", ("m.heron", "")),
        (EntityType.USER, "site\\svc-backup", ("svc-backup", "")),
        (EntityType.USER, "svc-backup@site.co.uk", ("svc-backup", "")),
        (EntityType.MAIL, "M.Heron@site.co.uk", ("m.heron", "")),
        (EntityType.USER, "EVIL\\m.heron", ("", "internal")),
        (EntityType.USER, "m.heron@evil.com", ("", "internal")),
        (EntityType.MAIL, "m.heron@evil.com", ("", "external")),
        (EntityType.MAIL, "new@site.co.uk", ("", "internal")),
        (EntityType.MAIL, "new@mail.site.co.uk", ("", "internal")),
        (EntityType.MAIL, "new@co.uk", ("", "internal")),
        (EntityType.MAIL, "no address", ("", "internal")),
    ],
)
def test_identities(kind: EntityType, value: str, wanted: tuple[str, str]) -> None:
    assert person(kind, value) == wanted


@given(st.ip_addresses())
def test_addresses_are_read_as_the_standard_library_reads_them(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    address = parse_address(str(ip))
    assert address is not None
    mapped = ip.ipv4_mapped if ip.version == 6 else None
    assert address == ((4, int(mapped)) if mapped else (ip.version, int(ip)))
    if ip.is_private and is_public(address):
        documentation = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "2001::/23", "3fff::/20"]
        assert any(ip in ipaddress.ip_network(n) for n in documentation if ipaddress.ip_network(n).version == ip.version)


@pytest.mark.slow
@given(st.lists(st.tuples(st.ip_addresses(v=4), st.integers(0, 32)), max_size=12), st.ip_addresses(v=4))
def test_networks_match_like_the_standard_library(
    chosen: list[tuple[ipaddress.IPv4Address, int]], ip: ipaddress.IPv4Address
) -> None:
    networks: Networks[str] = Networks()
    wanted = {ipaddress.ip_network((int(base), bits), strict=False) for base, bits in chosen}
    for network in wanted:
        networks.put(network, str(network))
    address = parse_address(str(ip))
    assert address is not None
    expected = sorted((n for n in wanted if ip in n), key=lambda n: -n.prefixlen)
    assert [value for _, value in networks.matches(address)] == [str(n) for n in expected]
    assert len(networks) == len(wanted)


@given(st.from_regex(r"[a-z0-9-]{1,12}(\.[a-z0-9-]{1,12}){0,4}", fullmatch=True))
def test_no_prefix_makes_a_foreign_name_ours(label: str) -> None:
    for kind in (EntityType.HOST, EntityType.DOMAIN, EntityType.URL):
        assert asset(kind, f"{label}.evil.com")[0] == ""
        assert asset(kind, f"dc-1.{label}.evil.com")[0] == ""


def test_registered_domains_need_no_network() -> None:
    assert registered_domain("www.foo.co.uk") == "foo.co.uk"
    assert registered_domain("co.uk") == registered_domain("intranet.local") == registered_domain("10.0.0.1") == ""


def test_another_inventory_is_another_version() -> None:
    assert Assets((Asset("a"),)).version != Assets((Asset("a", "mail"),)).version
