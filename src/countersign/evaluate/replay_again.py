"""Entries but findings, decided again: what people answered adds up, targets had moved, agents might take a lease on.

Each function makes the part of an entry's body anew that follows from what the ledger had said before it; the rest of the
body (reasons, signatures, times) is what was given, not what was decided.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from countersign.approvals import signed
from countersign.approvals.proposal import Matter, canonical, digest
from countersign.approvals.quorum import Review, Standing, tally
from countersign.authority.agents import Operation
from countersign.authority.lease import STOPPED
from countersign.autonomy import review as draws
from countersign.errors import CountersignError
from countersign.evaluate.replay_findings import opens
from countersign.evaluate.replay_past import Answered, Past, Unrecorded
from countersign.ledger.canonical import encode_value
from countersign.ledger.mandates import is_signed
from countersign.model.entities import EntityType
from countersign.model.entries import Actor, Entry, Kind
from countersign.model.inventory import Inventory
from countersign.model.responses import Target, TargetKind, moved
from countersign.store import tables as t

_Body = dict[str, Any]


class Again:
    """One pass over a ledger. pseudonyms: of entity keys, as far as they were not erased. gone: those that were."""

    def __init__(self, past: Past, pseudonyms: Mapping[str, str], gone: Collection[str] = ()) -> None:
        self._past = past
        self._pseudonyms = pseudonyms
        self._gone = gone
        self._commitments: dict[str, str] = {}
        self._make: Mapping[Kind, Callable[[int, Entry], _Body]] = {
            Kind.CHANGE_PROPOSED: self._change_proposed,
            Kind.CHANGE_APPROVED: self._change_answered,
            Kind.CHANGE_DENIED: self._change_answered,
            Kind.PROPOSAL_CREATED: self._created,
            Kind.PROPOSAL_APPROVED: self._approved,
            Kind.PROPOSAL_DENIED: self._denied,
            Kind.PROPOSAL_EXPIRED: self._expired,
            Kind.PROPOSAL_OUTDATED: self._outdated,
            Kind.ACTION_INTENDED: self._intended,
            Kind.ACTION_STARTED: self._started,
            Kind.ACTION_LEFT: self._left,
            Kind.LEASE_ISSUED: self._issued,
            Kind.LEASE_REFUSED: self._refused,
            Kind.REVIEW_COMMITTED: self._committed,
            Kind.REVIEW_OPENED: self._opened,
        }

    def knows(self, kind: Kind) -> bool:
        """Whether entries of this kind hold a decision that is made again here."""
        return kind in self._make

    def differs(self, index: int, entry: Entry) -> str:
        """Fields that come out otherwise, "" when the body comes out the same, byte for byte. Raises CountersignError, or
        Unrecorded when the record does not hold enough."""
        made = {**entry.body, **self._make[entry.kind](index, entry)}
        if encode_value(made, "again") == encode_value(entry.body, "entry"):
            return ""
        return ", ".join(name for name in made if made[name] != entry.body.get(name)) or "body"

    # --- changes --------------------------------------------------------------------------------------------------

    def _change_proposed(self, index: int, entry: Entry) -> _Body:
        self._past.take(index, entry)
        change = self._past.change(index)
        return {"proposal": canonical(change).decode(), "digest": digest(change), **_same("actor", entry, change.requester)}

    def _change_answered(self, _index: int, entry: Entry) -> _Body:
        change = self._past.change(int(entry.subject))
        yes = entry.kind is Kind.CHANGE_APPROVED
        given = _review(entry, approve=yes)
        standing = signed.count(change, self._earlier(entry), given).standing if yes else Standing.DENIED
        return {"digest": digest(change), "standing": standing.value} | ({"nonce": change.nonce} if yes else {})

    # --- responses ------------------------------------------------------------------------------------------------

    def _created(self, index: int, entry: Entry) -> _Body:
        self._past.take(index, entry)
        proposal = self._past.proposal(index)
        return {
            "digest": digest(proposal),
            "action": proposal.action,
            "case": proposal.case,
            "targets": [self._named(one, entry) for one in proposal.targets],
            "people": proposal.people,
            "denials": proposal.denials,
            "expires": proposal.expires_ms,
            **({"undoes": proposal.parameters["undoes"]} if "undoes" in proposal.parameters else {}),
            **_same("actor", entry, proposal.requester),
        }

    def _approved(self, _index: int, entry: Entry) -> _Body:
        proposal = self._past.proposal(int(entry.subject))
        given = _review(entry, approve=True)
        found = signed.counted(proposal, proposal.requester, self._earlier(entry), given, proposal.action)
        return {"digest": digest(proposal), "standing": found.standing.value}

    def _denied(self, _index: int, entry: Entry) -> _Body:
        number = int(entry.subject)
        proposal, by = self._past.proposal(number), entry.actor
        standing = Standing.DENIED
        if by.id != proposal.requester.id:
            earlier = [one for one in self._reviews(self._answers(number)) if one.by.id != by.id or not one.approve]
            given = _review(entry, approve=False)
            signed.counted(proposal, proposal.requester, earlier, given, proposal.action)
            standing = _denials(proposal, proposal.requester, [*earlier, given], entry.time)
        return {"digest": digest(proposal), "standing": standing.value}

    def _expired(self, _index: int, entry: Entry) -> _Body:
        terms = self._past.matter(int(entry.subject)).entry.body
        return {"digest": terms["digest"], "expires": terms["expires"]} | _was(expired=entry.time >= terms["expires"])

    def _outdated(self, _index: int, entry: Entry) -> _Body:
        terms = self._past.matter(int(entry.subject)).entry.body
        try:
            proposal = self._past.proposal(int(entry.subject))
        except CountersignError:  # erased or spoilt: that ends a proposal, too
            return {"digest": terms["digest"]}
        return {"digest": terms["digest"]} | _was(moved=bool(moved(proposal.targets, self._known())))

    # --- actions --------------------------------------------------------------------------------------------------

    def _intended(self, _index: int, entry: Entry) -> _Body:
        number = int(entry.subject)
        proposal = self._past.proposal(number)
        return {
            **self._ready(entry),
            "digest": digest(proposal),
            "action": proposal.action,
            "approvals": [one.index for one in self._answers(number) if one.review.approve],
            "minutes": int(proposal.parameters.get("minutes", 0)),
        }

    def _started(self, _index: int, entry: Entry) -> _Body:
        intent, _ = self._past.intents.get(entry.subject, (-1, None))
        sealed = intent >= 0 and entry.body["sealed"] > intent
        return {**self._ready(entry), "digest": digest(self._past.proposal(int(entry.subject)))} | _was(sealed=sealed)

    def _ready(self, entry: Entry) -> _Body:
        """What must be so before an action is intended or started."""
        number = int(entry.subject)
        proposal = self._past.proposal(number)
        reviews = [one.review for one in self._answers(number) if one.review.approve]
        return _was(
            expired=entry.time < proposal.expires_ms,
            moved=not moved(proposal.targets, self._known()),
            approved=tally(proposal, proposal.requester, reviews, entry.time).standing is Standing.APPROVED,
        )

    def _left(self, _index: int, entry: Entry) -> _Body:
        event = entry.body["event"]
        proposal = self._past.proposal(int(entry.subject))
        if event == "expired":
            return _was(expired=entry.time >= proposal.expires_ms)
        return _was(moved=bool(moved(proposal.targets, self._known()))) if event == "changed" else {}

    # --- leases ---------------------------------------------------------------------------------------------------

    def _issued(self, _index: int, entry: Entry) -> _Body:
        body, agents = entry.body, self._past.agents
        if not agents:
            raise Unrecorded("no agent was registered when it was issued")
        held = agents.get(body["agent"], {})
        allowed = all(set(one["operations"]) <= set(body["operations"]) & self._most(one["to"]) for one in body["handed"])
        spread = all(set(one["resources"]) <= set(body["resources"]) for one in body["handed"])
        running = not {one["to"] for one in body["handed"]} & self._past.stopped
        return {"key": held.get("key", "")} | _was(
            agent=set(body["operations"]) <= self._most(body["agent"]),
            handed=allowed and spread and running,
            signature=is_signed(entry.subject, body, held.get("public_key", "")),
            expires_ms=entry.time < body["expires_ms"],
        )

    def _refused(self, _index: int, entry: Entry) -> _Body:
        body, reason, name = entry.body, entry.body["reason"], entry.subject
        reasons = {
            STOPPED: name in self._past.stopped,
            "agent not enrolled": name not in self._past.agents,
            "beyond the agent": name in self._past.agents and body["operation"] not in self._most(name),
            "revoked": body["lease"] in self._past.revoked,
        }
        if reason.startswith("policy: "):
            return {}  # its lease says which of its sources the policy refused, and is asked about them
        if reason not in reasons:
            raise Unrecorded(f"the entry does not hold the use that was refused ({reason})")
        return _was(reason=reasons[reason])

    def _most(self, name: str) -> set[str]:
        """The most that an agent may do."""
        known = {one.value for one in Operation}
        return set(self._past.agents.get(name, {}).get("operations", "").split()) & known

    # --- draws ----------------------------------------------------------------------------------------------------

    def _committed(self, _index: int, entry: Entry) -> _Body:
        again = entry.subject in self._commitments
        self._commitments[entry.subject] = entry.body["commitment"]
        kept = select(t.seeds.c.seed).where(t.seeds.c.week == entry.subject)
        seed = self._past.conn.execute(kept).scalar()  # the site's own secret, until it is opened
        held = seed is not None and opens(bytes(seed), entry.subject, entry.body["commitment"])
        return _was(commitment=not again, seed=held)

    def _opened(self, _index: int, entry: Entry) -> _Body:
        held = draws.commitment(bytes.fromhex(entry.body["seed"]), entry.subject)
        return _was(seed=held == self._commitments.get(entry.subject))

    # --- shared ---------------------------------------------------------------------------------------------------

    def _answers(self, number: int) -> list[Answered]:
        return list(self._past.matter(number).answers.values())

    def _earlier(self, entry: Entry) -> list[Review]:
        """Answers given before, but for approvals whose key counted no longer."""
        answers = self._answers(int(entry.subject))
        return self._reviews([one for one in answers if not one.review.approve or self._past.counts(one.fingerprint)])

    @staticmethod
    def _reviews(answers: Sequence[Answered]) -> list[Review]:
        return [one.review for one in answers]

    def _known(self) -> Inventory:
        return self._past.inventory

    def _named(self, target: Target, entry: Entry) -> str:
        """As an entry may name it: hosts in clear, accounts by pseudonym; "" where there is none that was not erased."""
        if target.kind is not TargetKind.IDENTITY:
            return f"host:{target.name}"
        hidden = self._pseudonyms.get(f"{EntityType.USER.value}:{target.name}")
        if hidden is None and any(one in self._gone for one in entry.body["targets"]):
            raise Unrecorded("the pseudonym of an account was erased")
        return hidden or ""


def _review(entry: Entry, *, approve: bool) -> Review:
    return Review(entry.actor, approve, entry.body["reason"], entry.time)


def _denials(matter: Matter, requester: Actor, reviews: Sequence[Review], now_ms: int) -> Standing:
    return tally(matter, requester, [one for one in reviews if not one.approve], now_ms).standing


def _same(name: str, entry: Entry, wanted: Actor) -> _Body:
    return _was(**{name: entry.actor == wanted})


def _was(**facts: bool) -> _Body:
    """What must be so for the entry to have been written: a field for each that is not."""
    return {name: "is not so" for name, holds in facts.items() if not holds}
