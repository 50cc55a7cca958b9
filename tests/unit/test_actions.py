"""Suggested responses: whom they name, where the names come from, and when there are none."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.actions import ACTIONS
from countersign.actions.base import Reversal
from countersign.actions.ocsf_remediation import event
from countersign.actions.openc2 import commands
from countersign.actions.playbooks import OTHERWISE, PLAYBOOKS, lines
from countersign.actions.suggest import Suggestion, outside, outside_domains
from countersign.approvals.proposal import Proposal, digest
from countersign.approvals.status import Status
from countersign.enrich import SiteData, make_enricher
from countersign.enrich.base import found
from countersign.model.alerts import Severity
from countersign.model.attack import TACTIC_NAMES, technique_names
from countersign.model.decisions import Action, Decision
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.evidence import Evidence, LookupStatus
from countersign.model.findings import Finding
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.model.records import FindingRecord
from countersign.model.responses import Effect, Seen, Target, TargetKind
from countersign.model.verdicts import Counterfactual, Label, Verdict
from tests.fakes import responses
from tests.unit.test_ocsf_export import validator

WS = Asset("ws-103", "workstation", "j.plover", Criticality.LOW, ("10.20.10.103",), ("ws-103.kestrel.example",))
DC = Asset("dc-01", "domain-controller", "s.avocet", Criticality.CRITICAL, ("10.20.20.11",))
ODD = Asset("lab-1", "", "", Criticality.UNKNOWN, ("10.20.60.0/24",))
FW = Asset("fw-01", "firewall", "k.curlew", Criticality.MEDIUM, ("192.0.2.1",))
PLOVER = Identity("j.plover", "accounts-payable", "", Criticality.MEDIUM, ("j.plover@kestrel.example",))
SITE = Inventory((WS, DC, ODD, FW), (PLOVER,))
OUTSIDE = "203.0.113.9"


def entity(kind: EntityType, value: str, role: Role = Role.OBSERVED) -> Entity:
    return Entity(kind, value, role)


def record(
    *entities: Entity,
    techniques: tuple[str, ...] = ("T1021",),
    tactics: tuple[str, ...] = (),
    label: Label = Label.THREAT,
    pico: int = 1,
    evidence: tuple[Evidence, ...] | None = None,
    number: int = 1,
    **more: Any,
) -> FindingRecord:
    finding = Finding(
        f"F-{number:016x}", "wazuh", "Wazuh", "1", "title", Severity.HIGH, 0, 0, 0, 1, tactics, techniques, entities, **more
    )
    answers = answered(entities) if evidence is None else evidence
    verdict = Verdict(label, pico, 0, 0, 0, (), Counterfactual(False, (), 0), 0, "m")
    decision = Decision(Action.ESCALATE, Action.ESCALATE, "endpoint", "advise", (), "")
    return FindingRecord(finding, "p", "C-1", (), answers, (), 0, verdict, decision, b"", True)


def answered(entities: tuple[Entity, ...]) -> tuple[Evidence, ...]:
    """What the site's real lookups say of them."""
    answers = [lookup.answer(one) for lookup in LOOKUPS for one in entities]
    return tuple(answer for answer in answers if answer is not None)


LOOKUPS = make_enricher(SiteData(SITE)).lookups


def named(suggestions: tuple[Suggestion, ...]) -> list[tuple[str, str]]:
    return [(s.proposal.action, s.target) for s in suggestions]


HOST_IN = entity(EntityType.HOST, "ws-103", Role.TARGET)
USER_ACTING = entity(EntityType.USER, "j.plover", Role.ACTOR)


def test_hosts_and_acting_accounts_of_the_inventory_are_suggested() -> None:
    found_ones = responses("C-1", [record(HOST_IN, USER_ACTING)], SITE)
    assert named(found_ones) == [("isolate_host", "ws-103"), ("disable_account", "j.plover")]
    host = found_ones[0]
    assert (host.because, host.people, host.impactful) == (("T1021",), 1, True)
    assert host.digest == digest(host.proposal)
    assert host.proposal.is_draft
    assert "owner j.plover" in host.proposal.blast_radius[0]
    assert "j.plover" in host.proposal.blast_radius[2]
    assert "owns ws-103" in found_ones[1].proposal.blast_radius


def test_aliases_and_addresses_lead_to_one_target() -> None:
    one = record(entity(EntityType.HOST, "ws-103.kestrel.example"), entity(EntityType.IP, "10.20.10.103"), HOST_IN)
    assert named(responses("C-1", [one], SITE)) == [("isolate_host", "ws-103")]


@pytest.mark.parametrize("value", ["10.20.60.7", "ws-999", "dc-01.evil.example", "DC-01 ", "*", ""])
def test_a_network_or_an_unknown_name_is_no_target(value: str) -> None:
    kind = EntityType.IP if value[:1].isdigit() else EntityType.HOST
    assert responses("C-1", [record(entity(kind, value))], SITE) == ()


def test_an_account_that_something_was_done_to_is_not_locked() -> None:
    victim = entity(EntityType.USER, "j.plover", Role.TARGET)
    assert responses("C-1", [record(victim, techniques=("T1078",))], SITE) == ()


