"""Agents come and go on record: stopping is a command, adding and resuming wait for a signature."""

from __future__ import annotations

import pytest

from countersign.approvals import sshsig
from countersign.approvals.change import message
from countersign.authority.agents import AGENTS, Operation
from countersign.authority.grant import Part, take
from countersign.authority.terms import Use
from countersign.bootstrap import Site, open_site
from countersign.errors import ConflictError, NotFoundError, UsageError, VerificationError
from countersign.impact import Impact
from countersign.model.entries import Kind
from countersign.store import agents
from countersign.store.changes import Answer
from countersign.store.engine import reading
from tests import fakes
from tests.fakes import StepClock, deliver, wazuh
from tests.ssh_signing import Key, make, sign


@pytest.fixture
def ada(site: Site) -> Key:
    """An enrolled approver."""
    key = make("ssh-ed25519", "ada")
    Impact(site).enrol("ada", sshsig.parse_key(key.public))
    return key


def approve(site: Site, number: int, key: Key) -> None:
    impact = Impact(site)
    impact.approve(number, Answer("ada", sign(key, message(impact.waiting(number).digest)), "looked into it"))


def state(site: Site, name: str) -> str:
    with reading(site.engine) as conn:
        return agents.find(conn, name).state


def propose(site: Site, name: str = "case-clerk") -> int:
    return Impact(site).agent(name, "writes  the hand-over\nnote", ["case.summarise"])


def test_the_products_agents_are_registered_once_each_with_a_key_of_its_own(site: Site) -> None:
    found = fakes.entries(site.engine, Kind.AGENT_REGISTERED)
    assert [entry.subject for entry in found] == list(AGENTS)
    assert len({entry.body["key"] for entry in found}) == len(AGENTS)
    open_site(site.data, clock=StepClock()).close()
    assert len(fakes.entries(site.engine, Kind.AGENT_REGISTERED)) == len(AGENTS)


def test_a_lost_key_is_made_again_on_record_and_old_signatures_still_hold(site: Site) -> None:
    deliver(site, [wazuh("0")])
    (site.data / "keys" / "agents" / "triage.key").unlink()
    site.commands.stop_agent("triage", "drill", "ada")
    again = open_site(site.data, clock=StepClock())
    again.close()
    renewed = fakes.entries(site.engine, Kind.AGENT_REGISTERED)[-1]
    assert (renewed.subject, len(fakes.entries(site.engine, Kind.AGENT_REGISTERED))) == ("triage", len(AGENTS) + 1)
    assert state(site, "triage") == "stopped", "a new key lifts no kill switch"
    assert fakes.run_json("leases", "list", "--data", site.data)[0]["signed"] is True
    fakes.assert_rebuilds(site)


def test_an_agent_of_the_site_is_added_by_a_signature_and_bounded_by_what_was_signed(site: Site, ada: Key) -> None:
    number = propose(site)
    with pytest.raises(NotFoundError):
        state(site, "case-clerk")
    approve(site, number, ada)
    assert state(site, "case-clerk") == "running"
    entry = fakes.entries(site.engine, Kind.AGENT_REGISTERED)[-1]
    assert (entry.body["purpose"], entry.body["operations"]) == ("writes the hand-over note", "case.summarise")
    assert (entry.body["change"], entry.body["owner"].startswith("person~")) == (number, True)
    now_ms = site.clock.now_ms()
    with reading(site.engine) as conn:
        known = site.leases.known(conn, now_ms)
    use = Use("note", now_ms)
    allowed = take(known, use, "case-clerk", [Part("case-clerk", Operation.SUMMARISE, ("case/C-1",))])
    assert allowed.holds(Operation.SUMMARISE)
    for more in (Operation.RUN, Operation.DECIDE):
        assert not take(known, use, "case-clerk", [Part("case-clerk", more, ("case/C-1",))]).proofs
    lent = take(known, use, "triage", [Part("case-clerk", Operation.LOOKUP, ("lookup/geo",))])
    assert [one.reason for one in lent.refusals] == ["beyond the agent"]
    fakes.assert_rebuilds(site)


