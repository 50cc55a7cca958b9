"""A log comes from a stranger who may have signed anything: verifying it ends in a report, whatever stands in it."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.ledger.verify import Report
from countersign.model.entries import Actor, Kind
from tests.approval_story import Story, told
from tests.examples import examples

texts = st.one_of(st.text(max_size=6), st.sampled_from(["0", "7", "-1", "person~ada", "approved", "é" * 64, "ab" * 32]))
json = st.recursive(
    st.one_of(texts, st.integers(-(2**53) + 1, 2**53 - 1), st.integers(-1, 20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=5,
)
WHOLE = told()


def deep(levels: int) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = [found]
    return found


@given(st.data())
@settings(deadline=None, max_examples=examples(250))
def test_a_log_of_a_stranger_never_crashes_the_verifier(data: st.DataObject) -> None:
    story = Story(copy.copy(WHOLE.entries), dict(WHOLE.blobs), dict(WHOLE.at))
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(story.entries) - 1))
        entry = story.entries[index]
        part = data.draw(st.sampled_from(["body", "body", "body", "kind", "subject", "trigger", "actor", "time", "within"]))
        if part == "body" and entry.body:
            name = data.draw(st.sampled_from(sorted(entry.body)))
            story.change("", index, **{name: data.draw(json)})
        elif part == "within" and "webauthn" in entry.body:
            name = data.draw(st.sampled_from(sorted(entry.body["webauthn"])))
            story.change("", index, webauthn=entry.body["webauthn"] | {name: data.draw(texts)})
        elif part == "kind":
            story.change("", index, kind=data.draw(st.sampled_from(list(Kind))))
        elif part == "actor":
            kind = data.draw(st.sampled_from(["agent", "human", "system"]))
            story.change("", index, actor=Actor(kind, data.draw(texts), data.draw(texts)))
        elif part == "time":
            story.change("", index, time=data.draw(st.integers(-5, 2**53 - 1)))
        elif part in ("subject", "trigger"):
            story.change("", index, **{part: data.draw(texts)})
    for beside in (True, False):
        assert isinstance(story.report(beside=beside), Report)


def test_what_is_nested_as_deep_as_can_be_is_judged_too() -> None:
    story = told()
    public = "00" * 32
    story.add(Kind.AGENT_REGISTERED, Actor("system", "countersign"), "triage", "start", {"public_key": public})
    body = {"agent": "triage", "operations": [], "handed": [], "expires_ms": 1, "x": deep(31)}
    by = Actor("agent", "triage", "L")
    story.add(Kind.LEASE_ISSUED, by, "L", "inbox", body)
    story.add(Kind.CASE_MERGED, by, "C-1", "1", {"into": "C-2"})
    said = story.said()
    assert len([what for what in said if "triage" in what or "is not as it should be" in what]) >= 2
    assert msgspec.json.encode(story.report())
