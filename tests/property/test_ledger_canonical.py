"""Canonical bytes against the rfc8785 package, and refusal of everything outside integers and strings."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import UsageError
from countersign.ledger.canonical import INTEGER_MAX, decode, encode
from countersign.model.entries import Actor, Entry, Kind

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
integer = st.integers(-INTEGER_MAX, INTEGER_MAX)
value = st.recursive(
    integer | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=5),
    max_leaves=20,
)
body = st.dictionaries(text, value, max_size=6)
entries = st.builds(
    Entry,
    kind=st.sampled_from(Kind),
    time=integer,
    actor=st.builds(Actor, st.sampled_from(["agent", "human", "system"]), text, text),
    subject=text,
    trigger=text,
    body=body,
    tenant=text,
)
forbidden = st.booleans() | st.none() | st.floats() | st.binary(max_size=3) | st.just({1}) | st.just({1: "x"})
beyond = st.integers(min_value=INTEGER_MAX + 1) | st.integers(max_value=-INTEGER_MAX - 1)


def plain(entry: Entry) -> dict[str, Any]:
    actor = {"type": entry.actor.type, "id": entry.actor.id, "lease": entry.actor.lease}
    return {
        "v": 1,
        "kind": entry.kind.value,
        "time": entry.time,
        "tenant": entry.tenant,
        "actor": actor,
        "subject": entry.subject,
        "trigger": entry.trigger,
        "body": entry.body,
    }


@given(entries)
def test_bytes_are_those_of_rfc_8785(entry: Entry) -> None:
    assert encode(entry) == rfc8785.dumps(plain(entry))


@given(entries)
def test_reading_back_gives_the_entry(entry: Entry) -> None:
    assert decode(encode(entry)) == entry


def with_one_bad(bad: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies with ``bad`` somewhere inside."""
    hold = st.sampled_from(["plain", "list", "dict", "deep"])
    made = {"plain": bad, "list": ["a", [bad]], "dict": {"k": {"l": bad}}, "deep": [{"k": [1, {"x": bad}]}]}
    return st.builds(lambda other, how: {**other, "bad": made[how]}, body, hold)


@given(st.data(), forbidden | beyond)
def test_anything_else_is_refused_by_name(data: st.DataObject, bad: Any) -> None:
    wrong = data.draw(with_one_bad(bad))
    with pytest.raises(UsageError, match=r"entry body\.bad"):
        encode(Entry(Kind.CASE_MERGED, 0, Actor("agent", "a"), "", "", wrong))


@given(st.data(), st.text(st.characters(categories=["Cs"]), min_size=1, max_size=2))
def test_lone_surrogates_are_refused(data: st.DataObject, bad: str) -> None:
    wrong = data.draw(with_one_bad(bad))
    with pytest.raises(UsageError, match="surrogate"):
        encode(Entry(Kind.CASE_MERGED, 0, Actor("agent", "a"), "", "", wrong))
