"""What a finding is when more of it comes, and which alerts are behind it, is read from its records."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from countersign.bootstrap import Site, open_site
from countersign.errors import NotFoundError
from countersign.model.alerts import Delivery
from countersign.model.records import Outline
from countersign.store import erasing, inbox, read_case, read_raw, recorded
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from countersign.store.erasing_who import Wanted
from tests import fakes
from tests.fakes import NOON_MS, deliver, wazuh


def finding(site: Site) -> str:
    with reading(site.engine) as conn:
        (ident,) = conn.execute(select(t.findings.c.id)).scalars()
    return str(ident)


def repeats(number: int) -> list[bytes]:
    return [wazuh(f"{number}.{i}", at_ms=NOON_MS + number * 1000 + i) for i in range(2)]


def held_by(site: Site) -> recorded.Recent:
    return site.hot_path._carried.recent


def test_every_alert_behind_a_finding_is_told_in_the_order_of_its_decisions(site: Site) -> None:
    raws = [repeats(number) for number in range(5)]
    for some in raws:
        deliver(site, some)
    with reading(site.engine) as conn:
        refs = read_case.alert_refs(conn, finding(site))
        seen = [read_raw.raw_alert(conn, ref.blob, ref.place).sha256 for ref in refs]
        assert len(read_case.alert_refs(conn, finding(site), limit=3)) == 3
    assert seen == [hashlib.sha256(raw).hexdigest() for some in raws for raw in some]
    assert fakes.count(site.engine, "earlier_decisions") == 4
    fakes.assert_rebuilds(site)


def test_what_is_remembered_is_what_a_new_process_reads(data: Path) -> None:
    site = open_site(data, clock=fakes.StepClock())
    try:
        for number in range(3):
            deliver(site, repeats(number))
        places = list(held_by(site)._held)
        with reading(site.engine) as conn:
            assert (
                held_by(site).read(conn, places) == recorded.outlines(conn, places) == recorded.Recent().read(conn, places)
            )
    finally:
        site.close()
    again = open_site(data, clock=fakes.StepClock())
    try:
        deliver(again, repeats(3))
        with reading(again.engine) as conn:
            assert conn.execute(select(t.findings.c.count)).scalars().all() == [8]
        fakes.assert_rebuilds(again)
    finally:
        again.close()


def test_what_was_erased_is_not_remembered(site: Site) -> None:
    deliver(site, [wazuh("1", full_log="login of zora.quillfeather failed")])
    assert "zora.quillfeather" in next(iter(held_by(site)._held.values())).finding.message
    with writing(site.engine) as conn:
        erasing.erase(conn, Wanted(("zora.quillfeather",)), "asked", "ada", NOON_MS)
    deliver(site, [wazuh("2", at_ms=NOON_MS + 1, full_log="login failed")])
    with reading(site.engine) as conn:
        record = read_case.finding_record(conn, finding(site))
    assert record.finding.count == 2
    assert "quillfeather" not in record.finding.message
    fakes.assert_rebuilds(site)


def test_what_was_erased_while_it_waited_is_processed_as_it_is_now(site: Site) -> None:
    raw = wazuh("1", full_log="login of zora.quillfeather failed")
    one = Delivery("wazuh", "test", (1,), (raw,))
    with writing(site.engine) as conn:
        (blob,) = inbox.accept(conn, [one], [], trigger="file", now_ms=NOON_MS)
    site.hot_path.expect({blob.digest: one})
    with writing(site.engine) as conn:
        erasing.erase(conn, Wanted(("zora.quillfeather",)), "asked", "ada", NOON_MS)
    site.hot_path.drain()
    with reading(site.engine) as conn:
        record = read_case.finding_record(conn, finding(site))
    assert record.finding.message.startswith("login of")
    assert "quillfeather" not in record.finding.message
    fakes.assert_rebuilds(site)


def test_only_so_many_are_remembered(site: Site) -> None:
    deliver(site, repeats(0))
    ((_, one),) = held_by(site)._held.items()
    recent = recorded.Recent(most=16)
    for number in range(100):
        recent.hold({("blob", number): Outline(one.finding, ())})
        assert len(recent._held) <= 16
    assert ("blob", 99) in recent._held
    assert ("blob", 0) not in recent._held


def test_a_finding_whose_record_is_gone_costs_its_own_alerts_only(site: Site) -> None:
    deliver(site, repeats(0))
    lost = finding(site)
    with writing(site.engine) as conn:
        conn.execute(delete(t.evidence).where(t.evidence.c.kind == "records"))
    made = deliver(site, [*repeats(1), wazuh("other", host="web-2")])
    assert (made.accepted, made.quarantined) == (1, 2)
    with reading(site.engine) as conn:
        assert read_case.alert_refs(conn, lost) == ()
        with pytest.raises(NotFoundError):
            recorded.Recent().read(conn, [tuple(conn.execute(select(t.findings.c.blob, t.findings.c.place)).first())])
