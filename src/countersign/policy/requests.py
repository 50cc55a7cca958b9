"""How each door asks: one function per action, from typed values to a request. Identifiers are never glued into text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from countersign.model.entries import Actor
from countersign.policy.engine import Request, Uid, Value

HUMAN, AGENT = "human", "agent"
LOOKUP, RUN, PROPOSE = "evidence.lookup", "action.run", "action.propose"
_CHANGES = {"autonomy": "change_autonomy", "model": "change_model", "policy": "change_policy", "agent": "change_agents"}
"""Action of the schema by the noun of a change; everything else is about people."""


class Leased(msgspec.Struct, frozen=True):
    """What a verified lease says. expires_ms: milliseconds since the epoch."""

    agent: str
    task: str
    operation: str
    resource: str
    expires_ms: int


class Matter(msgspec.Struct, frozen=True):
    """What people answer. kind: ``noun.verb``. people: how many different people it needs."""

    kind: str
    requester: Actor
    digest: str
    expires_ms: int
    people: int


class Given(msgspec.Struct, frozen=True):
    """One person's yes, as it stands in the ledger. used: it was used for something before."""

    by: Actor
    digest: str
    expires_ms: int
    verified: bool = True
    used: bool = False


class Aim(msgspec.Struct, frozen=True):
    """One target of an action. criticality: ``inventory.Criticality``."""

    name: str
    kind: str
    criticality: int


def read(lease: Leased, *, resource: str, task: str, now_ms: int, killed: bool, operations: Iterable[str]) -> Request:
    """An agent asks a source something. task: what it works on; operations: what its row allows at most."""
    agent = Uid("Agent", lease.agent)
    source = Uid("Source", resource)
    entities: dict[Uid, dict[str, Value]] = {agent: _agent(lease.agent, killed, operations), source: {"name": resource}}
    return Request(agent, "read", source, entities, {"now_ms": now_ms, "task": task, "lease": _lease(lease)})


def propose(matter: Matter, now_ms: int, *, killed: bool = False, operations: Iterable[str] = (PROPOSE,)) -> Request:
    """The matter's requester puts it before people; killed, operations: of an agent that does."""
    who, attributes = _party(matter.requester, approver=False, killed=killed, operations=operations)
    about, of = _matter(matter)
    return Request(who, "propose", about, {who: attributes, about: of}, {"now_ms": now_ms})


def approve(
    matter: Matter,
    by: Actor,
    *,
    digest: str,
    now_ms: int,
    approver: bool,
    verified: bool,
    used: bool,
    roles: Iterable[str] = (),
) -> Request:
    """Somebody answers yes. digest: what was signed; used: an answer by them counts already."""
    who, attributes = _party(by, approver=approver, roles=roles)
    about, of = _matter(matter)
    context: dict[str, Value] = {"now_ms": now_ms, "digest": digest, "used": used, "verified": verified}
    return Request(who, "approve", about, {who: attributes, about: of}, context)


def change(matter: Matter, by: Actor, given: Sequence[Given], now_ms: int) -> Request:
    """A change is made with the last approval that it needs, by ``by``; given: every approval that counts."""
    who, attributes = _party(by, approver=True)
    about, of = _matter(matter)
    action = _CHANGES.get(matter.kind.partition(".")[0], "change_people")
    return Request(who, action, about, {who: attributes, about: of}, {"now_ms": now_ms, **_approvals(given)})


def run(
    lease: Leased,
    aim: Aim,
    *,
    impactful: bool,
    digest: str,
    requester: Actor,
    given: Sequence[Given],
    task: str,
    now_ms: int,
    killed: bool,
    operations: Iterable[str] = (RUN,),
) -> Request:
    """An agent is about to run an action on one target; asked for each target. digest: of the canonical action."""
    agent, target = Uid("Agent", lease.agent), Uid("Target", f"{aim.kind}/{aim.name}")
    of: dict[str, Value] = {"name": aim.name, "kind": aim.kind, "criticality": aim.criticality}
    context: dict[str, Value] = {
        "impactful": impactful,
        "now_ms": now_ms,
        "task": task,
        "lease": _lease(lease),
        "digest": digest,
        "requester": _actor(requester),
        **_approvals(given),
    }
    return Request(agent, "run", target, {agent: _agent(lease.agent, killed, operations), target: of}, context)


def _party(
    actor: Actor, *, approver: bool, roles: Iterable[str] = (), killed: bool = False, operations: Iterable[str] = ()
) -> tuple[Uid, dict[str, Value]]:
    if actor.type == HUMAN:
        return Uid("Person", actor.id), {"id": actor.id, "approver": approver, "roles": tuple(sorted(roles))}
    return Uid("Agent", actor.id), _agent(actor.id, killed, operations)


def _agent(name: str, killed: bool, operations: Iterable[str]) -> dict[str, Value]:
    return {"id": name, "killed": killed, "operations": tuple(sorted(operations))}


def _actor(actor: Actor) -> dict[str, Value]:
    return {"type": actor.type, "id": actor.id}


def _matter(matter: Matter) -> tuple[Uid, dict[str, Value]]:
    return Uid("Matter", matter.digest), {
        "kind": matter.kind,
        "requester": _actor(matter.requester),
        "digest": matter.digest,
        "expires_ms": matter.expires_ms,
        "people": matter.people,
    }


def _lease(lease: Leased) -> dict[str, Value]:
    return {
        "task": lease.task,
        "operation": lease.operation,
        "resource": lease.resource,
        "expires_ms": lease.expires_ms,
    }


def _approvals(given: Sequence[Given]) -> dict[str, Value]:
    """The first two; more are never needed."""
    return {
        name: {
            "by": _actor(one.by),
            "digest": one.digest,
            "expires_ms": one.expires_ms,
            "used": one.used,
            "verified": one.verified,
        }
        for name, one in zip(("first", "second"), given, strict=False)
    }
