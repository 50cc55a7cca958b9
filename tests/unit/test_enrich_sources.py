"""Geo, warning lists, the site's own indicators, ATT&CK names: real data of the packages, real files."""

from __future__ import annotations

import ipaddress
import json
from importlib import resources
from pathlib import Path

import pytest
from pymispwarninglists.api import WarningLists as Oracle

from countersign.enrich import LOOKUPS, NotConfigured, SiteData
from countersign.enrich.asn import Systems
from countersign.enrich.asn import make as make_asn
from countersign.enrich.geo import Geo
from countersign.enrich.geo import make as make_geo
from countersign.enrich.intel import Intel
from countersign.enrich.warninglists import ADDRESS_LISTS, DOMAIN_LISTS, HASH_LISTS, WarningLists
from countersign.model import attack
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.evidence import Evidence, LookupStatus
from tests.enrich_mmdb import write_mmdb

FOUND, NOT_FOUND, UNAVAILABLE = LookupStatus.FOUND, LookupStatus.NOT_FOUND, LookupStatus.UNAVAILABLE


def ask(lookup: Geo | Systems | Intel | WarningLists, kind: EntityType, value: str) -> Evidence:
    evidence = lookup.answer(Entity(kind, value, Role.ACTOR))
    assert evidence is not None
    return evidence


# --- geo -----------------------------------------------------------------------------------------------------------


def test_country_by_registry_without_any_configuration() -> None:
    geo = make_geo(SiteData())
    evidence = ask(geo, EntityType.IP, "8.8.8.8")
    assert (evidence.status, dict(evidence.facts)) == (FOUND, {"country": "US", "basis": "registry"})
    assert dict(ask(geo, EntityType.IP, "2a00:1450:4001::1").facts)["country"] == "IE"
    assert ask(geo, EntityType.IP, "192.0.2.1").status is NOT_FOUND
    for inside in ("10.0.0.1", "fe80::1", "127.0.0.1", "no address"):
        assert geo.answer(Entity(EntityType.IP, inside, Role.ACTOR)) is None


def test_a_sites_own_databases_come_first_each_for_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "geo").mkdir()
    system = {"autonomous_system_number": 64_500, "autonomous_system_organization": "Example Net"}
    write_mmdb(tmp_path / "geo" / "a.mmdb", "8.8.0.0/16", system, "GeoLite2-ASN")
    write_mmdb(tmp_path / "geo" / "b.mmdb", "8.8.8.0/24", {"country": {"iso_code": "NO"}}, "DBIP-Country-Lite")
    site = SiteData(folder=tmp_path)
    geo, asn = make_geo(site), make_asn(site)
    assert isinstance(asn, Systems)
    assert dict(ask(geo, EntityType.IP, "8.8.8.8").facts) == {"country": "NO", "basis": "b.mmdb"}
    assert dict(ask(geo, EntityType.IP, "8.8.4.4").facts) == {"country": "US", "basis": "registry"}
    facts = {"asn": "AS64500", "as_org": "Example Net", "basis": "a.mmdb"}
    assert dict(ask(asn, EntityType.IP, "8.8.4.4").facts) == facts
    assert ask(asn, EntityType.IP, "9.9.9.9").status is NOT_FOUND
    assert ask(asn, EntityType.IP, "2001:4860::1").status is NOT_FOUND, "an IPv4 database has no place for IPv6: no fault"
    assert (geo.problem, asn.problem) == ("", "")
    assert geo.version != make_geo(SiteData()).version


def test_one_file_may_hold_both(tmp_path: Path) -> None:
    record: dict[str, object] = {"country_code": "NO", "asn": "AS64500", "as_name": "Example Net"}
    write_mmdb(tmp_path / "x.mmdb", "8.8.8.0/24", record, "ipinfo country_asn")
    site = SiteData(geo=(tmp_path / "x.mmdb",))
    asn = make_asn(site)
    assert isinstance(asn, Systems)
    assert dict(ask(asn, EntityType.IP, "8.8.8.8").facts)["as_org"] == "Example Net"
    assert dict(ask(make_geo(site), EntityType.IP, "8.8.8.8").facts)["country"] == "NO"


def test_a_broken_database_makes_misses_unavailable(tmp_path: Path) -> None:
    (tmp_path / "bad.mmdb").write_bytes(b"no database")
    (tmp_path / "bad-asn.mmdb").write_bytes(b"no database")
    site = SiteData(geo=(tmp_path / "bad.mmdb", tmp_path / "missing.mmdb", tmp_path / "bad-asn.mmdb"))
    geo, asn = make_geo(site), make_asn(site)
    assert "bad.mmdb" in geo.problem
    assert "missing.mmdb" in geo.problem
    assert ask(geo, EntityType.IP, "192.0.2.1").status is UNAVAILABLE
    assert ask(geo, EntityType.IP, "8.8.8.8").status is FOUND
    assert isinstance(asn, Systems)
    assert ask(asn, EntityType.IP, "8.8.8.8").status is UNAVAILABLE


