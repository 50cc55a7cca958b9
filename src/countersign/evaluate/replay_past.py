"""What the ledger had said by an entry: policy in force, agents, leases, keys, inventory, matters before people.

Read off the entries in their order and the evidence that they name, never off tables or settings: a replay on another
machine knows the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from countersign.approvals.change import Change
from countersign.approvals.change import read as read_change
from countersign.approvals.proposal import Proposal
from countersign.approvals.quorum import HUMAN, Review
from countersign.authority.roles import APPROVER
from countersign.errors import CountersignError, VerificationError
from countersign.model.entries import Actor, Entry, Kind
from countersign.model.inventory import Asset, Identity, Inventory
from countersign.policy.engine import PolicyEngine
from countersign.policy.shipped import default_engine
from countersign.store import evidence, policies, settling
from countersign.store.signers import PASSKEY

LEASES_KEPT = 4_096
"""Entries follow their lease closely; more are not remembered, so that memory stays flat."""


class Unrecorded(Exception):
    """The record does not hold enough to recompute an entry; the words say what is missing."""


FAULTS = (CountersignError, msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError)
"""What reading an entry or record can raise that somebody has changed."""


def worded(error: Exception) -> str:
    """The fault as one line."""
    if isinstance(error, CountersignError):
        return str(error)
    return f"cannot be read: {type(error).__name__}: {error}"


class Answered(msgspec.Struct, frozen=True):
    """One person's answer, and the entry and key (fingerprint) of it."""

    review: Review
    index: int
    fingerprint: str


class Matter(msgspec.Struct):
    """What people answer. entry: how it was proposed. answers: the last of each person, in the order of their entries."""

    entry: Entry
    answers: dict[str, Answered] = {}


