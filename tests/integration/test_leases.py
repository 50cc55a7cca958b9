"""Leases on the way that alerts go: whatever they do not cover is refused, recorded once, and loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import msgspec
import pytest
from sqlalchemy import Connection

from countersign.authority import grant
from countersign.authority import lease as tokens
from countersign.authority.agents import AGENTS, Operation
from countersign.authority.grant import FINDINGS, Authority, Grant, Part, lookup, prove, take
from countersign.authority.terms import Lease, LeaseRefused, Revocations, Use
from countersign.bootstrap import Gear, Site, open_site
from countersign.errors import ConflictError, NotFoundError, UsageError
from countersign.ledger.mandates import is_signed
from countersign.model.entries import Entry, Kind
from countersign.model.evidence import LookupStatus
from countersign.model.inventory import Asset, Inventory
from countersign.store import agents, inbox, leases, read, read_case
from countersign.store.engine import reading
from countersign.store.hotpath import HotPath
from tests import fakes
from tests.fakes import StepClock, deliver, wazuh

GEO = lookup("geo")
ASSETS = lookup("assets")


class Wrong:
    """Hands the hot path a lease that it should not have; everything else is the site's own."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.gear = Gear(site)

    def known(self, conn: Connection, now_ms: int) -> Authority:
        return self.site.leases.known(conn, now_ms)

    def good(self, conn: Connection, use: Use) -> Grant:
        return self.gear.lease(conn, use.task, use.now_ms)

    def expired(self, conn: Connection, use: Use) -> Grant:
        """Good a minute and a half ago, and used now."""
        old = self.good(conn, Use(use.task, use.now_ms - 90_000))
        return msgspec.structs.replace(old, use=use)

    def other_task(self, conn: Connection, use: Use) -> Grant:
        return msgspec.structs.replace(self.good(conn, Use("inbox-999999", use.now_ms)), use=use)

    def other_case(self, conn: Connection, use: Use) -> Grant:
        parts = [Part("triage", Operation.DECIDE, (FINDINGS,)), Part("correlator", Operation.LINK, (grant.CASES,))]
        parts.append(Part("enricher", Operation.LOOKUP, tuple(map(lookup, ("assets", "identities", "geo", "warninglists")))))
        about = take(self.known(conn, use.now_ms), Use(use.task, use.now_ms, "C-1001"), "triage", parts)
        return msgspec.structs.replace(about, use=use)

    def narrowed(self, conn: Connection, use: Use) -> tuple[Authority, Lease]:
        """The enricher's lease for one lookup alone, as triage hands it on."""
        known = self.known(conn, use.now_ms)
        whole = take(known, use, "triage", [Part("triage", Operation.LOOKUP, (GEO, ASSETS))]).lease
        assert whole is not None
        return known, tokens.attenuate(whole, known.public, to="enricher", operations=[Operation.LOOKUP], resources=[GEO])

    def widened(self, conn: Connection, use: Use) -> Grant:
        """The delegate appends a block that names more than it was handed."""
        known, child = self.narrowed(conn, use)
        wider = tokens.attenuate(child, known.public, operations=list(Operation), resources=[GEO, ASSETS, FINDINGS])
        prove(known, wider, Part("enricher", Operation.LOOKUP, (GEO,)), use)
        return self._unreached(prove(known, wider, Part("enricher", Operation.LOOKUP, (ASSETS,)), use))

    def passed_on(self, conn: Connection, use: Use) -> Grant:
        """The delegate hands it to an agent that could do more with it."""
        known, child = self.narrowed(conn, use)
        stolen = tokens.attenuate(child, known.public, to="investigator")
        return self._unreached(prove(known, stolen, Part("investigator", Operation.LOOKUP, (GEO,)), use))

    def stale(self, conn: Connection, use: Use) -> Grant:
        """The list of revocations was loaded more than a minute ago."""
        known, child = self.narrowed(conn, use)
        held = replace(known, revoked=Revocations(frozenset(), use.now_ms - 60_001))
        return self._unreached(prove(held, child, Part("enricher", Operation.LOOKUP, (GEO,)), use))

    def forged(self, conn: Connection, use: Use) -> Grant:
        """Minted by somebody who holds another root key."""
        known = self.known(conn, use.now_ms)
        root = tokens.new_root_key()
        minted = take(
            Authority(root, tokens.public_key(root), AGENTS, known.revoked),
            use,
            "triage",
            [Part("triage", Operation.DECIDE, (FINDINGS,))],
        ).lease
        assert minted is not None
        return self._unreached(prove(known, minted, Part("triage", Operation.DECIDE, (FINDINGS,)), use))

    def replayed(self, conn: Connection, use: Use) -> Grant:
        """The proof for one lookup, shown to another."""
        held = self.good(conn, use)
        proofs = dict(held.proofs)
        proofs[Operation.LOOKUP, ASSETS] = proofs[Operation.LOOKUP, GEO]
        return msgspec.structs.replace(held, proofs=MappingProxyType(proofs))

    def replayed_on_a_write(self, conn: Connection, use: Use) -> Grant:
        """The proof for a lookup, shown where decisions are written."""
        held = self.good(conn, use)
        proofs = dict(held.proofs)
        proofs[Operation.DECIDE, FINDINGS] = proofs[Operation.LOOKUP, GEO]
        return msgspec.structs.replace(held, proofs=MappingProxyType(proofs))

    def nothing(self, conn: Connection, use: Use) -> Grant:
        return msgspec.structs.replace(self.good(conn, use), proofs=MappingProxyType({}))

    @staticmethod
    def _unreached(proofs: object) -> Grant:
        raise AssertionError(f"passed: {proofs}")


