"""The quick way to read a decision takes exactly what the slow way takes, and says the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.errors import VerificationError
from countersign.ledger.canonical import decode, encode
from countersign.ledger.decisions import Reader
from countersign.model.entries import Actor, Entry, Kind
from tests.examples import examples

text = st.text(max_size=12)
number = st.integers(-(2**53) + 1, 2**53 - 1)
value = st.one_of(text, number)


def rows(*columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[list[Any]]]:
    return st.lists(st.tuples(*columns).map(list), max_size=2)


body = st.fixed_dictionaries(
    {
        **dict.fromkeys(("action", "advice", "case", "host", "label", "model", "pattern", "policy", "rule", "scope"), text),
        **dict.fromkeys(("stage", "why"), text),
        **dict.fromkeys(("first", "intercept", "novelty_ppm", "pico", "rarity", "severity"), number),
        "alerts": st.fixed_dictionaries({"added": number, "total": number}),
        "conditions": rows(text, text, text, text),
        "contributions": rows(text, value, number),
        "counterfactual": st.fixed_dictionaries(
            {"changes": rows(text, value, value, number), "pico": number, "possible": number}
        ),
        "links": rows(text, text, text),
        "p_ppm": st.lists(number, min_size=2, max_size=2),
        "record": st.fixed_dictionaries({"blob": text, "place": number}),
        "seen": st.lists(number, min_size=2, max_size=2),
        "sources": st.dictionaries(text, st.lists(number, min_size=3, max_size=3), max_size=2),
        "tainted": st.lists(text, max_size=2),
        "techniques": st.lists(text, max_size=2),
    },
    optional={"draw": st.tuples(text, number, number, number, number).map(list)},
)
entries = st.builds(
    Entry,
    kind=st.just(Kind.FINDING_DECIDED),
    time=number,
    actor=st.builds(Actor, type=st.sampled_from(["agent", "human", "system"]), id=text, lease=text),
    subject=text,
    trigger=text,
    body=body,
)


def is_slowly_read(data: bytes) -> bool:
    try:
        decode(data)
    except VerificationError:
        return False
    return True


@given(entries)
@settings(deadline=None, max_examples=examples(60))
def test_what_the_sealer_writes_is_read_the_quick_way(entry: Entry) -> None:
    data = encode(entry)
    found = Reader().read(data)
    if any(ord(c) > 0xFFFF for c in data.decode()):
        assert found is None
        assert decode(data) == entry
        return
    assert found is not None
    assert (found.subject, found.time, found.actor.id, found.actor.lease) == (
        entry.subject, entry.time, entry.actor.id, entry.actor.lease,
    )  # fmt: skip
    assert list(found.body.sources) == sorted(entry.body["sources"], key=lambda name: name.encode())


@given(entries, st.data())
@settings(deadline=None, max_examples=examples(120))
def test_whatever_is_done_to_the_bytes_the_quick_way_takes_no_more_than_the_slow_one(
    entry: Entry, data: st.DataObject
) -> None:
    raw = bytearray(encode(entry))
    at = data.draw(st.integers(0, len(raw) - 1))
    how = data.draw(st.sampled_from(["byte", "space", "cut", "double", "number"]))
    if data.draw(st.booleans()):  # conditions are read another way than the rest
        at = bytes(raw).index(b'"conditions":[') + data.draw(st.integers(0, 40))
        at = min(at, len(raw) - 1)
    if how == "byte":
        raw[at] = data.draw(st.integers(0, 255))
    elif how == "space":
        raw[at:at] = b" "
    elif how == "cut":
        del raw[at]
    elif how == "double":
        raw[at:at] = raw[max(0, at - 9) : at]
    else:
        raw = bytearray(
            bytes(raw).replace(b'"time":', b'"time":' + data.draw(st.sampled_from([b"0", b"-", b"1e1", b"1.0"])))
        )
    reader = Reader()
    assert reader.read(bytes(raw)) is None or is_slowly_read(bytes(raw))
    assert (reader.read(encode(entry)) is None) == (Reader().read(encode(entry)) is None), "the buffer remembers nothing"


CHANGES = {
    "another order": lambda d: dict(reversed(d.items())),
    "another order within": lambda d: d | {"body": dict(reversed(d["body"].items()))},
    "a field too many": lambda d: d | {"body": d["body"] | {"zz": 1}},
    "null": lambda d: d | {"body": {**d["body"], "draw": None}},
    "a float": lambda d: d | {"time": 1.5},
    "true": lambda d: d | {"body": d["body"] | {"first": True}},
    "another version": lambda d: d | {"v": 2},
    "another kind of actor": lambda d: d | {"actor": d["actor"] | {"type": "robot"}},
    "too large a number": lambda d: d | {"time": 2**53},
}


@pytest.mark.parametrize("name", CHANGES)
@given(entry=entries)
@settings(deadline=None, max_examples=examples(5))
def test_what_is_not_in_form_is_not_taken(name: str, entry: Entry) -> None:
    changed = CHANGES[name](json.loads(encode(entry)))
    order = name.startswith("another order")
    data = json.dumps(changed, ensure_ascii=False, separators=(",", ":"), sort_keys=not order).encode()
    assert Reader().read(data) is None
