"""Why something was decided as it was: the record's own request, put again to the policy that decided then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from countersign.approvals.change import read as read_change
from countersign.approvals.proposal import Proposal
from countersign.errors import NotFoundError
from countersign.ledger.canonical import decode
from countersign.model.entries import Entry, Kind
from countersign.model.records import FindingRecord, Records
from countersign.policy import conditions, requests
from countersign.policy.engine import Answer, PolicyEngine, Request
from countersign.policy.facts import GateInput
from countersign.policy.facts import request as gate_request
from countersign.policy.gate import Gate, default_gate
from countersign.policy.shipped import default_engine
from countersign.store import evidence, ledger, permits, policies, settling
from countersign.store import tables as t

_record = msgspec.msgpack.Decoder(FindingRecord)
_given = msgspec.msgpack.Decoder(GateInput)
_PROPOSED = (Kind.PROPOSAL_CREATED, Kind.PROPOSAL_APPROVED)
_RUN = (Kind.ACTION_INTENDED, Kind.ACTION_STARTED)
ASKED = (Kind.CHANGE_PROPOSED, Kind.CHANGE_APPROVED, Kind.LEASE_ISSUED, *_PROPOSED, *_RUN)
"""Kinds of entries, besides decisions, that asked the policy something."""


class Condition(msgspec.Struct, frozen=True):
    """One condition. outcome: held, failed, unevaluated or error. have, need: as the entry and the case page say it. cedar:
    the condition as the policy has it. read: the values that it read."""

    policy: str
    name: str
    outcome: str
    have: str
    need: str
    cedar: str
    read: str


class Explained(msgspec.Struct, frozen=True):
    """index: of the ledger entry, -1 when it is none. recorded: whether the entry holds the very same conditions, None where
    entries hold none. engine: what the whole set answers."""

    index: int
    subject: str
    action: str
    policy: str
    allowed: bool
    engine: str
    conditions: tuple[Condition, ...]
    recorded: bool | None = None


def explain(conn: Connection, ident: str, impactful: Callable[[str], bool] = lambda _: True) -> Explained:
    """A decision of a finding (its id: the newest), or whatever the entry of this index asked. impactful: whether an action
    changes a system of the site. Raises NotFoundError, also where what was asked about is erased."""
    index, entry = _found(conn, ident)
    if entry.kind is Kind.FINDING_DECIDED:
        return _decision(conn, index, entry)
    texts, _ = policies.at(conn, index)
    engine = default_engine() if texts is None else PolicyEngine(texts)
    if entry.kind in _RUN:
        return asked(engine, _run(conn, engine, index, entry, impactful), index=index, subject=entry.subject)
    request = _lookup(index, entry) if entry.kind is Kind.LEASE_ISSUED else _answered(conn, index, entry)
    return asked(engine, request, index=index, subject=entry.subject)


def _answered(conn: Connection, index: int, entry: Entry) -> Request:
    """What was asked when something was put before people, or somebody said yes."""
    if entry.kind in _PROPOSED:
        about = permits.action(_proposal(conn, int(entry.subject)))
    else:
        number = int(entry.subject) if entry.kind is Kind.CHANGE_APPROVED else index
        about = permits.matter(read_change(_entry(conn, number).body["proposal"].encode()))
    if entry.kind in (Kind.CHANGE_PROPOSED, Kind.PROPOSAL_CREATED):
        return requests.propose(about, entry.time)
    return requests.approve(
        about, entry.actor, digest=entry.body["digest"], now_ms=entry.time, approver=True, verified=True, used=False
    )


def _proposal(conn: Connection, number: int) -> Proposal:
    body = _entry(conn, number).body
    return settling.stored(conn, body["blob"], body["digest"])[1]


def _run(conn: Connection, engine: PolicyEngine, index: int, entry: Entry, impactful: Callable[[str], bool]) -> Request:
    """What was asked about the first target that the answer is no for, or else about the first. The lease's entry stands
    just before."""
    proposal, lease, digest = _proposal(conn, int(entry.subject)), _entry(conn, index - 1), entry.body["digest"]
    intent = entry if entry.kind is Kind.ACTION_INTENDED else _intent(conn, int(entry.subject))
    given = [
        requests.Given(one.actor, one.body["digest"], proposal.expires_ms)
        for one in (_entry(conn, number) for number in intent.body["approvals"])
    ]
    found = [
        requests.run(
            _leased(lease, target.name),
            requests.Aim(target.name, target.kind.value, int(target.criticality)),
            impactful=impactful(proposal.action),
            digest=digest,
            requester=proposal.requester,
            given=given,
            task=lease.body["task"],
            now_ms=entry.time,
            killed=False,
        )
        for target in proposal.targets
    ]
    if not found:
        raise NotFoundError("the action has no target, so the policy was asked nothing", where=str(index))
    return next((one for one in found if not engine.decide(one).allowed), found[0])


def _intent(conn: Connection, number: int) -> Entry:
    e = t.entries.c
    mine = (e.kind == Kind.ACTION_INTENDED.value) & (e.subject == str(number))
    return decode(conn.execute(select(t.entries.c.bytes).where(mine)).scalar_one())


def _leased(lease: Entry, resource: str) -> requests.Leased:
    body = lease.body
    return requests.Leased(lease.actor.id, body["task"], requests.RUN, resource, _expires_ms(body))


def _expires_ms(body: dict[str, Any]) -> int:
    return int(body.get("expires_ms", body.get("expires", 0)))


def asked(engine: PolicyEngine, request: Request, *, index: int = -1, subject: str = "") -> Explained:
    """Any request, condition by condition."""
    said = engine.decide(request)
    found = tuple(
        Condition(one.policy, one.name, one.outcome, one.have, one.need, one.need, one.have)
        for one in conditions.explain(engine, request)
    )
    return Explained(index, subject, request.action, engine.hash, said.allowed, _words(said), found)


def _decision(conn: Connection, index: int, entry: Entry) -> Explained:
    texts = policies.of_decision(conn, entry.body["policy"])
    same = texts is None or texts.hash == default_engine().hash
    gate = default_gate() if texts is None or same else Gate(PolicyEngine(texts))
    where = entry.body["record"]
    records = evidence.get(conn, str(where["blob"]), Records)
    given = _given.decode(_record.decode(records.records[int(where["place"])]).gate)
    request, decision = gate_request(given), gate.decide(given)
    cedar = {probe.name: probe for probe in gate.probes}
    found = tuple(
        Condition(
            "close",
            one.name,
            one.outcome.value,
            one.have,
            one.need,
            cedar[one.name].source if one.name in cedar else "",
            conditions.have(cedar[one.name], request) if one.name in cedar else "",
        )
        for one in decision.conditions
    )
    recorded = [list(one) for one in entry.body["conditions"]]
    same_words = recorded == [[one.name, one.outcome, one.have, one.need] for one in found]
    said = gate.engine.decide(request)
    return Explained(index, entry.subject, "close", entry.body["policy"], said.allowed, _words(said), found, same_words)


def _lookup(index: int, entry: Entry) -> Request:
    """What a lease's task asked of the first of its sources. Raises NotFoundError when it was for none."""
    body = entry.body
    parts = [(body["agent"], body["operations"], body["resources"])]
    parts += [(one["to"], one["operations"], one["resources"]) for one in body.get("handed", ())]
    asking = [(who, names) for who, operations, names in parts if list(operations) == [requests.LOOKUP]]
    if not asking:
        raise NotFoundError(f"entry {index} is a lease for no source", where=str(index), todo="name that of a micro-batch")
    who, names = asking[0]
    leased = requests.Leased(who, body["task"], requests.LOOKUP, names[0], _expires_ms(body))
    return requests.read(
        leased, resource=names[0], task=body["task"], now_ms=entry.time, killed=False, operations=[requests.LOOKUP]
    )


