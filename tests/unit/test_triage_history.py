"""What the past says: quiet that repeats do not lessen, rare rules on one anchor, and histories kept apart."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from countersign.correlate.fold import pattern
from countersign.correlate.history import RARE_MS, RARE_S, RUN_MS, History, Past
from countersign.correlate.link import link_keys
from countersign.model.alerts import Severity
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.findings import FOLD_WINDOW_MS, Finding

T0 = 1_000_000 * FOLD_WINDOW_MS
DAY_MS = RARE_S * 1000
HOST = Entity(EntityType.HOST, "web-1", Role.TARGET)


def make(time_ms: int, rule: str = "r", entities: tuple[Entity, ...] = (HOST,)) -> Finding:
    return Finding(
        id=f"F-{rule}-{time_ms // FOLD_WINDOW_MS}",
        source="wazuh",
        product="Wazuh",
        rule=rule,
        title=rule,
        severity=Severity.LOW,
        window_ms=time_ms - time_ms % FOLD_WINDOW_MS,
        first_seen_ms=time_ms,
        last_seen_ms=time_ms,
        count=1,
        entities=entities,
    )


def see(history: History, finding: Finding, *, first: bool = True) -> Past:
    return history.take(finding, added=1, first=first)


def mail(recipient: str, user: str = "") -> tuple[Entity, ...]:
    found = (Entity(EntityType.MAIL, "a@b.example", Role.ACTOR), Entity(EntityType.MAIL, recipient, Role.TARGET))
    return (*found, Entity(EntityType.USER, user, Role.TARGET)) if user else found


def test_what_never_fired_was_quiet_since_the_site_is_watched() -> None:
    history = History()
    assert see(history, make(T0)).pair_gap_s == 0
    assert see(history, make(T0 + 3 * DAY_MS, "other")).pair_gap_s == 3 * RARE_S


@given(st.lists(st.integers(0, RUN_MS - FOLD_WINDOW_MS), max_size=20))
def test_a_run_keeps_the_quiet_before_it_however_long_it_lasts(steps: list[int]) -> None:
    history = History()
    see(history, make(T0))
    now = T0 + 2 * DAY_MS
    assert see(history, make(now)).pair_gap_s == 2 * RARE_S
    for step in steps:
        before, now = now, now + step
        again = before // FOLD_WINDOW_MS == now // FOLD_WINDOW_MS
        assert see(history, make(now), first=not again).pair_gap_s == 2 * RARE_S


def test_a_repeat_changes_nothing_that_was_known_before_the_finding() -> None:
    history = History()
    see(history, make(T0, "other"))
    first = see(history, make(T0 + DAY_MS))
    again = see(history, make(T0 + DAY_MS + 1000), first=False)
    names = ("pair_firings", "pair_gap_s", "rule_firings", "rule_gap_s", "rule_hosts", "host_rare")
    assert [getattr(again, name) for name in names] == [getattr(first, name) for name in names]


def test_routine_ends_the_surprise() -> None:
    history = History()
    gaps = [see(history, make(T0 + i * 3_600_000)).pair_gap_s for i in range(30)]
    assert gaps[1:] == [3600] * 29


def test_rare_rules_of_the_last_hour_are_counted_by_anchor_without_the_rule_itself() -> None:
    history = History()
    see(history, make(T0))
    now = T0 + 2 * DAY_MS
    assert [see(history, make(now + i * 60_000, f"new-{i}")).host_rare for i in range(3)] == [0, 1, 2]
    elsewhere = (Entity(EntityType.HOST, "db-1", Role.TARGET),)
    assert see(history, make(now + 200_000, "new-9", elsewhere)).host_rare == 0
    assert see(deepcopy(history), make(now + 300_000, "new-0")).host_rare == 2
    assert see(deepcopy(history), make(now + 2 * RARE_MS, "late")).host_rare == 0


def test_nothing_is_rare_on_the_first_day() -> None:
    history = History()
    assert {see(history, make(T0 + i * 1000, f"r{i}")).host_rare for i in range(40)} == {0}


def test_anchor_is_the_host_else_the_person_else_the_mailbox() -> None:
    assert make(T0).anchor == make(T0).host == "web-1"
    assert make(T0, entities=mail("t@h.example")).anchor == "mail:t@h.example"
    assert make(T0, entities=mail("t@h.example", "t")).anchor == "user:t"
    assert (make(T0, entities=mail("t@h.example", "t")).host, make(T0, entities=()).anchor) == ("", "")
    sender = (Entity(EntityType.MAIL, "a@b.example", Role.ACTOR),)
    assert make(T0, entities=sender).anchor == ""


def test_mailboxes_have_histories_and_recurrences_of_their_own() -> None:
    history = History()
    one, two = make(T0, entities=mail("a@h.example")), make(T0 + 1000, entities=mail("b@h.example"))
    see(history, one)
    past = see(history, two)
    assert (past.pair_firings, past.rule_firings, past.host_alerts, past.rule_hosts) == (0, 1, 0, 1)
    keys = [link_keys(finding, pattern(finding), is_notable=False)[0] for finding in (one, two)]
    assert keys[0] != keys[1]