def test_the_firewall_is_not_cut_off() -> None:
    assert responses("C-1", [record(entity(EntityType.IP, "192.0.2.1"))], SITE) == ()


def test_a_benign_finding_suggests_nothing_but_counts_in_the_blast_radius() -> None:
    benign = record(HOST_IN, USER_ACTING, label=Label.BENIGN, number=2)
    assert responses("C-1", [benign], SITE) == ()
    (host,) = responses("C-1", [record(HOST_IN), benign], SITE)
    assert "named in 2 of 2 findings" in host.proposal.blast_radius[2]
    assert host.findings == ("F-0000000000000001",)


@pytest.mark.parametrize(("asset", "people"), [(DC, 2), (WS, 1), (ODD, 2)])
def test_critical_and_unknown_targets_need_two_people(asset: Asset, people: int) -> None:
    (one,) = responses("C-1", [record(entity(EntityType.HOST, asset.name))], SITE)
    assert one.people == people
    assert ("two different people" in one.approvers) == (people == 2)


def test_a_target_that_left_the_inventory_is_no_target_any_more() -> None:
    assert responses("C-1", [record(HOST_IN, USER_ACTING)], Inventory((DC,), ())) == ()


def test_criticality_is_the_inventorys_of_now_not_the_evidences_of_then() -> None:
    raised = msgspec.structs.replace(WS, criticality=Criticality.CRITICAL)
    (one,) = responses("C-1", [record(HOST_IN)], Inventory((raised,), ()))
    assert one.people == 2


def test_the_strongest_finding_comes_first_and_tickets_last() -> None:
    weak = record(HOST_IN, techniques=("T1190", "T1059"), pico=1)
    strong = record(entity(EntityType.HOST, "dc-01"), pico=9, number=2)
    assert named(responses("C-1", [weak, strong], SITE)) == [
        ("isolate_host", "dc-01"),
        ("isolate_host", "ws-103"),
        ("open_ticket", "no system"),
    ]


# --- addresses ----------------------------------------------------------------------------------------------------


def test_an_outside_address_is_blocked_at_the_inventorys_firewalls() -> None:
    one = record(entity(EntityType.IP, OUTSIDE, Role.ACTOR), HOST_IN, techniques=("T1110",))
    (block,) = responses("C-1", [one], SITE)
    assert [target.name for target in block.proposal.targets] == ["fw-01"]
    assert block.proposal.parameters == {"address": OUTSIDE, "minutes": 240}
    assert any("ws-103" in line for line in block.proposal.blast_radius)
    assert responses("C-1", [one], Inventory((WS,), ())) == (), "no firewall, no suggestion"


@pytest.mark.parametrize(
    "value", ["10.20.10.103", "192.0.2.1", "8.8.8.8", "10.99.1.1", "fe80::1%eth0", "::1", "example.org", ""]
)
def test_inside_well_known_and_unreadable_addresses_are_never_blocked(value: str) -> None:
    assert outside(record(entity(EntityType.IP, value), techniques=("T1110",))) == []


@pytest.mark.parametrize("missing", ["assets", "warninglists"])
def test_an_address_without_proof_is_not_blocked(missing: str) -> None:
    address = entity(EntityType.IP, OUTSIDE)
    answers = answered((address,))
    assert outside(record(address, evidence=answers)) == [OUTSIDE]
    assert outside(record(address, evidence=tuple(a for a in answers if a.source != missing))) == []
    silent = tuple(
        msgspec.structs.replace(a, status=LookupStatus.UNAVAILABLE) if a.source == missing else a for a in answers
    )
    assert outside(record(address, evidence=silent)) == []


def test_an_address_that_is_only_not_known_is_not_proven_outside() -> None:
    address = entity(EntityType.IP, OUTSIDE)
    inside = Evidence("assets", address.key, LookupStatus.NOT_FOUND, (("zone", "internal"),))
    assert outside(record(address, evidence=(inside, Evidence("warninglists", address.key, LookupStatus.NOT_FOUND)))) == []


def test_an_address_is_written_in_one_way() -> None:
    one = entity(EntityType.IP, "2001:0DB8:0000:0000:0000:0000:0000:0001")
    zone = Evidence("assets", one.key, LookupStatus.NOT_FOUND, (("zone", "external"),))
    lists = Evidence("warninglists", one.key, LookupStatus.NOT_FOUND)
    assert outside(record(one, evidence=(zone, lists))) == ["2001:db8::1"]


# --- domains and ssh users ----------------------------------------------------------------------------------------

NS = Asset("ns-01", "resolver", "k.curlew", Criticality.MEDIUM, ("192.0.2.53",))
BAD = "login.bad-harbour.net"


def test_an_outside_domain_is_blocked_at_the_inventorys_resolvers() -> None:
    one = record(entity(EntityType.DOMAIN, BAD), HOST_IN, techniques=("T1568",))
    found_ones = responses("C-1", [one], Inventory((WS, NS), ()))
    block = next(s for s in found_ones if s.proposal.action == "block_domain")
    assert ([target.name for target in block.proposal.targets], block.aim) == (["ns-01"], BAD)
    assert block.proposal.parameters == {"domain": BAD, "minutes": 240}
    assert ("block_domain", "ns-01") not in named(responses("C-1", [one], SITE)), "no resolver, no suggestion"


