"""The record alone gives everything back: rebuild, replay, verify, and no person's name in clear."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest
from sqlalchemy import delete, select, update

from countersign.approvals import sshsig
from countersign.approvals.change import message
from countersign.approvals.proposal import Proposal
from countersign.bootstrap import Site
from countersign.errors import VerificationError
from countersign.evaluate.replay import replay
from countersign.impact import Impact
from countersign.model.entries import Kind
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.model.records import FindingRecord, Records
from countersign.model.responses import target_of
from countersign.store import accounts, casework, evidence, passkeys, proposals, tokens
from countersign.store import tables as t
from countersign.store.changes import Answer
from countersign.store.engine import reading, writing
from tests import fakes
from tests.fakes import NOON_MS, deliver, wazuh
from tests.ssh_signing import make, sign

NAMES = ("quillfeather", "Zebulon Marsh", "brambleweed")
"""People who are planted in every field that can hold one."""
MAPPING = """
format = "json"
product.constant = "Portal"
time.field = "when"
rule.field = "kind"
title.field = "text"
severity.field = "level"
message = ["text"]
entity = [
  {type = "user", field = "who", role = "actor"},
  {type = "mail", field = "mail", role = "target"},
  {type = "url", field = "link"},
  {type = "host", field = "where", role = "target"},
]
"""


@pytest.fixture
def lived_in(site: Site) -> Site:
    """A site on which everything has happened that changes a projection."""
    inventory = Inventory((Asset("web-1", "web", "", Criticality.HIGH, ("10.0.0.1",)),), (Identity("ann", "admin"),))
    deliver(site, [wazuh(f"0.{i}", rule=str(i % 5), level=4 + i % 9, at_ms=NOON_MS + i * 9_000) for i in range(60)])
    site.commands.import_inventory(inventory, "site.csv")
    deliver(site, [wazuh("1", level=10, data={"dstuser": "ann"}, host="a"), b"{", wazuh("bad", level=99)])
    deliver(site, [wazuh("2", level=10, data={"dstuser": "ben"}, host="b", rule="2")])
    deliver(site, [wazuh("3", level=10, host="a", rule="3", data={"dstuser": "ben", "srcuser": "ann"})])
    with reading(site.engine) as conn:
        open_cases = list(
            conn.execute(select(t.cases.c.id).where(t.cases.c.status == "open").order_by(t.cases.c.id)).scalars()
        )
        held = list(conn.execute(select(t.quarantine.c.id).order_by(t.quarantine.c.id)).scalars())
    assert len(fakes.entries(site.engine, Kind.CASE_MERGED)) == 1
    site.commands.dispose(open_cases[0], "benign", "known scanner", "ada")
    site.commands.dispose(open_cases[1], "true_positive", "break-in", "ada")
    site.commands.reopen(open_cases[1], "look again", "grace")
    site.commands.assign(open_cases[1], "grace", "ada")
    site.commands.stop("*", "drill", "ada")
    deliver(site, [wazuh(f"4.{i}", rule=str(i), at_ms=NOON_MS + i * 300_000) for i in range(20)])
    site.commands.resume("*", "over", "ada")
    site.commands.stop("identity", "holiday", "ada")
    site.commands.resubmit(held[0], "ada")
    site.hot_path.drain()
    site.commands.import_inventory(Inventory((Asset("b"),)), "more.csv", "replace")
    deliver(site, [b'{"event_type":"flow","timestamp":"2026-11-01T10:00:00.0+0000"}'], "suricata")
    deliver(site, [wazuh("5", level=13, data={"dstuser": "cleo"})])
    come_and_go(site)
    enrol_two(Impact(site))
    site.commands.revoke_lease(fakes.entries(site.engine, Kind.LEASE_ISSUED)[-1].subject, "drill", "ada")
    site.commands.stop_agent("enricher", "drill", "ada")
    deliver(site, [wazuh("6", host="c")])
    ask(site, open_cases[1])
    return site


def ask(site: Site, case: str) -> None:
    """Actions that wait, were denied, and are outdated."""
    host = target_of(Asset("b"))
    for number in range(3):
        with writing(site.engine) as conn:
            grace, now_ms = casework.person(conn, "grace"), site.clock.now_ms()
            draft = Proposal("isolate_host", {"minutes": number}, (host,), case, "cut it off", "let it back", ())
            made = proposals.create(conn, draft, grace, proposals.Terms(), now_ms, trigger="command")
            if number == 0:
                proposals.deny(conn, made, "ada", "a decoy", now_ms)
        if number == 1:
            site.commands.import_inventory(Inventory((Asset("b", "", "boss"),)), "test", mode="replace")
            assert site.tidy() == 1
            site.commands.import_inventory(Inventory((Asset("b"),)), "test", mode="replace")


def come_and_go(site: Site) -> None:
    """Roles (before anybody is enrolled, whose signature some would need), passkeys and tokens: each given, and one of each
    taken away."""
    with writing(site.engine) as conn:
        ada = casework.person(conn, "ada")
        made = [passkeys.Made(bytes([n]) * 16, b"cose", n, "localhost", ("usb", "internal")) for n in (1, 2)]
        for name, roles in (("ada", ("lead", "admin")), ("dora", ("viewer",)), ("emil", ("auditor",))):
            accounts.grant(conn, casework.person(conn, name).id, roles, ada, NOON_MS)
        accounts.take(conn, ada.id, ["admin"], ada, NOON_MS, reason="moved on")
        accounts.close(conn, casework.person(conn, "emil").id, ada, NOON_MS, "left")
        for one in made:
            passkeys.enrol(conn, ada.id, one, "desk", ada, NOON_MS, "link")
        passkeys.used(conn, made[0].credential_id, 7, NOON_MS)
        passkeys.revoke(conn, ada.id, passkeys.b64(made[1].credential_id), ada, NOON_MS, "lost")
        for name in ("dashboard", "old"):
            tokens.issue(conn, name, ["api:read"], ada, 30, ada, NOON_MS)
        tokens.revoke(conn, "old", ada, NOON_MS, "not used")
        assert [(one.sign_count, one.used_ms) for one in passkeys.active(conn, ada.id)] == [(7, NOON_MS)]


def enrol_two(impact: Impact) -> None:
    """The first on trust, the second by the first one's signature."""
    ada, bea = make("ssh-ed25519", "ada"), make("ssh-ed25519", "bea")
    impact.enrol("ada", sshsig.parse_key(ada.public))
    number = impact.enrol("bea", sshsig.parse_key(bea.public))
    assert number is not None
    impact.approve(number, Answer("ada", sign(ada, message(impact.waiting(number).digest)), "a colleague"))
    impact.revoke("bea", "left")


