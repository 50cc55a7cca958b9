"""Whoever verifies a log sees when an agent wrote without a lease that let it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countersign.ledger.judging import Told
from countersign.ledger.mandates import LEASES_KEPT, Mandates, is_signed, message
from countersign.model.entries import Actor, Entry, Kind

KEYS = {name: Ed25519PrivateKey.generate() for name in ("triage", "enricher")}
SYSTEM = Actor("system", "countersign")
TRIAGE = Actor("agent", "triage", "L1")


def entry(kind: Kind, subject: str = "", actor: Actor = SYSTEM, time: int = 10, **body: Any) -> Entry:
    return Entry(kind, time, actor, subject, "", body)


def registered(name: str) -> Entry:
    public = KEYS[name].public_key().public_bytes_raw().hex()
    return entry(Kind.AGENT_REGISTERED, name, public_key=public)


def issued(ident: str = "L1", *, by: str = "triage", **changed: Any) -> Entry:
    handed = [{"to": "enricher", "id": "L1a", "operations": ["evidence.lookup"], "resources": ["lookup/geo"]}]
    body = {
        "agent": "triage",
        "operations": ["evidence.lookup", "finding.decide"],
        "expires_ms": 20,
        "handed": handed,
    } | changed
    signature = KEYS[by].sign(message(ident, body)).hex()
    return entry(Kind.LEASE_ISSUED, ident, Actor("agent", "triage", ident), **body, signature=signature)


DECIDED = entry(Kind.FINDING_DECIDED, "F-1", TRIAGE)
BEGUN = [registered("triage"), registered("enricher")]
GOOD = [*BEGUN, issued(), DECIDED]


def problems(*entries: Entry) -> list[str]:
    walk = Mandates()
    return [what for one in entries if (what := walk.problem(one))]


def test_what_rests_on_a_lease_is_no_problem() -> None:
    assert problems(*GOOD) == []
    assert problems(*GOOD, entry(Kind.AGENT_STOPPED, "triage"), entry(Kind.AGENT_RESUMED, "triage"), DECIDED) == []


@pytest.mark.parametrize(
    ("entries", "wanted"),
    [
        ([*BEGUN, DECIDED], "without a lease"),
        ([*BEGUN, DECIDED, issued()], "without a lease"),
        ([*GOOD, msgspec.structs.replace(DECIDED, actor=Actor("agent", "enricher", "L1"))], "under a lease of triage"),
        ([*GOOD, msgspec.structs.replace(DECIDED, time=20)], "after its lease had ended"),
        ([*GOOD, entry(Kind.LEASE_REVOKED, "L1"), DECIDED], "under a revoked lease"),
        ([*GOOD, entry(Kind.AGENT_STOPPED, "triage"), DECIDED], "while it was stopped"),
        ([*GOOD, entry(Kind.CASE_MERGED, "C-1", TRIAGE)], "what its lease does not allow"),
        ([*BEGUN, issued(by="enricher")], "not signed by the key of agent triage"),
        ([*BEGUN, msgspec.structs.replace(issued(), subject="L2", actor=SYSTEM)], "not signed"),
        ([*BEGUN, entry(Kind.AGENT_STOPPED, "enricher"), issued()], "handed on to enricher, which is stopped"),
        ([registered("triage"), issued()], "handed on to enricher, which is stopped or not enrolled"),
        ([*BEGUN, entry(Kind.AGENT_RETIRED, "triage"), issued()], "not signed"),
        ([*BEGUN, issued(operations=["finding.decide"])], "with more than it allows"),
        ([*BEGUN, entry(Kind.LEASE_ISSUED, "L3", signature="x")], "is not as it should be"),
    ],
)
def test_each_lack_is_named(entries: list[Entry], wanted: str) -> None:
    (found,) = problems(*entries)
    assert wanted in found


def test_logs_of_before_are_not_judged() -> None:
    assert problems(DECIDED, entry(Kind.LEASE_ISSUED, "L0", agent="enricher", expires=5), DECIDED) == []


def test_a_changed_body_or_a_broken_signature_does_not_pass_for_signed() -> None:
    good = issued()
    public = KEYS["triage"].public_key().public_bytes_raw().hex()
    assert is_signed("L1", good.body, public)
    for name in good.body:
        changed = good.body | {name: "00" if name == "signature" else "else"}
        assert not is_signed("L1", changed, public), name
    assert not is_signed("L1", good.body, "")
    assert not is_signed("L1", {}, public)


def test_memory_stays_flat() -> None:
    walk = Mandates()
    for one in (*BEGUN, *(issued(f"L{i}") for i in range(LEASES_KEPT + 2))):
        assert walk.problem(one) == ""
    assert walk.problem(msgspec.structs.replace(DECIDED, actor=Actor("agent", "triage", "L0")))
    assert not walk.problem(msgspec.structs.replace(DECIDED, actor=Actor("agent", "triage", f"L{LEASES_KEPT}")))


def run(lease: Entry, **body: object) -> Told:
    """Three decisions in a row, as one bundle tells of them."""
    return Told(7, msgspec.structs.replace(DECIDED, actor=Actor("agent", "triage", lease.subject), body=body), 3, 0)


def test_what_is_told_at_once_is_judged_and_counted_each() -> None:
    walk = Mandates()
    lease = issued(resources=["lookup/geo"])
    for one in (*BEGUN, lease):
        assert not walk.problem(one)
    assert list(walk.problems(run(lease, asked=("geo",)))) == []
    assert walk.finish().checked["entries_of_agents"] == walk.checked == 4  # the lease is one as well
    (found,) = walk.problems(run(lease, asked=("geo", "assets")))
    assert "rests on assets, which its lease does not name" in found


@pytest.mark.parametrize(
    ("kind", "body", "wanted"),
    [
        (Kind.ACTION_INTENDED, {"action": "isolate_host"}, ""),
        (Kind.ACTION_INTENDED, {"action": "disable_account"}, "of an action that its lease does not name"),
        (Kind.ACTION_STARTED, {}, ""),
        (Kind.ACTION_STARTED, {"other": 1}, "for another task than its lease names"),
    ],
)
def test_an_action_needs_a_lease_for_itself(kind: Kind, body: dict[str, object], wanted: str) -> None:
    more = {"operations": ["action.run"], "resources": ["action/isolate_host", "dc-01"], "task": "action-7", "handed": []}
    lease = issued("L9", **more)
    said = entry(kind, "8" if "other" in body else "7", Actor("agent", "triage", "L9"), **body)
    assert [wanted in what for what in problems(*BEGUN, lease, said)] == [True] * bool(wanted)
    assert problems(*BEGUN, issued("L9"), said), "a lease for something else"
