"""From the inbox to findings, cases and entries, on both databases: nothing is dropped, whatever comes in."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from countersign import flow
from countersign.bootstrap import Gear, Site
from countersign.correlate.fold import IDS_MAX
from countersign.errors import UsageError
from countersign.feed import Feeder
from countersign.ledger.bodies import REASONS_MAX
from countersign.model.alerts import Delivery
from countersign.model.entries import Kind
from countersign.store import inbox, read
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from countersign.store.hotpath import HotPath
from tests import fakes
from tests.fakes import NOON_MS, deliver, wazuh


def test_an_alert_walks_the_whole_way(site: Site) -> None:
    done = deliver(site, [wazuh("1", level=12)])
    assert (done.accepted, done.findings, done.cases, done.escalated) == (1, 1, 1, 1)
    with reading(site.engine) as conn:
        finding = conn.execute(select(t.findings)).one()
        case = conn.execute(select(t.cases)).one()
    assert (finding.host, finding.rule, finding.count, finding.case_id) == ("web-1", "5710", 1, case.id)
    assert (case.status, case.findings, case.alerts, case.top_finding) == ("open", 1, 1, finding.id)
    kinds = [entry.kind for entry in fakes.entries(site.engine)]
    assert kinds[-3:] == [Kind.LEASE_ISSUED, Kind.ALERT_RECEIVED, Kind.FINDING_DECIDED]
    fakes.assert_rebuilds(site)
    fakes.verified(site)


def test_what_is_left_to_people_is_counted_once_however_often_it_was_decided(site: Site) -> None:
    feeder = Feeder(site)
    for n in range(3):
        delivery = Delivery("wazuh", "test", (n + 1,), (wazuh(str(n), at_ms=NOON_MS + n),))
        feeder.feed(iter([delivery]), chain=False)
    done = fakes.accounted(feeder.finish())
    assert len(fakes.entries(site.engine, Kind.FINDING_DECIDED)) == 3
    assert (done.findings, done.escalated, done.closed) == (1, 1, 0)
    with reading(site.engine) as conn:
        assert read.counts(conn).total == read.Bucket(cases=1, alerts=3, findings=1)
    again = deliver(site, [wazuh("x", at_ms=NOON_MS + 9)])
    assert (again.findings, again.escalated) == (0, 1), "an old finding that was added to"


def test_the_same_alert_by_its_own_id_is_a_duplicate(site: Site) -> None:
    assert deliver(site, [wazuh("1"), wazuh("1"), wazuh("2")]).duplicates == 1
    again = deliver(site, [wazuh("1"), wazuh("3")])
    assert (again.accepted, again.duplicates) == (1, 1)
    assert fakes.alerts_in_findings(site.engine) == 3


def test_equal_bytes_without_an_id_are_not_a_duplicate(site: Site) -> None:
    assert deliver(site, [wazuh(""), wazuh("")]).accepted == 2
    assert deliver(site, [wazuh("")]).accepted == 1
    assert fakes.alerts_in_findings(site.engine) == 3


def test_the_same_id_with_other_content_is_news(site: Site) -> None:
    deliver(site, [wazuh("1")])
    assert deliver(site, [wazuh("1", host="web-2")]).accepted == 1
    assert fakes.alerts_in_findings(site.engine) == 2


def test_repeats_fold_across_batches(site: Site) -> None:
    for number in range(3):
        deliver(site, [wazuh(str(number), at_ms=NOON_MS + number * 1_000)])
    with reading(site.engine) as conn:
        finding = conn.execute(select(t.findings)).one()
    assert (finding.count, finding.first_seen_ms, finding.last_seen_ms) == (3, NOON_MS, NOON_MS + 2_000)
    assert len(fakes.entries(site.engine, Kind.FINDING_DECIDED)) == 3  # a new entry each time, none is overwritten
    fakes.assert_rebuilds(site)


def test_what_is_no_alert_is_counted_with_its_reason(site: Site) -> None:
    done = deliver(site, [b'{"timestamp":"2026-11-01T10:00:00.0+0000","event_type":"flow"}'] * 2, "suricata")
    assert (done.ignored, done.accepted) == (2, 0)
    (entry,) = fakes.entries(site.engine, Kind.ALERT_RECEIVED)
    assert entry.body["ignored"] == {"event_type=flow": 2}


def test_reasons_of_the_senders_choosing_do_not_burst_an_entry(site: Site) -> None:
    event = {"timestamp": "2026-11-01T10:00:00.0+0000"}
    raws = [json.dumps(event | {"event_type": "\u0001" * 36 + f"{i:04}"}).encode() for i in range(500)]
    assert deliver(site, raws, "suricata").ignored == 500
    (entry,) = fakes.entries(site.engine, Kind.ALERT_RECEIVED)
    assert len(entry.body["ignored"]) == REASONS_MAX + 1
    fakes.assert_rebuilds(site)


def test_techniques_of_the_senders_choosing_do_not_burst_an_entry(site: Site) -> None:
    """Each of these alerts is fine; folded together they once made a decision too large for an entry."""
    raws = []
    for number in range(40):
        ids = ["".join(f"T{(number * 1280 + i * 40 + j) % 10_000:04}" for j in range(40)) for i in range(32)]
        raws.append(wazuh(str(number), mitre={"id": ids, "tactic": ["Impact"]}))
    done = deliver(site, raws)
    assert (done.accepted, done.quarantined, done.findings) == (40, 0, 1)
    with reading(site.engine) as conn:
        assert len(conn.execute(select(t.findings.c.techniques)).scalar_one().split(",")) == IDS_MAX
    fakes.assert_rebuilds(site)


# --- poison: processing itself fails ----------------------------------------------------------------------------------

Judging = Callable[[flow.Batch], list[flow.Judged]]


def poisoned(site: Site, breaks: Callable[[flow.Batch], Exception | None]) -> HotPath:
    """The site's own hot path, but for a judge that fails on batches of its choosing."""
    tools = Gear(site).tools()
    honest: Judging = tools.judge

    def judge(batch: flow.Batch) -> list[flow.Judged]:
        error = breaks(batch)
        if error is not None:
            raise error
        return honest(batch)

    return HotPath(site.engine, site.clock, replace(tools, judge=judge))


