"""Taking a person out of a value: no spelling of the name is left, and nothing else is touched."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from countersign.errors import UsageError
from countersign.ledger.redaction import Redactor, account_forms

NAME = "zora.quillfeather"
TOKEN = "erased~0123456789ab"
OTHERS = ("anzora.quillfeather", "zora.quillfeather-admin", "corp\\nzora.quillfeather")
REDACTOR = Redactor([NAME], TOKEN, OTHERS)


def spellings(name: str) -> list[str]:
    """Ways in which a name turns up in alerts."""
    wide = base64.b64encode(f"net user {name} /add".encode("utf-16-le")).decode()
    return [
        name,
        name.upper(),
        name.title(),
        f"CORP\\{name}",
        f"{name}@corp.example",
        quote(name).replace(".", "%2E"),
        "".join(f"%{ord(c):02x}" for c in name),
        "".join(f"\\u{ord(c):04x}" for c in name),
        "".join(f"={ord(c):02X}" for c in name),
        "".join(f"&#{ord(c)};" for c in name),
        "".join(f"\\x{ord(c):02x}" for c in name),
        "".join(f"\\{ord(c):03o}" for c in name),
        "".join(f"%u{ord(c):04x}" for c in name),
        " ".join(f"{ord(c):02x}" for c in name),
        ":".join(f"{ord(c):02X}" for c in name),
        f"{name[:8]}=\r\n{name[8:]}",
        f"https://x.example/?user={quote(name)}%40corp.example&q=1",
        f"powershell -enc {wide}",
        base64.b64encode(f"user={name}&x=1".encode()).decode(),
        f"proctitle={f'/home/{name}/x'.encode().hex()}",
        f"/home/{name}/.ssh/id",
        f"login by {name}.",
    ]


SPELT = st.sampled_from(spellings(NAME) + spellings(NAME.upper()))
WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
APART = st.sampled_from([" ", "\t", '"', "'", "(", "|", ";", ", ", "\n"])
TEXTS = st.tuples(WORDS, APART, SPELT, APART, WORDS).map("".join)
VALUES = st.recursive(
    st.one_of(TEXTS, WORDS, st.integers(-(2**53), 2**53), st.booleans(), st.none(), TEXTS.map(str.encode)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.one_of(WORDS, TEXTS), inner, max_size=4)),
    max_leaves=12,
)


def strings(value: Any) -> list[str]:
    """Every text in a value, keys included."""
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in strings(one)]
    if isinstance(value, list | tuple):
        return [text for one in value for text in strings(one)]
    return [value] if isinstance(value, str) else [value.decode("utf-8", "replace")] if isinstance(value, bytes) else []


def shape(value: Any) -> Any:
    """What is left of a value without its texts."""
    if isinstance(value, dict):
        return len(value) and "map"
    if isinstance(value, list | tuple):
        return [shape(one) for one in value]
    return type(value).__name__ if isinstance(value, str | bytes) else value


@pytest.mark.parametrize("spelt", spellings(NAME))
@pytest.mark.parametrize("around", ["{}", "a {} b", '"{}"', "x={}&y", "C:\\Users\\{}\\x"])
def test_every_spelling_is_found(spelt: str, around: str) -> None:
    text = around.format(spelt)
    assert REDACTOR.hits(text), text
    again = REDACTOR.text(text)
    assert not REDACTOR.hits(again)
    assert "quillfeather" not in again.lower()


@given(VALUES)
def test_nothing_of_the_name_is_left_and_the_shape_stays(value: Any) -> None:
    again = REDACTOR.value(value)
    assert not any(REDACTOR.hits(text) or "quillfeather" in text.lower() for text in strings(again))
    assert shape(again) == shape(value)
    assert REDACTOR.value(again) == again


@example("\tdXNlcj16b3JhLnF1aWxsZmVhdGhlciZ4PTE= ")
@given(VALUES.filter(lambda value: not isinstance(value, bytes)))
def test_a_json_message_stays_json(value: Any) -> None:
    raw = json.dumps({"alert": _plain(value)}).encode()
    again = REDACTOR.raw(raw)
    assert "quillfeather" not in json.dumps(json.loads(again)).lower()
    assert json.loads(again) == REDACTOR.value(json.loads(raw)) or b"erased" in again


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(held) for key, held in value.items()}
    return value


@given(
    st.one_of(
        WORDS, st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode()), st.from_regex(r"[0-9a-f]{64}")
    )
)
def test_what_does_not_name_them_keeps_its_bytes(text: str) -> None:
    assert REDACTOR.text(text) == text
    assert REDACTOR.raw(text.encode()) == text.encode()


@pytest.mark.parametrize("other", [*OTHERS, "zora.quillfeatherstone", "azora.quillfeather", "quillfeather", "zora"])
def test_other_people_stay(other: str) -> None:
    text = f"login of {other} on web-1"
    assert REDACTOR.text(text) == text
    assert REDACTOR.text(f"{text} and {NAME}") == f"{text} and {TOKEN}"


def test_a_mail_address_is_matched_whole() -> None:
    one = Redactor(["ann@corp.example"], TOKEN)
    for other in ("joann@corp.example", "jo.ann@corp.example", "ann@corp.example.org", "ann@other.example", "ann"):
        assert one.text(other) == other
    for same in (
        "Ann@Corp.Example",
        "ann%40corp.example",
        "<ann@corp.example>",
        "ann@corp.example.",
        "mailto:ann@corp.example",
    ):
        assert TOKEN in one.text(same)


SPACED = Redactor(["Zoë Quillfeather"], TOKEN)


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"&#{ord(c)};" for c in "Zoë Quillfeather"),
        "".join(f"\\u{ord(c):04x}" for c in "Zoë Quillfeather"),
        quote("".join(f"%{octet:02X}" for octet in "Zoë Quillfeather".encode())),
        r"Zo\xC3\xAB Quillfeather",
        r"Zo\303\253\040Quillfeather",
        "=?ISO-8859-1?Q?Zo=EB_Quillfeather?=",
        r"\x20Zoë Quillfeather\x20",
    ],
)
def test_every_character_of_a_display_name_may_be_escaped(text: str) -> None:
    assert TOKEN in SPACED.text(text)
    assert "Quill" not in SPACED.text(text)


def test_latin_1_octets_of_a_raw_message() -> None:
    assert SPACED.raw("login Zoë Quillfeather ok".encode("latin-1")) == f"login {TOKEN} ok".encode()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("before", range(28, 58))
def test_base64_over_several_lines_wherever_they_break(before: int, end: str) -> None:
    mail = f"{'y' * before} {NAME}@corp.example\r\n{'z' * 90}"
    lines = base64.encodebytes(mail.encode()).decode().replace("\n", end)
    held = json.loads(REDACTOR.raw(json.dumps({"body": lines}).encode()))["body"]
    assert base64.b64decode(held).decode() == mail.replace(NAME, TOKEN)
    assert {len(line) for line in held.split(end)[:-2]} == {76}


def test_names_with_spaces_and_other_letters() -> None:
    one = Redactor(["Zoë Márquez"], TOKEN)
    for same in (
        "zoë márquez",
        "ZOË  MÁRQUEZ",
        "Zoe\u0308 Ma\u0301rquez",
        "Zo%C3%AB%20M%C3%A1rquez",
        "Zo\\u00eb M\\u00e1rquez",
    ):
        assert one.text(f"by {same}!") == f"by {TOKEN}!"


@pytest.mark.parametrize("name", ["", "ab", "erased"])
def test_names_that_cannot_be_looked_for_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        Redactor([name], TOKEN)


@pytest.mark.parametrize(
    ("value", "same"),
    [("ann", True), ("CORP\\Ann", True), ("ann@corp.example", True), ("corp/ann", True), ("joann", False), ("ann.b", False)],
)
def test_account_forms(value: str, same: bool) -> None:
    assert account_forms("Ann", value) is same
