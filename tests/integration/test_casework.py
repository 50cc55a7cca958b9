"""What people do to cases, and what the record and the next alerts make of it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from countersign.bootstrap import Site
from countersign.errors import ConflictError, CountersignError, NotFoundError, UsageError
from countersign.model.entries import Kind
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from tests import fakes
from tests.fakes import NOON_MS, deliver, wazuh

DAY_MS = 86_400_000


@pytest.fixture
def case(site: Site) -> str:
    """An open case of one finding."""
    deliver(site, [wazuh("1")])
    return only(site, t.cases.c.id)


def only(site: Site, column: Any) -> Any:
    with reading(site.engine) as conn:
        return conn.execute(select(column)).scalar_one()


def row(site: Site, case: str) -> Any:
    with reading(site.engine) as conn:
        return conn.execute(select(t.cases).where(t.cases.c.id == case)).one()


def test_a_disposition_closes_labels_and_is_recorded(site: Site, case: str) -> None:
    before = row(site, case)
    site.commands.dispose(case, "benign", "  a scanner of ours  ", "Ada Lovelace", before.entry)
    after = row(site, case)
    assert (after.status, after.disposition, after.reason) == ("closed_human", "benign", "a scanner of ours")
    (entry,) = fakes.entries(site.engine, Kind.CASE_DISPOSED)
    assert entry.actor.type == "human"
    assert entry.actor.id == after.disposed_by
    assert "Ada" not in entry.actor.id
    assert entry.body["was"]["label"] == before.label
    with reading(site.engine) as conn:
        pattern = conn.execute(select(t.patterns)).one()
        rule = conn.execute(select(t.rules)).one()
    assert (pattern.benign, pattern.threat, rule.benign, rule.threat) == (1, 0, 1, 0)
    fakes.assert_rebuilds(site)


@pytest.mark.parametrize(
    ("disposition", "labels"),
    [("true_positive", (0, 1)), ("benign", (1, 0)), ("false_positive", (1, 0)), ("test", None), ("duplicate", None)],
)
def test_only_findings_of_fact_label_the_pattern(
    site: Site, case: str, disposition: str, labels: tuple[int, int] | None
) -> None:
    site.commands.dispose(case, disposition, "seen", "ada")
    with reading(site.engine) as conn:
        found = conn.execute(select(t.patterns.c.benign, t.patterns.c.threat)).one_or_none()
    assert (tuple(found) if found else None) == labels
    fakes.assert_rebuilds(site)


def test_a_closed_case_takes_its_own_repeats_but_attracts_nothing_new(site: Site, case: str) -> None:
    site.commands.dispose(case, "benign", "known", "ada")
    deliver(site, [wazuh("2")])
    assert row(site, case).alerts == 2
    assert row(site, case).status == "closed_human"
    deliver(site, [wazuh("3", at_ms=NOON_MS + 600_000)])
    with reading(site.engine) as conn:
        cases = set(conn.execute(select(t.findings.c.case_id)).scalars())
    assert len(cases) == 2
    fakes.assert_rebuilds(site)


def test_a_case_is_reopened_and_disposed_anew(site: Site, case: str) -> None:
    site.commands.dispose(case, "benign", "known", "ada")
    site.commands.reopen(case, "not so sure", "grace")
    assert (row(site, case).status, row(site, case).disposition, row(site, case).reason) == ("open", "", "")
    site.commands.dispose(case, "true_positive", "it was real", "grace")
    assert row(site, case).disposition == "true_positive"
    fakes.assert_rebuilds(site)
    fakes.verified(site)


def test_a_case_is_assigned_under_a_pseudonym_and_let_go(site: Site, case: str) -> None:
    site.commands.assign(case, "Grace Hopper", "Ada Lovelace")
    owner = row(site, case).owner
    assert owner.startswith("person~")
    site.commands.assign(case, "", "Ada Lovelace")
    assert row(site, case).owner == ""
    assert b"Grace" not in b"".join(entry_bytes(site))
    fakes.assert_rebuilds(site)


def entry_bytes(site: Site) -> list[bytes]:
    with reading(site.engine) as conn:
        return [bytes(data) for data in conn.execute(select(t.entries.c.bytes)).scalars()]


def test_a_case_that_changed_since_it_was_read_is_a_conflict(site: Site, case: str) -> None:
    seen = row(site, case).entry
    deliver(site, [wazuh("2")])
    with pytest.raises(ConflictError, match="changed since"):
        site.commands.dispose(case, "benign", "known", "ada", seen)
    assert row(site, case).status == "open"
    assert fakes.entries(site.engine, Kind.CASE_DISPOSED) == []


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        (lambda c, case: c.dispose("C-9", "benign", "x"), NotFoundError, "no such case"),
        (lambda c, case: c.dispose(case, "fine", "x"), UsageError, "unknown disposition 'fine'"),
        (lambda c, case: c.dispose(case, "benign", " \n"), UsageError, "reason is required"),
        (lambda c, case: c.dispose(case, "benign", "x" * 2_001), UsageError, "longer than 2000"),
        (lambda c, case: c.reopen(case, "x"), ConflictError, "only a closed case"),
        (lambda c, case: c.assign("C-9", "x"), NotFoundError, "no such case"),
        (lambda c, case: c.resubmit(99), NotFoundError, "99"),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    site: Site, case: str, step: Any, error: type[CountersignError], words: str
) -> None:
    before = len(fakes.entries(site.engine))
    with pytest.raises(error, match=words):
        step(site.commands, case)
    assert len(fakes.entries(site.engine)) == before
    fakes.assert_rebuilds(site)


def test_a_closed_case_is_not_closed_twice(site: Site, case: str) -> None:
    site.commands.dispose(case, "benign", "known", "ada")
    with pytest.raises(ConflictError, match="closed by human"):
        site.commands.dispose(case, "true_positive", "no", "grace")


def test_cases_that_turn_out_to_be_one_are_merged(site: Site) -> None:
    """Two hosts with nothing in common, until one alert names both."""
    deliver(site, [wazuh("1", level=10, data={"dstuser": "ann"}, host="a")])
    deliver(site, [wazuh("2", level=10, data={"dstuser": "ben"}, host="b", rule="2")])
    assert fakes.count(site.engine, "cases") == 2
    deliver(site, [wazuh("3", level=10, host="a", rule="3", data={"dstuser": "ben", "srcuser": "ann"})])
    with reading(site.engine) as conn:
        states = dict(conn.execute(select(t.cases.c.id, t.cases.c.status)).all())  # type: ignore[arg-type]
        homes = set(conn.execute(select(t.findings.c.case_id)).scalars())
    assert sorted(states.values()) == ["merged", "open"]
    assert len(homes) == 1
    survivor = homes.pop()
    assert row(site, survivor).findings == 3
    merged = next(case for case in states if case != survivor)
    assert row(site, merged).merged_into == survivor
    with pytest.raises(ConflictError, match=f"merged into {survivor}"):
        site.commands.dispose(merged, "benign", "x", "ada")
    (entry,) = fakes.entries(site.engine, Kind.CASE_MERGED)
    assert (entry.subject, entry.body) == (merged, {"into": survivor})
    fakes.assert_rebuilds(site)


def test_the_kill_switch_is_recorded_and_survives(site: Site) -> None:
    site.commands.stop("*", "drill", "ada")
    deliver(site, [wazuh("1")])
    site.commands.resume("*", "over", "ada")
    kinds = [entry.kind for entry in fakes.entries(site.engine)]
    assert kinds.index(Kind.AUTONOMY_STOPPED) < kinds.index(Kind.FINDING_DECIDED) < kinds.index(Kind.AUTONOMY_RESUMED)
    (decided,) = fakes.entries(site.engine, Kind.FINDING_DECIDED)
    outcomes = {name: outcome for name, outcome, *_ in decided.body["conditions"]}
    assert outcomes["kill_switch"] == "failed"
    assert fakes.count(site.engine, "switches") == 0
    fakes.assert_rebuilds(site)


def test_a_rebuild_notices_a_row_that_was_tampered_with(site: Site, case: str) -> None:
    with writing(site.engine) as conn:
        conn.execute(update(t.cases).where(t.cases.c.id == case).values(severity=1))
    with pytest.raises(AssertionError, match="cases"):
        fakes.assert_rebuilds(site)
