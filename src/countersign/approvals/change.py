"""A change that only people may make, as canonical bytes: more autonomy, another model, another person who may approve.

The SHA-256 of the bytes is what people approve. On the command line they sign ``message(digest)`` with OpenSSH; what they
read before is ``render`` of the same bytes. A change names people by pseudonym, so it stands whole in the ledger.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from countersign.approvals.proposal import is_draft, read_exactly
from countersign.model.entries import Actor

PREFIX = b"countersign-approval-v1\n"
PEOPLE_MAX = 2
_YEAR_9999_MS = 253_402_300_799_999


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One change, wanted by ``requester``.

    change: what kind, ``noun.verb``. subject: of what (a scope, a person's pseudonym). was, to: the state it starts from and
    leads to; it holds only as long as ``was`` is true. evidence: figures (integers) and digests that it rests on.
    people: how many must approve. expires_ms: milliseconds since the epoch, 0 in a draft. nonce: ``NONCE_CHARS`` hex digits,
    "" in a draft. site: as in a proposal.
    """

    change: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]+\.[a-z_]+$")]
    subject: Annotated[str, msgspec.Meta(min_length=1)]
    was: str = msgspec.field(name="from")
    to: str
    requester: Actor
    evidence: dict[str, str | int] = {}
    people: Annotated[int, msgspec.Meta(ge=1, le=PEOPLE_MAX)] = 1
    expires_ms: Annotated[int, msgspec.Meta(ge=0, le=_YEAR_9999_MS)] = 0
    nonce: str = ""
    site: str | msgspec.UnsetType = msgspec.UNSET
    v: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1

    @property
    def is_draft(self) -> bool:
        """Whether nobody can approve it, because it neither expires nor is unique."""
        return is_draft(self.expires_ms, self.nonce)

    @property
    def denials(self) -> int:
        """One denial ends it."""
        return 1


_decode = msgspec.json.Decoder(Change).decode


def read(data: bytes) -> Change:
    """The change in ``data``. Raises VerificationError unless ``proposal.canonical`` gives back exactly these bytes."""
    return read_exactly(_decode, data)


def message(digest: str) -> bytes:
    """What is signed to approve the change of this digest (hex): these bytes, no newline after them."""
    return PREFIX + digest.encode("ascii")


def render(data: bytes) -> tuple[tuple[str, str], ...]:
    """(label, text) lines for people to read before they sign, from the very bytes. Raises VerificationError."""
    change = read(data)
    lines = (
        ("change", change.change),
        ("of", change.subject),
        ("from", change.was),
        ("to", change.to),
        *((f"rests on {name}", str(value)) for name, value in sorted(change.evidence.items())),
        ("asked for by", f"{change.requester.type} {change.requester.id}"),
        ("people needed", str(change.people)),
        ("expires", datetime.fromtimestamp(change.expires_ms / 1000, UTC).isoformat(timespec="seconds")),
        ("nonce", change.nonce),
        *((("at site", change.site),) if isinstance(change.site, str) else ()),
        ("SHA-256", hashlib.sha256(data).hexdigest()),
    )
    return tuple((shown(label), shown(text)) for label, text in lines)


def shown(text: str) -> str:
    """Text on one line that shows control characters and cannot pass for another line."""
    return "".join(c if c.isprintable() else f"⟦U+{ord(c):04X}⟧" for c in text)
