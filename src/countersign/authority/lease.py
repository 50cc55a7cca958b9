"""Leases: what an agent may do, for one task, on named resources, until a time. The only module that knows tokens.

A lease is a Biscuit v3 token (https://doc.biscuitsec.org/reference/specifications) signed by the site's agent root key
(Ed25519). Whoever holds one can narrow it by appending a block, never widen it: a check of any block that fails refuses
the use, and facts of appended blocks are not visible to the authorizer. Time is milliseconds as an integer, because
Biscuit's own dates end at seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from biscuit_auth import (
    AuthorizationError,
    AuthorizerBuilder,
    Biscuit,
    BiscuitBuilder,
    BiscuitValidationError,
    BlockBuilder,
    DataLogError,
    KeyPair,
    PrivateKey,
    PublicKey,
    Rule,
)

from countersign.authority.agents import AGENTS, Agent, Operation
from countersign.authority.terms import Lease, LeaseRefused, Refusal, Revocations, Use
from countersign.errors import UsageError, VerificationError

LEASE_MS_MAX = 24 * 3_600_000
"""Longest life of a lease; those of micro-batches live for minutes."""
REVOCATIONS_AGE_MS_MAX = 60_000
"""A revocation list older than this counts as "everything revoked"."""
LEASE_BYTES_MAX = 16_384
STOPPED = "agent stopped"
_AUTHORIZE_MAX = timedelta(seconds=2)

_AUTHORITY = """
lease({task}, {agent}, {expires_ms});
check if now_ms($now), $now < {expires_ms};
check if task({task});
check if operation($operation), {operations}.contains($operation);
check if resource($resource), {resources}.contains($resource);
"""
_CASE = "check if case({case});"
_HOLDER = "check if holder({holder});"
_USE = """
now_ms({now_ms}); task({task}); case({case}); operation({operation}); resource({resource}); holder({holder});
allow if lease($task, $agent, $expires_ms), task($task);
"""
_READ = "lease($task, $agent, $expires_ms) <- lease($task, $agent, $expires_ms)"
_HELD = re.compile(r'check if holder\("([a-z0-9-]+)"\)')
_UNTIL = re.compile(r"\$now < (\d+)")
_FAILED = re.compile(r"check if (now_ms|task|case|operation|resource|holder)\(")
_REASONS = {
    "now_ms": "expired",
    "task": "other task",
    "case": "other case",
    "operation": "other operation",
    "resource": "other resource",
    "holder": "other holder",
}


_SEAL = object()


@dataclass(frozen=True, slots=True, init=False)
class VerifiedLease:
    """Proof that ``verify`` let this use pass; it cannot be made in any other way. Check it once per batch.

    agent: who holds it. until_ms: it proves nothing from then on: the lease ends, or what is known of revocations is old.
    """

    id: str
    task: str
    agent: str
    operation: Operation
    resource: str
    expires_ms: int
    case: str
    until_ms: int

    def __init__(
        self,
        seal: object,
        *,
        lease: str,
        task: str,
        agent: str,
        operation: Operation,
        resource: str,
        expires_ms: int,
        case: str = "",
        until_ms: int = 0,
    ) -> None:
        if seal is not _SEAL:
            raise VerificationError("a verified lease only comes from authority.lease.verify", where="lease")
        values = (lease, task, agent, operation, resource, expires_ms, case, until_ms)
        for name, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, name, value)

    def refusal(self, operation: Operation, resource: str, use: Use) -> str:
        """Why this proof does not cover a use; "" when it does."""
        if use.now_ms >= self.until_ms:
            return "expired" if use.now_ms >= self.expires_ms else "stale revocation list"
        if use.task != self.task:
            return "other task"
        if use.case != self.case:
            return "other case"
        if operation is not self.operation:
            return "other operation"
        return "" if resource == self.resource else "other resource"

    def allows(self, operation: Operation, resource: str, use: Use) -> bool:
        """Whether this proof covers a use."""
        return not self.refusal(operation, resource, use)


def demand(lease: VerifiedLease | None, operation: Operation, resource: str, use: Use) -> None:
    """What every connector calls before it does anything. Raises LeaseRefused."""
    if type(lease) is not VerifiedLease:
        raise refused("no lease", f"no lease for {operation.value} on {resource}", operation, resource, use)
    if reason := lease.refusal(operation, resource, use):
        what = f"{reason}: the lease does not cover {operation.value} on {resource} for task {use.task}"
        raise refused(reason, what, operation, resource, use, lease=lease.id, agent=lease.agent)


def refused(
    reason: str,
    what: str,
    operation: Operation,
    resource: str,
    use: Use,
    *,
    lease: str = "",
    agent: str = "",
    todo: str = "verify one for this use",
) -> LeaseRefused:
    """The error for a use that was not let pass."""
    return LeaseRefused(Refusal(reason, agent, use.task, use.case, operation.value, resource, lease), what, todo=todo)


def new_root_key() -> bytes:
    """A fresh Ed25519 private key, 32 bytes."""
    return bytes(KeyPair().private_key.to_bytes())


def public_key(root_key: bytes) -> bytes:
    """The public half, 32 bytes: what a connector needs in order to verify."""
    return bytes(KeyPair.from_private_key(_private(root_key)).public_key.to_bytes())


def mint(
    root_key: bytes,
    *,
    agent: str,
    task: str,
    operations: Iterable[Operation],
    resources: Iterable[str],
    now_ms: int,
    expires_ms: int,
    case: str = "",
    agents: Mapping[str, Agent] = AGENTS,
) -> Lease:
    """A lease for ``agent`` on ``task``, and on one case if it names one. Raises UsageError when it is empty, too long, or
    more than the agent may hold."""
    allowed, named = {o.value for o in operations}, set(resources)
    _check_request(agents, agent, task, allowed, named, expires_ms - now_ms)
    terms = {"task": task, "agent": agent, "expires_ms": expires_ms, "operations": allowed, "resources": named}
    source = _AUTHORITY
    if case:
        source, terms["case"] = source + _CASE, case
    token = BiscuitBuilder(source, terms).build(_private(root_key))
    return Lease(
        token=bytes(token.to_bytes()),
        id=_id(token),
        agent=agent,
        task=task,
        operations=tuple(sorted(allowed)),
        resources=tuple(sorted(named)),
        expires_ms=expires_ms,
        case=case,
        own=_id(token),
        holder=agent,
    )


def _check_request(
    agents: Mapping[str, Agent], agent: str, task: str, operations: set[str], resources: set[str], life_ms: int
) -> None:
    if agent not in agents:
        raise UsageError(f"unknown agent {agent!r}", where="lease", todo=f"known: {', '.join(agents)}")
    if excess := operations - {o.value for o in agents[agent].operations}:
        raise UsageError(f"{agent} may not hold {', '.join(sorted(excess))}", where="lease")
    if not (task and operations and resources):
        raise UsageError("a lease names a task, operations and resources", where="lease")
    if not 0 < life_ms <= LEASE_MS_MAX:
        raise UsageError(f"a lease lives between 1 and {LEASE_MS_MAX} ms, not {life_ms}", where="lease")


def attenuate(
    lease: Lease,
    public: bytes,
    *,
    to: str = "",
    operations: Iterable[Operation] | None = None,
    resources: Iterable[str] | None = None,
    expires_ms: int | None = None,
    case: str = "",
) -> Lease:
    """A narrower lease for a delegate; what is None stays as it was. The result never allows more than ``lease``.

    to: the agent that it is handed on to, which must be allowed the operation itself, and cannot hand it on under yet
    another name. case: the one case that it is good for.
    """
    checks: list[str] = []
    terms: dict[str, Any] = {}
    if to:
        checks.append(_HOLDER)
        terms["holder"] = to
    if case:
        checks.append(_CASE)
        terms["case"] = case
    if operations is not None:
        checks.append("check if operation($operation), {operations}.contains($operation);")
        terms["operations"] = {o.value for o in operations}
    if resources is not None:
        checks.append("check if resource($resource), {resources}.contains($resource);")
        terms["resources"] = set(resources)
    if expires_ms is not None:
        checks.append("check if now_ms($now), $now < {expires_ms};")
        terms["expires_ms"] = expires_ms
    if not checks or not all(terms.values()):
        raise UsageError("a delegation narrows something, and to more than nothing", where="lease")
    token = _open(lease, public).append(BlockBuilder(" ".join(checks), terms))
    return msgspec.structs.replace(
        lease,
        token=bytes(token.to_bytes()),
        operations=tuple(sorted(set(terms.get("operations", lease.operations)) & set(lease.operations))),
        resources=tuple(sorted(set(terms.get("resources", lease.resources)) & set(lease.resources))),
        expires_ms=min(terms.get("expires_ms", lease.expires_ms), lease.expires_ms),
        case=case or lease.case,
        own=token.revocation_ids[-1][:_ID_CHARS],
        holder=to or lease.holder,
    )


def verify_each(
    lease: Lease,
    public: bytes,
    *,
    operation: Operation,
    resources: Sequence[str],
    use: Use,
    revoked: Revocations,
    agents: Mapping[str, Agent] = AGENTS,
) -> tuple[VerifiedLease, ...]:
    """``verify`` for several resources at once: a proof for each, in order, or LeaseRefused for the first that fails. The
    token's signatures, which cost most, are checked once."""
    token = _opened(lease, public, operation, resources[0], use)
    if reason := _revocation(token, use.now_ms, revoked):
        raise refused(reason, reason, operation, resources[0], use, lease=_id(token), agent=lease.holder)
    blocks = [token.block_source(i) or "" for i in range(token.block_count())]
    named = _HELD.findall("\n".join(blocks[1:]))
    until_ms = min(map(int, _UNTIL.findall("\n".join(blocks))), default=0)
    found = []
    for resource in resources:
        agent = _authorize(token, operation, resource, use, named[-1] if named else "")
        holder = named[-1] if named else agent
        for name in (agent, holder):
            if reason := _agent_refusal(name, operation, revoked, agents):
                todo = f"see `countersign agents list` for {name}"
                raise refused(reason, reason, operation, resource, use, lease=_id(token), agent=name, todo=todo)
        proof = VerifiedLease(
            _SEAL,
            lease=_id(token),
            task=use.task,
            agent=holder,
            operation=operation,
            resource=resource,
            expires_ms=until_ms,
            case=use.case,
            until_ms=min(until_ms, revoked.as_of_ms + REVOCATIONS_AGE_MS_MAX + 1),
        )
        found.append(proof)
    return tuple(found)


