"""The console's ledger page over a real site: filters by index, one entry whole, proofs that a stranger accepts, names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text, update
from starlette.testclient import TestClient

from countersign.api.server import create_app
from countersign.bootstrap import Site, open_site
from countersign.errors import NotFoundError
from countersign.ledger.proof import verify_proof
from countersign.model.entries import Entry, Kind
from countersign.store import accounts, casework, ledger, read_ledger
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from countersign.store.read_ledger import Filter
from countersign.web import entry_words
from countersign.web.session import Sessions
from tests import fakes
from tests.earned import open_cases
from tests.fakes import NOON_MS, StepClock, data_directory, deliver, wazuh

HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture
def busy(site: Site) -> Site:
    """Alerts, a merge's worth of cases, people's work on both databases."""
    deliver(site, [wazuh(f"{i}", host=f"h-{i}", rule=f"57{i}", data={}, at_ms=NOON_MS + i * 600_000) for i in range(30)])
    cases = open_cases(site)
    site.commands.dispose(cases[0], "benign", "routine", "ada")
    site.commands.dispose(cases[1], "benign", f"routine {HOSTILE}", "bea")
    site.commands.assign(cases[2], "bea", "ada")
    site.commands.stop("endpoint", "drill", "ada")
    site.seal()
    return site


def everything(site: Site) -> list[tuple[int, Entry, str]]:
    with reading(site.engine) as conn:
        cases = dict(conn.execute(text("SELECT idx, case_id FROM entries")).all())  # type: ignore[arg-type]
        return [(index, entry, cases[index]) for index, entry in ledger.stream(conn)]


def paged(site: Site, wanted: Filter, limit: int = 7) -> list[int]:
    """All pages one after the other, as a person would turn them."""
    found: list[int] = []
    before: int | None = None
    while True:
        with reading(site.engine) as conn:
            page = read_ledger.page(conn, wanted, before=before, limit=limit)
        found += [one.idx for one in page.rows]
        if not page.before:
            return found
        before = page.before


def test_each_filter_finds_what_a_look_at_everything_finds(busy: Site) -> None:
    whole = everything(busy)
    case, finding = whole[-1][2], next(e.subject for _, e, c in whole if e.kind is Kind.FINDING_DECIDED)
    case = next(c for _, e, c in whole if e.kind is Kind.CASE_DISPOSED)
    person = next(e.actor.id for _, e, _ in whole if e.kind is Kind.CASE_ASSIGNED)
    lease = next(e.subject for _, e, _ in whole if e.kind is Kind.LEASE_ISSUED)
    middle = whole[len(whole) // 2][1].time
    wanted = {
        Filter(): lambda e, c: True,
        Filter(kind="finding.decided"): lambda e, c: e.kind is Kind.FINDING_DECIDED,
        Filter(kind="case."): lambda e, c: e.kind.startswith("case."),
        Filter(actor="human"): lambda e, c: e.actor.type == "human",
        Filter(actor="agent"): lambda e, c: e.actor.type == "agent",
        Filter(actor="system"): lambda e, c: e.actor.type == "system",
        Filter(actor=person): lambda e, c: e.actor.id == person,
        Filter(subject=case): lambda e, c: c == case or e.subject == case,
        Filter(subject=finding): lambda e, c: e.subject == finding,
        Filter(subject="endpoint"): lambda e, c: e.subject == "endpoint",
        Filter(subject=lease): lambda e, c: e.subject == lease,
        Filter(since_ms=middle): lambda e, c: e.time >= middle,
        Filter(until_ms=middle): lambda e, c: e.time < middle,
        Filter(kind="case.disposed", actor=person): lambda e, c: e.kind is Kind.CASE_DISPOSED and e.actor.id == person,
        Filter(kind="no.such"): lambda e, c: False,
    }
    for filter_, holds in wanted.items():
        expected = [index for index, entry, about in reversed(whole) if holds(entry, about)]
        assert paged(busy, filter_) == expected, filter_


def test_a_case_brings_the_entries_of_those_that_were_merged_into_it(busy: Site) -> None:
    one, other = open_cases(busy)[3:5]
    with writing(busy.engine) as conn:
        conn.execute(update(t.cases).where(t.cases.c.id == other).values(merged_into=one, status="merged"))
    expected = [index for index, _, about in reversed(everything(busy)) if about in (one, other)]
    assert paged(busy, Filter(subject=one)) == expected


def test_a_search_that_finds_little_says_how_far_it_came(busy: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ledger, "LOOKED_MAX", 10)
    with reading(busy.engine) as conn:
        page = read_ledger.page(conn, Filter(kind="finding.decided", actor="human"))
    assert (page.rows, page.partly) == ((), True)
    assert page.before > 0
    assert paged(busy, Filter(kind="finding.decided", actor="human")) == []


def test_no_question_reads_the_whole_ledger(busy: Site) -> None:
    """Every statement over ``entries`` goes through an index, by the database's own plan."""
    plans: list[str] = []
    sqlite = busy.engine.dialect.name == "sqlite"

    def explain(conn: Connection, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if not statement.startswith("SELECT") or "FROM entries" not in statement:
            return
        cursor = conn.connection.cursor()
        if not sqlite:
            cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(("EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN ") + statement, parameters)
        plans.append("\n".join(str(row[-1]) for row in cursor.fetchall()))

    event.listen(busy.engine, "before_cursor_execute", explain)
    for wanted in (Filter(), Filter(kind="case."), Filter(actor="human"), Filter(subject="C-1001"), Filter(subject="x")):
        with reading(busy.engine) as conn:
            read_ledger.page(conn, wanted)
            read_ledger.led_to(conn, 3)
    event.remove(busy.engine, "before_cursor_execute", explain)
    assert len(plans) > 10
    bad = ("SCAN entries", "TEMP B-TREE") if sqlite else ("Seq Scan",)
    assert [plan for plan in plans if any(word in plan for word in bad)] == []


def test_what_an_entry_led_to_and_what_caused_it(busy: Site) -> None:
    whole = everything(busy)
    with reading(busy.engine) as conn:
        for index, entry, _ in whole:
            expected = [i for i, e, _ in whole if i != index and i > index and read_ledger.cause(e) == index]
            assert [one.idx for one in read_ledger.led_to(conn, index)] == expected[: read_ledger.LED_TO_MAX], entry.kind
        with pytest.raises(NotFoundError, match="no such entry"):
            read_ledger.one(conn, len(whole))


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Site]:
    opened = open_site(data_directory(tmp_path / "data"), clock=StepClock())
    deliver(opened, [wazuh("1", level=10, title=HOSTILE)])
    opened.commands.dispose(open_cases(opened)[0], "benign", HOSTILE, "ada")
    opened.seal()
    yield opened
    opened.close()