def accept(site: Site, *several: list[bytes]) -> None:
    with writing(site.engine) as conn:
        deliveries = [Delivery("wazuh", "test", tuple(range(1, len(raws) + 1)), tuple(raws)) for raws in several]
        inbox.accept(conn, deliveries, [], trigger="test", now_ms=site.clock.now_ms())


def quarantined(site: Site) -> list[tuple[int, str]]:
    with reading(site.engine) as conn:
        rows = conn.execute(select(t.quarantine.c.position, t.quarantine.c.error).order_by(t.quarantine.c.id)).all()
        assert inbox.waiting(conn) == 0
    return [(row.position, row.error) for row in rows]


def titles(batch: flow.Batch) -> list[str]:
    return [placed.finding.title for placed in batch.placed]


@pytest.mark.parametrize("error", [ValueError("no foresight"), UsageError("entry is over the limit"), RecursionError()])
def test_a_poison_alert_is_quarantined_and_its_neighbours_go_through(site: Site, error: Exception) -> None:
    path = poisoned(site, lambda batch: error if "poison" in titles(batch) else None)
    good = [wazuh(str(i), rule=str(i)) for i in range(4)]
    accept(site, [*good[:2], wazuh("9", rule="9", title="poison")], good[2:])
    report = path.drain()
    assert (report.accepted, report.quarantined, report.lines) == (4, 1, 5)
    ((position, text),) = quarantined(site)
    assert position == 3
    assert "internal error" in text
    fakes.assert_rebuilds(site)
    fakes.verified(site)


def test_alerts_that_break_things_only_together_are_all_kept(site: Site) -> None:
    path = poisoned(site, lambda batch: ValueError() if titles(batch).count("half") > 1 else None)
    accept(site, [wazuh(str(i), rule=str(i), title="half") for i in range(3)], [wazuh("9")])
    report = path.drain()
    assert (report.accepted, report.quarantined) == (1, 3)
    assert [position for position, _ in quarantined(site)] == [1, 2, 3]
    fakes.assert_rebuilds(site)


def test_poison_that_was_cured_goes_through_when_it_is_resubmitted(site: Site) -> None:
    accept(site, [wazuh("1", title="poison")])
    poisoned(site, lambda batch: ValueError() if "poison" in titles(batch) else None).drain()
    with reading(site.engine) as conn:
        number = conn.execute(select(t.quarantine.c.id)).scalar_one()
    site.commands.resubmit(number)
    assert site.hot_path.drain().accepted == 1
    assert fakes.alerts_in_findings(site.engine) == 1
    fakes.assert_rebuilds(site)


def test_trouble_with_the_database_is_not_blamed_on_alerts(site: Site) -> None:
    trouble = OperationalError("SELECT", {}, Exception("server closed the connection"))
    path = poisoned(site, lambda _batch: trouble)
    accept(site, [wazuh("1"), wazuh("2")])
    with pytest.raises(Exception, match="server closed the connection"):
        path.drain()
    assert fakes.count(site.engine, "quarantine") == 0
    assert site.hot_path.drain().accepted == 2


def test_a_source_that_cannot_be_made_any_more_quarantines_instead_of_blocking(site: Site) -> None:
    with writing(site.engine) as conn:
        gone = Delivery("no-such-tool", "test", (1, 2), (b"{}", b"{}"))
        faulty = Delivery("generic", "test", (1,), (b"{}",), mapping="time = ")
        inbox.accept(conn, [gone, faulty], [], trigger="test", now_ms=1)
    accept(site, [wazuh("1")])
    report = site.hot_path.drain()
    assert (report.accepted, report.quarantined) == (1, 3)
    assert all(error for _, error in quarantined(site))
    fakes.assert_rebuilds(site)


def test_two_workers_share_the_inbox(site: Site) -> None:
    import threading  # noqa: PLC0415 - only here

    accept(site, *([wazuh(f"{i}.{j}", rule=str(j), host=f"h{i}") for j in range(20)] for i in range(30)))
    paths = [HotPath(site.engine, site.clock, Gear(site).tools()) for _ in range(2)]
    threads = [threading.Thread(target=path.drain) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert quarantined(site) == []
    assert fakes.alerts_in_findings(site.engine) == 600
    fakes.assert_rebuilds(site)
    fakes.verified(site)