def test_without_a_database_systems_are_not_configured() -> None:
    assert isinstance(make_asn(SiteData()), NotConfigured)


# --- warning lists ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lists() -> WarningLists:
    return WarningLists()


@pytest.mark.parametrize(
    ("kind", "value", "name"),
    [
        (EntityType.IP, "104.16.0.1", "Cloudflare"),
        (EntityType.IP, "8.8.8.8", "public DNS"),
        (EntityType.DOMAIN, "mail.google.com", "google"),
        (EntityType.DOMAIN, "LOGIN.Microsoftonline.com.", "microsoft"),
        (EntityType.DOMAIN, "x.y.duckdns.org", "dynamic DNS"),
        (EntityType.URL, "https://bit.ly/abc", "Shorteners"),
        (EntityType.URL, "http://104.16.0.1/x", "Cloudflare"),
        (EntityType.HASH, "D41D8CD98F00B204E9800998ECF8427E", "empty files"),
    ],
)
def test_well_known_infrastructure_is_context_and_never_reassures(
    lists: WarningLists, kind: EntityType, value: str, name: str
) -> None:
    evidence = ask(lists, kind, value)
    assert evidence.status is FOUND
    assert name.lower() in dict(evidence.facts)["lists"].lower()
    assert evidence.weight == 0


@pytest.mark.parametrize("value", ["duckdns.org.evil.com", "notgoogle.com.evil.test", "mygoogle.xx", "evil-bit.ly.example"])
def test_a_name_that_only_looks_like_one_is_not_on_a_list(lists: WarningLists, value: str) -> None:
    assert ask(lists, EntityType.DOMAIN, value).status is NOT_FOUND


def test_inside_addresses_are_not_asked_about(lists: WarningLists) -> None:
    assert lists.answer(Entity(EntityType.IP, "10.0.0.1", Role.ACTOR)) is None


def test_every_list_named_is_in_the_package(lists: WarningLists) -> None:
    assert lists.entries > 100_000
    assert lists.problem == ""
    names = [*ADDRESS_LISTS, *DOMAIN_LISTS, *HASH_LISTS]
    assert len(names) == len(set(names))


@pytest.mark.slow
def test_address_lists_agree_with_the_packages_own_search(lists: WarningLists) -> None:
    root = resources.files("pymispwarninglists") / "data" / "misp-warninglists" / "lists"
    raw = [json.loads((root / name / "list.json").read_text()) for name in ADDRESS_LISTS if "public-dns-v4" not in name]
    oracle = Oracle(slow_search=True, lists=raw)
    samples = [str(ipaddress.ip_address(n * 2_654_435_761 % 2**32)) for n in range(400)]
    samples += [entry.partition("/")[0] for one in raw for entry in one["list"][::97] if not entry.startswith("::ffff")]
    for sample in samples:
        evidence = lists.answer(Entity(EntityType.IP, sample, Role.ACTOR))
        if evidence is not None:
            ours = set(dict(evidence.facts).get("lists", "").split("; ")) - {""}
            theirs = {one.name.removeprefix("List of known ") for one in oracle.search(sample)}
            assert {n for n in ours if "public DNS" not in n} == {n for n in theirs if "public DNS" not in n}, sample


# --- the site's own indicators ---------------------------------------------------------------------------------------

TXT = """# from the sector's information sharing centre
198.51.100.7   # scanner, seen in May
203.0.113.0/24
evil[.]test
hxxps://files.bad-host.com/Drop/a.bin
44d88612fea8a8f36de82e1278abb02f
"""
CSV = 'indicator,type,note\r\nmalware.example.com,domain,"dropper, stage 2"\r\n2001:db8:bad::/48,ip,\r\n,,\r\n'


@pytest.fixture
def intel(tmp_path: Path) -> Intel:
    (tmp_path / "a.txt").write_text(TXT)
    (tmp_path / "b.csv").write_text(CSV)
    return Intel([tmp_path / "a.txt", tmp_path / "b.csv"])


