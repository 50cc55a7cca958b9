"""What the policy was asked for an entry, put together again from what the ledger had said by then, and what it answered.

One request for each door: a source read under a lease, a matter put before people, an answer that counts, a change made, an
action run on one target. The decision of a finding is its own (``replay_findings``): its facts stand in its record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from countersign.approvals.proposal import Proposal
from countersign.evaluate.replay_past import Past, Unrecorded
from countersign.model.entries import Actor, Entry, Kind
from countersign.policy import documents, requests
from countersign.policy.engine import PolicyEngine, Request
from countersign.store import evidence, permits


class Asked(msgspec.Struct, frozen=True):
    """One request, the set that was asked (name, hash), and whether the ledger says that it allowed it."""

    index: int
    subject: str
    policy: str
    hash: str
    request: Request
    allowed: bool

    def differs(self, engine: PolicyEngine) -> str:
        """What the engine says otherwise now, "" when it says the same."""
        answer = engine.decide(self.request)
        if answer.allowed is self.allowed:
            return ""
        said, now = ("allowed", "denied") if self.allowed else ("denied", "allowed")
        return f"policy: {self.request.action} was {said} and is {now}: {answer.why}"


def asked(past: Past, index: int, entry: Entry) -> list[Asked]:
    """Every request of an entry, ``past`` being that of the moment before it. Raises CountersignError, or Unrecorded when
    the record does not hold enough."""
    ask = _ASK.get(entry.kind)
    if ask is None:
        return []
    found = list(ask(past, entry, index))
    if not found:
        return []
    name, engine = past.policy
    return [Asked(index, entry.subject, name, engine.hash, request, allowed) for request, allowed in found]


_Found = Iterator[tuple[Request, bool]]


def _reads(past: Past, entry: Entry, _index: int) -> _Found:
    body = entry.body
    refused = set(body.get("refused", ()))
    parts = [(body["agent"], body["operations"], body["resources"])]
    parts += [(one["to"], one["operations"], one["resources"]) for one in body["handed"]]
    for who, operations, names in parts:
        if operations != [requests.LOOKUP]:
            continue
        if who not in past.agents:
            raise Unrecorded(f"agent {who} is not in the ledger before it")
        most = past.agents[who]["operations"].split()
        for name in names:
            leased = requests.Leased(who, body["task"], requests.LOOKUP, name, body["expires_ms"])
            yield (
                requests.read(leased, resource=name, task=body["task"], now_ms=entry.time, killed=False, operations=most),
                name not in refused,
            )


def _change_proposed(past: Past, entry: Entry, index: int) -> _Found:
    past.take(index, entry)
    yield requests.propose(permits.matter(past.change(index)), entry.time), True


def _change_approved(past: Past, entry: Entry, _index: int) -> _Found:
    number = int(entry.subject)
    change, earlier = past.change(number), _earlier(past, number)
    matter = permits.matter(change)
    yield _approval(matter, entry, earlier), True
    if entry.body["standing"] == "approved":
        given = [requests.Given(one, matter.digest, matter.expires_ms) for one in (*earlier, entry.actor)]
        yield requests.change(matter, entry.actor, given, entry.time), True


def _proposal_created(past: Past, entry: Entry, index: int) -> _Found:
    past.take(index, entry)
    yield requests.propose(permits.action(past.proposal(index)), entry.time), True


def _proposal_approved(past: Past, entry: Entry, _index: int) -> _Found:
    number = int(entry.subject)
    yield _approval(permits.action(past.proposal(number)), entry, _earlier(past, number)), True


def _approval(matter: requests.Matter, entry: Entry, earlier: list[Actor]) -> Request:
    used = any(one.id == entry.actor.id for one in earlier)
    said, now_ms = entry.body["digest"], entry.time
    return requests.approve(matter, entry.actor, digest=said, now_ms=now_ms, approver=True, verified=True, used=used)


def _earlier(past: Past, number: int) -> list[Actor]:
    """Who had answered before, in order, but for approvals whose key counted no longer."""
    answers = past.matter(number).answers.values()
    return [one.review.by for one in answers if not one.review.approve or past.counts(one.fingerprint)]


def _runs(past: Past, entry: Entry, _index: int) -> _Found:
    number = int(entry.subject)
    if "impactful" not in entry.body:
        raise Unrecorded("the entry does not say whether the action changes a system of the site")
    proposal, digest = past.proposal(number), entry.body["digest"]
    given = [
        requests.Given(one.review.by, digest, proposal.expires_ms)
        for one in past.matter(number).answers.values()
        if one.review.approve
    ]
    for target in proposal.targets:
        yield _run(past, entry, proposal, given, requests.Aim(target.name, target.kind.value, int(target.criticality))), True


def _run(past: Past, entry: Entry, proposal: Proposal, given: list[requests.Given], aim: requests.Aim) -> Request:
    lease = past.lease(entry.actor.lease).body
    return requests.run(
        requests.Leased(lease["agent"], lease["task"], requests.RUN, aim.name, lease["expires_ms"]),
        aim,
        impactful=bool(entry.body["impactful"]),
        digest=entry.body["digest"],
        requester=proposal.requester,
        given=given,
        task=lease["task"],
        now_ms=entry.time,
        killed=False,
    )


def _left(past: Past, entry: Entry, _index: int) -> _Found:
    kept = evidence.get(past.conn, entry.body["blob"], dict[str, str])
    if "asked" in kept:
        raw: dict[str, Any] = msgspec.json.decode(kept["asked"])
        yield documents.read(raw, "evidence"), False


_ASK: Mapping[Kind, Callable[[Past, Entry, int], _Found]] = {
    Kind.LEASE_ISSUED: _reads,
    Kind.CHANGE_PROPOSED: _change_proposed,
    Kind.CHANGE_APPROVED: _change_approved,
    Kind.PROPOSAL_CREATED: _proposal_created,
    Kind.PROPOSAL_APPROVED: _proposal_approved,
    Kind.ACTION_INTENDED: _runs,
    Kind.ACTION_STARTED: _runs,
    Kind.ACTION_LEFT: _left,
}
