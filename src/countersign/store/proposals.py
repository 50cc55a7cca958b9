"""Actions that wait for people: proposed, approved with a signature, denied. All inside the caller's transaction.

The canonical bytes lie beside the ledger, since they name accounts; the entry commits to them by their digest, which is what
people sign. Nothing here runs an action: an approved proposal stays approved until something that may run it takes it up.
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Row, select

from countersign.approvals import signed
from countersign.approvals.proposal import EXPIRY_MS, NONCE_CHARS, Proposal, canonical, digest, elsewhere, read, typed
from countersign.approvals.quorum import HUMAN, Review, Standing, tally
from countersign.approvals.status import Event, Status
from countersign.errors import ConflictError, NotFoundError, VerificationError
from countersign.model.entities import EntityType
from countersign.model.entries import Actor, Entry, Kind
from countersign.model.responses import Target, TargetKind
from countersign.policy.engine import PolicyEngine
from countersign.store import act, evidence, ledger, outbox, permits, settling, signers, words
from countersign.store import tables as t
from countersign.store.signers import Answer
from countersign.store.sql import upsert

NOT_RUN = "approved, not run: responses are not switched on here"


class Terms(msgspec.Struct, frozen=True):
    """What the site asks of an action: people to approve it at least, people who end it, and how long it waits."""

    approve: int = 1
    deny: int = 1
    expiry_ms: int = EXPIRY_MS


class Held(msgspec.Struct, frozen=True):
    """A proposal as it stands. data: its canonical bytes, from which it is read and rendered."""

    id: int
    digest: str
    state: Status
    proposal: Proposal
    data: bytes


def create(
    conn: Connection,
    draft: Proposal,
    requester: Actor,
    terms: Terms,
    now_ms: int,
    *,
    trigger: str,
    policy: PolicyEngine | None = None,
) -> int:
    """Put a drafted action before people; returns its number. Raises ConflictError when its targets are no longer what the
    draft says, or when the same already waits; VerificationError when a parameter is free text."""
    size, _ = ledger.lock_head(conn)
    dated = {"expires_ms": now_ms + terms.expiry_ms, "nonce": secrets.token_hex(NONCE_CHARS // 2)}
    site = ledger.origin(conn)
    wanted = replace(draft, requester=requester, approve=terms.approve, deny=terms.deny, site=site, **dated)
    data = canonical(wanted)
    proposal = typed(read(data))
    _unmoved(conn, proposal)
    _not_twice(conn, proposal, now_ms)
    permits.propose(policy, permits.action(proposal), now_ms)
    blob = evidence.pack("proposal", data)
    evidence.put(conn, [blob])
    body = {
        "digest": digest(proposal),
        "blob": blob.digest,
        "action": proposal.action,
        "case": proposal.case,
        "targets": _named(conn, proposal.targets),
        "people": proposal.people,
        "denials": proposal.denials,
        "expires": proposal.expires_ms,
    }
    if "undoes" in proposal.parameters:
        body["undoes"] = proposal.parameters["undoes"]
    settling.apply_created(conn, body, requester, size)
    outbox.tell(conn, outbox.WAITS, size, proposal.action, proposal.case, now_ms)
    entry = Entry(Kind.PROPOSAL_CREATED, now_ms, requester, str(size), trigger, body)
    ledger.append(conn, [(entry, proposal.case)])
    return size


def is_one(conn: Connection, number: int) -> bool:
    """Whether the number is that of a proposed action."""
    return conn.execute(select(t.proposals.c.id).where(t.proposals.c.id == number)).first() is not None


def held(conn: Connection, number: int) -> Held:
    """A proposal in whatever state. Raises NotFoundError, VerificationError."""
    row = _row(conn, number)
    data, found = settling.stored(conn, row.blob, row.digest)
    return Held(row.id, row.digest, Status(row.state), found, data)


def waiting(conn: Connection, number: int, now_ms: int) -> Held:
    """A proposal that people can still answer. Raises NotFoundError, ConflictError that says how it ended, and
    VerificationError for another site's."""
    found = held(conn, number)
    if found.state is not Status.PROPOSED:
        what = NOT_RUN if found.state is Status.APPROVED else f"proposal is {found.state.value} already"
        raise ConflictError(what, where=str(number), todo="have it proposed anew if it is wanted")
    if now_ms >= found.proposal.expires_ms:
        raise ConflictError("proposal has expired", where=str(number), todo="have it proposed anew")
    if why := elsewhere(found.proposal.site, ledger.origin(conn)):
        raise VerificationError(why, where=str(number), todo="have it proposed anew")
    _unmoved(conn, found.proposal)
    return found


def pending(conn: Connection, now_ms: int) -> tuple[Held, ...]:
    """Proposals that people can still answer, the oldest first."""
    c = t.proposals.c
    waits = select(c.id).where(c.state == Status.PROPOSED.value, c.expires_ms > now_ms).order_by(c.id)
    return tuple(held(conn, number) for number in conn.execute(waits).scalars())


