"""Proposals, quorum and the way of an action: pure, so every promise is tried on what nobody thought of."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import assume, given
from hypothesis import strategies as st

from countersign.approvals.proposal import NONCE_CHARS, Proposal, canonical, digest, people_needed, read
from countersign.approvals.quorum import Review, Standing, tally
from countersign.approvals.status import NEXT, Event, Status, next_status
from countersign.errors import ConflictError, UsageError, VerificationError
from countersign.model.entries import Actor
from countersign.model.inventory import Criticality
from countersign.model.responses import Target, TargetKind

EXPIRES = 1_000
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
targets = st.builds(Target, st.sampled_from(TargetKind), texts, st.sampled_from(Criticality))
parameters = st.dictionaries(texts, texts | st.integers(-(2**53) + 1, 2**53 - 1), max_size=4)
proposals = st.builds(
    Proposal,
    action=texts,
    parameters=parameters,
    targets=st.lists(targets, max_size=3).map(tuple),
    case=texts,
    plan=texts,
    undo=texts,
    blast_radius=st.lists(texts, max_size=3).map(tuple),
    expires_ms=st.just(EXPIRES),
    nonce=st.text("0123456789abcdef", min_size=NONCE_CHARS, max_size=NONCE_CHARS),
)
PEOPLE = ("ada", "bea", "cyn", "requester")
reviews = st.lists(
    st.builds(
        Review,
        by=st.builds(Actor, st.sampled_from(["human", "human", "agent", "system"]), st.sampled_from(PEOPLE)),
        approve=st.sampled_from([True, True, True, False]),
        reason=st.sampled_from(["seen it", "", "  "]),
        at_ms=st.integers(0, EXPIRES + 10),
    ),
    max_size=6,
)
REQUESTER = Actor("human", "requester")


def approval(who: str, kind: str = "human", at_ms: int = 1) -> Review:
    return Review(Actor(kind, who), True, "seen it", at_ms)


def made(criticality: Criticality, **more: Any) -> Proposal:
    values = {"expires_ms": EXPIRES, "nonce": "0" * NONCE_CHARS} | more
    return Proposal("isolate_host", {}, (Target(TargetKind.ASSET, "dc-01", criticality),), "C-1", "p", "u", (), **values)


# --- bytes and digest ---------------------------------------------------------------------------------------------


@given(proposals)
def test_bytes_are_rfc_8785_and_read_back(proposal: Proposal) -> None:
    data = canonical(proposal)
    assert data == rfc8785.dumps(json.loads(msgspec.json.encode(proposal)))
    assert read(data) == proposal
    assert digest(proposal) == hashlib.sha256(data).hexdigest()


@given(proposals, proposals)
def test_a_digest_stands_for_one_proposal(one: Proposal, other: Proposal) -> None:
    assert (digest(one) == digest(other)) == (one == other)


@given(proposals, st.sampled_from([f for f in Proposal.__struct_fields__ if f != "v"]), proposals)
def test_every_field_is_signed(proposal: Proposal, field: str, other: Proposal) -> None:
    value = getattr(other, field)
    assume(value != getattr(proposal, field))
    assert digest(msgspec.structs.replace(proposal, **{field: value})) != digest(proposal)


@given(proposals, st.data())
def test_no_other_bytes_read_as_the_proposal(proposal: Proposal, data: st.DataObject) -> None:
    good = canonical(proposal)
    place = data.draw(st.integers(0, len(good) - 1))
    bad = good[:place] + bytes([good[place] ^ data.draw(st.integers(1, 255))]) + good[place + 1 :]
    with contextlib.suppress(VerificationError):
        assert read(bad) != proposal


@pytest.mark.parametrize("edit", [lambda d: b" " + d, lambda d: d[:-1] + b',"w":1}', lambda d: b"[]", lambda d: b"\xff"])
def test_anything_but_the_canonical_bytes_is_refused(edit: Any) -> None:
    with pytest.raises(VerificationError):
        read(edit(canonical(made(Criticality.LOW))))


def test_what_canonical_json_cannot_hold_is_named() -> None:
    with pytest.raises(UsageError, match=r"proposal\.plan"):
        canonical(msgspec.structs.replace(made(Criticality.LOW), plan="\ud800"))


# --- quorum -------------------------------------------------------------------------------------------------------


@given(proposals, reviews, st.integers(0, EXPIRES + 10))
def test_approved_means_enough_different_people_none_of_them_the_requester(
    proposal: Proposal, given_reviews: list[Review], now_ms: int
) -> None:
    found = tally(proposal, REQUESTER, given_reviews, now_ms)
    assert len(found.approvals) + len(found.refused) <= len(given_reviews)
    if found.standing is not Standing.APPROVED:
        return
    critical = any(target.criticality is Criticality.CRITICAL for target in proposal.targets)
    assert len(set(found.approvals)) == len(found.approvals) >= (2 if critical else 1)
    assert REQUESTER.id not in found.approvals
    assert now_ms < proposal.expires_ms
    for who in found.approvals:
        good = [r for r in given_reviews if r.by == Actor("human", who) and r.approve and r.reason.strip()]
        assert any(r.at_ms <= now_ms for r in good)


@given(proposals, reviews, st.sampled_from(["agent", "system"]), st.sampled_from([*PEOPLE, "bot"]), st.data())
def test_agents_and_the_requester_change_nothing(
    proposal: Proposal, given_reviews: list[Review], kind: str, who: str, data: st.DataObject
) -> None:
    extra = data.draw(st.sampled_from([approval(who, kind), approval(REQUESTER.id)]))
    place = data.draw(st.integers(0, len(given_reviews)))
    before = tally(proposal, REQUESTER, given_reviews, 500)
    after = tally(proposal, REQUESTER, [*given_reviews[:place], extra, *given_reviews[place:]], 500)
    assert (after.standing, after.approvals) == (before.standing, before.approvals)


@given(proposals, reviews)
def test_nothing_is_approved_once_it_has_expired(proposal: Proposal, given_reviews: list[Review]) -> None:
    assert tally(proposal, REQUESTER, given_reviews, EXPIRES).standing in {Standing.EXPIRED, Standing.DENIED}


@given(proposals, reviews, st.sampled_from(["nonce", "expires_ms"]))
def test_a_draft_is_never_approved(proposal: Proposal, given_reviews: list[Review], field: str) -> None:
    draft = msgspec.structs.replace(proposal, **{field: "" if field == "nonce" else 0})
    assert draft.is_draft
    found = tally(draft, REQUESTER, given_reviews, 500)
    assert found.approvals == ()
    assert found.standing is not Standing.APPROVED


@pytest.mark.parametrize(
    ("criticality", "needed"), [(c, 2 if c in {Criticality.CRITICAL, Criticality.UNKNOWN} else 1) for c in Criticality]
)
def test_a_critical_or_unknown_target_takes_two_people(criticality: Criticality, needed: int) -> None:
    proposal = made(criticality)
    assert people_needed(proposal.targets) == needed
    one, two = ([approval(who) for who in names] for names in (["ada", "ada"], ["ada", "bea"]))
    assert tally(proposal, REQUESTER, one, 5).standing is (Standing.WAITING if needed == 2 else Standing.APPROVED)
    assert tally(proposal, REQUESTER, two, 5).standing is Standing.APPROVED


def test_one_denial_ends_it_and_every_refusal_says_why() -> None:
    denial = Review(Actor("human", "bea"), False, "wrong host", 2)
    assert tally(made(Criticality.LOW), REQUESTER, [approval("ada"), denial], 5).standing is Standing.DENIED
    odd = [approval("requester"), approval("x", "agent"), Review(Actor("human", "cyn"), True, " ", 1), approval("ada"),
           approval("ada"), approval("bea", at_ms=9)]  # fmt: skip
    found = tally(made(Criticality.LOW), REQUESTER, odd, 5)
    assert found.approvals == ("ada",)
    assert [why for _, why in found.refused] == [
        "the requester never approves",
        "agents never approve",
        "a reason is required",
        "has answered before",
        "given in the future",
    ]


# --- the way of an action -----------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(Event), max_size=12))
def test_no_order_of_events_runs_what_was_not_approved_and_sealed(events: list[Event]) -> None:
    status, way = Status.PROPOSED, [Status.PROPOSED]
    for event in events:
        try:
            status = next_status(status, event)
        except ConflictError:
            continue
        way.append(status)
    assert len(set(way)) == len(way), "no state is entered twice"
    if Status.RUNNING in way:
        assert way[:4] == [Status.PROPOSED, Status.APPROVED, Status.SEALED, Status.RUNNING]


FINAL = {Status.DENIED, Status.EXPIRED, Status.OUTDATED, Status.UNDO_PROPOSED, Status.PERSON}
"""Nothing has an effect after these."""


@pytest.mark.parametrize(("status", "event"), list(itertools.product(Status, Event)))
def test_the_table_is_all_there_is(status: Status, event: Event) -> None:
    if (status, event) in NEXT:
        assert next_status(status, event) is NEXT[(status, event)]
        assert status not in FINAL
    else:
        with pytest.raises(ConflictError, match=status.value):
            next_status(status, event)


def test_every_state_is_reached_and_every_open_one_can_fail_or_end() -> None:
    assert set(NEXT.values()) | {Status.PROPOSED} == set(Status)
    left = {status for status, _ in NEXT}
    assert set(Status) - left == FINAL
    after_seal = {NEXT[key] for key in NEXT if key[0] in {Status.SEALED, Status.RUNNING} and key[1] is Event.FAILED}
    assert after_seal == {Status.PERSON}
