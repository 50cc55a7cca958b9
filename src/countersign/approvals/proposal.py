"""A proposal: the canonical action that people approve, as bytes and digest (P2).

People sign the SHA-256 of these bytes and the approval page is to be rendered from them, so what is signed is what is
read. A proposal without expiry and nonce is a draft: it can be shown and never approved. It names accounts in clear, so it
belongs beside the ledger; its nonce makes the digest in the ledger a salted commitment.

No text of an alert is in it (P10): targets are names of the inventory, and a parameter is a number, or an address or domain
in its one canonical form (``typed``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Protocol, TypeVar

import msgspec

from countersign.errors import VerificationError
from countersign.ledger.canonical import encode_value
from countersign.model.entries import Actor
from countersign.model.inventory import Criticality
from countersign.model.responses import Target
from countersign.model.values import is_address, is_domain

NONCE_CHARS = 32
"""16 random bytes, hex."""
EXPIRY_MS = 3_600_000
"""How long a proposal may wait, if nothing else is said."""
NOBODY = Actor("", "")
THRESHOLD_MAX = 9
Threshold = Annotated[int, msgspec.Meta(ge=1, le=THRESHOLD_MAX)]
_S = TypeVar("_S", bound=msgspec.Struct)


class Matter(Protocol):
    """Whatever people answer: an action on targets (``Proposal``) or a change (``change.Change``)."""

    @property
    def is_draft(self) -> bool:
        """Whether nobody can approve it, because it neither expires nor is unique."""
        ...

    @property
    def expires_ms(self) -> int:
        """Milliseconds since the epoch."""
        ...

    @property
    def people(self) -> int:
        """How many different people must approve."""
        ...

    @property
    def denials(self) -> int:
        """How many different people end it by saying no."""
        ...


class Proposal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One action on named targets. targets: inventory records by name. parameters: typed values such as an address.
    plan, undo: what would be done and taken back. blast_radius: whom it would hit. expires_ms: milliseconds since the
    epoch, 0 in a draft. nonce: ``NONCE_CHARS`` hex digits, "" in a draft. requester: who asks, nobody in a draft.
    approve, deny: how many people it takes at least to approve it, and to end it. site: origin of the log that it is
    proposed in, so that nobody's yes serves at another site; unset in a draft, and in what earlier versions proposed."""

    action: str
    parameters: dict[str, str | int]
    targets: tuple[Target, ...]
    case: str
    plan: str
    undo: str
    blast_radius: tuple[str, ...]
    expires_ms: int = 0
    nonce: str = ""
    requester: Actor = NOBODY
    approve: Threshold = 1
    deny: Threshold = 1
    site: str | msgspec.UnsetType = msgspec.UNSET
    v: int = 1

    @property
    def is_draft(self) -> bool:
        """Whether nobody can approve it, because it neither expires nor is unique."""
        return is_draft(self.expires_ms, self.nonce)

    @property
    def people(self) -> int:
        """How many must approve: what is asked for, and never fewer than the targets need (P3)."""
        return max(self.approve, people_needed(self.targets))

    @property
    def denials(self) -> int:
        """How many end it."""
        return self.deny


def elsewhere(site: str | msgspec.UnsetType, origin: str) -> str:
    """Why what was proposed for ``site`` counts for nothing in the log of this origin; "" when it counts."""
    if site is msgspec.UNSET:
        return "it does not say for which site it was proposed"
    return "" if site == origin else f"it was proposed at another site ({site})"


def is_draft(expires_ms: int, nonce: str) -> bool:
    """Whether this expiry and nonce are not those of something that can be approved."""
    return expires_ms <= 0 or len(nonce) != NONCE_CHARS or not set(nonce) <= set("0123456789abcdef")


def canonical(proposal: msgspec.Struct) -> bytes:
    """RFC 8785 bytes. Raises UsageError naming the field that cannot be written."""
    return encode_value(msgspec.to_builtins(proposal), "proposal")


def digest(proposal: msgspec.Struct) -> str:
    """SHA-256 of the canonical bytes, hex: what people approve."""
    return hashlib.sha256(canonical(proposal)).hexdigest()


_decode = msgspec.json.Decoder(Proposal).decode


def read(data: bytes) -> Proposal:
    """The proposal in ``data``. Raises VerificationError unless ``canonical`` gives back exactly these bytes."""
    found = read_exactly(_decode, data)
    if found.v != 1:
        raise VerificationError("not a canonical proposal", todo="have it proposed anew")
    return found


def read_exactly(decode: Callable[[bytes], _S], data: bytes) -> _S:
    """What ``decode`` finds in ``data``. Raises VerificationError unless these are its canonical bytes."""
    try:
        found = decode(data)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise VerificationError(f"not a proposal: {error}") from error
    if canonical(found) != data:
        raise VerificationError("not a canonical proposal", todo="have it proposed anew")
    return found


_DOMAIN = "domain"


def typed(proposal: Proposal) -> Proposal:
    """The proposal. Raises VerificationError when a parameter is text that is no canonical address, or, under the name
    ``domain``, no canonical domain (P10)."""
    for name, value in proposal.parameters.items():
        if isinstance(value, str) and not (is_domain(value) if name == _DOMAIN else is_address(value)):
            raise VerificationError(
                "a parameter is neither a number nor an address nor a domain", where=name, todo="have it proposed anew"
            )
    return proposal


def people_needed(targets: tuple[Target, ...]) -> int:
    """Two for a critical target (P3), and for one whose criticality the inventory does not say (P4); else one."""
    return 2 if any(t.criticality in (Criticality.CRITICAL, Criticality.UNKNOWN) for t in targets) else 1
