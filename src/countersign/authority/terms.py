"""What is said about leases in clear: the lease as it is carried, its use, what is revoked, and why a use was refused."""

from __future__ import annotations

from typing import Any

import msgspec

from countersign.errors import VerificationError


class Use(msgspec.Struct, frozen=True):
    """The task on which a lease is used, as the user of the connector knows it. case: "" when it is not about one."""

    task: str
    now_ms: int
    case: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """A use that was not let pass, as its ``lease.refused`` entry tells it. lease: id, "" when it could not be read.
    reason: a few fixed words. agent: the one that is the reason, or would have done it; "" when nobody knows."""

    reason: str
    agent: str
    task: str
    case: str
    operation: str
    resource: str
    lease: str = ""


class LeaseRefused(VerificationError):
    """A use that no lease covers."""

    def __init__(self, refusal: Refusal, what: str, *, todo: str = "") -> None:
        super().__init__(what, where=f"lease {refusal.lease}" if refusal.lease else "lease", todo=todo)
        self.refusal = refusal

    @property
    def reason(self) -> str:
        """Why, in a few fixed words."""
        return self.refusal.reason


class Lease(msgspec.Struct, frozen=True):
    """A lease as its holder carries it. Only ``token`` counts; the rest says in clear what it was made for.

    id: the root block's revocation id, short enough for a ledger entry; revoking it revokes whatever was delegated from it.
    own: that of the last block: revoking it spares what it was narrowed from. agent: whose task it is. holder: who uses it.
    """

    token: bytes
    id: str
    agent: str
    task: str
    operations: tuple[str, ...]
    resources: tuple[str, ...]
    expires_ms: int
    case: str = ""
    own: str = ""
    holder: str = ""

    def body(self) -> dict[str, Any]:
        """Body of its ``lease.issued`` entry: everything but the token."""
        return {
            "agent": self.agent,
            "task": self.task,
            "case": self.case,
            "operations": list(self.operations),
            "resources": list(self.resources),
            "expires_ms": self.expires_ms,
        }


class Revocations(msgspec.Struct, frozen=True):
    """Revoked lease ids, agents whose kill switch is on, and when both were known to be complete."""

    ids: frozenset[str]
    as_of_ms: int
    stopped: frozenset[str] = frozenset()
