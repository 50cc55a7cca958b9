"""One task's lease, narrowed for whoever helps with it, and checked for every use that the task needs. Pure.

The agent whose task it is holds the whole lease and keeps what is its own; each helper is handed a narrower one. Connectors
are given the proofs that ``take`` made, and check them again against the task at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec

from countersign.authority import lease as leases
from countersign.authority.agents import AGENTS, Agent, Operation
from countersign.authority.lease import VerifiedLease
from countersign.authority.terms import Lease, LeaseRefused, Refusal, Revocations, Use
from countersign.errors import UsageError

LEASE_MS = 60_000
FINDINGS = "findings"
"""What a lease must name to record verdicts and decisions."""
CASES = "cases"
"""What it must name to place findings in cases."""


def lookup(name: str) -> str:
    """What it must name to ask a lookup."""
    return f"lookup/{name}"


def case(ident: str) -> str:
    """What it must name to draft a case's summary or proposals."""
    return f"case/{ident}"


def running(action: str) -> str:
    """What it must name to run an action, besides the targets."""
    return f"action/{action}"


@dataclass(frozen=True, slots=True)
class Authority:
    """What is known at one moment: agents enrolled, ids revoked, agents stopped. root: the key that mints leases."""

    root: bytes
    public: bytes
    agents: Mapping[str, Agent]
    revoked: Revocations


class Part(msgspec.Struct, frozen=True):
    """What one agent does for a task: one operation on some resources."""

    agent: str
    operation: Operation
    resources: tuple[str, ...]


class Grant(msgspec.Struct, frozen=True):
    """A task's lease (None: none could be minted), what was handed on of it and is good, and a proof for each use that
    passed."""

    use: Use
    lease: Lease | None
    handed: tuple[Lease, ...]
    proofs: Mapping[tuple[Operation, str], VerifiedLease]
    refusals: tuple[Refusal, ...]

    def of(self, operation: Operation, resource: str) -> VerifiedLease | None:
        """The proof for one use."""
        return self.proofs.get((operation, resource))

    def holds(self, operation: Operation) -> bool:
        """Whether every use of this operation that the task asked for passed."""
        granted = any(key[0] is operation for key in self.proofs)
        return granted and all(one.operation != operation.value for one in self.refusals)

    def without(self, refused: Mapping[tuple[Operation, str], str]) -> Grant:
        """The same without proofs that somebody else refuses, each with its reason."""
        named = [
            Refusal(why, self.proofs[key].agent, self.use.task, self.use.case, key[0].value, key[1], self.proofs[key].id)
            for key, why in refused.items()
        ]
        kept = {key: proof for key, proof in self.proofs.items() if key not in refused}
        return msgspec.structs.replace(self, proofs=MappingProxyType(kept), refusals=(*self.refusals, *named))

    def body(self) -> dict[str, Any]:
        """Body of ``lease.issued`` but for the key and signature of its agent."""
        assert self.lease is not None  # noqa: S101 - whoever has none writes no such entry
        handed = [
            {"to": one.holder, "id": one.own, "operations": list(one.operations), "resources": list(one.resources)}
            for one in self.handed
        ]
        refused = sorted({one.resource for one in self.refusals})
        return self.lease.body() | {"handed": handed} | ({"refused": refused} if refused else {})


def take(known: Authority, use: Use, agent: str, parts: Sequence[Part], *, life_ms: int = LEASE_MS) -> Grant:
    """Mint the lease of ``agent`` for a task, hand each other agent its part, and check every use once. What is refused is
    named, and leaves no proof behind: nothing is raised."""
    try:
        held = leases.mint(
            known.root,
            agent=agent,
            task=use.task,
            operations={part.operation for part in parts},
            resources={name for part in parts for name in part.resources},
            now_ms=use.now_ms,
            expires_ms=use.now_ms + life_ms,
            case=use.case,
            agents=known.agents,
        )
    except UsageError:  # not enrolled, or not allowed this much
        return Grant(use, None, (), MappingProxyType({}), tuple(_refused("agent not enrolled", use, one) for one in parts))
    handed: list[Lease] = []
    proofs: dict[tuple[Operation, str], VerifiedLease] = {}
    refusals: list[Refusal] = []
    for part in parts:
        mine = held if part.agent == agent else _hand_on(known, held, part)
        try:
            proofs.update({(one.operation, one.resource): one for one in prove(known, mine, part, use)})
            if mine is not held:
                handed.append(mine)
        except LeaseRefused as refused:
            refusals.append(refused.refusal)
    return Grant(use, held, tuple(handed), MappingProxyType(proofs), tuple(refusals))


def alone(use: Use, agent: str, parts: Sequence[Part]) -> Grant:
    """The same for a run that opens no site, such as a backtest: under a root key of its own that is thrown away."""
    root = leases.new_root_key()
    known = Authority(root, leases.public_key(root), AGENTS, Revocations(frozenset(), use.now_ms))
    return take(known, use, agent, parts)


def prove(known: Authority, lease: Lease, part: Part, use: Use) -> tuple[VerifiedLease, ...]:
    """A proof for each resource of a part. Raises LeaseRefused."""
    return leases.verify_each(
        lease,
        known.public,
        operation=part.operation,
        resources=part.resources,
        use=use,
        revoked=known.revoked,
        agents=known.agents,
    )


def _hand_on(known: Authority, held: Lease, part: Part) -> Lease:
    return leases.attenuate(held, known.public, to=part.agent, operations=[part.operation], resources=part.resources)


def _refused(reason: str, use: Use, part: Part) -> Refusal:
    return Refusal(reason, part.agent, use.task, use.case, part.operation.value, part.resources[0])
