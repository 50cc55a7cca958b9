"""What becomes of approved actions, one transaction for each step: looked over, intended, started, probed, left to a person.

Whatever a step rests on is checked anew inside its transaction: time, targets, every signature, lease and policy. Nothing
here touches a target.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from countersign.approvals.proposal import elsewhere
from countersign.approvals.quorum import HUMAN, Review, Standing, tally
from countersign.approvals.status import Event, Status
from countersign.authority.agents import Operation
from countersign.authority.grant import Grant
from countersign.errors import CountersignError, EnvironmentFault, VerificationError
from countersign.ledger.canonical import decode
from countersign.model.entries import Actor, Entry, Kind
from countersign.model.inventory import Inventory
from countersign.model.responses import Effect, Order, Seen, TargetKind, record_of
from countersign.policy import requests
from countersign.policy.documents import document
from countersign.policy.engine import PolicyEngine, Request
from countersign.store import evidence, inventory, ledger, outbox, proposals, settling, signers
from countersign.store import tables as t
from countersign.store.leases import Leases
from countersign.store.proposals import Held
from countersign.store.sql import upsert

AGENT = "responder"
INTERRUPTED = "interrupted"
"""The fault of an action that a crash met between its start and its probe."""
LEFT, NOT_EFFECTIVE, EFFECTIVE = "left_to_person", "probed_bad", "probed_ok"
_BLANK: dict[str, Any] = {
    "intent": -1,
    "intended_ms": 0,
    "started_ms": 0,
    "probed_ms": 0,
    "effect": "",
    "fault": "",
    "blob": "",
    "minutes": 0,
    "undo": 0,
    "undo_ms": 0,
}


class Rules(msgspec.Struct, frozen=True):
    """What every step is checked against. impactful: whether the action changes a system of the site."""

    policy: PolicyEngine
    leases: Leases
    impactful: bool


class Refused(msgspec.Struct, frozen=True):
    """Why an approved action may not go on, and what that makes of it. asked: what the policy was asked when it said no."""

    event: Event
    why: str
    asked: Request | None = None


class Prepared(msgspec.Struct, frozen=True):
    """An action that may go on: what is to be done, and under which lease. given: its approvals' entries. impactful: as the
    policy was told."""

    held: Held
    order: Order
    granted: Grant
    given: tuple[int, ...]
    impactful: bool


def waiting(conn: Connection, on: Collection[str]) -> list[tuple[int, Status, str]]:
    """(number, state, action) of what is approved and switched on, or was begun, in the order of their numbers."""
    p = t.proposals.c
    begun = p.state.in_([Status.SEALED.value, Status.RUNNING.value])
    fresh = (p.state == Status.APPROVED.value) & p.action.in_(sorted(on))
    rows = conn.execute(select(p.id, p.state, p.action).where(begun | fresh).order_by(p.id))
    return [(row.id, Status(row.state), row.action) for row in rows]


def look_over(conn: Connection, number: int, rules: Rules, now_ms: int) -> Prepared | Refused:
    """Everything that an action rests on, checked now; writes nothing. Raises EnvironmentFault while this machine's clock is
    behind the one by which it was approved."""
    try:
        held = proposals.held(conn, number)
        _here(conn, held)
        _in_time(conn, held, now_ms)
        reviews = approvals(conn, held, now_ms)
    except _No as no:
        return no.refused
    except CountersignError as error:  # bytes that were erased or spoilt, or a signature that holds no more
        return Refused(Event.FAILED, f"the approval does not hold any more: {error.what}")
    if any(one.at_ms > now_ms for one, _ in reviews):
        todo = "it is tried again; keep the clocks of this site's machines together"
        raise EnvironmentFault("the clock here is behind that of its approval", where=f"action {number}", todo=todo)
    if tally(held.proposal, held.proposal.requester, [one for one, _ in reviews], now_ms).standing is not Standing.APPROVED:
        return Refused(Event.FAILED, "not enough approvals hold any more")
    order = _order(held, inventory.load(conn))
    granted = rules.leases.run(conn, held.proposal.action, f"action-{number}", held.proposal.case, now_ms, _names(order))
    if refused := _forbidden(rules, held, granted, [one for one, _ in reviews], now_ms):
        return refused
    return Prepared(held, order, granted, tuple(index for _, index in reviews), rules.impactful)


def probing(conn: Connection, number: int, ready: Prepared | None, rules: Rules, now_ms: int) -> Prepared | None:
    """An action that was begun, as it may be probed now: its target as it was approved, under the lease of its beginning
    while that counts, else under another. To look takes no approval and changes nothing, so neither an expiry nor a change
    of its target is in the way. None when the responder gets no lease, or what was approved cannot be read any more."""
    if ready is not None and _counts(conn, ready.granted, rules.leases, now_ms):
        return ready
    try:
        held = proposals.held(conn, number)
    except CountersignError:
        return None
    targets, proposal = held.proposal.targets, held.proposal
    order = Order(held.digest, number, proposal.action, proposal.case, tuple(map(record_of, targets)), proposal.parameters)
    granted = rules.leases.run(conn, proposal.action, f"action-{number}", proposal.case, now_ms, _names(order))
    return None if granted.refusals else Prepared(held, order, granted, (), rules.impactful)


def _counts(conn: Connection, granted: Grant, leases: Leases, now_ms: int) -> bool:
    """Whether its lease still does: neither at its end nor revoked, its agent not stopped."""
    lease, known = granted.lease, leases.known(conn, now_ms)
    gone = lease is None or lease.id in known.revoked.ids or AGENT in known.revoked.stopped or AGENT not in known.agents
    return lease is not None and not gone and now_ms < lease.expires_ms


def last_look(conn: Connection) -> None:
    """Hold the ledger's head until commit: what would forbid an action is entered before it is looked over, or after it is
    written that it goes on."""
    ledger.lock_head(conn)


class _No(Exception):
    def __init__(self, event: Event, why: str) -> None:
        self.refused = Refused(event, why)


def _here(conn: Connection, held: Held) -> None:
    if why := elsewhere(held.proposal.site, ledger.origin(conn)):
        raise _No(Event.FAILED, why)


def _in_time(conn: Connection, held: Held, now_ms: int) -> None:
    if now_ms >= held.proposal.expires_ms:
        raise _No(Event.EXPIRED, "the approval expired before it was carried out")
    if moved := settling.changed(conn, held.proposal):
        raise _No(Event.CHANGED, "; ".join(moved))


def approvals(conn: Connection, held: Held, now_ms: int) -> list[tuple[Review, int]]:
    """Every approval that counts, its signature checked again from its entry against the keys in force now, with the index
    of the entry. Raises VerificationError."""
    a, e = t.proposal_answers.c, t.entries.c
    chosen = select(a.person, e.idx, e.bytes).join_from(t.proposal_answers, t.entries, a.entry == e.idx)
    found = []
    for row in conn.execute(chosen.where(a.proposal_id == held.id, a.approve == 1).order_by(e.idx)).all():
        entry = decode(row.bytes)
        review = Review(Actor(HUMAN, row.person), True, entry.body["reason"], entry.time)
        if entry.kind is not Kind.PROPOSAL_APPROVED or entry.actor.id != row.person or entry.subject != str(held.id):
            raise VerificationError("an answer is not what its entry says", where=f"entry {row.idx}")
        signers.recheck(conn, held.digest, review, entry.body)
        found.append((review, row.idx))
    return found


def _order(held: Held, known: Inventory) -> Order:
    """The order, with its targets as the inventory has them; ``settling.changed`` has found them to be as approved."""
    by_kind: Mapping[TargetKind, Mapping[str, Any]] = {
        TargetKind.ASSET: {one.name: one for one in known.assets},
        TargetKind.IDENTITY: {one.name: one for one in known.identities},
    }
    proposal = held.proposal
    records = tuple(by_kind[target.kind][target.name] for target in proposal.targets)
    return Order(held.digest, held.id, proposal.action, proposal.case, records, dict(proposal.parameters))


def _names(order: Order) -> tuple[str, ...]:
    """What the lease names besides the action: the targets."""
    return tuple(record.name for record in order.records)


def _forbidden(rules: Rules, held: Held, granted: Grant, reviews: Sequence[Review], now_ms: int) -> Refused | None:
    """Why lease or policy say no; None when both say yes, for every target."""
    if granted.refusals:
        return Refused(Event.FAILED, f"the {AGENT} has no lease: {granted.refusals[0].reason}")
    proposal = held.proposal
    given = [requests.Given(one.by, held.digest, proposal.expires_ms) for one in reviews]
    for target in proposal.targets:
        proof = granted.of(Operation.RUN, target.name)
        if proof is None:
            return Refused(Event.FAILED, f"the {AGENT} has no lease for {target.name}")
        asked = requests.run(
            requests.Leased(proof.agent, proof.task, proof.operation.value, proof.resource, proof.expires_ms),
            requests.Aim(target.name, target.kind.value, int(target.criticality)),
            impactful=rules.impactful,
            digest=held.digest,
            requester=proposal.requester,
            given=given,
            task=granted.use.task,
            now_ms=now_ms,
            killed=False,
        )
        answer = rules.policy.decide(asked)
        if not answer.allowed:
            return Refused(Event.FAILED, f"policy refuses it: {answer.why}", asked)
    return None


# --- steps ------------------------------------------------------------------------------------------------------------


def intend(conn: Connection, ready: Prepared, leases: Leases, before: Effect, now_ms: int) -> int:
    """Write the intent down; returns its index. Nothing may be done before a checkpoint covers it. before: what was so."""
    proposal = ready.held.proposal
    body = {
        "digest": ready.held.digest,
        "action": proposal.action,
        "approvals": list(ready.given),
        "minutes": int(proposal.parameters.get("minutes", 0)),
        "impactful": int(ready.impactful),
        "before": before.value,
    }
    return _enter(conn, ready, leases, Kind.ACTION_INTENDED, body, now_ms)


def intent(conn: Connection, number: int) -> int:
    """Index of the intent of an action."""
    q = t.performances.c
    return int(conn.execute(select(q.intent).where(q.proposal_id == number)).scalar_one())


def wait(conn: Connection, ready: Prepared, quorum: int, cosigned: int, now_ms: int) -> None:
    """The intent waits for the quorum of witnesses: entered once. cosigned: size of the newest checkpoint that has it."""
    ledger.lock_head(conn)
    number, case = ready.held.id, ready.held.proposal.case
    e = t.entries.c
    before = select(e.idx).where(e.case_id == case, e.kind == Kind.ACTION_WAITING.value, e.subject == str(number))
    if conn.execute(before).first() is None:
        body = {"digest": ready.held.digest, "intent": intent(conn, number), "quorum": quorum, "cosigned": cosigned}
        entry = Entry(Kind.ACTION_WAITING, now_ms, Actor("system", "actions"), str(number), str(number), body)
        ledger.append(conn, [(entry, case)])


def start(conn: Connection, ready: Prepared, leases: Leases, sealed: int, now_ms: int) -> int:
    """The intent is sealed, and the target may be touched from now on. sealed: size of the checkpoint that covers it."""
    body = {"digest": ready.held.digest, "sealed": sealed, "impactful": int(ready.impactful)}
    return _enter(conn, ready, leases, Kind.ACTION_STARTED, body, now_ms)


def _enter(conn: Connection, ready: Prepared, leases: Leases, kind: Kind, body: dict[str, Any], now_ms: int) -> int:
    size, _ = ledger.lock_head(conn)
    number, case = ready.held.id, ready.held.proposal.case
    issued = _issued(ready, leases, number, now_ms)
    entry = Entry(kind, now_ms, issued.actor, str(number), str(number), body)
    _apply(conn, entry, size + 1)
    ledger.append(conn, [(issued, case), (entry, case)])
    return size + 1


class Found(msgspec.Struct, frozen=True):
    """What a probe found, the fault that doing met ("" for none), and milliseconds of each step."""

    seen: Seen
    fault: str
    times: dict[str, int]


def probed(conn: Connection, number: int, ready: Prepared | None, leases: Leases, found: Found, now_ms: int) -> Status:
    """What the probe found; whatever is not shown to hold is not effective, and a person is called. ready: under whose lease
    it was probed, None when nobody could look. A responder that was stopped meanwhile writes nothing; the site does."""
    size, _ = ledger.lock_head(conn)
    row = _proposal(conn, number)
    blob = evidence.pack("probe", {"detail": found.seen.detail})
    evidence.put(conn, [blob])
    body = {"effect": found.seen.effect.value, "fault": found.fault, "blob": blob.digest, "ms": found.times}
    entries: list[tuple[Entry, str]] = []
    by = Actor("system", "actions")
    if ready is not None and ready.granted.lease is not None and _counts(conn, ready.granted, leases, now_ms):
        by = Actor("agent", AGENT, ready.granted.lease.id)
        if ready.granted.lease.id not in _leases_of(conn, number):
            entries.append((_issued(ready, leases, number, now_ms), row.case_id))
    entry = Entry(Kind.ACTION_PROBED, now_ms, by, str(number), str(number), body)
    state = _apply(conn, entry, size + len(entries))
    outbox.tell(conn, state.value, number, row.action, row.case_id, now_ms)
    ledger.append(conn, [*entries, (entry, row.case_id)])
    return state


def _leases_of(conn: Connection, number: int) -> set[str]:
    """Leases that were entered for this action."""
    e = t.entries.c
    case = _proposal(conn, number).case_id
    found = select(e.subject, e.bytes).where(e.case_id == case, e.kind == Kind.LEASE_ISSUED.value, e.idx > number)
    return {row.subject for row in conn.execute(found) if decode(row.bytes).trigger == str(number)}


def _issued(ready: Prepared, leases: Leases, number: int, now_ms: int) -> Entry:
    lease = ready.granted.lease
    assert lease is not None  # noqa: S101 - what is refused is never prepared
    by = Actor("agent", AGENT, lease.id)
    return Entry(Kind.LEASE_ISSUED, now_ms, by, lease.id, str(number), leases.issued(ready.granted))


def leave(conn: Connection, number: int, refused: Refused, fault: str, now_ms: int) -> Status:
    """It goes no further: expired, outdated, or in front of a person. Words, and what the policy was asked, are kept beside
    the ledger."""
    size, _ = ledger.lock_head(conn)
    row = _proposal(conn, number)
    kept = {"detail": refused.why}
    if refused.asked is not None:
        kept["asked"] = msgspec.json.encode(document(refused.asked)).decode()
    blob = evidence.pack("probe", kept)
    evidence.put(conn, [blob])
    body = {"event": refused.event.value, "fault": fault, "blob": blob.digest}
    entry = Entry(Kind.ACTION_LEFT, now_ms, Actor("system", "actions"), str(number), str(number), body)
    state = _apply(conn, entry, size)
    outbox.tell(conn, state.value, number, row.action, row.case_id, now_ms)
    ledger.append(conn, [(entry, row.case_id)])
    return state


def _proposal(conn: Connection, number: int) -> Row[Any]:
    return conn.execute(select(t.proposals).where(t.proposals.c.id == number)).one()


# --- rows, from entries alone -----------------------------------------------------------------------------------------


def apply(conn: Connection, entry: Entry, index: int) -> None:
    """Rows of one entry, as a rebuild makes them."""
    _apply(conn, entry, index)


def _apply(conn: Connection, entry: Entry, index: int) -> Status:
    number, body = int(entry.subject), entry.body
    row = _row(conn, number)
    if entry.kind is Kind.ACTION_INTENDED:
        row |= {"intent": index, "intended_ms": entry.time, "minutes": body["minutes"], "action": body["action"]}
        event = Event.SEALED
    elif entry.kind is Kind.ACTION_STARTED:
        row |= {"started_ms": entry.time}
        event = Event.STARTED
    elif entry.kind is Kind.ACTION_PROBED:
        row |= {"probed_ms": entry.time, "effect": body["effect"], "fault": body["fault"], "blob": body["blob"]}
        event = Event.PROBED_OK if body["effect"] == Effect.HOLDS.value else Event.PROBED_BAD
    else:
        row |= {"fault": body["fault"], "blob": body["blob"]}
        event = Event(body["event"])
    state = settling.advance(conn, number, event, index)
    upsert(conn, t.performances, [row | {"entry": index}])
    return state


def _row(conn: Connection, number: int) -> dict[str, Any]:
    found = conn.execute(select(t.performances).where(t.performances.c.proposal_id == number)).mappings().first()
    if found is not None:
        return dict(found)
    return _BLANK | {"proposal_id": number, "action": _proposal(conn, number).action, "entry": 0}