def hot_path(site: Site, wrong: Callable[[Connection, Use], Grant], gear: Gear) -> HotPath:
    tools = replace(gear.tools(), lease=lambda conn, task, now_ms: wrong(conn, Use(task, now_ms)))
    return HotPath(site.engine, site.clock, tools)


def accept(site: Site, *raws: bytes) -> None:
    """Into the inbox, as the intake does, and no further."""
    one = fakes.Delivery("wazuh", "test", tuple(range(1, len(raws) + 1)), raws)
    with fakes.writing(site.engine) as conn:
        inbox.accept(conn, [one], [], trigger="http", now_ms=site.clock.now_ms())


def waiting(site: Site) -> int:
    with reading(site.engine) as conn:
        return inbox.waiting(conn)


def refusals(site: Site) -> list[Entry]:
    return fakes.entries(site.engine, Kind.LEASE_REFUSED)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("expired", "expired"),
        ("other_task", "other task"),
        ("other_case", "other case"),
        ("widened", "other resource"),
        ("passed_on", "other holder"),
        ("stale", "stale revocation list"),
        ("forged", "forged"),
        ("replayed", "other resource"),
        ("replayed_on_a_write", "other operation"),
    ],
)
def test_each_wrong_lease_is_refused_and_recorded_once_and_the_alert_waits(site: Site, kind: str, reason: str) -> None:
    deliver(site, [wazuh("0")])
    before = fakes.count(site.engine, "findings"), fakes.count(site.engine, "quarantine")
    wrong = Wrong(site)
    bad = hot_path(site, getattr(wrong, kind), wrong.gear)
    accept(site, wazuh("1", rule="77", host="b"))
    for _ in range(3):
        assert bad.step() is None
        assert bad.held_back
    (entry,) = refusals(site)
    assert entry.body["reason"] == reason
    assert entry.body["task"].startswith("inbox-")
    assert entry.actor.type == "system"
    assert (fakes.count(site.engine, "findings"), fakes.count(site.engine, "quarantine")) == before
    assert waiting(site) == 1
    site.hot_path.drain()
    assert (waiting(site), fakes.count(site.engine, "findings")) == (0, before[0] + 1)
    fakes.assert_rebuilds(site)
    fakes.verified(site)


def test_revoking_a_lease_revokes_what_was_handed_on_from_it(site: Site) -> None:
    """Triage's lease is revoked by a person; the enricher's, narrowed from it, no longer passes, and that is recorded."""
    deliver(site, [wazuh("0")])
    wrong = Wrong(site)
    held: list[Grant] = []

    def keep(conn: Connection, use: Use) -> Grant:
        held.append(wrong.good(conn, use))
        return held[-1]

    accept(site, wazuh("1"))
    assert hot_path(site, keep, wrong.gear).step() is not None
    parent, child = held[0].lease, held[0].handed[0]
    assert parent is not None
    assert (child.holder, child.id, child.own != parent.own) == ("enricher", parent.id, True)
    site.commands.revoke_lease(parent.id, "drill", "ada")

    def again(conn: Connection, use: Use) -> Grant:
        known = wrong.known(conn, use.now_ms)
        proofs = prove(
            known, child, Part("enricher", Operation.LOOKUP, (GEO,)), msgspec.structs.replace(use, task=child.task)
        )
        raise AssertionError(f"passed: {proofs}")

    accept(site, wazuh("2"))
    bad = hot_path(site, again, wrong.gear)
    for _ in range(2):
        assert bad.step() is None
    (entry,) = refusals(site)
    assert (entry.body["reason"], entry.body["lease"]) == ("revoked", parent.id)
    with pytest.raises(ConflictError, match="revoked already"):
        site.commands.revoke_lease(parent.id, "again", "ada")
    site.hot_path.drain()
    assert waiting(site) == 0
    fakes.assert_rebuilds(site)


