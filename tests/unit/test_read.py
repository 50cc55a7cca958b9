"""Queries behind the screens: pages, search, counts, cases, raw alerts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, update

from countersign.errors import NotFoundError, UsageError, VerificationError
from countersign.model.cases import CaseStatus
from countersign.model.entities import EntityType
from countersign.store import read, read_case, read_raw, recorded
from countersign.store import tables as t
from countersign.store.engine import make_engine
from tests.browser import seed

CASES = 60


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    found = make_engine(f"sqlite:///{tmp_path_factory.mktemp('read') / 'site.sqlite'}")
    seed.fill(found, CASES)
    yield found
    found.dispose()


@pytest.fixture
def conn(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


@pytest.mark.parametrize("tab", list(read.Tab))
def test_pages_walk_every_case_once_in_order(conn: Connection, tab: read.Tab) -> None:
    seen: list[read.CaseRow] = []
    cursor = ""
    while True:
        page = read.queue(conn, tab=tab, cursor=cursor, limit=7)
        seen.extend(page.rows)
        cursor = page.cursor
        if not cursor:
            break
    assert len({row.id for row in seen}) == len(seen) == read.counts(conn).of(tab)
    keys = [(row.disposed_ms if tab is read.Tab.DISPOSED else row.pico, row.id) for row in seen]
    assert keys == sorted(keys, reverse=True)


def test_tabs_split_open_cases_and_leave_nothing_out(conn: Connection) -> None:
    counts = read.counts(conn)
    assert counts.needs.cases + counts.noise.cases + counts.by_human.cases + counts.by_agent.cases == CASES
    assert counts.total.cases == CASES
    assert counts.quarantined == 1
    for row in read.queue(conn, tab=read.Tab.NOISE).rows:
        assert row.advice.value == "close" or (row.label.value == "benign" and row.severity <= 3)
        assert row.status is CaseStatus.OPEN


def test_merged_cases_stand_nowhere(engine: Engine) -> None:
    with engine.connect() as conn:
        before = read.counts(conn).total.cases
        conn.execute(update(t.cases).where(t.cases.c.id == "C-1020").values(status="merged", merged_into="C-1001"))
        assert read.counts(conn).total.cases == before - 1
        assert "C-1020" not in {row.id for row in read.queue(conn, tab=read.Tab.ALL).rows}
        conn.rollback()


@pytest.mark.parametrize(
    "query", ["LSASS", "lsass READ", "dc-02", "svc-backup", "T1003.001", "c-1007", "185.203.118.41", "suricata"]
)
def test_search_finds_titles_hosts_people_addresses_and_techniques(conn: Connection, query: str) -> None:
    rows = read.queue(conn, tab=read.Tab.ALL, query=query).rows
    assert 0 < len(rows) < CASES


def test_search_finds_exactly_the_cases_in_which_an_entity_is(conn: Connection) -> None:
    holding: dict[str, set[str]] = {}
    for row, outline in recorded.every(conn):
        for entity in outline.finding.entities:
            if entity.type in {EntityType.IP, EntityType.HASH, EntityType.DOMAIN}:
                holding.setdefault(entity.value, set()).add(row.case_id)
    assert max(map(len, holding.values())) > 1
    for value, cases in holding.items():
        assert {row.id for row in read.queue(conn, tab=read.Tab.ALL, query=value.upper()).rows} == cases, value


@pytest.mark.parametrize("query", ["%", "_", "\\", "100%_", "'; drop table cases; --"])
def test_search_takes_every_character_for_itself(conn: Connection, query: str) -> None:
    rows = read.queue(conn, tab=read.Tab.ALL, query=query).rows
    assert len(rows) < CASES
    word = query.split(maxsplit=1)[0] if query.split() else query
    assert all(word.lower() in (row.title + row.host + row.why + str(row.techniques)).lower() or row.id for row in rows)


def test_search_leaves_out_what_no_database_can_hold(conn: Connection) -> None:
    for query in ("\0", "\udcff", " \0 "):
        assert len(read.queue(conn, tab=read.Tab.ALL, query=query).rows) == CASES


def test_bad_cursor_is_named(conn: Connection) -> None:
    with pytest.raises(UsageError, match="cursor"):
        read.queue(conn, tab=read.Tab.ALL, cursor="x:y")


def test_people_are_named_and_erased_ones_stay_pseudonyms(conn: Connection) -> None:
    rows = read.queue(conn, tab=read.Tab.DISPOSED).rows
    humans = {row.disposed_by for row in rows if row.status is CaseStatus.CLOSED_HUMAN}
    assert humans == {"ops-lead"}
    assert {row.disposed_by for row in rows if row.status is CaseStatus.CLOSED_AGENT} == {""}
    assert read.people(conn, {"person~unknown"}) == {}


def test_case_detail_holds_findings_similar_cases_and_entries_with_leaf_hashes(conn: Connection) -> None:
    detail = read_case.case_detail(conn, "C-1012")
    assert detail.top is not None
    assert detail.top.finding.id == detail.case.top_finding
    assert len(detail.records) == detail.case.findings
    assert all(s.id != "C-1012" for s in detail.similar)
    assert detail.similar
    assert detail.entries_total == len(detail.entries)
    for entry in detail.entries:
        raw = conn.execute(t.entries.select().where(t.entries.c.idx == entry.idx)).one().bytes
        assert entry.digest == hashlib.sha256(b"\0" + raw).hexdigest()
    with pytest.raises(NotFoundError, match="C-1"):
        read_case.case_detail(conn, "C-1")


def test_findings_of_a_case_are_bounded(conn: Connection) -> None:
    detail = read_case.case_detail(conn, "C-1013", findings=2)
    assert len(detail.records) == min(2, detail.case.findings)
    lines = read_case.finding_lines(conn, "C-1013")
    assert [line.first_seen_ms for line in lines] == sorted(line.first_seen_ms for line in lines)


def test_ledger_pages_backwards(conn: Connection) -> None:
    newest = read_case.ledger_entries(conn, limit=5)
    older = read_case.ledger_entries(conn, before=newest[-1].idx, limit=5)
    assert [e.idx for e in (*newest, *older)] == list(range(newest[0].idx, newest[0].idx - 10, -1))
    assert newest[0].idx == read.ledger_size(conn) - 1


def test_raw_alert_is_the_bytes_that_came_in_and_tampering_shows(engine: Engine) -> None:
    with engine.connect() as conn:
        ident = read_case.case_row(conn, "C-1005").top_finding
        (ref,) = read_case.alert_refs(conn, ident)
        raw = read_raw.raw_alert(conn, ref.blob, ref.place)
        assert raw.position == 42
        assert hashlib.sha256(raw.data).hexdigest() == raw.sha256
        with pytest.raises(NotFoundError):
            read_raw.raw_alert(conn, ref.blob, 7)
        with pytest.raises(NotFoundError):
            read_raw.raw_alert(conn, "00", 0)
        conn.execute(update(t.evidence).where(t.evidence.c.digest == ref.blob).values(bytes=b"other"))
        with pytest.raises(VerificationError):
            read_raw.raw_alert(conn, ref.blob, ref.place)
        conn.rollback()


def test_sources_and_quarantine(conn: Connection) -> None:
    rows = {row.source: row for row in read.sources(conn)}
    assert set(rows) == {"edr", "generic", "suricata", "wazuh"}
    assert rows["wazuh"].quarantined == 1
    assert sum(row.alerts for row in rows.values()) == read.counts(conn).total.alerts
    held = read.quarantined(conn)
    assert [row.state for row in held] == ["waiting", "resubmitted"]


def test_autonomy_starts_with_nothing_alone(conn: Connection) -> None:
    found = read.autonomy(conn)
    assert found.closing == ()
    assert found.scopes == 6


def test_empty_site_has_pages(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    t.metadata.create_all(engine)
    with engine.connect() as conn:
        assert read.queue(conn, tab=read.Tab.NEEDS).rows == ()
        assert read.counts(conn).total.cases == 0
        assert read.ledger_size(conn) == 0
        assert read.sources(conn) == ()
    engine.dispose()