def test_a_rebuild_gives_the_same_rows(lived_in: Site) -> None:
    for table in t.PROJECTIONS:
        if table in (t.closes, t.proposals, t.proposal_answers, t.performances, t.erased_evidence):
            continue  # test_closing.py, test_running.py and test_erase.py live through those
        assert fakes.count(lived_in.engine, table.name), f"nothing in {table.name}: the test shows nothing about it"
    fakes.assert_rebuilds(lived_in)
    fakes.verified(lived_in)


def test_rows_that_were_lost_come_back(lived_in: Site) -> None:
    data = lived_in.data
    before = fakes.run_json("rebuild", "--check", "--data", data)
    assert (before["ok"], before["differing"]) == (True, [])
    with writing(lived_in.engine) as conn:
        for table in (t.findings, t.cases, t.patterns, t.quarantine):
            conn.execute(delete(table))
    done = fakes.run("rebuild", "--check", "--data", data, "--json")
    assert not done.stderr, done.stderr.decode()
    assert done.returncode == 1
    assert json.loads(done.stdout)["differing"] == ["cases", "findings", "patterns", "quarantine"]
    assert fakes.count(lived_in.engine, "cases") == 0  # --check changes nothing
    assert fakes.run("rebuild", "--data", data).returncode == 1  # says that they had come out different
    assert fakes.run_json("rebuild", "--data", data)["ok"] is True
    assert fakes.count(lived_in.engine, "cases") > 0


