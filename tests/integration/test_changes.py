"""Changes that only people may make: proposed, signed, made, once; and the people who may."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, delete, select, update

from countersign.approvals import sshsig
from countersign.approvals.change import Change, message
from countersign.approvals.proposal import EXPIRY_MS
from countersign.autonomy.promotion import promote
from countersign.autonomy.scopes import Stage
from countersign.autonomy.states import begin
from countersign.bootstrap import Site
from countersign.errors import ConflictError, CountersignError, NotFoundError, UsageError, VerificationError
from countersign.impact import Impact
from countersign.model.entries import Actor, Kind
from countersign.store import changes, ledger
from countersign.store import tables as t
from countersign.store.changes import Answer
from countersign.store.effects import Approved, Effect
from countersign.store.engine import reading, writing
from tests import fakes
from tests.ssh_signing import How, Key, make, sign

GOVERNOR = Actor("system", "governor")
NAMES = ("Ada Lovelace", "Bea Miles", "Cyn Boyd")
KEYS = {name: make("ssh-ed25519", name) for name in NAMES}
ADA, BEA, CYN = NAMES


class Stages:
    """A room with stages of scopes, as a change finds and leaves them."""

    def __init__(self) -> None:
        self.of = {"phishing": "advise", "endpoint": "observe"}
        self.made: list[Approved] = []
        self.fault: CountersignError | None = None
        self.effects = {"autonomy.promote": Effect(self._now, self._do)}

    def _now(self, conn: Connection, change: Change) -> str:
        del conn
        return self.of[change.subject]

    def _do(self, conn: Connection, approved: Approved, now_ms: int) -> None:
        del conn, now_ms
        if self.fault:
            raise self.fault
        self.of[approved.change.subject] = approved.change.to
        self.made.append(approved)


@pytest.fixture
def stages() -> Stages:
    return Stages()


@pytest.fixture
def people(site: Site) -> Site:
    """A site where Ada and Bea may approve."""
    impact = Impact(site)
    assert impact.enrol(ADA, public(ADA)) is None
    number = impact.enrol(BEA, public(BEA))
    assert number is not None
    impact.approve(number, signed(impact.waiting(number), ADA))
    return site


def public(name: str) -> sshsig.PublicKey:
    return sshsig.parse_key(KEYS[name].public)


def wanted(**more: Any) -> Change:
    values: dict[str, Any] = {"change": "autonomy.promote", "subject": "phishing", "was": "advise", "to": "supervised"}
    return Change(**(values | {"requester": GOVERNOR, "evidence": {"reviewed": 400, "bound_ppm": 9_000}} | more))


def signed(held: changes.Pending, name: str, key: Key | None = None, **how: Any) -> Answer:
    return Answer(name, sign(key or KEYS[name], message(held.digest), How(**how)), "read it")


def propose(site: Site, stages: Stages, **more: Any) -> changes.Pending:
    with writing(site.engine) as conn:
        number = changes.propose(conn, wanted(**more), site.clock.now_ms(), stages.effects)
    return waiting(site, number)


def waiting(site: Site, number: int) -> changes.Pending:
    with reading(site.engine) as conn:
        return changes.waiting(conn, number, site.clock.now_ms())


def approve(site: Site, stages: Stages, number: int, answer: Answer) -> Approved | None:
    with writing(site.engine) as conn:
        return changes.approve(conn, number, answer, site.clock.now_ms(), stages.effects)


def size(site: Site) -> int:
    with reading(site.engine) as conn:
        return ledger.size(conn)


def refused(
    site: Site, stages: Stages, held: changes.Pending, answer: Answer, error: type[CountersignError], words: str
) -> None:
    """The approval is refused, and nothing at all is written."""
    before, made = size(site), len(stages.made)
    with pytest.raises(error, match=words):
        approve(site, stages, held.id, answer)
    assert (size(site), len(stages.made)) == (before, made)


# --- one change ---------------------------------------------------------------------------------------------------


def test_a_signed_approval_makes_the_change_and_is_recorded_whole(people: Site, stages: Stages) -> None:
    held = propose(people, stages)
    answer = signed(held, ADA)
    made = approve(people, stages, held.id, answer)
    assert made is not None
    assert stages.of["phishing"] == "supervised"
    entry = fakes.entries(people.engine, Kind.CHANGE_APPROVED)[-1]
    assert (entry.actor, entry.subject, entry.trigger) == (made.by, str(held.id), str(held.id))
    assert entry.body == {
        "digest": held.digest,
        "nonce": held.change.nonce,
        "fingerprint": public(ADA).fingerprint,
        "signature": answer.signature,
        "reason": "read it",
        "standing": "approved",
    }
    with reading(people.engine) as conn:
        assert changes.pending(conn, people.clock.now_ms()) == ()
    fakes.assert_rebuilds(people)
    fakes.verified(people)


def test_the_stage_machine_takes_what_was_approved(people: Site, stages: Stages) -> None:
    held = propose(people, stages, subject="endpoint", was="observe", to="advise")
    made = approve(people, stages, held.id, signed(held, BEA))
    assert made is not None
    state = msgspec.structs.replace(begin("endpoint", "model", "policy"), stage=Stage.OBSERVE)
    after, events = promote(state, 5, by_person_approval=made.promotion())
    assert (after.stage, len(events)) == (Stage.ADVISE, 1)
    assert made.promotion().reference == str(size(people) - 1)
    with pytest.raises(ConflictError, match="does not cover"):
        promote(msgspec.structs.replace(state, scope="phishing"), 5, by_person_approval=made.promotion())


def test_a_change_is_made_once(people: Site, stages: Stages) -> None:
    held = propose(people, stages)
    approve(people, stages, held.id, signed(held, ADA))
    stages.of["phishing"] = "advise"
    for name in (ADA, BEA):
        refused(people, stages, held, signed(held, name), ConflictError, "approved already")


def test_of_many_that_approve_at_once_one_makes_the_change(people: Site, stages: Stages) -> None:
    held = propose(people, stages)
    outcomes: list[object] = []

    def one(name: str) -> None:
        try:
            outcomes.append(approve(people, stages, held.id, signed(held, name)))
        except CountersignError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=one, args=(name,)) for name in (ADA, BEA) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(o) for o in outcomes].count(Approved) == 1
    assert [type(o) for o in outcomes].count(ConflictError) == 5
    assert len(stages.made) == 1


def test_an_approval_comes_too_late(people: Site, stages: Stages) -> None:
    held = propose(people, stages)
    people.clock.at_ms += EXPIRY_MS  # type: ignore[attr-defined]
    refused(people, stages, held, signed(held, ADA), ConflictError, "has expired")
    with reading(people.engine) as conn:
        assert changes.pending(conn, people.clock.now_ms()) == ()
    assert propose(people, stages).id > held.id


def test_what_has_moved_meanwhile_must_be_proposed_anew(people: Site, stages: Stages) -> None:
    held = propose(people, stages)
    stages.of["phishing"] = "observe"
    refused(
        people, stages, held, signed(held, ADA), ConflictError, "phishing is observe now, not advise; have it proposed anew"
    )
    with pytest.raises(ConflictError, match="observe now"):
        propose(people, stages)


def test_an_effect_that_fails_takes_the_approval_back(people: Site, stages: Stages) -> None:
    held = propose(people, stages)
    stages.fault = ConflictError("labels are stale")
    refused(people, stages, held, signed(held, ADA), ConflictError, "labels are stale")
    stages.fault = None
    assert approve(people, stages, held.id, signed(held, ADA)) is not None
    fakes.assert_rebuilds(people)


WRONG: list[tuple[str, type[CountersignError], Callable[[changes.Pending], Answer]]] = [
    ("does not match", VerificationError, lambda h: Answer(ADA, sign(KEYS[ADA], b"something else"), "x")),
    ("made for 'file'", VerificationError, lambda h: signed(h, ADA, namespace="file")),
    ("is not enrolled", VerificationError, lambda h: signed(h, CYN)),
    ("somebody else", VerificationError, lambda h: signed(h, CYN, KEYS[ADA])),
    ("somebody else", VerificationError, lambda h: signed(h, ADA, KEYS[BEA])),
    ("cut short", VerificationError, lambda h: Answer(ADA, signed(h, ADA).signature[:80], "x")),
    ("reason is required", UsageError, lambda h: Answer(ADA, signed(h, ADA).signature, "  ")),
    ("not valid UTF-8", UsageError, lambda h: Answer("\ud800", signed(h, ADA).signature, "x")),
]


@pytest.mark.parametrize(("words", "error", "answer"), WRONG, ids=[words for words, *_ in WRONG])
def test_what_does_not_count_writes_nothing(
    people: Site, stages: Stages, words: str, error: type[CountersignError], answer: Callable[[changes.Pending], Answer]
) -> None:
    held = propose(people, stages)
    refused(people, stages, held, answer(held), error, words)
    assert approve(people, stages, held.id, signed(held, ADA)) is not None


def test_the_requester_never_approves_and_an_agent_may_only_ask(people: Site, stages: Stages) -> None:
    with reading(people.engine) as conn:
        ada = next(row.person for row in conn.execute(select(t.people)) if row.fingerprint == public(ADA).fingerprint)
    held = propose(people, stages, requester=Actor("human", ada))
    refused(people, stages, held, signed(held, ADA), ConflictError, "requester never")
    other = propose(
        people, stages, subject="endpoint", was="observe", to="advise", requester=Actor("agent", "triage", "lease")
    )
    assert fakes.entries(people.engine, Kind.CHANGE_PROPOSED)[-1].actor == Actor("agent", "triage", "lease")
    assert approve(people, stages, other.id, signed(other, ADA)) is not None


def test_a_denial_ends_it(people: Site, stages: Stages) -> None:
    held = propose(people, stages)
    with writing(people.engine) as conn:
        changes.deny(conn, held.id, "anybody at all", "too soon", people.clock.now_ms())
    refused(people, stages, held, signed(held, ADA), ConflictError, "denied already")
    assert fakes.entries(people.engine, Kind.CHANGE_DENIED)[0].body["reason"] == "too soon"
    fakes.assert_rebuilds(people)
    with writing(people.engine) as conn, pytest.raises(NotFoundError, match="no such change"):
        changes.deny(conn, 10**6, "anybody", "x", 1)


def test_two_people_where_the_change_says_two(people: Site, stages: Stages) -> None:
    held = propose(people, stages, people=2)
    assert approve(people, stages, held.id, signed(held, ADA)) is None
    assert stages.made == []
    refused(people, stages, held, signed(held, ADA), ConflictError, "answered before")
    made = approve(people, stages, held.id, signed(held, BEA))
    assert made is not None
    assert [e.body["standing"] for e in fakes.entries(people.engine, Kind.CHANGE_APPROVED)[-2:]] == ["waiting", "approved"]
    fakes.assert_rebuilds(people)


def test_the_approval_of_one_who_was_revoked_since_does_not_count(people: Site, stages: Stages) -> None:
    held = propose(people, stages, people=2)
    assert approve(people, stages, held.id, signed(held, ADA)) is None
    Impact(people).revoke(ADA, "key lost")
    assert approve(people, stages, held.id, signed(held, BEA)) is None
    assert stages.made == []
    fakes.assert_rebuilds(people)


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"change": "policy.activate"}, UsageError, "nothing can be done about 'policy.activate'"),
        ({"was": "supervised"}, ConflictError, "phishing is advise now"),
        ({"people": 3}, VerificationError, "people"),
        ({"subject": "a\ud800"}, UsageError, "surrogate"),
        ({"expires_ms": 5, "nonce": "0" * 32}, ConflictError, "expire within a week"),
        ({"expires_ms": 2 * fakes.NOON_MS, "nonce": "0" * 32}, ConflictError, "expire within a week"),
        ({"evidence": {"share": 0.5}}, VerificationError, "evidence|float"),
    ],
)
def test_what_cannot_be_proposed(
    people: Site, stages: Stages, more: dict[str, Any], error: type[CountersignError], words: str
) -> None:
    before = size(people)
    with pytest.raises((error, UsageError), match=words):
        propose(people, stages, **more)
    assert size(people) == before


def test_the_same_waits_once_and_a_nonce_serves_once(people: Site, stages: Stages) -> None:
    held = propose(people, stages)
    with pytest.raises(ConflictError, match=f"waits already; see change {held.id}"):
        propose(people, stages)
    again = {"expires_ms": held.change.expires_ms, "nonce": held.change.nonce}
    with pytest.raises(ConflictError, match="nonce was used before"):
        propose(people, stages, subject="endpoint", was="observe", to="advise", **again)


def test_a_row_that_was_changed_cannot_be_approved(people: Site, stages: Stages) -> None:
    held = propose(people, stages)
    with writing(people.engine) as conn:
        other = held.proposal.replace('"supervised"', '"autonomous"')
        conn.execute(update(t.changes).where(t.changes.c.id == held.id).values(proposal=other))
    refused(people, stages, held, signed(held, ADA), VerificationError, "not what was recorded")


# --- people -------------------------------------------------------------------------------------------------------


def test_the_first_is_trusted_and_every_other_one_is_signed_for(site: Site) -> None:
    impact = Impact(site)
    assert impact.enrol(ADA, public(ADA)) is None
    number = impact.enrol(BEA, public(BEA))
    assert number is not None
    with pytest.raises(ConflictError, match="requester never"):
        impact.approve(number, signed(impact.waiting(number), BEA))
    with pytest.raises(VerificationError, match="not enrolled"):
        impact.approve(number, signed(impact.waiting(number), CYN, KEYS[BEA]))
    made = impact.approve(number, signed(impact.waiting(number), ADA))
    assert made is not None
    first, second = fakes.entries(site.engine, Kind.PERSON_ENROLLED)
    assert (first.body["change"], second.body["change"]) == (-1, number)
    assert second.trigger == str(made.entry)
    assert second.body["key"] == public(BEA).line
    fakes.assert_rebuilds(site)
    fakes.verified(site)


def test_revoking_everybody_does_not_bring_trust_on_first_use_back(people: Site, stages: Stages) -> None:
    impact = Impact(people)
    held = propose(people, stages)
    assert impact.revoke(BEA, "left us") == 1
    refused(people, stages, held, signed(held, BEA), VerificationError, "was revoked")
    with pytest.raises(ConflictError, match="last approver"):
        impact.revoke(ADA, "left us")
    with pytest.raises(NotFoundError, match="nobody called 'Bea Miles' is enrolled"):
        impact.revoke(BEA, "again")
    assert impact.revoke(ADA, "left us", last=True) == 1
    number = impact.enrol(CYN, public(CYN))
    assert number is not None
    with pytest.raises(VerificationError, match="was revoked"):
        impact.approve(number, signed(impact.waiting(number), ADA))
    fakes.assert_rebuilds(people)
    fakes.verified(people)


def test_emptying_the_table_does_not_bring_trust_on_first_use_back(people: Site) -> None:
    with writing(people.engine) as conn:
        conn.execute(delete(t.people))
    assert Impact(people).enrol(CYN, public(CYN)) is not None


@pytest.mark.parametrize("state", ["enrolled", "revoked"])
def test_a_key_is_enrolled_once(people: Site, state: str) -> None:
    if state == "revoked":
        Impact(people).revoke(BEA, "lost")
    with pytest.raises(ConflictError, match=f"is {state} now"):
        Impact(people).enrol(CYN, public(BEA))


def test_no_entry_names_a_person_in_clear(people: Site, stages: Stages) -> None:
    held = propose(people, stages)
    approve(people, stages, held.id, signed(held, ADA))
    Impact(people).revoke(BEA, "left us")
    with reading(people.engine) as conn:
        data = b" ".join(bytes(row) for row in conn.execute(select(t.entries.c.bytes)).scalars())
    for word in ("Ada", "Bea"):
        assert word not in fakes.spoken(data)
    for word in ("Lovelace", "laptop"):
        assert word not in data.decode()
    assert Impact(people).names().keys() >= {row.actor.id for row in fakes.entries(people.engine, Kind.CHANGE_APPROVED)}
