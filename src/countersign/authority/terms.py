"""What is said about leases in clear: the lease as it is carried, its use, what is revoked, and why a use was refused."""

from __future__ import annotations

from typing import Any

import msgspec

from countersign.errors import VerificationError


class LeaseRefused(VerificationError):
    """A use that no lease covers. reason: a few fixed words, for the ledger; lease: id, "" when it could not be read; agent:
    the one that is the reason, "" when it is none."""

    def __init__(self, reason: str, what: str, *, lease: str = "", agent: str = "", todo: str = "") -> None:
        super().__init__(what, where=f"lease {lease}" if lease else "lease", todo=todo)
        self.reason = reason
        self.lease = lease
        self.agent = agent


class Use(msgspec.Struct, frozen=True):
    """The task on which a lease is used, as the user of the connector knows it. case: "" when it is not about one."""

    task: str
    now_ms: int
    case: str = ""


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
