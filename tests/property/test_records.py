"""A record is written as it would be plainly, whatever of it is encoded once; so is the entry about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.errors import UsageError
from countersign.ledger import bodies, decisions
from countersign.ledger.canonical import decode, encode
from countersign.model.cases import Link, LinkReason
from countersign.model.decisions import Condition, Outcome
from countersign.model.entries import Actor, Entry, Kind
from countersign.model.once import Once
from countersign.model.records import FindingRecord, encoded
from tests.examples import examples
from tests.property.test_investigate_properties import RECORDS, WORDS

CONDITIONS = st.lists(st.builds(Condition, WORDS, st.sampled_from(Outcome), WORDS, WORDS), max_size=3).map(tuple)
LINKS = st.lists(st.builds(Link, WORDS, WORDS, st.sampled_from(LinkReason), WORDS), max_size=3).map(tuple)
DRAWS = st.one_of(st.just(()), st.tuples(WORDS, *[st.integers(0, 10**6)] * 4))
MADE = st.builds(
    lambda record, conditions, links: msgspec.structs.replace(
        record, links=links, decision=msgspec.structs.replace(record.decision, conditions=conditions)
    ),
    RECORDS,
    CONDITIONS,
    LINKS,
)


@given(st.lists(MADE, max_size=3))
@settings(deadline=None, max_examples=examples(60))
def test_records_are_written_as_plainly(several: list[FindingRecord]) -> None:
    for record in [*several, *several]:
        assert encoded(record) == msgspec.msgpack.encode(record)


def plainly(record: FindingRecord, draw: Sequence[str | int]) -> dict[str, Any]:
    """The body as JSON values, by name."""
    finding, verdict, decision = record.finding, record.verdict, record.decision
    flip = verdict.counterfactual
    counts = {source: [0, 0, 0] for source in sorted({item.source for item in record.evidence})}
    for item in record.evidence:
        counts[item.source][("found", "not_found", "unavailable").index(item.status.value)] += 1
    links = [
        [link.case, link.reason.value, link.entity.split("@")[0] if link.reason is LinkReason.SAME_PATTERN else link.entity]
        for link in record.links
    ]
    body = {
        "case": record.case, "first": int(record.first), "pattern": record.pattern, "rule": finding.rule_key,
        "host": finding.host, "severity": int(finding.severity), "techniques": list(finding.techniques),
        "alerts": {"added": record.added, "total": finding.count}, "tainted": list(finding.tainted),
        "seen": [finding.first_seen_ms, finding.last_seen_ms], "links": links, "record": {"blob": "b", "place": 3},
        "sources": counts, "rarity": record.rarity, "model": verdict.model, "label": verdict.label.value,
        "pico": verdict.pico, "intercept": verdict.intercept_pico, "p_ppm": [verdict.p0_ppm, verdict.p1_ppm],
        "contributions": [[c.feature, c.value, c.pico] for c in verdict.contributions],
        "counterfactual": {
            "possible": int(flip.possible), "changes": [[c.feature, c.old, c.new, c.pico] for c in flip.changes],
            "pico": flip.pico,
        },
        "novelty_ppm": verdict.novelty_ppm, "policy": "p", "scope": decision.scope, "stage": decision.stage,
        "conditions": [[c.name, c.outcome.value, c.have, c.need] for c in decision.conditions],
        "action": decision.action.value, "advice": decision.advice.value, "why": decision.why,
    }  # fmt: skip
    return body | ({"draw": list(draw)} if draw else {})


@given(MADE, DRAWS)
@settings(deadline=None, max_examples=examples(60))
def test_a_decision_is_entered_as_plainly(record: FindingRecord, draw: tuple[Any, ...]) -> None:
    actor = Actor("agent", "triage", "lease")
    body = bodies.decision(record, blob="b", place=3, policy="p", pseudonyms={}, draw=draw)
    data = encode(decisions.entry(actor, "7", 5, "F-1", body))
    assert data == encode(Entry(Kind.FINDING_DECIDED, 5, actor, "F-1", "7", plainly(record, draw)))
    assert decode(data).body == plainly(record, draw)


@given(MADE, st.sampled_from([True, None, 1.5, 2**53, "\ud800", b"x"]))
@settings(deadline=None, max_examples=examples(30))
def test_a_decision_that_the_ledger_cannot_hold_is_refused(record: FindingRecord, bad: Any) -> None:
    body = bodies.decision(record, blob="b", place=3, policy="p", pseudonyms={})
    body.rarity = bad
    with pytest.raises(UsageError):
        encode(decisions.entry(Actor("agent", "triage"), "7", 5, "F-1", body))
    body.rarity, body.host = 1, "x" * 70_000
    with pytest.raises(UsageError, match="over the limit"):
        encode(decisions.entry(Actor("agent", "triage"), "7", 5, "F-1", body))


def test_equal_values_that_are_others_are_encoded_for_themselves() -> None:
    seen: list[object] = []

    def encoder(value: object) -> bytes:
        seen.append(value)
        return msgspec.json.encode(value)

    once = Once(encoder)
    for _ in range(3):
        values = [[n] for n in range(5_000)]  # more than are remembered; let go of each time, so that places come again
        assert [bytes(once(value)) for value in values] == [b"[%d]" % n for n in range(5_000)]
    kept = (1, 2)
    assert once(kept) is once(kept)
    assert sum(value is kept for value in seen) == 1
