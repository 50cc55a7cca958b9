"""Signed notes, verifier keys and checkpoints: any deviation is refused, unknown signatures are tolerated."""

from __future__ import annotations

import pytest

from countersign.errors import UsageError, VerificationError
from countersign.ledger.merkle import EMPTY_ROOT
from countersign.ledger.note import (
    Checkpoint,
    Signature,
    VerifierKey,
    open_checkpoint,
    open_note,
    parse_checkpoint,
    parse_vkey,
    sign_note,
    split_note,
)
from countersign.store.keys import LogKey
from tests.ledger_log import KEY, OTHER_KEY, flip

VKEY = str(KEY.vkey)
TEXT = "first\n\nthird\n"
NOTE = sign_note(TEXT, KEY)


def test_opens_with_the_right_key_only() -> None:
    assert open_note(NOTE, [KEY.vkey]).text == TEXT
    with pytest.raises(VerificationError, match="no signature by a trusted key"):
        open_note(NOTE, [OTHER_KEY.vkey])
    with pytest.raises(VerificationError, match="no signature by a trusted key"):
        open_note(NOTE, [])


def test_every_flipped_bit_of_a_note_is_refused() -> None:
    for bit in range(8 * len(NOTE)):
        with pytest.raises(VerificationError):
            open_note(flip(NOTE, bit), [KEY.vkey])


def test_every_part_of_a_verifier_key_is_checked() -> None:
    for start in range(len(VKEY)):
        for end in range(start + 1, len(VKEY) + 1):
            if (start, end) != (0, len(VKEY)):
                with pytest.raises(UsageError):
                    parse_vkey(VKEY[start:end])
    for at in range(len(VKEY)):
        with pytest.raises(UsageError):
            parse_vkey(VKEY[:at] + chr(ord(VKEY[at]) + 1) + VKEY[at + 1 :])
    assert parse_vkey(VKEY) == KEY.vkey


def test_unknown_signatures_are_carried_and_a_bad_known_one_refuses_the_note() -> None:
    text, (mine,) = split_note(NOTE)
    stranger = Signature("stranger", b"abcd", b"x" * 64)
    both = sign_note(text, KEY, [stranger, mine])
    assert open_note(both, [KEY.vkey]).unverified == (stranger,)
    forged = sign_note(text, KEY, [mine._replace(raw=flip(mine.raw, 0))])
    with pytest.raises(VerificationError, match="does not hold"):
        open_note(forged, [KEY.vkey])


def test_same_name_with_another_key_is_unknown() -> None:
    assert KEY.name == OTHER_KEY.name
    with pytest.raises(VerificationError, match="no signature by a trusted key"):
        open_note(sign_note(TEXT, OTHER_KEY), [KEY.vkey])


def test_the_number_of_signatures_is_limited() -> None:
    text, (mine,) = split_note(NOTE)
    open_note(sign_note(text, KEY, [mine] * 99), [KEY.vkey])
    with pytest.raises(VerificationError, match="over 100"):
        open_note(sign_note(text, KEY, [mine] * 100), [KEY.vkey])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        NOTE[:-1],
        NOTE + b"\n",
        NOTE + b"more\n",
        b"\x01" + NOTE,
        b"\xff" + NOTE,
        NOTE.replace(b"\n", b"\r\n"),
        NOTE.replace("—".encode(), b"-"),
        NOTE.replace("— ".encode(), "—  ".encode()),
        NOTE.replace(b"log.test/one ", b"log.test/one  "),
        NOTE[:-2] + b"!\n",
        b"text\n\n\xe2\x80\x94 name AAAA\n",
        b"x" * 1_000_001,
    ],
)
def test_malformed_notes_are_refused(data: bytes) -> None:
    with pytest.raises(VerificationError):
        open_note(data, [KEY.vkey])


@pytest.mark.parametrize("text", ["", "no newline", "tab\there\n", "null\0\n"])
def test_text_that_cannot_be_signed(text: str) -> None:
    with pytest.raises(UsageError):
        sign_note(text, KEY)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "a\u2003b", "a\nb", "a\x01"])
def test_names_that_no_key_may_bear(name: str) -> None:
    with pytest.raises(UsageError):
        sign_note(TEXT, LogKey(name, bytes(32)))
    with pytest.raises(UsageError):
        parse_vkey(str(VerifierKey(name, bytes(32))))


CHECKPOINT = Checkpoint("log.test/one", 20852163, bytes(range(32)))


def test_checkpoint_text_reads_back() -> None:
    assert parse_checkpoint(CHECKPOINT.text) == CHECKPOINT
    extended = Checkpoint("o", 0, EMPTY_ROOT, ("one", "two"))
    assert parse_checkpoint(extended.text) == extended
    assert open_checkpoint(sign_note(CHECKPOINT.text, KEY), [KEY.vkey]) == CHECKPOINT


ROOT = CHECKPOINT.text.split("\n")[2]


@pytest.mark.parametrize(
    "text",
    [
        "o\n5\n",
        f"\n5\n{ROOT}\n",
        f"o\n05\n{ROOT}\n",
        f"o\n+5\n{ROOT}\n",
        f"o\n-5\n{ROOT}\n",
        f"o\n5 \n{ROOT}\n",
        f"o\n٥\n{ROOT}\n",
        f"o\n9223372036854775808\n{ROOT}\n",
        f"o\n{'9' * 40}\n{ROOT}\n",
        f"o\n5\n{ROOT[:-1]}\n",
        f"o\n5\n{ROOT[:-5]}\n",
        f"o\n5\n{ROOT[:-2]}9=\n",
        f"o\n5\n{ROOT}",
        f"o\n5\n{ROOT}\n\n",
        f"o\n5\n{ROOT}\nextension\n\n",
    ],
)
def test_malformed_checkpoints_are_refused(text: str) -> None:
    with pytest.raises(VerificationError):
        parse_checkpoint(text)


def test_a_checkpoint_must_be_signed_in_the_name_of_its_log() -> None:
    signed = sign_note(Checkpoint("another/log", 1, bytes(32)).text, KEY)
    with pytest.raises(VerificationError, match="signed only by"):
        open_checkpoint(signed, [KEY.vkey])
