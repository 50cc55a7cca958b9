"""Passkeys that approve: what is signed is one digest at one place, and every other bit of it is refused. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Any

import cbor2
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from countersign.approvals import webauthn
from countersign.approvals.proposal import Proposal, typed
from countersign.approvals.webauthn import NONCE_CHARS, Assertion, Credential, b64, challenge, fresh, nonce, unb64, verify
from countersign.errors import VerificationError
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.model.matters import Ceremony
from countersign.model.responses import Target, TargetKind, moved, target_of
from tests.passkey_signing import ORIGIN, RP_ID, Authenticator

KEY = b"k" * 32
ADA = Authenticator("ada")
digests = st.binary(min_size=1).map(lambda data: hashlib.sha256(data).hexdigest())
times = st.integers(0, 2**44 - 1)


def credential(count: int = 0, key: bytes = ADA.cose) -> Credential:
    return Credential(b64(ADA.credential), b64(key), RP_ID, count)


def signed(digest: str, text: str, **wrong: Any) -> Assertion:
    asked = Ceremony(1, b64(challenge(digest, text)), RP_ID, (), text)
    return Assertion(**asdict(ADA.press(asked, **wrong)))


@given(digests, digests, times)
def test_an_assertion_is_for_one_digest_and_one_nonce(digest: str, other: str, at_ms: int) -> None:
    text = nonce(KEY, "person~ada", digest, at_ms)
    given_ = signed(digest, text, count=5)
    assert verify(given_, digest, credential(), ORIGIN) == 5
    assume(other != digest)
    with pytest.raises(VerificationError, match="something else"):
        verify(given_, other, credential(), ORIGIN)
    with pytest.raises(VerificationError, match="something else"):
        verify(replace(given_, nonce=nonce(KEY, "person~ada", digest, at_ms + 1)), digest, credential(), ORIGIN)


@given(st.sampled_from(["authenticator_data", "client_data", "signature"]), st.integers(0, 999), st.integers(1, 255))
def test_no_other_bits_verify(field: str, where: int, change: int) -> None:
    text = nonce(KEY, "person~ada", "0" * 64, 1)
    good = signed("0" * 64, text, count=9)
    raw = unb64(getattr(good, field), field)
    place = where % len(raw)
    bad = raw[:place] + bytes([raw[place] ^ change]) + raw[place + 1 :]
    with pytest.raises(VerificationError):
        verify(replace(good, **{field: b64(bad)}), "0" * 64, credential(), ORIGIN)


@given(st.binary(max_size=300), st.text(max_size=60))
def test_whatever_comes_is_an_answer_or_a_refusal_and_never_a_crash(data: bytes, text: str) -> None:
    for part in (b64(data), text):
        given_ = Assertion(b64(ADA.credential), part, part, part, text)
        with pytest.raises(VerificationError):
            verify(given_, "0" * 64, credential(), ORIGIN)
        with pytest.raises(VerificationError):
            fresh(KEY, part, "person~ada", "0" * 64, 1)


@pytest.mark.parametrize(
    "key",
    [
        cbor2.dumps({1: 2, 3: -35, -1: 2, -2: b"x" * 48, -3: b"y" * 48}),
        cbor2.dumps({1: 2, 3: -7, -1: 2, -2: b"x" * 48, -3: b"y" * 48}),
        cbor2.dumps({1: 3, 3: -37, -1: b"n" * 256, -2: b"\1\0\1"}),
        cbor2.dumps([]),
        b"\xff",
    ],
)
def test_keys_that_a_short_script_cannot_check_do_not_approve(key: bytes) -> None:
    text = nonce(KEY, "person~ada", "0" * 64, 1)
    with pytest.raises(VerificationError, match=r"its key|damaged"):
        verify(signed("0" * 64, text), "0" * 64, credential(key=key), ORIGIN)


@given(times, st.integers(-10, webauthn.CEREMONY_MS * 2), digests)
def test_a_nonce_is_for_one_person_and_digest_and_a_few_minutes(at_ms: int, later: int, digest: str) -> None:
    text = nonce(KEY, "person~ada", digest, at_ms)
    assert len(text) == NONCE_CHARS
    if 0 <= later <= webauthn.CEREMONY_MS:
        fresh(KEY, text, "person~ada", digest, at_ms + later)
    else:
        with pytest.raises(VerificationError, match="five minutes"):
            fresh(KEY, text, "person~ada", digest, at_ms + later)
    others = ((b"x" * 32, "person~ada", digest), (KEY, "person~bea", digest), (KEY, "person~ada", digest + "0"))
    for key, who, what in others:
        with pytest.raises(VerificationError, match="no question"):
            fresh(key, text, who, what, at_ms)


# --- what a proposal may hold, and what ends it -------------------------------------------------------------------


@given(st.text(max_size=40) | st.ip_addresses().map(str))
def test_text_is_no_parameter_unless_it_is_an_address_in_its_one_form(text: str) -> None:
    proposal = Proposal("block_address", {"address": text, "minutes": 5}, (), "C-1", "p", "u", ())
    try:
        canonical = str(ipaddress.ip_address(text)) == text and "%" not in text
    except ValueError:
        canonical = False
    if canonical:
        assert typed(proposal) is proposal
        return
    with pytest.raises(VerificationError, match="neither a number nor an address"):
        typed(proposal)


names = st.sampled_from(["dc-01", "web-1"])
assets = st.builds(
    Asset,
    name=names,
    role=st.sampled_from(["", "web"]),
    owner=st.sampled_from(["", "ann"]),
    criticality=st.sampled_from(Criticality),
    addresses=st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2"]), max_size=2, unique=True).map(tuple),
)


@given(assets, assets)
def test_a_target_has_moved_when_criticality_owner_or_address_did_and_only_then(was: Asset, now: Asset) -> None:
    found = moved((target_of(was),), Inventory((now,), (Identity("ann"),)))
    same = (was.name, was.criticality, was.owner, was.addresses) == (now.name, now.criticality, now.owner, now.addresses)
    assert bool(found) != same
    assert moved((Target(TargetKind.IDENTITY, "ann", Criticality.UNKNOWN),), Inventory((), (Identity("ann"),))) == ()
