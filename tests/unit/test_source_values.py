"""Normalising: one spelling per thing, whoever wrote it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from sys import getrefcount

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import SourceError
from countersign.model.entities import EntityType, Role
from countersign.sources.attack import tactic_ids, technique_ids
from countersign.sources.values import (
    EARLIEST_MS,
    LATEST_MS,
    VALUE_CHARS_MAX,
    clean_ip,
    datetime_ms,
    is_private,
    iso_ms,
    maker,
    text_bytes,
)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("host", "WEB-1.Example.ORG.", "web-1.example.org"),
        ("user", "Alice", "alice"),
        ("ip", "192.0.2.1:443", "192.0.2.1"),
        ("ip", "2001:DB8::0001", "2001:db8::1"),
        ("ip", "[2001:db8::1]:443", "2001:db8::1"),
        ("ip", "fe80::1%eth0", "fe80::1"),
        ("ip", "::ffff:192.0.2.1", "192.0.2.1"),
        ("ip", "not an address", ""),
        ("ip", "192.0.2.256", ""),
        ("domain", "Login.Example.NET.", "login.example.net"),
        ("domain", "login.example.net:8443", "login.example.net"),
        ("domain", "192.0.2.1", ""),
        (
            "hash",
            "SHA256=9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ),
        ("hash", "b2:9b:39:19:90:c1:c4:40:a3:97:18:75:52:1f:05:16:d2:f6:66:57", "b29b391990c1c440a3971875521f0516d2f66657"),
        ("hash", "nonsense", ""),
        ("mail", "The CEO <CEO@Example.org>", "ceo@example.org"),
        ("mail", "smtp:peter@example.org", "peter@example.org"),
        ("mail", "nobody", ""),
        ("url", " https://example.org/A ", "https://example.org/A"),
        ("user", "-", ""),
        ("host", "  ", ""),
        ("process", "a\u202eb\x01", "a\u202eb\x01"),
    ],
)
def test_one_spelling(kind: str, text: str, value: str) -> None:
    entity = maker(EntityType(kind), Role.ACTOR)(text)
    assert (entity.value if entity else "") == value


@given(st.sampled_from(list(EntityType)), st.text(max_size=2000))
def test_normalising_is_bounded_and_stable(kind: EntityType, text: str) -> None:
    make = maker(kind, Role.OBSERVED)
    entity = make(text)
    if entity is not None:
        assert 0 < len(entity.value) <= VALUE_CHARS_MAX
        assert make(text) == entity


@given(st.ip_addresses())
def test_addresses_round_trip(address: object) -> None:
    text = clean_ip(str(address))
    assert clean_ip(text) == text != ""
    assert clean_ip(str(address).upper()) == text


@pytest.mark.parametrize("address", ["10.1.2.3", "172.16.0.1", "172.31.255.1", "192.168.0.1", "fd00::1", "fe80::1", "::1"])
def test_private(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", ["11.1.2.3", "172.15.0.1", "172.32.0.1", "172.160.1.1", "192.169.0.1", "2001:db8::1"])
def test_public(address: str) -> None:
    assert not is_private(address)


@given(st.integers(EARLIEST_MS + 1, LATEST_MS - 1), st.integers(0, 999))
def test_times_are_exact_to_the_millisecond(ms: int, micros: int) -> None:
    moment = datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000 + micros)
    assert iso_ms(moment.isoformat(), "t") == datetime_ms(moment) == ms


@pytest.mark.parametrize(
    "text",
    ["", "1970-01-01T00:00:00Z", "1990-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "x" * 9000],
)
def test_times_out_of_bounds(text: str) -> None:
    with pytest.raises(SourceError) as caught:
        iso_ms(text, "when")
    assert caught.value.where == "when"
    assert len(str(caught.value)) < 200


def test_bounds_are_what_they_say() -> None:
    assert datetime.fromtimestamp(EARLIEST_MS / 1000, UTC).isoformat() == "1990-01-01T00:00:00+00:00"
    assert datetime.fromtimestamp(LATEST_MS / 1000, UTC).isoformat() == "2100-01-01T00:00:00+00:00"


def test_escaped_nul_becomes_visible_and_an_escaped_backslash_stays() -> None:
    assert text_bytes(rb'{"a":"x\u0000\u0000y"}') == rb'{"a":"x\u2400\u2400y"}'
    assert text_bytes(rb'{"a":"C:\\u0000"}') == rb'{"a":"C:\\u0000"}'
    assert text_bytes(rb'{"a":"\\\u0000"}') == rb'{"a":"\\\u2400"}'


def test_attack_names_in_every_spelling() -> None:
    names = ("Defense Evasion", "defense-evasion", "Defense_Evasion", "DefenseEvasion", "TA0005", "no such thing")
    assert tactic_ids(names) == ("TA0005",)
    assert technique_ids(("T1059", "attack.t1110.001", "x", "T1059")) == ("T1059", "T1110.001")


@pytest.mark.parametrize("find", [tactic_ids, technique_ids])
def test_what_a_sender_makes_long_is_not_kept(find: Callable[[tuple[str, ...]], tuple[str, ...]]) -> None:
    for names in (("T1059" * 10_000,), ("TA0005", *["x"] * 10_000)):
        before = getrefcount(names)
        find(names)
        assert getrefcount(names) == before
    short = (f"T1059 of {find.__name__}", "TA0005")
    before = getrefcount(short)
    assert find(short) is find(short)
    assert getrefcount(short) == before + 1