def _authorize(token: Biscuit, operation: Operation, resource: str, use: Use, holder: str) -> str:
    """The agent whose task the lease is for."""
    terms = {
        "now_ms": use.now_ms,
        "task": use.task,
        "case": use.case,
        "operation": operation.value,
        "resource": resource,
        "holder": holder,
    }
    try:
        builder = AuthorizerBuilder(_USE, terms)
        _be_patient(builder)
        authorizer = builder.build(token)
        authorizer.authorize()
        return str(authorizer.query(Rule(_READ))[0].terms[1])
    except (AuthorizationError, DataLogError, IndexError, ValueError) as error:
        failed = _FAILED.search(str(error))
        reason = _REASONS[failed.group(1)] if failed else "not allowed"
        what = f"{reason}: the lease does not allow {operation.value} on {resource} for task {use.task} at {use.now_ms}"
        raise refused(reason, what, operation, resource, use, lease=_id(token), agent=holder) from error


def _agent_refusal(name: str, operation: Operation, revoked: Revocations, agents: Mapping[str, Agent]) -> str:
    """Both the agent whose task it is and the one that it was handed on to are enrolled, running, and may do this."""
    if name in revoked.stopped:
        return STOPPED
    if name not in agents:
        return "agent not enrolled"
    return "" if operation in agents[name].operations else "beyond the agent"


