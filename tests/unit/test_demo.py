"""The demo's estate and alerts: deterministic, in true wire shapes, and telling their stories across tools."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections import Counter, defaultdict
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from countersign.correlate.fold import fold, pattern
from countersign.correlate.link import Index, link_keys, notable, place
from countersign.demo import attacks, estate
from countersign.demo.alerts import FEEDS, SLICE_MS, deliveries, events, mapping_text
from countersign.demo.attacks import HOSTILE, MAIL_TO_THEFT, PHISHING_WAVE, WEB_TO_INSIDE
from countersign.demo.events import SPAN_MS, Event
from countersign.model.alerts import Alert, Ignored
from countersign.model.entities import EntityType
from countersign.model.findings import Finding
from countersign.model.inventory import Criticality
from countersign.sources import make_source

END_MS = 1_795_450_000_000
ENDS = (END_MS, END_MS + 5 * 3_600_000, END_MS + 11 * 3_600_000, END_MS + 19 * 3_600_000)
"""One end per part of the day: the stories must hold whenever the demo is started."""


ATTACKS = {MAIL_TO_THEFT, WEB_TO_INSIDE, PHISHING_WAVE, HOSTILE}


@cache
def told(end_ms: int) -> tuple[Event, ...]:
    """All messages of the demo."""
    return tuple(events(end_ms=end_ms))


def truth(*, end_ms: int) -> dict[str, str]:
    """Story of each message by the SHA-256 of its raw bytes."""
    return {hashlib.sha256(event.line).hexdigest(): event.story for event in told(end_ms)}


def parse(event: Event) -> Alert | Ignored:
    feed = FEEDS[event.feed]
    mapping = mapping_text(feed.mapping) if feed.mapping else ""
    return make_source(feed.source, header=feed.header, mapping=mapping).parse(event.line)


@cache
def parsed(end_ms: int) -> list[tuple[Event, Alert | Ignored]]:
    sources = {
        name: make_source(f.source, header=f.header, mapping=mapping_text(f.mapping) if f.mapping else "")
        for name, f in FEEDS.items()
    }
    return [(event, sources[event.feed].parse(event.line)) for event in told(end_ms)]


def test_same_seed_and_end_give_the_same_bytes() -> None:
    assert deliveries(3, end_ms=END_MS) == deliveries(3, end_ms=END_MS)
    assert deliveries(3, end_ms=END_MS) != deliveries(4, end_ms=END_MS)


@pytest.mark.parametrize("end_ms", ENDS)
def test_everything_lies_within_three_days_and_is_of_the_promised_size(end_ms: int) -> None:
    all_of_it = told(end_ms)
    assert all(end_ms - SPAN_MS <= event.time_ms < end_ms for event in all_of_it)
    assert 6_000 <= len(all_of_it) <= 9_500
    assert {event.feed for event in all_of_it} == set(FEEDS)


def test_every_message_is_distinct_so_that_none_passes_for_a_redelivery() -> None:
    all_of_it = told(END_MS)
    assert len({event.line for event in all_of_it}) == len(all_of_it) == len(truth(end_ms=END_MS))


def test_deliveries_hold_exactly_the_events_in_order_of_time() -> None:
    files = deliveries(end_ms=END_MS)
    lines = [line for f in files for line in f.body.splitlines()]
    headers = sum(f.name.endswith(".csv") for f in files)
    stories = truth(end_ms=END_MS)
    assert len(lines) - headers == len(stories)
    assert {hashlib.sha256(line).hexdigest() for line in lines} >= set(stories)
    assert len({f.name for f in files}) == len(files) > 5 * SPAN_MS // SLICE_MS - 10
    stamps = [f.name.rpartition("-")[2].partition(".")[0] for f in files]
    assert stamps == sorted(stamps)


def test_every_message_is_read_by_its_source() -> None:
    read = parsed(END_MS)
    ignored = Counter(event.feed for event, value in read if isinstance(value, Ignored))
    assert set(ignored) == {"suricata"}
    assert ignored["suricata"] > 300
    for event, value in read:
        if isinstance(value, Alert):
            assert value.time_ms == event.time_ms
            assert value.title
            assert value.entities


def test_endpoint_findings_are_valid_ocsf() -> None:
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.3.0")).get_class_schema(
        "detection_finding", ["host", "security_control"]
    )
    validator = Draft202012Validator(schema)
    lines = [event.line for event in told(END_MS) if event.feed == "edr"]
    found = [error.message for line in lines for error in validator.iter_errors(json.loads(line))]
    assert found == []


def test_estate_names_owners_and_addresses_that_exist() -> None:
    inventory = estate.inventory()
    people = {identity.name for identity in inventory.identities}
    assert len(inventory.assets) == 25
    assert len(estate.PEOPLE) == 18
    assert len(people) == len(inventory.identities)
    assert {asset.owner for asset in inventory.assets} <= people
    assert len({a for asset in inventory.assets for a in asset.addresses}) == len(inventory.assets)
    assert {asset.criticality for asset in inventory.assets} >= {Criticality.LOW, Criticality.HIGH, Criticality.CRITICAL}


def test_addresses_are_private_or_reserved_for_documentation_and_domains_for_examples() -> None:
    allowed = [ipaddress.ip_network(n) for n in ("10.20.0.0/16", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
    for _, alert in parsed(END_MS):
        for entity in alert.entities if isinstance(alert, Alert) else ():
            if entity.type is EntityType.IP:
                assert any(ipaddress.ip_address(entity.value) in network for network in allowed), entity
            if entity.type in (EntityType.MAIL, EntityType.DOMAIN) and "." in entity.value:
                assert entity.value.endswith(".example"), entity


def walk(end_ms: int) -> dict[str, list[tuple[Finding, str]]]:
    """Cases of the demo with the story of each finding, as folding and linking make them in one pass."""
    pairs = [(event, alert) for event, alert in parsed(end_ms) if isinstance(alert, Alert)]
    found, groups = fold([alert for _, alert in pairs])
    index, fired, placed = Index(), Counter[tuple[str, str]](), {}
    number = 1000
    for i in sorted(range(len(found)), key=lambda i: found[i].first_seen_ms):
        finding, shape = found[i], pattern(found[i])
        keys = link_keys(finding, shape, is_notable=notable(finding, fired[finding.host, finding.rule_key]))
        fired[finding.host, finding.rule_key] += 1
        result = place(finding, keys, index, f"C-{number}")
        number += result.opened
        placed[i] = result.case
    cases: dict[str, list[tuple[Finding, str]]] = defaultdict(list)
    for i, case in placed.items():
        cases[index.resolve(case)].append((found[i], pairs[groups[i][0]][0].story))
    return cases


@pytest.mark.parametrize("end_ms", ENDS)
@pytest.mark.parametrize("story", [MAIL_TO_THEFT, WEB_TO_INSIDE, PHISHING_WAVE])
def test_a_story_is_one_case_across_tools(story: str, end_ms: int) -> None:
    cases = walk(end_ms)
    case = max(cases.values(), key=lambda members: sum(name == story for _, name in members))
    mine = [finding for finding, name in case if name == story]
    medium = [f for members in cases.values() for f, name in members if name == story and f.severity >= 3]
    assert len(mine) >= 0.9 * len(medium)
    assert len(mine) >= 0.9 * len(case)
    assert len({finding.product for finding in mine}) >= (2 if story == PHISHING_WAVE else 3)
    assert len({tactic for finding in mine for tactic in finding.tactics}) >= (2 if story == PHISHING_WAVE else 5)


def test_noise_folds_well_and_the_look_alikes_stay_apart() -> None:
    cases = walk(END_MS)
    total = sum(finding.count for members in cases.values() for finding, _ in members)
    assert total > 2 * sum(map(len, cases.values()))
    assert len(cases) < 200
    for members in cases.values():
        names = {name for _, name in members}
        assert not ({"change_window", "penetration_test"} & names and ATTACKS & names)


def test_hostile_text_arrives_unchanged_as_data() -> None:
    lines = [event for event in told(END_MS) if event.story == HOSTILE]
    texts = " ".join(text(json.loads(event.line)) for event in lines)
    for needle in (attacks.MARKUP, attacks.TEMPLATE, attacks.BIDI, attacks.ORDER):
        assert needle in texts
    for event in lines:
        alert = parse(event)
        assert isinstance(alert, Alert)
        assert alert.tainted
        assert attacks.ORDER not in alert.title


def text(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(text(item) for item in value.values())
    if isinstance(value, list):
        return " ".join(text(item) for item in value)
    return str(value)