def approve(conn: Connection, number: int, answer: Answer, now_ms: int, policy: PolicyEngine | None = None) -> Status:
    """Take a signed approval; returns where the proposal stands with it: proposed as long as more people are needed.

    Raises VerificationError, ConflictError or UsageError where it does not count, and ConflictError when a target is no
    longer what the proposal says. Nothing is written then.
    """
    size, _ = ledger.lock_head(conn)
    found = waiting(conn, number, now_ms)
    proposal, by = found.proposal, act.person(conn, answer.person)
    review = Review(by, True, answer.reason, now_ms)
    signed.admissible(proposal, proposal.requester, review, proposal.action)
    key = signers.check(conn, found.digest, review, answer, now_ms)
    earlier = _earlier(conn, number, signers.in_force(conn))
    standing = signed.counted(proposal, proposal.requester, earlier, review, proposal.action).standing
    permits.approve(policy, permits.action(proposal), review, found.digest, earlier)
    body = {
        "digest": found.digest,
        **key.record,
        "reason": words.hidden(conn, signed.said(answer.reason)),
        "standing": standing.value,
    }
    return _answer(conn, Entry(Kind.PROPOSAL_APPROVED, now_ms, by, str(number), str(number), body), size, proposal)


def deny(conn: Connection, number: int, person: str, reason: str, now_ms: int) -> Status:
    """A named person says no; whoever asked takes it back with it. Needs no key: refusing opens nothing. One's own
    approval is replaced. Returns where the proposal stands: proposed while it takes more people to end it."""
    size, _ = ledger.lock_head(conn)
    found = waiting(conn, number, now_ms)
    proposal, by = found.proposal, act.person(conn, person)
    reason = words.hidden(conn, signed.said(reason))
    standing = Standing.DENIED
    if by.id != proposal.requester.id:
        earlier = [review for review in _earlier(conn, number, None) if review.by.id != by.id or not review.approve]
        review = Review(by, False, reason, now_ms)
        signed.counted(proposal, proposal.requester, earlier, review, proposal.action)
        denials = [one for one in [*earlier, review] if not one.approve]
        standing = tally(proposal, proposal.requester, denials, now_ms).standing
    body = {"digest": found.digest, "reason": reason, "standing": standing.value}
    return _answer(conn, Entry(Kind.PROPOSAL_DENIED, now_ms, by, str(number), str(number), body), size, proposal)


def apply_answered(conn: Connection, said: Entry, entry: int) -> Status:
    """Rows of an answer, and of what it leads to."""
    row = {
        "proposal_id": int(said.subject),
        "person": said.actor.id,
        "approve": int(said.kind is Kind.PROPOSAL_APPROVED),
        "fingerprint": said.body.get("fingerprint", ""),
        "reason": said.body["reason"],
        "at_ms": said.time,
        "entry": entry,
    }
    upsert(conn, t.proposal_answers, [row])
    standing = Standing(said.body["standing"])
    if standing is Standing.WAITING:
        return Status.PROPOSED
    event = Event.APPROVED if standing is Standing.APPROVED else Event.DENIED
    return settling.advance(conn, int(said.subject), event, entry)


def _answer(conn: Connection, said: Entry, entry: int, proposal: Proposal) -> Status:
    state = apply_answered(conn, said, entry)
    ledger.append(conn, [(said, proposal.case)])
    if state is not Status.PROPOSED:
        outbox.tell(conn, state.value, int(said.subject), proposal.action, proposal.case, said.time)
    return state


def _row(conn: Connection, number: int) -> Row[Any]:
    row = conn.execute(select(t.proposals).where(t.proposals.c.id == number)).one_or_none()
    if row is None:
        raise NotFoundError("no such proposal", where=str(number), todo="`countersign approvals` lists those that wait")
    return row


def _earlier(conn: Connection, number: int, in_force: set[str] | None) -> list[Review]:
    """Answers given before, but for approvals whose key was revoked since (None: all answers)."""
    statement = select(t.proposal_answers).where(t.proposal_answers.c.proposal_id == number)
    rows = conn.execute(statement.order_by(t.proposal_answers.c.entry)).all()
    kept = [row for row in rows if in_force is None or not row.approve or row.fingerprint in in_force]
    return [Review(Actor(HUMAN, row.person), bool(row.approve), row.reason, row.at_ms) for row in kept]


def _unmoved(conn: Connection, proposal: Proposal) -> None:
    if lines := settling.changed(conn, proposal):
        raise ConflictError("; ".join(lines), where=proposal.action, todo="have it proposed anew")


def _not_twice(conn: Connection, wanted: Proposal, now_ms: int) -> None:
    for one in pending(conn, now_ms):
        same = replace(one.proposal, expires_ms=0, nonce="", requester=wanted.requester, plan="", undo="", blast_radius=())
        mine = replace(wanted, expires_ms=0, nonce="", plan="", undo="", blast_radius=())
        if same == mine:
            raise ConflictError("the same waits already", where=f"proposal {one.id}", todo=f"see proposal {one.id}")


def _named(conn: Connection, targets: tuple[Target, ...]) -> list[str]:
    """Targets as an entry may name them: hosts in clear, accounts by pseudonym."""
    accounts = {one.name: f"{EntityType.USER.value}:{one.name}" for one in targets if one.kind is TargetKind.IDENTITY}
    hidden = ledger.pseudonyms(conn, accounts.values()) if accounts else {}
    return [hidden[accounts[one.name]] if one.kind is TargetKind.IDENTITY else f"host:{one.name}" for one in targets]
