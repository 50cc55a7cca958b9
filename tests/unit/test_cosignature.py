"""Cosignatures, checked here from the specification's byte layout alone; and what of them counts for a quorum."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import UsageError, VerificationError
from countersign.ledger.cosignature import (
    WitnessKey,
    check_quorum,
    cosign,
    cosignatures,
    parse_witness_key,
    with_signatures,
)
from countersign.ledger.note import open_checkpoint, open_note, sign_note, split_note
from countersign.store.keys import LogKey
from tests.ledger_log import KEY, MemoryLog, blobs

ONE, TWO, THREE = (LogKey(f"witness.test/w{n}", bytes([n]) * 32) for n in (1, 2, 3))
ONE_KEY, TWO_KEY, THREE_KEY = (WitnessKey(key.name, key.public_key) for key in (ONE, TWO, THREE))
AT_S = 1_679_315_147
NOTE = MemoryLog(blobs(3)).checkpoint() or b""
TEXT = split_note(NOTE)[0]


def cosigned(*by: LogKey, at_s: int = AT_S, note: bytes = NOTE) -> bytes:
    return with_signatures(note, [cosign(TEXT, key, at_s) for key in by])


def by_layout(note: bytes, name: str, public_key: bytes) -> int:
    """The time of a cosignature: nothing of ours is used, only the layout that tlog-cosignature gives."""
    text, _, lines = note.decode().rpartition("\n\n")
    line = next(line for line in lines.splitlines() if line.startswith(f"— {name} "))
    raw = base64.b64decode(line.split(" ")[2], validate=True)
    assert raw[:4] == sha256(name.encode() + b"\n\x04" + public_key).digest()[:4]
    assert len(raw) == 4 + 8 + 64
    at_s = int.from_bytes(raw[4:12], "big")
    signed = b"cosignature/v1\n" + f"time {at_s}\n".encode() + f"{text}\n".encode()
    Ed25519PublicKey.from_public_bytes(public_key).verify(raw[12:], signed)
    return at_s


def test_a_cosignature_holds_by_the_specification_s_layout() -> None:
    note = cosigned(ONE, TWO)
    assert by_layout(note, ONE.name, ONE.public_key) == AT_S
    with pytest.raises(InvalidSignature):
        by_layout(note.replace(TEXT.encode(), TEXT.replace("\n3\n", "\n4\n").encode()), ONE.name, ONE.public_key)


def test_who_knows_only_the_log_s_key_opens_the_note_all_the_same() -> None:
    bare, full = open_checkpoint(NOTE, [KEY.vkey]), open_checkpoint(cosigned(ONE, TWO), [KEY.vkey])
    assert full == bare
    assert [line.name for line in open_note(cosigned(ONE, TWO), [KEY.vkey]).unverified] == [ONE.name, TWO.name]


def test_a_key_is_read_back_and_of_its_own_type() -> None:
    assert parse_witness_key(str(ONE_KEY)) == ONE_KEY
    head, _, tail = str(ONE_KEY).partition("+")
    for wrong in ("", "x", str(KEY.vkey), f"{head}+00000000+{tail.split('+')[1]}", f"a b+{tail}", str(ONE_KEY)[:-4]):
        with pytest.raises(UsageError):
            parse_witness_key(wrong)


@given(st.integers(0, 8 * len(NOTE) - 1))
def test_no_bit_of_what_was_cosigned_can_change(bit: int) -> None:
    note = bytearray(cosigned(ONE))
    note[bit // 8] ^= 1 << bit % 8
    try:
        found = cosignatures(bytes(note), [ONE_KEY])
    except VerificationError:
        return
    assert found == () or split_note(bytes(note))[0] == TEXT


@given(st.integers(0, 8 * (4 + 8 + 64) - 1))
def test_no_bit_of_a_cosignature_can_change(bit: int) -> None:
    line = cosign(TEXT, ONE, AT_S)
    raw = bytearray(line.key_id + line.raw)
    raw[bit // 8] ^= 1 << bit % 8
    note = with_signatures(NOTE, [line._replace(key_id=bytes(raw[:4]), raw=bytes(raw[4:]))])
    try:
        assert cosignatures(note, [ONE_KEY]) == (), "a key id that nobody has is passed over"
        assert bit < 32
    except VerificationError:
        assert bit >= 32


def test_one_that_does_not_hold_refuses_the_whole_note() -> None:
    forged = cosign(TEXT, TWO, AT_S)._replace(name=ONE.name, key_id=ONE_KEY.key_id)
    with pytest.raises(VerificationError, match="does not hold"):
        check_quorum(with_signatures(cosigned(TWO), [forged]), [ONE_KEY, TWO_KEY], 1)
    short = cosign(TEXT, ONE, AT_S)
    with pytest.raises(VerificationError, match="not in form"):
        cosignatures(with_signatures(NOTE, [short._replace(raw=short.raw[:-1])]), [ONE_KEY])
    for at_s in (0, 2**63):
        with pytest.raises(VerificationError, match="not in form"):
            cosignatures(cosigned(ONE, at_s=at_s), [ONE_KEY])


def test_a_note_signature_of_a_witness_s_key_is_no_cosignature() -> None:
    """Key type 1 and type 4 differ in key id and in what is signed."""
    assert cosignatures(sign_note(TEXT, ONE), [ONE_KEY]) == ()


@pytest.mark.parametrize(
    ("by", "quorum", "have"),
    [((), 0, 0), ((), 1, 0), ((ONE,), 1, 1), ((ONE, TWO), 3, 2), ((ONE, ONE), 2, 1), ((THREE,), 1, 0), ((ONE, THREE), 1, 1)],
)
def test_only_the_named_count_and_each_once(by: tuple[LogKey, ...], quorum: int, have: int) -> None:
    note, named = cosigned(*by), [ONE_KEY, TWO_KEY]
    if have >= quorum:
        assert len(check_quorum(note, named, quorum)) == have
    else:
        with pytest.raises(VerificationError, match=f"{have} of {quorum} cosignatures"):
            check_quorum(note, named, quorum)


def test_two_names_of_one_key_count_once() -> None:
    other = LogKey("witness.test/alias", bytes([1]) * 32)
    with pytest.raises(VerificationError, match="1 of 2"):
        check_quorum(cosigned(ONE, other), [ONE_KEY, WitnessKey(other.name, other.public_key)], 2)


def test_a_later_cosignature_takes_the_place_of_the_earlier() -> None:
    again = with_signatures(cosigned(ONE, TWO), [cosign(TEXT, ONE, AT_S + 5)])
    assert {one.by.name: one.at_s for one in cosignatures(again, [ONE_KEY, TWO_KEY])} == {ONE.name: AT_S + 5, TWO.name: AT_S}
    assert len(split_note(again)[1]) == 3