def test_alerts_go_on_as_if_nothing_had_happened_after_a_rebuild(lived_in: Site) -> None:
    from countersign.store import rebuild  # noqa: PLC0415 - the name is taken by the test's subject

    with writing(lived_in.engine) as conn:
        rebuild.rebuild(conn)
    deliver(lived_in, [wazuh("6", level=13, data={"dstuser": "cleo"}), wazuh("7", host="b", rule="2", level=10)])
    fakes.assert_rebuilds(lived_in)
    fakes.verified(lived_in)


# --- replay -----------------------------------------------------------------------------------------------------------


def test_every_decision_replays_to_the_same_bytes(lived_in: Site) -> None:
    with reading(lived_in.engine) as conn:
        result = replay(conn)
        decided = len(fakes.entries(lived_in.engine, Kind.FINDING_DECIDED))
        one = conn.execute(select(t.findings.c.id).limit(1)).scalar_one()
        assert replay(conn, one).problems == ()
        with pytest.raises(VerificationError, match="no decision"):
            replay(conn, "F-0000000000000000")
    (findings,) = [one for one in result.kinds if one.kind == Kind.FINDING_DECIDED.value]
    assert (findings.replayed, findings.same, result.problems, result.left) == (decided, decided, (), 0)


def tamper(site: Site, change: dict[str, object]) -> int:
    """Put another record under the latest decision's commitment, as somebody with the database could; returns its entry."""
    with writing(site.engine) as conn:
        entry, case = conn.execute(
            select(t.findings.c.entry, t.findings.c.case_id).order_by(t.findings.c.entry.desc())
        ).first() or (0, "")
        data = conn.execute(select(t.entries.c.bytes).where(t.entries.c.idx == entry)).scalar_one()
        where = msgspec.json.decode(data)["body"]["record"]
        held = evidence.get(conn, where["blob"], Records)
        record = msgspec.msgpack.decode(held.records[where["place"]], type=FindingRecord)
        held.records[where["place"]] = msgspec.msgpack.encode(msgspec.structs.replace(record, **change))
        forged = evidence.pack("records", held)
        row = {"salt": forged.salt, "bytes": forged.data}
        conn.execute(update(t.evidence).where(t.evidence.c.digest == where["blob"]).values(row))
        assert case
        return int(entry)


def test_a_changed_record_is_noticed_by_replay_and_verify(lived_in: Site) -> None:
    lived_in.seal()
    entry = tamper(lived_in, {"case": "C-9999"})
    with reading(lived_in.engine) as conn:
        result = replay(conn)
    assert entry in {problem.index for problem in result.problems}
    assert "commitment" in result.problems[0].what
    done = fakes.run("verify", lived_in.data)
    assert done.returncode == 1
    assert fakes.run("replay", "--data", lived_in.data).returncode == 1


# --- people -----------------------------------------------------------------------------------------------------------


