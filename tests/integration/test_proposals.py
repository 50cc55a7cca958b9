"""Actions that wait for people: proposed from a case, signed with passkeys and OpenSSH keys, once, and never run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from countersign.approvals import sshsig
from countersign.approvals.change import Change, message
from countersign.approvals.proposal import EXPIRY_MS
from countersign.approvals.quorum import Review, refusal
from countersign.approving import Approving, by_digest, by_name
from countersign.bootstrap import Site
from countersign.config import Approvals, Thresholds
from countersign.errors import ConflictError, CountersignError, NotFoundError, UsageError, VerificationError
from countersign.impact import Impact
from countersign.model.entries import Actor, Kind
from countersign.model.inventory import Criticality
from countersign.model.matters import Pressed
from countersign.store import accounts, act, ledger, proposals, settling
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from countersign.store.signers import Answer
from tests import fakes, responding
from tests.passkey_signing import Authenticator, enrol
from tests.ssh_signing import make, sign

ADA, BEA, CYN, DAN = "Ada Lovelace", "Bea Miles", "Cyn Boyd", "Dan Rook"
ISOLATE = by_name("isolate_host", "")


class Room:
    """A site with people, a case, and what they do about it."""

    def __init__(self, site: Site, criticality: Criticality = Criticality.HIGH) -> None:
        self.site = site
        self.keys = {name: enrol(site, name) for name in (ADA, BEA)}
        self.keys[CYN] = enrol(site, CYN, roles=("analyst",))
        self.case = responding.case(site, criticality)
        self.approving = Approving(site)

    def propose(self, person: str = CYN) -> int:
        return self.approving.propose(self.case, ISOLATE, person)

    def approve(
        self, number: int, name: str, key: Authenticator | None = None, reason: str = "seen it", **wrong: Any
    ) -> str:
        ceremony = self.approving.ceremony(number, name)
        pressed = (key or self.keys[name]).press(ceremony, **wrong)
        return self.approving.approve_by_passkey(number, name, pressed, reason)

    def state(self, number: int) -> str:
        return self.approving.sheet(number).line.state

    def size(self) -> int:
        with reading(self.site.engine) as conn:
            return ledger.size(conn)


@pytest.fixture
def room(site: Site) -> Room:
    return Room(site)


def refused(room: Room, number: int, error: type[CountersignError], words: str, act: Callable[[], object]) -> None:
    """It is refused, nothing is approved and nothing written."""
    before, state = room.size(), room.state(number)
    with pytest.raises(error, match=words):
        act()
    assert (room.size(), room.state(number)) == (before, state)


# --- the way ------------------------------------------------------------------------------------------------------


def test_a_suggested_response_is_proposed_signed_and_stays_approved(room: Room) -> None:
    number = room.propose()
    created = fakes.entries(room.site.engine, Kind.PROPOSAL_CREATED)[0]
    assert created.actor.type == "human"
    assert {"action": "isolate_host", "people": 1, "denials": 1, "targets": ["host:dc-01"]}.items() <= created.body.items()
    sheet = room.approving.sheet(number)
    assert ("would", "Cut dc-01 (192.0.2.10) off from every other system, except the management station.") in sheet.lines
    assert room.approve(number, ADA) == proposals.NOT_RUN
    approved = fakes.entries(room.site.engine, Kind.PROPOSAL_APPROVED)[0]
    assert approved.body["standing"] == "approved"
    assert set(approved.body["webauthn"]) == {"credential", "authenticator_data", "client_data", "signature", "nonce"}
    assert room.approving.sheet(number).note == "Approved, not run: responses are not switched on here."
    assert room.approving.waiting() == ()
    fakes.assert_rebuilds(room.site)
    fakes.verified(room.site)


def test_neither_account_names_nor_words_of_an_alert_enter_the_ledger_or_the_bytes(room: Room) -> None:
    number = room.propose()
    room.approve(number, ADA)
    sheet = room.approving.sheet(number)
    assert "script" not in sheet.data
    assert "owner k.curlew" in sheet.data
    with reading(room.site.engine) as conn:
        data = b" ".join(bytes(row) for row in conn.execute(select(t.entries.c.bytes)).scalars())
    for word in ("Lovelace", "k.curlew"):
        assert word not in data.decode()
    assert "Boyd" not in fakes.spoken(data)


def test_it_is_signed_in_the_shell_as_well(room: Room) -> None:
    key = make("ssh-ed25519", "dan")
    number = room.propose()
    digest = room.approving.sheet(number).line.digest
    answer = Answer(DAN, sign(key, message(digest)), "seen it")
    refused(room, number, VerificationError, "not enrolled", lambda: room.approving.approve(number, answer))
    impact = Impact(room.site)
    enrolment = impact.enrol(DAN, sshsig.parse_key(key.public))
    if enrolment is not None:
        assert room.approve(enrolment, ADA) == "approved and made"
    assert room.approving.approve(number, answer) == proposals.NOT_RUN
    fakes.assert_rebuilds(room.site)


def test_a_passkey_makes_a_change_of_authority_too(room: Room) -> None:
    impact = Impact(room.site)
    first = impact.enrol(ADA, sshsig.parse_key(make("ssh-ed25519", "ada").public))
    number = first if first is not None else impact.enrol(BEA, sshsig.parse_key(make("ssh-ed25519", "bea").public))
    assert number is not None
    by = BEA if number == first else ADA
    assert room.approve(number, by) == "approved and made"
    entry = fakes.entries(room.site.engine, Kind.CHANGE_APPROVED)[-1]
    assert entry.body["webauthn"]["nonce"]
    assert fakes.entries(room.site.engine, Kind.PERSON_ENROLLED)[-1].body["change"] == number
    fakes.assert_rebuilds(room.site)
    fakes.verified(room.site)


# --- what is refused ----------------------------------------------------------------------------------------------


def test_whoever_asked_never_approves(room: Room) -> None:
    number = room.propose(ADA)
    refused(room, number, ConflictError, "requester never approves", lambda: room.approve(number, ADA))
    other = room.approving.ceremony(number, BEA)
    pressed = room.keys[ADA].press(other)
    refused(
        room, number, VerificationError, "no question", lambda: room.approving.approve_by_passkey(number, ADA, pressed, "x")
    )
    assert room.approve(number, BEA) == proposals.NOT_RUN


def test_an_agent_never_approves(room: Room) -> None:
    number = room.propose()
    digest = room.approving.sheet(number).line.digest
    key = make("ssh-ed25519", "triage")
    refused(
        room, number, VerificationError, "not enrolled",
        lambda: room.approving.approve(number, Answer("triage", sign(key, message(digest)), "sure")),
    )  # fmt: skip
    with writing(room.site.engine) as conn:
        held = proposals.held(conn, number)
    agent = Actor("agent", "triage")
    assert refusal(held.proposal, held.proposal.requester, Review(agent, True, "sure", room.site.clock.now_ms()),
                   room.site.clock.now_ms()) == "agents never approve"  # fmt: skip


def test_it_serves_once(room: Room) -> None:
    number = room.propose()
    ceremony = room.approving.ceremony(number, ADA)
    pressed = room.keys[ADA].press(ceremony)
    assert room.approving.approve_by_passkey(number, ADA, pressed, "seen it") == proposals.NOT_RUN
    for _ in range(2):
        refused(
            room, number, ConflictError, "not run", lambda: room.approving.approve_by_passkey(number, ADA, pressed, "again")
        )
    again = room.propose()
    assert again != number
    refused(
        room, again, VerificationError, "no question",
        lambda: room.approving.approve_by_passkey(again, ADA, pressed, "the old one"),
    )  # fmt: skip


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("did not verify its user", {"flags": 1}),
    ("nobody touched", {"flags": 4}),
    ("at another address", {"origin": "http://localhost:9999"}),
    ("at another address", {"origin": "https://console.example"}),
    ("for another site", {"rp_id": "example.org"}),
    ("for something else", {"challenge": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
    ("cannot be read", {"type": "webauthn.create"}),
    ("page of another site", {"cross": True}),
    ("is not enrolled", {"credential": b"x" * 32}),
    ("no question", {"nonce": "0" * 52}),
    ("no question", {"nonce": ""}),
]


@pytest.mark.parametrize(("words", "wrong"), WRONG, ids=[f"{w}-{i}" for i, (w, _) in enumerate(WRONG)])
def test_a_passkey_that_signs_anything_else_is_refused(room: Room, words: str, wrong: dict[str, Any]) -> None:
    number = room.propose()
    refused(room, number, VerificationError, words, lambda: room.approve(number, ADA, **wrong))
    assert room.approve(number, ADA) == proposals.NOT_RUN


def test_another_persons_key_a_copy_and_a_stranger_are_refused(room: Room) -> None:
    number = room.propose()
    refused(
        room, number, VerificationError, "does not match", lambda: room.approve(number, ADA, Authenticator(ADA, count=9))
    )
    refused(room, number, VerificationError, "somebody else", lambda: room.approve(number, ADA, room.keys[BEA]))
    refused(room, number, ConflictError, "no passkey", lambda: room.approve(number, DAN, room.keys[ADA]))
    analyst = enrol(room.site, DAN, roles=("analyst",))
    refused(room, number, VerificationError, "not an approver's", lambda: room.approve(number, DAN, analyst))
    with writing(room.site.engine) as conn:
        accounts.close(conn, act.person(conn, BEA).id, Actor("system", "test"), 1, "left us")
    refused(room, number, VerificationError, "not an approver", lambda: room.approve(number, BEA))


def test_an_authenticator_whose_count_fell_back_is_refused(room: Room) -> None:
    room.approve(room.propose(), ADA, count=7)
    number = room.propose()
    refused(room, number, VerificationError, "did not grow", lambda: room.approve(number, ADA, count=7))
    assert room.approve(number, ADA, count=8) == proposals.NOT_RUN


def test_a_signature_over_one_action_approves_no_other(room: Room) -> None:
    number = room.propose()
    impact = Impact(room.site)
    wanted = Change(
        change="person.enrol", subject="person~x", was="", to="ssh-ed25519 AAAA", requester=Actor("human", "person~x")
    )
    other = impact.propose(wanted)
    asked = room.approving.ceremony(other, ADA)
    pressed = room.keys[ADA].press(asked)
    refused(
        room, number, VerificationError, "no question", lambda: room.approving.approve_by_passkey(number, ADA, pressed, "x")
    )
    mine = room.approving.ceremony(number, ADA)
    mixed = room.keys[ADA].press(mine, challenge=asked.challenge)
    refused(
        room, number, VerificationError, "something else",
        lambda: room.approving.approve_by_passkey(number, ADA, mixed, "x"),
    )  # fmt: skip


def test_a_reason_is_required_and_a_ceremony_ends(room: Room) -> None:
    number = room.propose()
    refused(room, number, UsageError, "reason is required", lambda: room.approve(number, ADA, reason="  "))
    pressed = room.keys[ADA].press(room.approving.ceremony(number, ADA))
    room.site.clock.at_ms += 6 * 60_000  # type: ignore[attr-defined]
    refused(
        room, number, VerificationError, "five minutes", lambda: room.approving.approve_by_passkey(number, ADA, pressed, "x")
    )


# --- how it ends --------------------------------------------------------------------------------------------------


def test_it_expires_on_record(room: Room) -> None:
    number = room.propose()
    pressed = room.keys[ADA].press(room.approving.ceremony(number, ADA))
    room.site.clock.at_ms += EXPIRY_MS  # type: ignore[attr-defined]
    with pytest.raises(CountersignError, match="five minutes"):
        room.approving.approve_by_passkey(number, ADA, pressed, "late")
    digest = room.approving.sheet(number).line.digest
    with pytest.raises(ConflictError, match="expired"):
        room.approving.approve(number, Answer(ADA, sign(make("ssh-ed25519", "x"), message(digest)), "late"))
    assert room.state(number) == "expired"
    assert [e.subject for e in fakes.entries(room.site.engine, Kind.PROPOSAL_EXPIRED)] == [str(number)]
    assert room.site.tidy() == 0
    fakes.assert_rebuilds(room.site)


@pytest.mark.parametrize("change", ["criticality", "owner"])
def test_a_target_that_changed_must_be_proposed_anew(room: Room, change: str) -> None:
    number = room.propose()
    pressed = room.keys[ADA].press(room.approving.ceremony(number, ADA))
    if change == "criticality":
        responding.inventory(room.site, Criticality.CRITICAL)
    else:
        responding.inventory(room.site, owner="m.heron")
    assert room.approving.sheet(number).moved
    with pytest.raises(ConflictError, match="outdated"):
        room.approving.approve_by_passkey(number, ADA, pressed, "seen it")
    assert room.state(number) == "outdated"
    assert len(fakes.entries(room.site.engine, Kind.PROPOSAL_OUTDATED)) == 1
    again = room.propose()
    assert room.approving.sheet(again).line.people == (2 if change == "criticality" else 1)
    fakes.assert_rebuilds(room.site)


def test_the_worker_ends_what_ended(room: Room) -> None:
    number = room.propose()
    assert room.site.tidy() == 0
    responding.inventory(room.site, Criticality.LOW)
    assert room.site.tidy() == 1
    assert room.state(number) == "outdated"


def test_a_critical_target_takes_two_different_people(site: Site) -> None:
    room = Room(site, Criticality.CRITICAL)
    number = room.propose(CYN)
    assert room.approve(number, ADA) == "approved; more people are needed"
    assert room.state(number) == "waiting"
    refused(room, number, ConflictError, "answered before", lambda: room.approve(number, ADA))
    assert room.approve(number, BEA) == proposals.NOT_RUN
    standings = [e.body["standing"] for e in fakes.entries(site.engine, Kind.PROPOSAL_APPROVED)]
    assert standings == ["waiting", "approved"]
    fakes.assert_rebuilds(site)


def test_the_approval_of_one_whose_passkey_was_revoked_since_does_not_count(site: Site) -> None:
    room = Room(site, Criticality.CRITICAL)
    number = room.propose(CYN)
    room.approve(number, ADA)
    with writing(site.engine) as conn:
        accounts.close(conn, act.person(conn, ADA).id, Actor("system", "test"), 1, "left us")
    assert room.approve(number, BEA) == "approved; more people are needed"
    assert room.state(number) == "waiting"


def test_a_denial_ends_it_and_whoever_asked_may_take_it_back(room: Room) -> None:
    number = room.propose()
    assert room.approving.deny(number, DAN, "a decoy") == "denied"
    refused(room, number, ConflictError, "denied already", lambda: room.approve(number, ADA))
    mine = room.propose(CYN)
    assert room.approving.deny(mine, CYN, "thought again") == "denied"
    with pytest.raises(NotFoundError):
        room.approving.deny(10**6, CYN, "nothing there")
    fakes.assert_rebuilds(room.site)


def test_thresholds_of_the_site_count(site: Site) -> None:
    room = Room(site)
    rules = Approvals(expiry_minutes=10, actions={"isolate_host": Thresholds(2, 2)})
    site.config = replace(site.config, approvals=rules)
    number = room.propose()
    line = room.approving.sheet(number).line
    assert (line.people, line.denials) == (2, 2)
    assert room.approving.deny(number, DAN, "no").startswith("recorded")
    refused(room, number, ConflictError, "answered before", lambda: room.approving.deny(number, DAN, "no"))
    assert room.approve(number, ADA) == "approved; more people are needed"
    assert room.approving.deny(number, ADA, "thought again") == "denied"
    fakes.assert_rebuilds(site)


# --- what can be proposed -----------------------------------------------------------------------------------------


def test_only_what_is_suggested_can_be_proposed_and_once(room: Room) -> None:
    with pytest.raises(NotFoundError, match="not suggested"):
        room.approving.propose(room.case, by_name("isolate_host", "other"), CYN)
    with pytest.raises(UsageError, match="no action"):
        room.approving.propose(room.case, by_name("format_disk", ""), CYN)
    with pytest.raises(ConflictError, match="has changed"):
        room.approving.propose(room.case, by_digest("0" * 64), CYN)
    number = room.propose()
    with pytest.raises(ConflictError, match=f"see proposal {number}"):
        room.propose(BEA)


def test_spoilt_bytes_end_the_proposal(room: Room) -> None:
    number = room.propose()
    with writing(room.site.engine) as conn:
        blob = conn.execute(select(t.proposals.c.blob)).scalar_one()
        conn.execute(t.evidence.update().where(t.evidence.c.digest == blob).values(bytes=b"spoilt"))
    with pytest.raises(VerificationError, match="commitment"):
        room.approving.sheet(number)
    with writing(room.site.engine) as conn:
        assert settling.settle(conn, room.site.clock.now_ms()) == 1


def test_what_a_browser_sends_is_bounded(room: Room) -> None:
    number = room.propose()
    nonce = room.approving.ceremony(number, ADA).nonce
    for bad in ("", "é", "a" * 9000, "====", "AB"):
        pressed = Pressed(bad, bad, bad, bad, nonce)
        refused(
            room, number, VerificationError, "damaged|not enrolled|refused",
            lambda pressed=pressed: room.approving.approve_by_passkey(number, ADA, pressed, "x"),
        )  # fmt: skip
