"""The past of a finding: what the hot path loads for a batch gives the same counts as one history kept in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, select

from countersign.correlate import fold
from countersign.correlate.history import SITE, Firings, History, Past
from countersign.model.alerts import Alert, Severity
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.findings import FOLD_WINDOW_MS, Finding
from countersign.store import past, working
from countersign.store import tables as t
from countersign.store.sql import upsert
from tests.examples import examples

START = 1_790_000_100_000


def alert(host: str, rule: str, at_ms: int) -> Alert:
    entities = (Entity(EntityType.HOST, host, Role.TARGET),) if host else ()
    return Alert("tool", "p", "", START + at_ms, rule, "t", Severity.LOW, entities=entities)


ALERTS = st.lists(
    st.builds(
        alert,
        st.sampled_from(["", "h1", "h2", "h3"]),
        st.sampled_from(["r1", "r2", "r3", "r4"]),
        st.integers(0, 8 * FOLD_WINDOW_MS),
    ),
    max_size=25,
)
SIZES = st.integers(1, 8)
JUMPS_MS = (0, 0, 0, 1_200_000, 3_000_000, 4_500_000, 90_000_000, 180_000_000)
LONG = st.lists(
    st.builds(
        lambda host, rule, at_ms, jump_ms: alert(host, rule, at_ms + jump_ms),
        st.sampled_from(["", "h1", "h2"]),
        st.sampled_from(["r1", "r2", "r3"]),
        st.integers(0, 6 * FOLD_WINDOW_MS),
        st.sampled_from(JUMPS_MS),
    ),
    max_size=25,
).flatmap(lambda alerts: st.sampled_from([alerts, sorted(alerts, key=lambda one: one.time_ms)]))
"""Over days, in order or not: rules that were quiet for a day, and batches that look back."""


def observed(history: History, alerts: Sequence[Alert], known: dict[str, Finding]) -> list[Past]:
    """What the hot path does with one batch: fold, look back, take note."""
    pasts = []
    for part in fold.fold(alerts)[0]:
        old = known.get(part.id)
        whole = fold.merge(old, part) if old else part
        pasts.append(history.take(whole, added=part.count, first=old is None))
        known[part.id] = whole
    return pasts


def stored(conn: Connection, alerts: Sequence[Alert], known: dict[str, Finding]) -> list[Past]:
    """The same through the database: a working set per batch, written back."""
    parts = fold.fold(alerts)[0]
    history = working.load(conn, parts, [fold.pattern(part) for part in parts]).history
    pasts = observed(history, alerts, known)
    past.save(conn, history)
    return pasts


def batches(alerts: Sequence[Alert], size: int) -> list[Sequence[Alert]]:
    return [alerts[i : i + size] for i in range(0, len(alerts), size)]


def database() -> Connection:
    engine = create_engine("sqlite://")
    t.metadata.create_all(engine)
    return engine.connect()


@settings(max_examples=examples(40), deadline=None)
@given(ALERTS, SIZES)
def test_a_working_set_knows_what_a_whole_history_knows(alerts: list[Alert], size: int) -> None:
    whole, known, known_too = History(), dict[str, Finding](), dict[str, Finding]()
    with database() as conn:
        for batch in batches(alerts, size):
            assert stored(conn, batch, known_too) == observed(whole, batch, known)


@settings(max_examples=examples(100), deadline=None)
@given(LONG)
def test_what_is_only_taken_note_of_counts_as_much(alerts: list[Alert]) -> None:
    asked, told, known = History(), History(), dict[str, Finding]()
    for part in (fold.start(one, fold.finding_id(one)) for one in alerts):
        old = known.get(part.id)
        known[part.id] = whole = fold.merge(old, part) if old else part
        asked.take(whole, added=1, first=old is None)
        told.observe(whole, added=1, first=old is None)
    told.distinct = asked.distinct  # counted when asked for
    assert asked == told


@pytest.mark.slow
@settings(max_examples=examples(200), deadline=None)
@given(LONG, SIZES, st.lists(st.sampled_from(["kept", "failed", "another"]), min_size=25, max_size=25))
def test_counts_carried_over_are_those_of_the_database(alerts: list[Alert], size: int, ends: list[str]) -> None:
    """Whatever becomes of a batch: committed, rolled back and tried again, or followed by another worker's."""
    known, known_too = dict[str, Finding](), dict[str, Finding]()
    carried, entries = past.Carried(), 0
    with database() as one, database() as two:
        for batch, end in zip(batches(alerts, size), ends, strict=False):
            if end == "failed":
                observed(carried.lend(one, fold.fold(batch)[0], entries), batch, dict(known))
            history = carried.lend(one, fold.fold(batch)[0], entries)
            assert observed(history, batch, known) == stored(two, batch, known_too)
            past.save(one, history)
            carried.keep(entries := entries + 1)
            entries += end == "another"
        for table in (t.rules, t.pairs, t.activity):
            rows = [conn.execute(select(table).order_by(*table.primary_key)).all() for conn in (one, two)]
            assert rows[0] == rows[1]