def planted() -> Iterator[tuple[bytes, str, str]]:
    """(raw alert, source, mapping) with people wherever an alert can name one."""
    user, full, mail = NAMES[0], NAMES[1], f"{NAMES[2]}@corp.example"
    link = f"https://login.evil.example/?u={mail}"
    windows = {"win": {"eventdata": {"targetUserName": user, "subjectUserName": user, "ipAddress": "203.0.113.7"}}}
    data = {"dstuser": user, "srcuser": user, "srcip": "203.0.113.9", "url": link, "uname": full}
    title = f"Successful Remote Logon Detected - User:\\{user}"
    for round_ in range(2):  # the second finding of each is linked by its entities
        at_ms = NOON_MS + round_ * 600_000
        yield wazuh(f"1.{round_}", rule="92652", level=12, title=title, data=windows, at_ms=at_ms), "wazuh", ""
        yield (
            wazuh(
                f"2.{round_}",
                rule=f"7{round_}",
                level=12,
                title=f"Mail to {mail} by {full}",
                data=data,
                at_ms=at_ms,
                full_log=f"Accepted password for {user} from 203.0.113.9",
                syscheck={"path": f"/home/{user}/x", "uname_after": user, "event": "modified"},
                predecoder={"program_name": "sshd", "hostname": "web-1"},
            ),
            "wazuh",
            "",
        )
        event = {"when": fakes.stamp(at_ms), "kind": f"k{round_}", "text": f"{full} signed in", "who": user, "mail": mail}
        event["level"] = "high"
        yield json.dumps(event | {"link": link, "where": "portal"}).encode(), "generic", MAPPING
        yield json.dumps(event | {"link": "", "where": "", "kind": "same"}).encode(), "generic", MAPPING
        yield json.dumps(event | {"link": link, "where": "", "who": "", "kind": "other"}).encode(), "generic", MAPPING
        # Routine without a host: recurrences are linked by what they are about, which here is a person.
        yield json.dumps(event | {"link": "", "where": "", "level": "low", "kind": "routine"}).encode(), "generic", MAPPING
    yield f'{{"rule": {{"id": "1", "level": "{user}"}}}}'.encode(), "wazuh", ""
    yield wazuh("9").replace(b"2026", f"{user}".encode(), 1), "wazuh", ""


def test_no_entry_names_a_person_in_clear(site: Site) -> None:
    outcomes = [deliver(site, [raw], source, mapping=mapping) for raw, source, mapping in planted()]
    assert [done.quarantined for done in outcomes] == [0] * 12 + [1, 1]
    with reading(site.engine) as conn:
        case = conn.execute(select(t.findings.c.case_id).limit(1)).scalar_one()
        pseudonyms = set(conn.execute(select(t.pseudonyms.c.value)).scalars())
    site.commands.assign(case, NAMES[1], NAMES[1])
    site.commands.import_inventory(Inventory((), (Identity(NAMES[0], "admin"),)), "people.csv", actor=NAMES[1])
    site.commands.issue_token("wazuh", actor=NAMES[1])
    wanted = {f"user:{NAMES[0]}", f"mail:{NAMES[2]}@corp.example"}
    assert wanted <= pseudonyms, "no link went through these people: the test shows nothing"
    with reading(site.engine) as conn:
        rows = conn.execute(select(t.entries.c.subject, t.entries.c.bytes).order_by(t.entries.c.idx)).all()
    reasons = {link[1] for entry in fakes.entries(site.engine, Kind.FINDING_DECIDED) for link in entry.body["links"]}
    assert {"same_pattern", "same_user", "same_mail", "same_artefact"} <= reasons
    for subject, data in rows:
        text = f"{subject} {bytes(data).decode()}".lower()
        for name in NAMES:
            assert name.lower() not in text, text
    with reading(site.engine) as conn:
        assert replay(conn).problems == ()
    fakes.assert_rebuilds(site)


def test_a_name_that_is_deleted_leaves_the_log_whole_and_does_not_pass_for_an_erasure(site: Site) -> None:
    """How a person is erased, with the entry that says so: test_erase.py."""
    for raw, source, mapping in planted():
        deliver(site, [raw], source, mapping=mapping)
    fakes.verified(site)
    with writing(site.engine) as conn:
        conn.execute(delete(t.pseudonyms).where(t.pseudonyms.c.value == f"user:{NAMES[0]}"))
    fakes.verified(site)
    with reading(site.engine) as conn:
        result = replay(conn)
    (findings,) = [one for one in result.kinds if one.kind == Kind.FINDING_DECIDED.value]
    assert ({problem.what for problem in result.problems}, findings.left) == ({"links"}, {})
    assert findings.replayed > findings.same > 0


def test_an_entry_taken_from_its_case_is_found(lived_in: Site) -> None:
    e = t.entries.c
    with writing(lived_in.engine) as conn:
        taken = conn.execute(select(e.idx).where(e.case_id != "", e.kind == Kind.FINDING_DECIDED.value)).scalars().first()
        conn.execute(update(t.entries).where(e.idx == taken).values(case_id=""))
    with pytest.raises(AssertionError, match="other rows in entries: case"):
        fakes.assert_rebuilds(lived_in)
