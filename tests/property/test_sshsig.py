"""OpenSSH signatures: what verifies, and that nothing else does, whatever is done to it."""

from __future__ import annotations

import base64
import contextlib
import dataclasses

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from countersign.approvals import sshsig
from countersign.errors import UsageError, VerificationError
from tests.examples import examples
from tests.ssh_signing import SECURITY_KEY, How, Key, make, sign, sign_blob, string

MESSAGE = b"countersign-approval-v1\n" + b"5" * 64
KEYS = [
    make("ssh-ed25519"),
    make("ecdsa-sha2-nistp256"),
    make("ecdsa-sha2-nistp384"),
    make("ssh-rsa", scheme="rsa-sha2-256"),
    make("ssh-rsa", scheme="rsa-sha2-512"),
    make(SECURITY_KEY),
]
any_key = pytest.mark.parametrize("key", KEYS, ids=lambda key: key.scheme)
MADE = {key.scheme: sign_blob(key, MESSAGE, How()) for key in KEYS}


@any_key
@pytest.mark.parametrize("hashed", ["sha256", "sha512"])
def test_every_allowed_key_type_and_hash_verifies_and_names_its_key(key: Key, hashed: str) -> None:
    found = sshsig.verify(sign(key, MESSAGE, How(hash=hashed)), MESSAGE)
    assert found == sshsig.parse_key(key.public)
    assert found.line == " ".join(key.public.split()[:2])


@given(st.binary(max_size=300))
def test_any_message_verifies_and_no_other_does(message: bytes) -> None:
    armoured = sign(make(), message)
    assert sshsig.verify(armoured, message).type == "ssh-ed25519"
    with pytest.raises(VerificationError, match="does not match"):
        sshsig.verify(armoured, message + b"\n")


@any_key
@given(data=st.data())
@settings(max_examples=examples(150))
def test_any_flipped_bit_of_the_signature_is_refused(key: Key, data: st.DataObject) -> None:
    blob = bytearray(MADE[key.scheme])
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(VerificationError):
        sshsig.verify(sshsig.armour(bytes(blob)), MESSAGE)


@any_key
@given(data=st.data())
@settings(max_examples=examples(150))
def test_any_changed_character_of_the_text_is_refused(key: Key, data: st.DataObject) -> None:
    text = sshsig.armour(MADE[key.scheme])
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(max_codepoint=0x2FF))
    assume(other != text[place])
    with pytest.raises(VerificationError):
        sshsig.verify(text[:place] + other + text[place + 1 :], MESSAGE)


@any_key
@given(data=st.data())
def test_whatever_is_cut_off_says_so(key: Key, data: st.DataObject) -> None:
    text, blob = sshsig.armour(MADE[key.scheme]), MADE[key.scheme]
    with pytest.raises(VerificationError, match=r"cut short|not laid out|not between"):
        sshsig.verify(text[: data.draw(st.integers(0, len(text) - 1))], MESSAGE)
    with pytest.raises(VerificationError, match=r"signature refused|public key"):
        sshsig.verify(sshsig.armour(blob[: data.draw(st.integers(1, len(blob) - 1))]), MESSAGE)


@given(st.text(max_size=400) | st.binary(max_size=400).map(lambda b: sshsig.armour(b"SSHSIG\0\0\0\1" + b)))
@example(sshsig.armour(b"SSHSIG\0\0\0\1" + string(b"")))
@example("-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n")
def test_anything_else_is_refused_and_nothing_crashes(text: str) -> None:
    with pytest.raises(VerificationError, match=r"refused|public key"):
        sshsig.verify(text, MESSAGE)


