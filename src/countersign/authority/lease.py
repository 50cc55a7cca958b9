"""Leases: what an agent may do, for one task, on named resources, until a time. The only module that knows tokens.

A lease is a Biscuit v3 token (https://doc.biscuitsec.org/reference/specifications) signed by the site's agent root key
(Ed25519). Whoever holds one can narrow it by appending a block, never widen it: a check of any block that fails refuses
the use, and facts of appended blocks are not visible to the authorizer. Time is milliseconds as an integer, because
Biscuit's own dates end at seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
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

from countersign.authority.agents import AGENTS, Operation
from countersign.errors import UsageError, VerificationError

LEASE_MS_MAX = 24 * 3_600_000
"""Longest life of a lease; those of micro-batches live for minutes."""
REVOCATIONS_AGE_MS_MAX = 60_000
"""A revocation list older than this counts as "everything revoked"."""
LEASE_BYTES_MAX = 16_384
_AUTHORIZE_MAX = timedelta(seconds=2)

_AUTHORITY = """
lease({task}, {agent}, {expires_ms});
check if now_ms($now), $now < {expires_ms};
check if task({task});
check if operation($operation), {operations}.contains($operation);
check if resource($resource), {resources}.contains($resource);
"""
_USE = """
now_ms({now_ms}); task({task}); operation({operation}); resource({resource});
allow if lease($task, $agent, $expires_ms), task($task);
"""
_READ = "lease($task, $agent, $expires_ms) <- lease($task, $agent, $expires_ms)"


class Lease(msgspec.Struct, frozen=True):
    """A lease as its holder carries it. Only ``token`` counts; the rest says in clear what it was made for.

    id: the root block's revocation id, short enough for a ledger entry; revoking it revokes whatever was delegated from it.
    """

    token: bytes
    id: str
    agent: str
    task: str
    operations: tuple[str, ...]
    resources: tuple[str, ...]
    expires_ms: int

    def body(self) -> dict[str, Any]:
        """Body of its ``lease.issued`` entry: everything but the token."""
        return {
            "agent": self.agent,
            "task": self.task,
            "operations": list(self.operations),
            "resources": list(self.resources),
            "expires_ms": self.expires_ms,
        }


class Revocations(msgspec.Struct, frozen=True):
    """Revoked lease ids and when the list was known to be complete."""

    ids: frozenset[str]
    as_of_ms: int


_SEAL = object()


@dataclass(frozen=True, slots=True, init=False)
class VerifiedLease:
    """Proof that ``verify`` let this use pass; it cannot be made in any other way. Check it once per batch."""

    id: str
    task: str
    agent: str
    operation: Operation
    resource: str
    expires_ms: int

    def __init__(
        self, seal: object, *, lease: str, task: str, agent: str, operation: Operation, resource: str, expires_ms: int
    ) -> None:
        if seal is not _SEAL:
            raise VerificationError("a verified lease only comes from authority.lease.verify", where="lease")
        for name, value in (("id", lease), ("task", task), ("agent", agent), ("operation", operation)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "resource", resource)
        object.__setattr__(self, "expires_ms", expires_ms)


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
) -> Lease:
    """A lease for ``agent`` on ``task``. Raises UsageError when it is empty, too long, or more than the agent may
    hold."""
    allowed, named = {o.value for o in operations}, set(resources)
    _check_request(agent, task, allowed, named, expires_ms - now_ms)
    terms = {"task": task, "agent": agent, "expires_ms": expires_ms, "operations": allowed, "resources": named}
    token = BiscuitBuilder(_AUTHORITY, terms).build(_private(root_key))
    return Lease(bytes(token.to_bytes()), _id(token), agent, task, tuple(sorted(allowed)), tuple(sorted(named)), expires_ms)


def _check_request(agent: str, task: str, operations: set[str], resources: set[str], life_ms: int) -> None:
    if agent not in AGENTS:
        raise UsageError(f"unknown agent {agent!r}", where="lease", todo=f"known: {', '.join(AGENTS)}")
    if excess := operations - {o.value for o in AGENTS[agent].operations}:
        raise UsageError(f"{agent} may not hold {', '.join(sorted(excess))}", where="lease")
    if not (task and operations and resources):
        raise UsageError("a lease names a task, operations and resources", where="lease")
    if not 0 < life_ms <= LEASE_MS_MAX:
        raise UsageError(f"a lease lives between 1 and {LEASE_MS_MAX} ms, not {life_ms}", where="lease")


def attenuate(
    lease: Lease,
    public: bytes,
    *,
    operations: Iterable[Operation] | None = None,
    resources: Iterable[str] | None = None,
    expires_ms: int | None = None,
) -> Lease:
    """A narrower lease for a delegate; what is None stays as it was. The result never allows more than ``lease``."""
    checks: list[str] = []
    terms: dict[str, Any] = {}
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
    )


def verify(
    lease: Lease,
    public: bytes,
    *,
    task: str,
    operation: Operation,
    resource: str,
    now_ms: int,
    revoked: Revocations,
) -> VerifiedLease:
    """Let one use pass, or raise VerificationError: forged, expired, revoked, other task, operation or resource."""
    token = _open(lease, public)
    _check_revoked(token, now_ms, revoked)
    terms = {"now_ms": now_ms, "task": task, "operation": operation.value, "resource": resource}
    try:
        builder = AuthorizerBuilder(_USE, terms)
        _be_patient(builder)
        authorizer = builder.build(token)
        authorizer.authorize()
        _, agent, expires_ms = authorizer.query(Rule(_READ))[0].terms
    except (AuthorizationError, DataLogError, IndexError, ValueError) as error:
        what = f"the lease does not allow {operation.value} on {resource} for task {task} at {now_ms}"
        raise VerificationError(what, where=f"lease {_id(token)}", todo="mint a lease for this use") from error
    return VerifiedLease(
        _SEAL, lease=_id(token), task=task, agent=agent, operation=operation, resource=resource, expires_ms=expires_ms
    )


def _be_patient(builder: AuthorizerBuilder) -> None:
    """The library gives up after 1 ms of wall-clock time; on a busy machine that would refuse good leases. Its limits on
    facts and iterations stay."""
    limits = builder.limits()  # type: ignore[attr-defined]  # missing in the stubs of 0.4
    limits.max_time = _AUTHORIZE_MAX
    builder.set_limits(limits)  # type: ignore[attr-defined]


def _check_revoked(token: Biscuit, now_ms: int, revoked: Revocations) -> None:
    if not 0 <= now_ms - revoked.as_of_ms <= REVOCATIONS_AGE_MS_MAX:
        raise VerificationError("the revocation list is stale", where=f"lease {_id(token)}", todo="refresh it")
    if any(block[:_ID_CHARS] in revoked.ids for block in token.revocation_ids):
        raise VerificationError("the lease was revoked", where=f"lease {_id(token)}")


_ID_CHARS = 32


def _id(token: Biscuit) -> str:
    return token.revocation_ids[0][:_ID_CHARS]


def _open(lease: Lease, public: bytes) -> Biscuit:
    if len(lease.token) > LEASE_BYTES_MAX:
        raise VerificationError(f"the lease is longer than {LEASE_BYTES_MAX} bytes", where="lease")
    try:
        return Biscuit.from_bytes(lease.token, PublicKey(f"ed25519/{public.hex()}"))
    except (BiscuitValidationError, ValueError) as error:
        raise VerificationError("the lease is not signed by this site's agent root key", where="lease") from error


def _private(root_key: bytes) -> PrivateKey:
    return PrivateKey(f"ed25519-private/{root_key.hex()}")
