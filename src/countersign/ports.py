"""The doorways between the pure core and the world. Adapters live one per file in the hands' rooms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from countersign.model.alerts import Alert, Ignored
from countersign.model.entities import Entity
from countersign.model.evidence import Evidence


@runtime_checkable
class Source(Protocol):
    """Wire → alert. Pure: bytes in, value out; no state that changes what later bytes mean."""

    name: str

    def parse(self, raw: bytes) -> Alert | Ignored:
        """Read one raw message. Raises SourceError naming the field; never anything else."""
        ...


@runtime_checkable
class Lookup(Protocol):
    """Entity → evidence. Local lookups answer from memory; one Evidence per entity that is theirs."""

    name: str
    required: bool
    version: str

    def answer(self, entity: Entity) -> Evidence | None:
        """Evidence for an entity of a type this lookup knows, else None. Never raises: a fault is ``unavailable``."""
        ...


class Clock(Protocol):
    """Time, so that the core never asks for it."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        ...


class Signer(Protocol):
    """Signs ledger checkpoints."""

    name: str

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature over ``message``."""
        ...

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        ...


class Notifier(Protocol):
    """Tells people; never carries an approval."""

    def notify(self, subject: str, text: str, recipients: Sequence[str]) -> None:
        """Send one message."""
        ...