def test_revoking_what_was_handed_on_spares_the_lease_itself(site: Site) -> None:
    deliver(site, [wazuh("0")])
    with reading(site.engine) as conn:
        issued = leases.newest(conn, 1)[0]
        handed = {one["to"]: one["id"] for one in issued.body["handed"]}
        found, holder = leases.find(conn, handed["enricher"], site.clock.now_ms())
    assert (found.id, holder) == (issued.id, "enricher")
    site.commands.revoke_lease(handed["enricher"], "drill", "ada")
    with reading(site.engine) as conn:
        assert site.leases.known(conn, site.clock.now_ms()).revoked.ids == {handed["enricher"]}
        assert not leases.newest(conn, 1)[0].revoked


def test_the_list_of_revocations_holds_only_what_could_still_be_used(site: Site) -> None:
    deliver(site, [wazuh("0")])
    ident = fakes.entries(site.engine, Kind.LEASE_ISSUED)[-1].subject
    site.commands.revoke_lease(ident, "drill", "ada")
    with reading(site.engine) as conn:
        now_ms = site.clock.now_ms()
        assert site.leases.known(conn, now_ms).revoked == Revocations(frozenset({ident}), now_ms)
        assert site.leases.known(conn, now_ms + grant.LEASE_MS).revoked.ids == frozenset()


def test_a_lease_is_signed_by_its_agents_key_and_every_entry_leads_to_it(site: Site) -> None:
    deliver(site, [wazuh("0"), wazuh("1", rule="8")])
    with reading(site.engine) as conn:
        keys = {one.name: one for one in agents.everyone(conn)}
        (issued,) = leases.newest(conn, 5)
    assert issued.signed
    assert issued.body["key"] == keys["triage"].fingerprint
    assert len({one.public_key for one in keys.values()}) == len(AGENTS) == 5
    for entry in fakes.entries(site.engine, Kind.FINDING_DECIDED):
        assert (entry.actor.id, entry.actor.lease) == ("triage", issued.id)
    changed = issued.body | {"resources": ["lookup/everything"]}
    assert not is_signed(issued.id, changed, keys["triage"].public_key)
    assert not is_signed(issued.id, issued.body, keys["enricher"].public_key)
    assert not is_signed("0" * 32, issued.body, keys["triage"].public_key)
    for name in AGENTS:
        path = site.data / "keys" / "agents" / f"{name}.key"
        assert path.stat().st_mode & 0o777 == 0o600
        secret = path.read_text("ascii").strip()
        assert not any(secret in str(entry.body) for entry in fakes.entries(site.engine))


def test_a_stopped_enricher_leaves_every_source_unavailable_and_nothing_close(site: Site) -> None:
    site.commands.import_inventory(Inventory((Asset("web-1"),)), "test")
    deliver(site, [wazuh("0")])
    site.commands.stop_agent("enricher", "drill", "ada")
    found = deliver(site, [wazuh("1", rule="9")])
    assert (found.accepted, found.waiting, found.closed) == (1, 0, 0)
    deliver(site, [wazuh("2", rule="10")])
    (entry,) = refusals(site)
    assert (entry.body["reason"], entry.body["agent"], entry.subject) == ("agent stopped", "enricher", "enricher")
    with reading(site.engine) as conn:
        row = read.queue(conn, tab=read.Tab.ALL).rows[0]
        records = read_case.records(conn, row)
    silent = [one for one in records if one.finding.rule_key.endswith("9") or one.finding.rule_key.endswith("10")]
    assert silent
    for record in silent:
        assert {item.status for item in record.evidence} == {LookupStatus.UNAVAILABLE}
        outcomes = {condition.name: condition.outcome.value for condition in record.decision.conditions}
        assert "failed" in outcomes.values()
    fakes.assert_rebuilds(site)