def _be_patient(builder: AuthorizerBuilder) -> None:
    """The library gives up after 1 ms of wall-clock time; on a busy machine that would refuse good leases. Its limits on
    facts and iterations stay."""
    limits = builder.limits()  # type: ignore[attr-defined]  # missing in the stubs of 0.4
    limits.max_time = _AUTHORIZE_MAX
    builder.set_limits(limits)  # type: ignore[attr-defined]


def _revocation(token: Biscuit, now_ms: int, revoked: Revocations) -> str:
    if not 0 <= now_ms - revoked.as_of_ms <= REVOCATIONS_AGE_MS_MAX:
        return "stale revocation list"
    return "revoked" if any(block[:_ID_CHARS] in revoked.ids for block in token.revocation_ids) else ""


_ID_CHARS = 32


def _id(token: Biscuit) -> str:
    return token.revocation_ids[0][:_ID_CHARS]


def _opened(lease: Lease, public: bytes, operation: Operation, resource: str, use: Use) -> Biscuit:
    try:
        return _open(lease, public)
    except VerificationError as error:
        raise refused("forged", error.what, operation, resource, use) from error


def _open(lease: Lease, public: bytes) -> Biscuit:
    if len(lease.token) > LEASE_BYTES_MAX:
        raise VerificationError(f"the lease is longer than {LEASE_BYTES_MAX} bytes", where="lease")
    try:
        return Biscuit.from_bytes(lease.token, PublicKey(f"ed25519/{public.hex()}"))
    except (BiscuitValidationError, ValueError) as error:
        raise VerificationError("the lease is not signed by this site's agent root key", where="lease") from error


def _private(root_key: bytes) -> PrivateKey:
    return PrivateKey(f"ed25519-private/{root_key.hex()}")
