"""Leases: whatever is not exactly what was granted is refused, and delegation only narrows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.authority.agents import AGENTS, Agent, Operation
from countersign.authority.lease import (
    LEASE_MS_MAX,
    REVOCATIONS_AGE_MS_MAX,
    VerifiedLease,
    attenuate,
    demand,
    mint,
    new_root_key,
    public_key,
    verify_each,
)
from countersign.authority.terms import Lease, LeaseRefused, Revocations, Use
from countersign.errors import UsageError, VerificationError
from tests.examples import examples

ROOT = new_root_key()
PUBLIC = public_key(ROOT)
NOW = 1_700_000_000_000
OPERATIONS = sorted(AGENTS["investigator"].operations)
RESOURCES = ["lookups/local", "lookups/remote", "case/C-1001", 'a"; allow if true; //']

operations = st.sets(st.sampled_from(OPERATIONS), min_size=1)
resources = st.sets(st.sampled_from(RESOURCES), min_size=1)


def grant(**changed: object) -> Lease:
    wanted = {
        "agent": "investigator",
        "task": "batch-7",
        "operations": [Operation.LOOKUP],
        "resources": ["lookups/local"],
        "now_ms": NOW,
        "expires_ms": NOW + 1_000,
    }
    return mint(ROOT, **(wanted | changed))  # type: ignore[arg-type]


def use(lease: Lease, **changed: object) -> VerifiedLease:
    wanted = {
        "task": "batch-7",
        "operation": Operation.LOOKUP,
        "resource": "lookups/local",
        "now_ms": NOW,
        "revoked": Revocations(frozenset(), NOW),
        "case": "",
        "public": PUBLIC,
    } | changed
    used = Use(*(wanted.pop(name) for name in ("task", "now_ms", "case")))  # type: ignore[arg-type]
    public, resources = wanted.pop("public"), (wanted.pop("resource"),)
    return verify_each(lease, public, resources=resources, use=used, **wanted)[0]  # type: ignore[arg-type]


def allowed(lease: Lease, operation: Operation, resource: str, now_ms: int) -> bool:
    try:
        use(lease, operation=operation, resource=resource, now_ms=now_ms, revoked=Revocations(frozenset(), now_ms))
    except VerificationError:
        return False
    return True


def test_the_granted_use_passes_and_says_whose_it_is() -> None:
    lease = grant()
    verified = use(lease)
    assert (verified.agent, verified.task, verified.id) == ("investigator", "batch-7", lease.id)
    assert (verified.operation, verified.resource, verified.expires_ms) == (Operation.LOOKUP, "lookups/local", NOW + 1_000)


@settings(max_examples=examples(60), deadline=None)
@given(granted=operations, on=resources, wanted=st.sampled_from(OPERATIONS), resource=st.sampled_from(RESOURCES))
def test_exactly_what_was_granted_is_allowed(
    granted: set[Operation], on: set[str], wanted: Operation, resource: str
) -> None:
    lease = grant(operations=granted, resources=on)
    assert allowed(lease, wanted, resource, NOW) == (wanted in granted and resource in on)


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data(), first=operations, second=operations, on=resources, narrowed=resources, life=st.integers(1, 2_000))
def test_a_delegate_never_holds_more_than_its_delegator(
    data: st.DataObject, first: set[Operation], second: set[Operation], on: set[str], narrowed: set[str], life: int
) -> None:
    lease = grant(operations=first, resources=on)
    child = attenuate(lease, PUBLIC, operations=second, resources=narrowed, expires_ms=NOW + life)
    operation, resource = data.draw(st.sampled_from(OPERATIONS)), data.draw(st.sampled_from(RESOURCES))
    now_ms = NOW + data.draw(st.sampled_from([0, life - 1, life, 999, 1_000]))
    both = operation in first & second and resource in on & narrowed and now_ms < NOW + min(life, 1_000)
    assert allowed(child, operation, resource, now_ms) == both
    assert not both or allowed(lease, operation, resource, now_ms)
    assert set(child.operations) == {o.value for o in first & second}
    assert set(child.resources) == on & narrowed


@pytest.mark.parametrize(
    "changed",
    [
        {"now_ms": NOW + 1_000, "revoked": Revocations(frozenset(), NOW + 1_000)},
        {"task": "batch-8"},
        {"operation": Operation.PROPOSE},
        {"resource": "lookups/remote"},
        {"resource": "lookups"},
        {"public": public_key(new_root_key())},
    ],
    ids=["expired", "other task", "other operation", "other resource", "prefix of the resource", "other site"],
)
def test_every_other_use_is_refused(changed: dict[str, object]) -> None:
    lease = grant()
    use(lease)
    with pytest.raises(VerificationError):
        use(lease, **changed)


@settings(max_examples=examples(80), deadline=None)
@given(data=st.data())
def test_a_changed_byte_is_refused_or_changes_nothing(data: st.DataObject) -> None:
    """The encoding (protobuf) has one byte whose change turns a zero field into an ignored one: the same token."""
    lease = grant()
    token = bytearray(lease.token)
    place = data.draw(st.integers(0, len(token) - 1))
    token[place] ^= data.draw(st.integers(1, 255))
    changed = Lease(bytes(token), lease.id, "x", "x", (), (), 0)
    try:
        assert use(changed) == use(lease)
    except VerificationError:
        return
    with pytest.raises(VerificationError):
        use(changed, task="batch-8")


@given(token=st.binary(max_size=200))
def test_noise_is_refused(token: bytes) -> None:
    with pytest.raises(VerificationError):
        use(Lease(token, "", "x", "x", (), (), 0))


def test_an_oversized_token_is_refused_unread() -> None:
    with pytest.raises(VerificationError, match="longer"):
        use(Lease(b"x" * 20_000, "", "x", "x", (), (), 0))


def test_what_a_lease_says_of_itself_counts_for_nothing() -> None:
    lease = grant()
    boasting = Lease(lease.token, lease.id, "responder", "batch-8", ("action.run",), ("*",), NOW * 2)
    for changed in ({"operation": Operation.RUN}, {"task": "batch-8"}, {"resource": "*"}):
        with pytest.raises(VerificationError):
            use(boasting, **changed)


def test_revoking_a_lease_revokes_what_came_from_it() -> None:
    lease = grant()
    child = attenuate(lease, PUBLIC, expires_ms=NOW + 500)
    gone = Revocations(frozenset({lease.id}), NOW)
    for one in (lease, child):
        use(one)
        with pytest.raises(VerificationError, match="revoked"):
            use(one, revoked=gone)
    assert use(grant(task="batch-7"), revoked=gone), "another lease for the same task stays good"


@pytest.mark.parametrize("age_ms", [REVOCATIONS_AGE_MS_MAX + 1, -1])
def test_a_stale_or_future_revocation_list_refuses_everything(age_ms: int) -> None:
    with pytest.raises(VerificationError, match="stale"):
        use(grant(), revoked=Revocations(frozenset(), NOW - age_ms))


@pytest.mark.parametrize(
    "changed",
    [
        {"agent": "nobody"},
        {"agent": "correlator"},
        {"operations": [Operation.RUN]},
        {"operations": []},
        {"resources": []},
        {"task": ""},
        {"expires_ms": NOW},
        {"expires_ms": NOW + LEASE_MS_MAX + 1},
    ],
    ids=[
        "unknown agent",
        "not this agent's",
        "not this agent's either",
        "nothing",
        "nowhere",
        "no task",
        "born dead",
        "for ever",
    ],
)
def test_no_lease_is_minted_that_should_not_be(changed: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        grant(**changed)


def test_a_delegation_to_nothing_is_refused() -> None:
    with pytest.raises(UsageError):
        attenuate(grant(), PUBLIC)
    with pytest.raises(UsageError):
        attenuate(grant(), PUBLIC, operations=[])
    with pytest.raises(UsageError):
        attenuate(grant(), PUBLIC, resources=[])


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data(), granted=operations, on=resources, to=st.sampled_from(sorted(AGENTS)))
def test_whoever_it_is_handed_to_may_do_what_both_may_and_no_more(
    data: st.DataObject, granted: set[Operation], on: set[str], to: str
) -> None:
    child = attenuate(grant(operations=granted, resources=on), PUBLIC, to=to)
    operation, resource = data.draw(st.sampled_from(list(Operation))), data.draw(st.sampled_from(RESOURCES))
    expected = operation in granted & AGENTS[to].operations and resource in on
    assert allowed(child, operation, resource, NOW) == expected
    if expected:
        assert use(child, operation=operation, resource=resource).agent == to


@pytest.mark.parametrize("other", sorted(set(AGENTS) - {"enricher"}))
def test_what_was_handed_on_is_not_handed_on_under_another_name(other: str) -> None:
    child = attenuate(grant(), PUBLIC, to="enricher")
    assert use(child).agent == "enricher"
    with pytest.raises(LeaseRefused) as refused:
        use(attenuate(child, PUBLIC, to=other))
    assert refused.value.reason == "other holder"


def test_a_lease_about_a_case_is_good_for_it_alone() -> None:
    for lease in (grant(case="C-7"), attenuate(grant(), PUBLIC, case="C-7")):
        assert use(lease, case="C-7").case == "C-7"
        for case in ("", "C-8", "C-70"):
            with pytest.raises(LeaseRefused) as refused:
                use(lease, case=case)
            assert refused.value.reason == "other case"
    with pytest.raises(LeaseRefused):
        use(attenuate(grant(case="C-7"), PUBLIC, case="C-8"), case="C-8")


@pytest.mark.parametrize("stopped", ["investigator", "enricher"])
def test_stopping_either_agent_ends_a_lease_that_was_handed_on(stopped: str) -> None:
    child = attenuate(grant(), PUBLIC, to="enricher")
    use(child)
    with pytest.raises(LeaseRefused) as refused:
        use(child, revoked=Revocations(frozenset(), NOW, frozenset({stopped})))
    assert (refused.value.reason, refused.value.refusal.agent) == ("agent stopped", stopped)


def test_an_agent_that_is_no_longer_enrolled_has_no_lease() -> None:
    lease = grant()
    for agents in ({}, {"investigator": Agent("investigator", "", frozenset({Operation.PROPOSE}))}):
        with pytest.raises(LeaseRefused):
            use(lease, agents=agents)


@settings(max_examples=examples(60), deadline=None)
@given(life=st.integers(1, 1_000), later=st.integers(0, 200_000), age=st.integers(0, REVOCATIONS_AGE_MS_MAX))
def test_a_proof_ends_with_its_lease_or_when_the_list_is_old(life: int, later: int, age: int) -> None:
    lease = attenuate(grant(expires_ms=NOW + 100_000), PUBLIC, expires_ms=NOW + life * 100)
    proof = use(lease, revoked=Revocations(frozenset(), NOW - age))
    at = Use("batch-7", NOW + later)
    good = later < life * 100 and age + later <= REVOCATIONS_AGE_MS_MAX
    assert proof.allows(Operation.LOOKUP, "lookups/local", at) == good


@pytest.mark.parametrize(
    ("operation", "resource", "at", "reason"),
    [
        (Operation.PROPOSE, "lookups/local", Use("batch-7", NOW), "other operation"),
        (Operation.LOOKUP, "lookups/remote", Use("batch-7", NOW), "other resource"),
        (Operation.LOOKUP, "lookups/local", Use("batch-8", NOW), "other task"),
        (Operation.LOOKUP, "lookups/local", Use("batch-7", NOW, "C-1"), "other case"),
        (Operation.LOOKUP, "lookups/local", Use("batch-7", NOW + 1_000), "expired"),
    ],
)
def test_a_connector_refuses_a_proof_for_something_else(operation: Operation, resource: str, at: Use, reason: str) -> None:
    proof = use(grant())
    demand(proof, Operation.LOOKUP, "lookups/local", Use("batch-7", NOW))
    for shown, expected in ((proof, reason), (None, "no lease"), (grant(), "no lease")):
        with pytest.raises(LeaseRefused) as refused:
            demand(shown, operation, resource, at)  # type: ignore[arg-type]
        assert refused.value.reason == expected
        assert (refused.value.refusal.task, refused.value.refusal.operation) == (at.task, operation.value)


def test_a_verified_lease_cannot_be_made_by_hand() -> None:
    made = {"lease": "x", "task": "t", "agent": "a", "operation": Operation.LOOKUP, "resource": "r", "expires_ms": 1}
    with pytest.raises(VerificationError):
        VerifiedLease(object(), **made)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        use(grant()).resource = "lookups/remote"  # type: ignore[misc]


def test_every_agent_can_hold_a_lease_for_each_of_its_operations() -> None:
    for agent in AGENTS.values():
        assert agent.purpose
        for operation in agent.operations:
            lease = grant(agent=agent.name, operations=[operation])
            assert use(lease, operation=operation).agent == agent.name


def test_the_ledger_body_holds_no_token() -> None:
    lease = grant()
    body = lease.body()
    assert body["agent"] == "investigator"
    assert lease.token.hex() not in str(body)
    assert all(isinstance(value, str | int | list) for value in body.values())