@pytest.mark.parametrize("name", ["triage", "correlator"])
def test_a_stopped_agent_without_which_nothing_is_written_lets_alerts_wait(site: Site, name: str) -> None:
    deliver(site, [wazuh("0")])
    site.commands.stop_agent(name, "drill", "ada")
    raws = [wazuh("1"), wazuh("2", rule="3")]
    accept(site, *raws)
    reopened = open_site(site.data, clock=StepClock())  # a stop survives a restart
    try:
        before = fakes.count(site.engine, "findings")
        for _ in range(3):
            assert reopened.hot_path.step() is None
        assert (waiting(site), fakes.count(site.engine, "findings")) == (2, before)
        assert fakes.count(site.engine, "quarantine") == 0
    finally:
        reopened.close()
    (entry,) = refusals(site)
    assert (entry.body["reason"], entry.body["agent"]) == ("agent stopped", name)
    shown = fakes.run_json("agents", "list", "--data", site.data)
    assert {one["name"]: one["state"] for one in shown}[name] == "stopped"
    fakes.assert_rebuilds(site)


def test_ingest_says_what_waits_and_ends(site: Site) -> None:
    site.commands.stop_agent("triage", "drill", "ada")
    found = fakes.run_json("ingest", "-", "--source", "wazuh", "--data", site.data, stdin=wazuh("1") + b"\n" + wazuh("2"))
    assert (found["lines"], found["accepted"], found["waiting"]) == (2, 0, 2)


def test_a_stopped_investigator_drafts_nothing_and_the_terminal_says_why(site: Site) -> None:
    deliver(site, [wazuh("0", level=12)])
    with reading(site.engine) as conn:
        (row,) = read.queue(conn, tab=read.Tab.ALL).rows
    assert b"  [" in fakes.run("case", "show", row.id, "--data", site.data).stdout
    site.commands.stop_agent("investigator", "drill", "ada")
    for _ in range(2):
        shown = fakes.run("case", "show", row.id, "--data", site.data)
        assert b"no draft, no suggestions: agent stopped" in shown.stderr
        assert b"  [" not in shown.stdout
    (entry,) = refusals(site)
    assert (entry.body["agent"], entry.body["case"]) == ("investigator", row.id)


def test_a_draft_lease_is_good_for_its_case_and_no_other(site: Site) -> None:
    held = site.case_grant("C-1001")
    proof = held.of(Operation.SUMMARISE, grant.case("C-1001"))
    tokens.demand(proof, Operation.SUMMARISE, grant.case("C-1001"), held.use)
    other = Use(held.use.task, held.use.now_ms, "C-1002")
    with pytest.raises(LeaseRefused, match="other case"):
        tokens.demand(proof, Operation.SUMMARISE, grant.case("C-1002"), other)
    with pytest.raises(LeaseRefused, match="other resource"):
        tokens.demand(proof, Operation.SUMMARISE, grant.case("C-1002"), held.use)
    late = Use(held.use.task, held.use.now_ms + grant.LEASE_MS, "C-1001")
    with pytest.raises(LeaseRefused, match="expired"):
        tokens.demand(proof, Operation.SUMMARISE, grant.case("C-1001"), late)


def test_leases_are_listed_shown_and_revoked_from_the_shell(site: Site) -> None:
    fakes.run_json("ingest", "-", "--source", "wazuh", "--data", site.data, stdin=wazuh("1"))
    (one,) = fakes.run_json("leases", "list", "--data", site.data)
    assert (one["state"], one["signed"], one["body"]["agent"]) == ("live", True, "triage")
    assert {handed["to"]: handed["operations"] for handed in one["body"]["handed"]} == {
        "enricher": ["evidence.lookup"],
        "correlator": ["case.link"],
    }
    shown = fakes.run("leases", "show", one["body"]["handed"][0]["id"], "--data", site.data)
    assert shown.returncode == 0
    assert one["id"].encode() in shown.stdout
    done = fakes.run("leases", "revoke", one["id"], "--reason", "drill", "--data", site.data)
    assert done.returncode == 0, done.stderr
    assert fakes.run_json("leases", "list", "--data", site.data)[0]["state"] == "revoked"
    assert fakes.entries(site.engine, Kind.LEASE_REVOKED)[0].body["reason"] == "drill"
    missing = fakes.run("leases", "revoke", "f" * 32, "--reason", "drill", "--data", site.data)
    assert (missing.returncode, b"no such lease" in missing.stderr) == (2, True)
    with pytest.raises(NotFoundError), reading(site.engine) as conn:
        leases.find(conn, "f" * 32, site.clock.now_ms())


def test_no_reason_no_stop(site: Site) -> None:
    with pytest.raises(UsageError, match="reason"):
        site.commands.stop_agent("triage", "  ", "ada")
    with pytest.raises(NotFoundError):
        site.commands.stop_agent("nobody", "drill", "ada")
    site.commands.stop_agent("triage", "drill", "ada")
    with pytest.raises(ConflictError, match="stopped already"):
        site.commands.stop_agent("triage", "drill", "ada")