@pytest.mark.parametrize(
    ("kind", "value", "where"),
    [
        (EntityType.IP, "198.51.100.7", "a.txt:2"),
        (EntityType.IP, "203.0.113.200", "a.txt:3"),
        (EntityType.DOMAIN, "c2.evil.test", "a.txt:4"),
        (EntityType.HOST, "EVIL.test.", "a.txt:4"),
        (EntityType.URL, "http://evil.test:8080/x", "a.txt:4"),
        (EntityType.URL, "HTTPS://Files.Bad-Host.com/Drop/a.bin", "a.txt:5"),
        (EntityType.URL, "http://198.51.100.7/", "a.txt:2"),
        (EntityType.HASH, "44D88612FEA8A8F36DE82E1278ABB02F", "a.txt:6"),
        (EntityType.DOMAIN, "malware.example.com", "b.csv:2"),
        (EntityType.IP, "2001:db8:bad:1::1", "b.csv:3"),
    ],
)
def test_listed_indicators_are_found_and_lean_to_a_threat(intel: Intel, kind: EntityType, value: str, where: str) -> None:
    evidence = ask(intel, kind, value)
    assert (evidence.status, dict(evidence.facts)["list"], evidence.weight) == (FOUND, where, 1)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (EntityType.IP, "198.51.100.8"),
        (EntityType.DOMAIN, "notevil.test"),
        (EntityType.DOMAIN, "example.com"),
        (EntityType.URL, "https://files.bad-host.com/drop/a.bin"),
        (EntityType.HASH, "0" * 32),
    ],
)
def test_others_are_not(intel: Intel, kind: EntityType, value: str) -> None:
    assert ask(intel, kind, value).status is NOT_FOUND


def test_notes_are_shown_and_entries_counted(intel: Intel) -> None:
    assert dict(ask(intel, EntityType.DOMAIN, "malware.example.com").facts)["note"] == "dropper, stage 2"
    assert dict(ask(intel, EntityType.IP, "198.51.100.7").facts)["note"] == "scanner, seen in May"
    assert (intel.entries, intel.problem) == (7, "")


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("a.txt", b"evil.test\nnot an indicator\n", "a.txt:2"),
        ("a.txt", b"evil.test\n10.0.0.300\n", "a.txt:2"),
        ("a.txt", b"\xff\xfe", "a.txt"),
        ("a.csv", b"value\nevil.test\n", "a.csv"),
    ],
)
def test_a_line_that_is_no_indicator_makes_misses_unavailable(
    tmp_path: Path, file: str, content: bytes, problem: str
) -> None:
    (tmp_path / file).write_bytes(content)
    intel = Intel([tmp_path / file])
    assert intel.problem.startswith(problem)
    assert ask(intel, EntityType.DOMAIN, "good.com").status is UNAVAILABLE
    if content.startswith(b"evil"):
        assert ask(intel, EntityType.DOMAIN, "evil.test").status is FOUND


def test_without_files_it_is_not_configured_which_is_not_the_same_as_unavailable(tmp_path: Path) -> None:
    lookup = LOOKUPS["intel"](SiteData(folder=tmp_path))
    assert isinstance(lookup, NotConfigured)
    assert "intel/" in lookup.todo


def test_a_changed_file_is_another_version(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("evil.test\n")
    before = Intel([tmp_path / "a.txt"]).version
    (tmp_path / "a.txt").write_text("worse.test\n")
    assert Intel([tmp_path / "a.txt"]).version != before


# --- ATT&CK ----------------------------------------------------------------------------------------------------------


def test_techniques_have_their_real_names() -> None:
    assert attack.technique_name("T1078") == "Valid Accounts"
    assert attack.technique_name("T1110.001") == "Brute Force: Password Guessing"
    assert attack.technique_name("T1595.002") == "Active Scanning: Vulnerability Scanning"
    assert attack.technique_name("T9999") == "T9999"
    assert len(attack.technique_names()) > 600


def test_tactics_have_names_and_an_order() -> None:
    assert [attack.tactic_name(t) for t in ("TA0001", "TA0040", "TA9999")] == ["Initial Access", "Impact", "TA9999"]
    assert attack.TACTIC_ORDER["TA0043"] == 0
    assert attack.TACTIC_ORDER["TA0001"] < attack.TACTIC_ORDER["TA0008"] < attack.TACTIC_ORDER["TA0040"]
    assert sorted(attack.TACTIC_ORDER.values()) == list(range(15))


@pytest.mark.parametrize("name", ["Command and Control", "command-and-control", "command_and_control", "CommandAndControl"])
def test_tactics_are_known_in_every_spelling(name: str) -> None:
    assert attack.tactic_id_from_name(name) == "TA0011"


def test_every_tactic_name_leads_back_and_others_lead_nowhere() -> None:
    for tactic, name in attack.TACTIC_NAMES.items():
        assert attack.tactic_id_from_name(name) == tactic
    assert attack.tactic_id_from_name("Stealth") == attack.tactic_id_from_name("defence evasion") == "TA0005"
    assert attack.tactic_id_from_name("") == attack.tactic_id_from_name("magic") == ""