class Engines:
    """Policy sets that were in force, each parsed once. Raises CountersignError when one cannot be read."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._made: dict[str, PolicyEngine] = {}

    def of(self, entry: Entry) -> PolicyEngine:
        """The set that a ``policy.activated`` put in force; the shipped one for a gate of before sets were kept."""
        if "blob" not in entry.body:
            return default_engine()
        name = entry.body["hash"]
        if name not in self._made:
            texts = policies.load(self._conn, entry.body)
            self._made[name] = default_engine() if texts.hash == default_engine().hash else PolicyEngine(texts)
        return self._made[name]


class Past:
    """``take`` every entry but decisions of findings in order; what the fields say is true of the moment before the next."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.engines = Engines(conn)
        self.activated: Entry | None = None
        self.agents: dict[str, Mapping[str, Any]] = {}
        self.stopped: set[str] = set()
        self.revoked: set[str] = set()
        self.leases: OrderedDict[str, Entry] = OrderedDict()
        self.matters: dict[int, Matter] = {}
        self.intents: dict[str, tuple[int, Entry]] = {}
        self.keys: dict[str, str] = {}
        self.approvers: dict[str, set[str]] = {}
        self._inventory: dict[tuple[str, str], Asset | Identity] = {}
        self._lost = ""
        self._take: Mapping[Kind, Callable[[int, Entry], None]] = {
            Kind.POLICY_ACTIVATED: self._policy,
            Kind.AGENT_REGISTERED: lambda _, e: self.agents.update({e.subject: e.body}),
            Kind.AGENT_STOPPED: lambda _, e: self.stopped.add(e.subject),
            Kind.AGENT_RESUMED: lambda _, e: self.stopped.discard(e.subject),
            Kind.AGENT_RETIRED: lambda _, e: _drop(self.agents, e.subject),
            Kind.LEASE_ISSUED: self._lease,
            Kind.LEASE_REVOKED: lambda _, e: self.revoked.add(e.subject),
            Kind.PERSON_ENROLLED: lambda _, e: self.keys.update({e.body["fingerprint"]: e.subject}),
            Kind.PERSON_REVOKED: lambda _, e: _drop(self.keys, *e.body["fingerprints"]),
            Kind.PASSKEY_ENROLLED: lambda _, e: self.keys.update({PASSKEY + e.body["credential"]: e.subject}),
            Kind.PASSKEY_REVOKED: lambda _, e: _drop(self.keys, PASSKEY + e.body["credential"]),
            Kind.ROLE_GRANTED: self._role,
            Kind.ROLE_REVOKED: self._role,
            Kind.CHANGE_PROPOSED: self._matter,
            Kind.PROPOSAL_CREATED: self._matter,
            Kind.CHANGE_APPROVED: self._answer,
            Kind.CHANGE_DENIED: self._answer,
            Kind.PROPOSAL_APPROVED: self._answer,
            Kind.PROPOSAL_DENIED: self._answer,
            Kind.ACTION_INTENDED: lambda i, e: self.intents.update({e.subject: (i, e)}),
            Kind.INVENTORY_IMPORTED: self._imported,
        }

    def take(self, index: int, entry: Entry) -> None:
        """An entry is past from here on. Raises one of ``FAULTS`` when it cannot be read."""
        apply = self._take.get(entry.kind)
        if apply is not None:
            apply(index, entry)

    @property
    def policy(self) -> tuple[str, PolicyEngine]:
        """(name, engine) of the set in force. Raises CountersignError when it cannot be read."""
        if self.activated is None:
            return "", default_engine()
        return self.activated.subject, self.engines.of(self.activated)

    @property
    def inventory(self) -> Inventory:
        """What had been imported. Raises Unrecorded when one of the imports cannot be read any more."""
        if self._lost:
            raise Unrecorded(self._lost)
        held = self._inventory.values()
        return Inventory(
            tuple(one for one in held if isinstance(one, Asset)), tuple(one for one in held if isinstance(one, Identity))
        )

    def matter(self, number: int) -> Matter:
        """What people answer under this number. Raises VerificationError."""
        if number not in self.matters:
            raise VerificationError("no entry proposes it", where=str(number))
        return self.matters[number]

    def change(self, number: int) -> Change:
        """A change in front of people. Raises VerificationError."""
        return read_change(self.matter(number).entry.body["proposal"].encode())

    def proposal(self, number: int) -> Proposal:
        """A response in front of people, from the evidence. Raises CountersignError."""
        body = self.matter(number).entry.body
        return settling.stored(self.conn, body["blob"], body["digest"])[1]

    def lease(self, ident: str) -> Entry:
        """How a lease was issued. Raises Unrecorded."""
        if ident not in self.leases:
            raise Unrecorded("the lease that it was decided under is not in the ledger before it")
        return self.leases[ident]

    def counts(self, fingerprint: str) -> bool:
        """Whether the key is in force, and, of a passkey, whether its person may approve."""
        person = self.keys.get(fingerprint)
        return person is not None and (not fingerprint.startswith(PASSKEY) or bool(self.approvers.get(person)))

    def _policy(self, _index: int, entry: Entry) -> None:
        self.activated = entry

    def _lease(self, _index: int, entry: Entry) -> None:
        self.leases[entry.subject] = entry
        if len(self.leases) > LEASES_KEPT:
            self.leases.popitem(last=False)

    def _role(self, _index: int, entry: Entry) -> None:
        held = self.approvers.setdefault(entry.subject, set())  # by whom it was given: one source may take only its own
        if entry.body.get("whole"):
            held.clear()
        elif APPROVER in entry.body["roles"]:
            (held.add if entry.kind is Kind.ROLE_GRANTED else held.discard)(entry.body["source"])

    def _matter(self, index: int, entry: Entry) -> None:
        self.matters[index] = Matter(entry)

    def _answer(self, index: int, entry: Entry) -> None:
        answers = self.matter(int(entry.subject)).answers
        yes = entry.kind in (Kind.CHANGE_APPROVED, Kind.PROPOSAL_APPROVED)
        review = Review(Actor(HUMAN, entry.actor.id), yes, entry.body["reason"], entry.time)
        answers.pop(entry.actor.id, None)
        answers[entry.actor.id] = Answered(review, index, entry.body.get("fingerprint", ""))

    def _imported(self, _index: int, entry: Entry) -> None:
        replaces = entry.body["mode"] == "replace"
        try:
            found = evidence.get(self.conn, entry.body["blob"], Inventory)
        except CountersignError as error:
            self._lost = f"the inventory of its moment: {error.what}"
            return
        if replaces:
            self._inventory.clear()
            self._lost = ""
        records: tuple[Asset | Identity, ...] = (*found.assets, *found.identities)
        self._inventory.update({(type(one).__name__, one.name): one for one in records})


def _drop(held: dict[str, Any], *names: str) -> None:
    for name in names:
        held.pop(name, None)
