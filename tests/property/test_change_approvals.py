"""Changes that only people may make: what is signed is what is read, and which signatures count."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from countersign.approvals import change as changes
from countersign.approvals import signed, sshsig
from countersign.approvals.change import Change
from countersign.approvals.proposal import NONCE_CHARS, canonical, digest
from countersign.approvals.quorum import Review, Standing
from countersign.approvals.signed import APPROVER, Enrolled
from countersign.errors import ConflictError, CountersignError, UsageError, VerificationError
from countersign.model.entries import Actor
from tests.ssh_signing import How, Key, make, sign

EXPIRES = 1_000
ADA, BEA, GOVERNOR = Actor("human", "person~ada"), Actor("human", "person~bea"), Actor("system", "governor")
KEYS = {ADA: make("ssh-ed25519", "ada"), BEA: make("ssh-ed25519", "bea")}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
changed = st.builds(
    Change,
    change=st.sampled_from(["autonomy.promote", "model.activate", "person.enrol"]),
    subject=texts.filter(bool),
    was=texts,
    to=texts,
    requester=st.builds(Actor, st.sampled_from(["human", "system", "agent"]), texts),
    evidence=st.dictionaries(texts, texts | st.integers(-(2**53) + 1, 2**53 - 1), max_size=3),
    people=st.integers(1, 2),
    expires_ms=st.just(EXPIRES),
    nonce=st.text("0123456789abcdef", min_size=NONCE_CHARS, max_size=NONCE_CHARS),
)


def enrolled(who: Actor, key: Key | None = None, **more: Any) -> Enrolled:
    public = sshsig.parse_key((key or KEYS[who]).public)
    values = {"entitlement": APPROVER, "enrolled_ms": 1} | more
    return Enrolled(who.id, public.line, public.fingerprint, **values)


PEOPLE = (enrolled(ADA), enrolled(BEA))


def promotion(**more: Any) -> Change:
    values: dict[str, Any] = {"change": "autonomy.promote", "subject": "phishing", "was": "advise", "to": "supervised"}
    values |= {"requester": GOVERNOR, "evidence": {"reviewed": 400}, "expires_ms": EXPIRES, "nonce": "0" * NONCE_CHARS}
    return Change(**(values | more))


def approval(by: Actor = ADA, reason: str = "read it", at_ms: int = 5) -> Review:
    return Review(by, True, reason, at_ms)


def accept(change: Change, review: Review | None = None, armoured: str | None = None, **more: Any) -> Enrolled:
    """The change approved as it should be, but for what is given."""
    data, review = canonical(change), review or approval()
    name = more.pop("digest", digest(change))
    armoured = armoured or sign(KEYS.get(review.by, KEYS[ADA]), changes.message(digest(change)))
    found = signed.unchanged(data, name)
    signed.admissible(found, found.requester, review, found.change)
    return signed.by_key(name, review, armoured, more.pop("people", PEOPLE))


# --- bytes, digest, text ------------------------------------------------------------------------------------------


@given(changed)
def test_bytes_are_rfc_8785_and_read_back(change: Change) -> None:
    data = canonical(change)
    assert data == rfc8785.dumps(json.loads(msgspec.json.encode(change)))
    assert changes.read(data) == change
    assert digest(change) == hashlib.sha256(data).hexdigest()
    assert changes.message(digest(change)) == b"countersign-approval-v1\n" + digest(change).encode()


@given(changed, st.sampled_from([f for f in Change.__struct_fields__ if f != "v"]), changed)
def test_every_field_is_signed_and_shown(change: Change, field: str, other: Change) -> None:
    value = getattr(other, field)
    assume(value != getattr(change, field))
    edited = replace(change, **{field: value})
    assert digest(edited) != digest(change)
    assert digest(edited) not in dict(changes.render(canonical(change))).values()
    if field != "expires_ms" and isinstance(value, str | int) and str(value).isprintable():
        assert str(value) in dict(changes.render(canonical(edited))).values()


@given(changed)
def test_what_is_read_names_everything_on_lines_of_its_own(change: Change) -> None:
    lines = dict(changes.render(canonical(change)))
    assert lines["SHA-256"] == digest(change)
    assert len(changes.render(canonical(change))) == 9 + len(change.evidence)
    assert all(text.isprintable() for text in lines.values())
    assert lines["expires"] == "1970-01-01T00:00:01+00:00"


@given(changed, st.data())
def test_no_other_bytes_read_as_the_change(change: Change, data: st.DataObject) -> None:
    good = canonical(change)
    place = data.draw(st.integers(0, len(good) - 1))
    bad = good[:place] + bytes([good[place] ^ data.draw(st.integers(1, 255))]) + good[place + 1 :]
    with pytest.raises(VerificationError):
        signed.unchanged(bad, digest(change))


@pytest.mark.parametrize(
    "edit",
    [{"people": 0}, {"people": 3}, {"v": 2}, {"subject": ""}, {"change": "Promote"}, {"expires_ms": 2**52}, {"w": 1}],
    ids=str,
)
def test_what_no_change_may_say_is_refused(edit: dict[str, Any]) -> None:
    data = rfc8785.dumps(json.loads(canonical(promotion())) | edit)
    with pytest.raises(VerificationError, match="not a proposal"):
        changes.read(data)


# --- who may approve ----------------------------------------------------------------------------------------------


@given(changed, st.sampled_from([ADA, BEA]))
def test_the_signature_of_an_enrolled_approver_counts(change: Change, who: Actor) -> None:
    assert accept(change, approval(who)) == enrolled(who)


@given(changed, changed)
def test_a_signature_over_one_change_approves_no_other(change: Change, other: Change) -> None:
    assume(change != other)
    armoured = sign(KEYS[ADA], changes.message(digest(other)))
    with pytest.raises(VerificationError, match="does not match"):
        accept(change, armoured=armoured)


REFUSED: list[tuple[str, type[CountersignError], dict[str, Any]]] = [
    ("not what was recorded", VerificationError, {"digest": "0" * 64}),
    ("reason is required", UsageError, {"review": approval(reason=" \n")}),
    ("longer than 2000", UsageError, {"review": approval(reason="x" * 2_001)}),
    ("not valid UTF-8", UsageError, {"review": approval(reason="a\ud800")}),
    ("after the proposal expired", ConflictError, {"review": approval(at_ms=EXPIRES)}),
    ("agents never approve", ConflictError, {"review": approval(Actor("agent", ADA.id))}),
    ("agents never approve", ConflictError, {"review": approval(Actor("system", "governor"))}),
    ("agents never approve", ConflictError, {"review": approval(Actor("human", ""))}),
    ("requester never approves", ConflictError, {"change": promotion(requester=ADA)}),
    ("a draft cannot be approved", ConflictError, {"change": promotion(nonce="")}),
    ("a draft cannot be approved", ConflictError, {"change": promotion(expires_ms=0)}),
    ("is not enrolled", VerificationError, {"people": (enrolled(BEA),)}),
    ("is not enrolled", VerificationError, {"people": ()}),
    ("somebody else", VerificationError, {"people": (enrolled(BEA, KEYS[ADA]),)}),
    ("was revoked", VerificationError, {"people": (enrolled(ADA, revoked_ms=4),)}),
    ("not an approver's", VerificationError, {"people": (enrolled(ADA, entitlement="viewer"),)}),
    ("made for 'file'", VerificationError, {"armoured": None}),
]


@pytest.mark.parametrize(("words", "error", "how"), REFUSED, ids=[words for words, _, _ in REFUSED])
def test_every_refusal_has_its_reason(words: str, error: type[CountersignError], how: dict[str, Any]) -> None:
    how = dict(how)
    change = how.pop("change", promotion())
    if "armoured" in how:
        how["armoured"] = sign(KEYS[ADA], changes.message(digest(change)), How(namespace="file"))
    with pytest.raises(error, match=words):
        accept(change, **how)


def test_nobody_is_both_requester_and_approver_under_another_key() -> None:
    second = make("ssh-ed25519", "ada's second")
    change = promotion(requester=ADA)
    armoured = sign(second, changes.message(digest(change)))
    with pytest.raises(ConflictError, match="requester never"):
        accept(change, armoured=armoured, people=(enrolled(ADA, second),))


def test_a_nonce_serves_once() -> None:
    assert signed.unused(promotion(), {"1" * 32}) == promotion()
    with pytest.raises(ConflictError, match="used before"):
        signed.unused(promotion(), {"0" * 32})
    with pytest.raises(ConflictError, match="draft"):
        signed.unused(promotion(nonce=""), set())


# --- how many -----------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([ADA, BEA]), max_size=4), st.integers(1, 2))
def test_as_many_different_people_as_the_change_says(order: list[Actor], needed: int) -> None:
    change, given_reviews = promotion(people=needed), list[Review]()
    for who in order:
        if who in {review.by for review in given_reviews}:
            with pytest.raises(ConflictError, match="answered before"):
                signed.count(change, given_reviews, approval(who))
            continue
        found = signed.count(change, given_reviews, approval(who))
        given_reviews.append(approval(who))
        enough = len(given_reviews) >= needed
        assert found.standing is (Standing.APPROVED if enough else Standing.WAITING)


def test_after_a_denial_or_the_expiry_nothing_counts() -> None:
    denial = Review(BEA, False, "no", 2)
    with pytest.raises(ConflictError, match="the change is denied"):
        signed.count(promotion(), [denial], approval())
    with pytest.raises(ConflictError, match="after the proposal expired"):
        signed.count(promotion(), [], approval(at_ms=EXPIRES))