def served(site: Site, name: str = "ada", *roles: str) -> TestClient:
    """A console with somebody signed in: by the printed link, or with these roles alone."""
    sessions = Sessions(site.session_key)
    client = TestClient(create_app(site, sessions, worker=False), base_url="http://localhost")
    client.get(f"/enter?t={sessions.link_token(name, site.clock.now_ms())}")
    if roles:
        with writing(site.engine) as conn:
            who = casework.person(conn, name)
            accounts.grant(conn, who.id, roles, who, site.clock.now_ms())
    return client


def newest(site: Site, kind: Kind) -> int:
    with reading(site.engine) as conn:
        return ledger.last_index(conn, kind)


def test_a_downloaded_proof_and_entry_convince_a_stranger(lone: Site) -> None:
    client, index = served(lone), newest(lone, Kind.CASE_DISPOSED)
    proof, entry = client.get(f"/ledger/{index}/proof"), client.get(f"/ledger/{index}/bytes")
    assert f'filename="entry-{index}.tlog-proof"' in proof.headers["content-disposition"]
    checkpoint = verify_proof(proof.text, entry.content, [lone.log_key.vkey])
    assert checkpoint == lone.sealer.checkpoint()
    lone.commands.stop("*", "drill", "ada")
    fresh = newest(lone, Kind.AUTONOMY_STOPPED)
    answer = client.get(f"/ledger/{fresh}/proof")
    assert (answer.status_code, "once it is sealed" in answer.text) == (404, True)
    assert "not sealed yet" in client.get(f"/ledger/{fresh}").text


