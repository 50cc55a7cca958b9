"""Folding: any order and any batching of the same alerts give the same findings."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from countersign.correlate import fold
from countersign.model.alerts import Alert, Severity
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.findings import FOLD_WINDOW_MS, Finding

START = 1_790_000_100_000
FEW = st.sampled_from(["a", "b"])
VALUES = st.sampled_from(["a", "b", "a\x1ftarget=user:b"])
"""The last one, of an actor, reads like the two users of another alert."""
ENTITIES = st.builds(
    Entity,
    st.sampled_from([EntityType.USER, EntityType.IP, EntityType.DOMAIN, EntityType.URL, EntityType.HASH, EntityType.FILE]),
    VALUES,
    st.sampled_from(list(Role)),
)
SETS = st.lists(st.sampled_from(["x", "y", "z"]), max_size=3, unique=True).map(tuple)
ALERTS = st.builds(
    Alert,
    source=st.just("tool"),
    product=FEW,
    uid=st.just(""),
    time_ms=st.integers(START, START + 2 * FOLD_WINDOW_MS),
    rule=FEW,
    title=st.just("t"),
    severity=st.sampled_from(list(Severity)),
    tactics=SETS,
    techniques=SETS,
    entities=st.lists(ENTITIES, max_size=4, unique=True).map(tuple),
    tainted=SETS,
    label=st.sampled_from(["", "x", "y"]),
)


def batched(batches: Sequence[Sequence[Alert]]) -> dict[str, Finding]:
    """Findings of alerts that arrive in batches, as the hot path folds them."""
    known: dict[str, Finding] = {}
    for batch in batches:
        for finding in fold.fold(batch)[0]:
            known[finding.id] = fold.merge(known[finding.id], finding) if finding.id in known else finding
    return known


def facts(finding: Finding) -> dict[str, object]:
    """Everything about a finding that must not depend on order."""
    facts = msgspec.structs.asdict(finding)
    for name in ("tactics", "techniques", "entities", "tainted", "labels"):
        facts[name] = frozenset(facts[name])
    return facts


def comparable(findings: dict[str, Finding]) -> dict[str, dict[str, object]]:
    return {ident: facts(finding) for ident, finding in findings.items()}


@given(st.lists(ALERTS, max_size=30), st.randoms(use_true_random=False), st.integers(1, 7))
def test_any_order_and_any_batching_give_the_same_findings(alerts: list[Alert], draw: Random, size: int) -> None:
    whole = comparable(batched([alerts]))
    shuffled = draw.sample(alerts, len(alerts))
    parts = [shuffled[i : i + size] for i in range(0, len(shuffled), size)]
    assert comparable(batched(parts)) == whole


@given(st.lists(ALERTS, max_size=30))
def test_every_alert_is_behind_exactly_one_finding(alerts: list[Alert]) -> None:
    findings, members = fold.fold(alerts)
    assert sorted(i for some in members for i in some) == list(range(len(alerts)))
    assert [finding.count for finding in findings] == [len(some) for some in members]
    assert len({finding.id for finding in findings}) == len(findings)
    for finding, some in zip(findings, members, strict=True):
        times = [alerts[i].time_ms for i in some]
        assert (finding.first_seen_ms, finding.last_seen_ms) == (min(times), max(times))
        assert finding.severity == max(alerts[i].severity for i in some)
        assert {finding.window_ms} == {time - time % FOLD_WINDOW_MS for time in times}
        assert {fold.finding_id(alerts[i]) for i in some} == {finding.id}


@given(ALERTS, ALERTS)
def test_only_alerts_of_the_same_detection_entities_and_window_fold(one: Alert, other: Alert) -> None:
    same = fold.fold_key(one) == fold.fold_key(other)
    assert (fold.finding_id(one) == fold.finding_id(other)) is same
    assert len(fold.fold([one, other])[0]) == (1 if same else 2)


RUNS = st.tuples(st.integers(0, 900), st.integers(0, 90)).map(lambda run: tuple(f"T{n:04}" for n in range(run[0], sum(run))))


@given(st.lists(RUNS, max_size=8))
def test_what_a_sender_chooses_is_bounded(several: list[tuple[str, ...]]) -> None:
    base = Alert("tool", "p", "", START, "r", "t", Severity.LOW)
    alerts = [msgspec.structs.replace(base, techniques=ids, tactics=ids, label=str(ids)) for ids in several]
    for finding in fold.fold(alerts)[0]:
        assert max(len(finding.techniques), len(finding.tactics), len(finding.labels)) <= fold.IDS_MAX


def test_values_that_read_like_other_entities_make_no_second_finding_of_the_same_id() -> None:
    def signed_in(*entities: Entity) -> Alert:
        return Alert("tool", "p", "", START, "r", "t", Severity.LOW, entities=entities)

    two = signed_in(Entity(EntityType.USER, "a", Role.ACTOR), Entity(EntityType.USER, "b", Role.TARGET))
    one = signed_in(Entity(EntityType.USER, "a\x1ftarget=user:b", Role.ACTOR))
    (finding,), members = fold.fold([two, one])
    assert finding.id == fold.finding_id(two) == fold.finding_id(one)
    assert (members, finding.count) == ([[0, 1]], 2)