def test_a_retired_agent_gets_no_lease_any_more(site: Site, ada: Key) -> None:
    approve(site, propose(site), ada)
    site.commands.retire_agent("case-clerk", "no longer needed", "ada")
    now_ms = site.clock.now_ms()
    with reading(site.engine) as conn:
        known = site.leases.known(conn, now_ms)
    part = Part("case-clerk", Operation.SUMMARISE, ("case/C-1",))
    assert [one.reason for one in take(known, Use("note", now_ms), "case-clerk", [part]).refusals] == ["agent not enrolled"]
    assert state(site, "case-clerk") == "retired"
    with pytest.raises(ConflictError, match="retired already"):
        site.commands.retire_agent("case-clerk", "again", "ada")
    with pytest.raises(ConflictError, match="belongs to the product"):
        site.commands.retire_agent("triage", "drill", "ada")
    with pytest.raises(ConflictError):
        propose(site)
    fakes.assert_rebuilds(site)


def test_resuming_waits_for_a_signature_over_this_very_stop(site: Site, ada: Key) -> None:
    deliver(site, [wazuh("0")])
    site.commands.stop_agent("triage", "drill", "ada")
    number = Impact(site).agent_resume("triage", "drill is over")
    assert state(site, "triage") == "stopped"
    stranger = make("ssh-ed25519", "eve")
    with pytest.raises(VerificationError):
        approve(site, number, stranger)
    approve(site, number, ada)
    assert state(site, "triage") == "running"
    assert deliver(site, [wazuh("1")]).accepted == 1
    entry = fakes.entries(site.engine, Kind.AGENT_RESUMED)[-1]
    assert (entry.actor.type, entry.body["change"]) == ("human", number)
    fakes.assert_rebuilds(site)
    fakes.verified(site)


def test_an_approval_for_one_stop_does_not_lift_the_next(site: Site, ada: Key) -> None:
    site.commands.stop_agent("enricher", "first", "ada")
    old = Impact(site).agent_resume("enricher", "over")
    newer = Impact(site).agent_resume  # the same may not wait twice
    with pytest.raises(ConflictError, match="waits already"):
        newer("enricher", "over")
    approve(site, old, ada)
    site.commands.stop_agent("enricher", "second", "ada")
    with pytest.raises(ConflictError):
        approve(site, old, ada)
    assert state(site, "enricher") == "stopped"


def test_from_the_shell_only_closing_a_way_needs_no_signature(site: Site, ada: Key) -> None:
    listed = fakes.run_json("agents", "list", "--data", site.data)
    assert {one["name"]: one["state"] for one in listed} == dict.fromkeys(AGENTS, "running")
    assert all(one["fingerprint"].startswith("SHA256:") and one["owner"] == "countersign" for one in listed)
    assert fakes.run("agents", "stop", "enricher", "--reason", "drill", "--data", site.data).returncode == 0
    assert state(site, "enricher") == "stopped"
    waits = fakes.run("agents", "resume", "enricher", "--reason", "over", "--data", site.data)
    assert b"waits: countersign approve" in waits.stderr
    assert state(site, "enricher") == "stopped"
    added = fakes.run("agents", "add", "clerk", "--purpose", "notes", "--operation", "case.summarise", "--data", site.data)
    assert b"waits: countersign approve" in added.stderr
    with pytest.raises(NotFoundError):
        state(site, "clerk")
    assert len(fakes.run_json("approvals", "--data", site.data)) == 2


@pytest.mark.parametrize("name", ["", "Upper", "a/../../log", "x", "a b", "ä", "-a"])
def test_a_name_that_is_none_makes_no_key_and_no_change(site: Site, name: str) -> None:
    before = fakes.count(site.engine, "entries")
    with pytest.raises(UsageError):
        propose(site, name)
    with pytest.raises(UsageError, match="unknown operation"):
        Impact(site).agent("clerk", "notes", ["everything"])
    with pytest.raises(UsageError, match="purpose"):
        Impact(site).agent("clerk", " ", ["case.summarise"])
    assert fakes.count(site.engine, "entries") == before
    assert {path.stem for path in (site.data / "keys" / "agents").iterdir()} == set(AGENTS)