def test_an_entry_is_shown_with_the_words_of_the_reference_and_nothing_in_it_lives(lone: Site) -> None:
    client, index = served(lone), newest(lone, Kind.CASE_DISPOSED)
    page = client.get(f"/ledger/{index}").text
    assert "A person closed a case" in page
    assert "<script>alert" not in page
    assert "⟦U+202E⟧" in page
    decided = client.get(f"/ledger/{newest(lone, Kind.FINDING_DECIDED)}").text
    assert "what was decided, close or escalate" in decided


def test_every_kind_has_words(lone: Site) -> None:
    assert [kind for kind in Kind if not entry_words.written_when(kind)] == []
    body = fakes.entries(lone.engine, Kind.FINDING_DECIDED)[0].body
    assert [name for name in body if not entry_words.about(Kind.FINDING_DECIDED, name)] == []


def test_names_are_for_those_who_may_see_them(lone: Site) -> None:
    index = newest(lone, Kind.CASE_DISPOSED)
    with reading(lone.engine) as conn:
        pseudonym = read_ledger.pseudonym_of(conn, "ada")
    page = served(lone, "ada").get(f"/ledger/{index}").text
    assert f"<dt><code>{pseudonym}</code></dt>" in page
    assert f'id="entry-{index}"' in served(lone, "ada").get("/ledger?actor=ada&kind=case.disposed").text


def test_pages_bear_what_people_type(lone: Site) -> None:
    client = served(lone)
    for query in ("kind=%00", "subject=%27%22%3Cb%3E", "since=yesterday", "before=99999999999999999999", "actor=%E2%80%AE"):
        answer = client.get(f"/ledger?{query}")
        assert answer.status_code == 200, query
        assert "<b>" + "x" not in answer.text
    assert "could not be read as a time" in client.get("/ledger?since=yesterday").text
    assert client.get("/ledger/go?index=1,0", follow_redirects=False).headers["location"] == "/ledger/10"
    assert client.get("/ledger/go?index=x").status_code == 422
    assert client.get("/ledger/123456").status_code == 404
    assert client.get("/ledger/x").status_code == 404


def test_a_row_that_was_made_unreadable_is_shown_as_damaged(lone: Site) -> None:
    with writing(lone.engine) as conn:
        conn.execute(update(t.entries).where(t.entries.c.idx == 3).values(bytes=b"{no entry"))
    client = served(lone)
    assert "damaged" in client.get("/ledger?before=5").text
    assert "These bytes are no entry" in client.get("/ledger/3").text


def test_a_page_says_what_it_was_read_at(lone: Site) -> None:
    client = served(lone)

    def told(path: str) -> str:
        found = re.search(r'data-pulse="([^"]*)"', client.get(path).text)
        return found.group(1) if found else "none"

    before = told("/")
    assert before == told("/cases/C-1001") == told("/ledger") != ""
    lone.commands.stop("*", "drill", "ada")
    assert told("/") != before
    assert "data-pulse" not in client.get("/queue", headers={"hx-request": "true"}).text
    with writing(lone.engine) as conn:
        conn.execute(text("UPDATE ledger_head SET size = 'x'"))
    assert client.get("/cases/C-99999").status_code == 404, "a page that shows nothing of the ledger goes on"