@pytest.mark.parametrize(
    "value",
    [
        "www.kestrel.example",
        "google.com",
        "co.uk",
        "BAD.net",
        "bad.net.",
        "bad.net\n",
        "*.bad.net",
        "bücher.com",
        "10.0.0.1",
        "",
    ],
)
def test_inside_well_known_and_odd_domains_are_never_blocked(value: str) -> None:
    assert outside_domains(record(entity(EntityType.DOMAIN, value))) == []


def test_an_acting_account_is_refused_over_ssh_at_the_hosts_of_the_finding() -> None:
    one = record(HOST_IN, USER_ACTING, techniques=("T1021.004",))
    (refuse,) = [s for s in responses("C-1", [one], SITE) if s.proposal.action == "refuse_ssh_user"]
    assert [target.name for target in refuse.proposal.targets] == ["j.plover", "ws-103"]


# --- nothing out of an alert --------------------------------------------------------------------------------------

NAMES = {asset.name for asset in SITE.assets} | {identity.name for identity in SITE.identities}
hostile = st.sampled_from(["ws-103", "dc-01", "j.plover", "fw-01", "; reboot", "<b>x</b>"]) | st.text(max_size=20)
entities = st.builds(Entity, st.sampled_from(EntityType), hostile, st.sampled_from(Role))


@given(st.lists(entities, max_size=6), hostile, st.lists(st.sampled_from([*PLAYBOOKS, "T9999"]), max_size=3))
def test_every_target_is_a_record_of_the_inventory(seen: list[Entity], text: str, techniques: list[str]) -> None:
    forged = [
        found(source, one, {"name": text, "matched": "name"}, text or "x")
        for source in ("assets", "identities")
        for one in seen
    ]
    one = record(*seen, techniques=tuple(techniques), evidence=(*answered(tuple(seen)), *forged), message=f"zz{text}zz")
    for suggestion in responses("C-1", [one], SITE):
        for target in suggestion.proposal.targets:
            assert target.name in NAMES
        assert f"zz{text}zz" not in str(suggestion.proposal), "no text of an alert is in what people would sign"


# --- the table ----------------------------------------------------------------------------------------------------


def test_the_table_names_real_techniques_and_actions_that_exist() -> None:
    assert {ident for ident in PLAYBOOKS if ident.startswith("TA")} <= set(TACTIC_NAMES)
    assert {ident for ident in PLAYBOOKS if not ident.startswith("TA")} <= set(technique_names())
    named = {name for names in (*PLAYBOOKS.values(), OTHERWISE) for name in names}
    assert named <= set(ACTIONS)
    assert not any(isinstance(ACTIONS[name], Reversal) for name in named), (
        "what is taken back is proposed by what it takes back"
    )


def test_techniques_come_before_tactics_and_parents_stand_in() -> None:
    assert lines(("T1003.001",), ("TA0043",)) == (("T1003", PLAYBOOKS["T1003"]),)
    assert lines(("T9999",), ("TA0011",)) == (("TA0011", PLAYBOOKS["TA0011"]),)
    assert lines((), ()) == (("", OTHERWISE),)


def test_a_proposal_is_exported_as_openc2_commands_one_for_each_target() -> None:
    firewalls = tuple(Target(TargetKind.ASSET, name, Criticality.MEDIUM) for name in ("fw-01", "fw-02"))
    block = Proposal("block_address", {"address": "203.0.113.9", "minutes": 30}, firewalls, "C-1", "p", "u", ("b",))
    found = commands(ACTIONS["block_address"], block)
    assert [one["actuator"]["x-countersign"]["hostname"] for one in found] == ["fw-01", "fw-02"]
    assert {one["target"]["ipv4_net"] for one in found} == {"203.0.113.9/32"}
    assert {one["args"]["duration"] for one in found} == {1_800_000}
    host = Proposal("isolate_host", {"minutes": 240}, firewalls[:1], "C-1", "p", "u", ("b",))
    (one,) = commands(ACTIONS["isolate_host"], host)
    assert (one["action"], one["target"]) == ("contain", {"device": {"hostname": "fw-01"}})


@pytest.mark.parametrize("name", sorted(ACTIONS))
@pytest.mark.parametrize("effect", list(Effect))
def test_what_was_carried_out_is_a_valid_ocsf_remediation_activity(name: str, effect: Effect) -> None:
    targets = (
        Target(TargetKind.ASSET, "file-01", Criticality.HIGH),
        Target(TargetKind.IDENTITY, "k.curlew", Criticality.LOW),
    )
    proposal = Proposal(
        name, {"address": "203.0.113.9", "domain": "evil.example"}, targets, "C-1", "plan", "undo", ("line",)
    )
    made = event(ACTIONS[name], proposal, 7, Status.PROBED_OK, Seen(effect, "seen"), 1_790_000_000_000, 1_790_000_000_900)
    assert list(validator("remediation_activity").iter_errors(made)) == []
    assert made["class_uid"] == 7001
