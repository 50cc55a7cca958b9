"""Edges of the canonical form: limits, enums, and every way in which bytes can be almost an entry."""

from __future__ import annotations

from typing import Any

import pytest

from countersign.errors import UsageError, VerificationError
from countersign.ledger.canonical import DEPTH_MAX, decode, encode
from countersign.model.alerts import Severity
from countersign.model.entries import ENTRY_BYTES_MAX, Actor, Entry, Kind

GOOD = (
    b'{"actor":{"id":"t","lease":"","type":"agent"},"body":{"a":1},"kind":"case.merged","subject":"s",'
    b'"tenant":"default","time":5,"trigger":"http","v":1}'
)


def made(body: Any, **other: Any) -> Entry:
    return Entry(**{"kind": Kind.CASE_MERGED, "time": 5, "actor": Actor("agent", "t"), "subject": "s",
                    "trigger": "http", "body": body} | other)  # fmt: skip


def test_known_bytes() -> None:
    assert encode(made({"a": 1})) == GOOD
    assert decode(GOOD) == made({"a": 1})


def test_enums_and_tuples_are_written_as_their_values() -> None:
    assert encode(made({"a": (Severity.HIGH, Kind.CASE_MERGED)})) == encode(made({"a": [4, "case.merged"]}))


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth - 1):
        value = [value]
    return {"a": value}


def test_nesting_is_limited_the_same_way_on_both_ways() -> None:
    encode(made(nested(DEPTH_MAX)))
    encode(made(nested(DEPTH_MAX) | {"b": "\U0001f600"}))
    for extra in ({}, {"b": "\U0001f600"}):
        with pytest.raises(UsageError, match="nested deeper"):
            encode(made(nested(DEPTH_MAX + 1) | extra))


def test_a_value_inside_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(UsageError, match="nested deeper"):
        encode(made({"a": loop}))


def test_size_limit_is_exact() -> None:
    room = ENTRY_BYTES_MAX - len(encode(made({"a": ""})))
    assert len(encode(made({"a": "x" * room}))) == ENTRY_BYTES_MAX
    with pytest.raises(UsageError, match="65536 bytes"):
        encode(made({"a": "x" * (room + 1)}))
    with pytest.raises(VerificationError, match="over the limit"):
        decode(b" " * (ENTRY_BYTES_MAX + 1))


@pytest.mark.parametrize(
    ("other", "field"),
    [
        ({"kind": "case.merged"}, "entry kind"),
        ({"v": 2}, "entry v"),
        ({"actor": Actor("robot", "t")}, "entry actor.type"),
        ({"actor": Actor("agent", None)}, "entry actor.id"),  # type: ignore[arg-type]
        ({"subject": 7}, "entry subject"),
        ({"time": "now"}, "entry time"),
        ({"time": True}, "entry time"),
        ({"time": 2**53}, "entry time"),
        ({"body": [1]}, "entry body"),
    ],
)
def test_envelope_is_typed(other: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError, match=field):
        encode(made({"a": 1}, **other) if "body" not in other else made(**other))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        GOOD + b"\n",
        b" " + GOOD,
        GOOD[:-1],
        GOOD.replace(b":1}", b": 1}", 1),
        GOOD.replace(b'"v":1', b'"v":2'),
        GOOD.replace(b'"v":1', b'"v":1.0'),
        GOOD.replace(b',"v":1', b""),
        GOOD.replace(b'{"a":1}', b'{"a":1.5}'),
        GOOD.replace(b'{"a":1}', b'{"a":1e2}'),
        GOOD.replace(b'{"a":1}', b'{"a":-0}'),
        GOOD.replace(b'{"a":1}', b'{"a":true}'),
        GOOD.replace(b'{"a":1}', b'{"a":null}'),
        GOOD.replace(b'{"a":1}', b'{"a":9007199254740992}'),
        GOOD.replace(b'{"a":1}', b'{"a":1,"a":1}'),
        GOOD.replace(b'{"a":1}', b'{"b":1,"a":1}'),
        GOOD.replace(b'{"a":1}', b'{"a":"\\u0041"}'),
        GOOD.replace(b'{"a":1}', b'{"a":"\\ud800"}'),
        GOOD.replace(b'{"a":1}', b'{"a":"\\/"}'),
        GOOD.replace(b'{"a":1}', b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"),
        GOOD.replace(b"case.merged", b"case.merges"),
        GOOD.replace(b'"agent"', b'"robot"'),
        GOOD.replace(b'"v":1', b'"v":1,"w":1'),
        GOOD.replace(b'"lease":"",', b""),
    ],
)
def test_anything_but_the_canonical_bytes_is_refused(data: bytes) -> None:
    with pytest.raises(VerificationError):
        decode(data)