@given(st.sampled_from(KEYS), st.binary(max_size=200), st.integers(0, 200))
def test_a_public_key_of_other_bytes_is_an_error_and_never_a_crash(key: Key, more: bytes, at: int) -> None:
    blob = key.blob[:at] + more
    assume(blob != key.blob)
    line = f"{key.type} {base64.b64encode(blob).decode()} comment"
    with contextlib.suppress(UsageError):
        assert sshsig.parse_key(line).blob == blob


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"namespace": "file"}, "made for 'file', not 'countersign'"),
        ({"namespace": "countersign2"}, "made for 'countersign2'"),
        ({"hash": "sha1"}, "hash 'sha1' is not allowed"),
        ({"hash": "sha384"}, "hash 'sha384' is not allowed"),
        ({"reserved": b"x"}, "version 1 does not know"),
        ({"extra": b"x"}, "version 1 does not know"),
        ({"magic": b"SSHSIH"}, "not an SSHSIG"),
        ({"version": 2}, "not an SSHSIG of version 1"),
    ],
)
@any_key
def test_what_is_not_for_us_is_refused_with_its_reason(key: Key, change: dict[str, object], words: str) -> None:
    with pytest.raises(VerificationError, match=words):
        sshsig.verify(sign(key, MESSAGE, dataclasses.replace(How(), **change)), MESSAGE)  # type: ignore[arg-type]


@any_key
def test_a_signature_says_for_which_namespace_it_is(key: Key) -> None:
    armoured = sign(key, MESSAGE, How(namespace="other"))
    assert sshsig.verify(armoured, MESSAGE, "other") == sshsig.parse_key(key.public)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (make("ecdsa-sha2-nistp521"), "key type 'ecdsa-sha2-nistp521' is not allowed"),
        (make("ssh-rsa", scheme="ssh-rsa"), "scheme 'ssh-rsa' is not one of ssh-rsa here"),
        (make("ssh-rsa", "short", bits=1024), "RSA key of 1024 bits"),
    ],
    ids=["p521", "sha-1", "1024 bits"],
)
def test_weak_and_unknown_keys_are_refused(key: Key, words: str) -> None:
    with pytest.raises(VerificationError, match=words):
        sshsig.verify(sign(key, MESSAGE), MESSAGE)


@pytest.mark.parametrize("flags", [0, 4, 0x80])
def test_a_security_key_that_nobody_touched_is_refused(flags: int) -> None:
    with pytest.raises(VerificationError, match="nobody touched it"):
        sshsig.verify(sign(make(SECURITY_KEY), MESSAGE, How(flags=flags)), MESSAGE)
    assert sshsig.verify(sign(make(SECURITY_KEY), MESSAGE, How(flags=5)), MESSAGE).type == SECURITY_KEY


def test_the_key_in_the_signature_cannot_be_exchanged() -> None:
    mine, other = make("ssh-ed25519", "mine"), make("ssh-ed25519", "other")
    blob = sign_blob(mine, MESSAGE, How()).replace(mine.blob, other.blob)
    with pytest.raises(VerificationError, match="does not match"):
        sshsig.verify(sshsig.armour(blob), MESSAGE)


@any_key
def test_a_scheme_of_another_key_type_is_refused(key: Key) -> None:
    other = "ssh-ed25519" if key.type != "ssh-ed25519" else SECURITY_KEY
    blob = sign_blob(key, MESSAGE, How())
    head = string(key.scheme.encode())
    place = blob.rindex(head)
    inner = string(other.encode()) + blob[place + len(head) :]
    changed = blob[: place - 4] + string(inner)
    with pytest.raises(VerificationError, match=r"scheme|touched"):
        sshsig.verify(sshsig.armour(changed), MESSAGE)


@pytest.mark.parametrize(
    "line", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-dss AAAAB3NzaC1kc3M=", "ssh-ed25519 ünïcode", "\ud800 x"]
)
def test_what_is_no_public_key_is_bad_input(line: str) -> None:
    with pytest.raises(UsageError, match=r"public key: .*; give the one line of a \.pub file"):
        sshsig.parse_key(line)


def test_a_private_key_is_not_taken_for_a_public_one() -> None:
    with pytest.raises(UsageError, match="public key"):
        sshsig.parse_key(make().private_file().decode())