@settings(max_examples=examples(40), deadline=None)
@given(ALERTS, SIZES)
def test_batched_and_one_by_one_leave_the_same_counts(alerts: list[Alert], size: int) -> None:
    batched, single = History(), History()
    known, known_too = dict[str, Finding](), dict[str, Finding]()
    for batch in batches(alerts, size):
        observed(batched, batch, known)
    for one in alerts:
        observed(single, [one], known_too)
    assert counts(batched.rules) == counts(single.rules)
    assert counts(batched.pairs) == counts(single.pairs)
    assert batched.activity == single.activity


def counts(rows: Mapping[Any, Firings]) -> dict[Any, tuple[int, ...]]:
    """What must not depend on batches; how long a rule had been quiet is told as it was known at the time."""
    return {key: (row.firings, row.first_seen_ms, row.last_seen_ms, row.hosts) for key, row in rows.items()}


@settings(max_examples=examples(40), deadline=None)
@given(ALERTS, SIZES)
def test_the_stored_counts_are_those_of_the_alerts(alerts: list[Alert], size: int) -> None:
    known: dict[str, Finding] = {}
    with database() as conn:
        for batch in batches(alerts, size):
            stored(conn, batch, known)
        rules = {row.rule_key: row.firings for row in conn.execute(select(t.rules))}
        site = sum(row.alerts for row in conn.execute(select(t.activity).where(t.activity.c.host == SITE)))
        pairs = {(row.host, row.rule_key): row.firings for row in conn.execute(select(t.pairs))}
    findings = list(known.values())
    assert rules == {key: sum(f.rule_key == key for f in findings) for key in {f.rule_key for f in findings}}
    assert site == len(alerts)
    assert sum(pairs.values()) == len(findings)


@settings(max_examples=examples(40), deadline=None)
@given(ALERTS)
def test_the_past_is_past_only(alerts: list[Alert]) -> None:
    """What comes later changes nothing about a finding's past: no count looks ahead, none is negative."""
    history, again = History(), History()
    first = observed(history, alerts[: len(alerts) // 2], {})
    assert observed(again, alerts[: len(alerts) // 2], {}) == first
    for one in observed(history, alerts, {}):
        numbers = msgspec.to_builtins(one)
        assert all(value >= -1 for value in numbers.values())
        assert one.pair_firings <= one.rule_firings


def test_human_judgements_are_loaded_with_the_rule() -> None:
    with database() as conn:
        stored(conn, [alert("h1", "r1", 0)], {})
        row = dict(conn.execute(select(t.rules)).mappings().one())
        upsert(conn, t.rules, [row | {"benign": 3, "threat": 1}])
        (found,) = stored(conn, [alert("h1", "r1", 10 * FOLD_WINDOW_MS)], {})
        assert (found.rule_benign, found.rule_threat) == (3, 1)
        assert conn.execute(select(t.rules.c.benign)).scalar_one() == 3
