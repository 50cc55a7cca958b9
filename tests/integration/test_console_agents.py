"""The Agents page against the real commands and both databases: what it shows, and the ways down."""

from __future__ import annotations

import re

import pytest

from countersign.approvals import sshsig
from countersign.approvals.change import message
from countersign.bootstrap import Site
from countersign.impact import Impact
from countersign.model.alerts import Delivery
from countersign.model.entries import Kind
from countersign.store import agents, inbox, leases, read
from countersign.store.changes import Answer
from countersign.store.engine import reading, writing
from tests.fakes import count, deliver, entries, run_json, wazuh
from tests.integration.test_console_governed import HX, Door
from tests.ssh_signing import make, sign


@pytest.fixture
def door(site: Site) -> Door:
    deliver(site, [wazuh("0", level=12), wazuh("1", rule="7")])
    return Door(site)


def card(page: str, name: str) -> str:
    found = re.search(rf'<section class="panel scope agent" id="agent-{name}".*?</section>', page, re.DOTALL)
    assert found is not None, name
    return found[0]


def test_each_agent_stands_there_with_key_limits_leases_and_deeds(door: Door) -> None:
    page = door.client.get("/agents").text
    with reading(door.site.engine) as conn:
        everyone, (lease,) = agents.everyone(conn), leases.newest(conn, 5)
    for one in everyone:
        shown = card(page, one.name)
        assert one.fingerprint in shown.replace("&#43;", "+").replace("&#x2B;", "+")
        for operation in one.operations.split(" "):
            assert operation in shown
        assert f"/agents/{one.name}/stop" in shown
        assert "/resume" not in shown
    handed = {one["to"]: one["id"] for one in lease.body["handed"]}
    assert f"/agents/{lease.id}/revoke" in card(page, "triage")
    assert f"/agents/{handed['enricher']}/revoke" in card(page, "enricher")
    assert "2 to decide" in card(page, "triage")
    assert "Helped triage" in card(page, "correlator")
    assert "It has carried nothing out lately" in card(page, "responder")


def test_stopping_takes_a_reason_and_resuming_is_not_here(door: Door) -> None:
    form = door.client.get("/agents/enricher/stop").text
    assert "Every lookup counts as unavailable" in form
    assert door.post("/agents/enricher/stop", reason=" ").status_code == 422
    assert entries(door.site.engine, Kind.AGENT_STOPPED) == []
    done = door.post("/agents/enricher/stop", reason="it <b>lies</b>")
    assert (done.status_code, done.headers["location"]) == (303, "/agents")
    (entry,) = entries(door.site.engine, Kind.AGENT_STOPPED)
    assert (entry.subject, entry.actor.type, entry.body["reason"]) == ("enricher", "human", "it <b>lies</b>")
    again = door.post("/agents/enricher/stop", headers=HX, reason="once more")
    assert (again.status_code, "stopped already" in again.text, "once more" in again.text) == (409, True, True)
    shown = card(door.client.get("/agents").text, "enricher")
    assert "it &lt;b&gt;lies&lt;/b&gt;" in shown
    assert "countersign agents resume enricher" in shown
    for path in ("/agents/enricher/resume", "/agents/clerk/add"):
        assert door.client.get(path).status_code == 404
        assert door.post(path, reason="over").status_code == 404
    assert door.post("/agents/nobody/stop", reason="drill").status_code == 404
    assert door.post("/agents/triage/retire", reason="drill").status_code == 409


def test_a_stop_is_seen_on_every_page_with_what_waits_because_of_it(door: Door) -> None:
    assert "Stopped:" not in door.client.get("/status").text
    door.site.commands.stop_agent("triage", "drill", "ada")
    one = Delivery("wazuh", "test", (1,), (wazuh("9", rule="99"),))
    with writing(door.site.engine) as conn:
        inbox.accept(conn, [one], [], trigger="http", now_ms=door.site.clock.now_ms())
    assert door.site.hot_path.step() is None
    for path in ("/", "/status", "/ledger"):
        shown = re.sub(r"</?bdi[^>]*>", "", door.client.get(path).text)
        assert "Stopped: triage" in shown, path
        assert "1 alert in the inbox" in shown, path
    assert run_json("doctor", "--data", door.site.data)["stopped agents"] == "triage"


def test_a_lease_is_revoked_from_the_page(door: Door) -> None:
    (issued,) = entries(door.site.engine, Kind.LEASE_ISSUED)
    assert door.client.get(f"/agents/{issued.subject}/revoke").status_code == 200
    done = door.post(f"/agents/{issued.subject}/revoke", headers=HX, reason="drill")
    assert "case:done" in done.headers["hx-trigger"]
    (entry,) = entries(door.site.engine, Kind.LEASE_REVOKED)
    assert entry.subject == issued.subject
    assert f"/agents/{issued.subject}/revoke" not in door.client.get("/agents").text
    assert door.post("/agents/ffff/revoke", reason="drill").status_code == 404


def test_the_live_part_is_sent_only_when_something_happened(door: Door) -> None:
    page = door.client.get("/agents").text
    found = re.search(r"/agents/live\?mark=(\d+)", page)
    assert found is not None
    assert door.client.get(f"/agents/live?mark={found[1]}").status_code == 204
    door.site.commands.stop_agent("responder", "drill", "ada")
    live = door.client.get(f"/agents/live?mark={found[1]}")
    assert live.status_code == 200
    assert "1 agent stopped" in live.text


def test_without_its_investigator_a_case_page_says_so_and_keeps_the_rest(door: Door) -> None:
    with reading(door.site.engine) as conn:
        row = read.queue(conn, tab=read.Tab.ALL).rows[0]
    before = count(door.site.engine, "entries")
    assert 'class="account"' in door.client.get(f"/cases/{row.id}").text
    assert count(door.site.engine, "entries") == before, "a look leaves no entry"
    door.site.commands.stop_agent("investigator", "drill", "ada")
    for path in (f"/cases/{row.id}", f"/cases/{row.id}", f"/cases/{row.id}/preview", "/"):
        page = door.client.get(path)
        assert page.status_code == 200
        assert 'class="account"' not in page.text
    assert "No draft and no suggestions: agent stopped" in door.client.get(f"/cases/{row.id}").text
    assert len(entries(door.site.engine, Kind.LEASE_REFUSED)) == 1


def test_an_agent_of_the_sites_own_stands_there_once_it_is_approved_and_can_be_retired(door: Door) -> None:
    impact, key = Impact(door.site), make("ssh-ed25519", "ada")
    impact.enrol("ada", sshsig.parse_key(key.public))
    number = impact.agent("clerk", "writes <notes>", ["case.summarise"])
    assert 'id="agent-clerk"' not in door.client.get("/agents").text
    impact.approve(number, Answer("ada", sign(key, message(impact.waiting(number).digest)), "wanted"))
    shown = card(door.client.get("/agents").text, "clerk")
    assert "writes &lt;notes&gt;" in shown
    assert f"<dd>{impact.operator}</dd>" in re.sub(r"</?bdi[^>]*>", "", shown)
    assert door.post("/agents/clerk/retire", reason="done").status_code == 303
    shown = card(door.client.get("/agents").text, "clerk")
    assert "retired" in shown
    assert "/agents/clerk/" not in shown