def _found(conn: Connection, ident: str) -> tuple[int, Entry]:
    if ident.isdecimal():
        entry = _entry(conn, int(ident))
        if entry.kind not in (*ASKED, Kind.FINDING_DECIDED):
            todo = "name a finding, or the entry of a decision, a change, a proposal, an action or a lease"
            raise NotFoundError(f"entry {ident} ({entry.kind.value}) asked the policy nothing", where=ident, todo=todo)
        return int(ident), entry
    e = t.entries.c
    mine = (e.kind == Kind.FINDING_DECIDED.value) & (e.subject == ident)
    index = conn.execute(select(e.idx).where(mine).order_by(e.idx.desc()).limit(1)).scalar()
    if index is None:
        todo = "`countersign case show ID --json` names a case's findings"
        raise NotFoundError("no decision is about it", where=ident, todo=todo)
    return int(index), _entry(conn, int(index))


def _entry(conn: Connection, index: int) -> Entry:
    if not 0 <= index < ledger.size(conn):
        raise NotFoundError("no such entry", where=str(index), todo="`countersign verify` says how many there are")
    return decode(conn.execute(select(t.entries.c.bytes).where(t.entries.c.idx == index)).scalar_one())


def _words(said: Answer) -> str:
    return f"{'allow' if said.allowed else 'deny'}: {said.why}"
