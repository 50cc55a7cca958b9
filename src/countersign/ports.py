"""The doorways between the pure core and the world. Adapters live one per file in the hands' rooms."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from countersign.model.alerts import Alert, Ignored
from countersign.model.entities import Entity
from countersign.model.evidence import Evidence
from countersign.model.notices import Message
from countersign.model.responses import Plan, Scene, Takes


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


class Reach(Protocol):
    """What a hand may ask the site for while it is made."""

    @property
    def timeout_s(self) -> float:
        """How long one step at a target may take."""
        ...

    def secret(self, reference: str) -> str:
        """The secret behind ``env:NAME`` or ``file:PATH``. Raises ConfigError; never logged."""
        ...


class Hand(Protocol):
    """Carries one action out at the site's systems: ``actions.hand.BaseHand``, every part of which asks for a lease."""

    action: str


@runtime_checkable
class ActionPlan(Protocol):
    """A response: what it would do, and, through its hand, the doing. name: as in the registry. verb: OpenC2 action and its
    target in words. impactful: it changes a system of the site. minutes: after how long its undo is proposed by itself, 0
    when it stays until it is undone. inverse: name of the action that takes it back, "" when none does. proven: "" when our
    tests run it against the real thing, else what it was tested with."""

    name: str
    title: str
    verb: str
    takes: Takes
    impactful: bool
    minutes: int
    inverse: str
    proven: str

    @property
    def settings(self) -> type[Struct]:
        """What its table in the configuration may hold."""
        ...

    @property
    def configured(self) -> str:
        """Name of its table in the configuration: its own, or that of the action which it takes back."""
        ...

    def plan(self, scene: Scene) -> Plan:
        """What it would do, how that would be undone, whom it would hit. Pure: the same scene gives the same plan."""
        ...

    def hand(self, settings: Any, reach: Reach) -> Hand | None:  # noqa: ANN401 - each action's own struct
        """What carries it out, None while no target can be reached with these settings. Touches nothing yet. Raises
        ConfigError naming the key."""
        ...


class Notifier(Protocol):
    """Tells people that something waits for them."""

    def tell(self, message: Message) -> None:
        """Once it returns, the message is out of our hands. Raises EnvironmentFault when it did not get through."""
        ...


class Clock(Protocol):
    """Time, so that the core never asks for it."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        ...


class Signer(Protocol):
    """Signs ledger checkpoints."""

    @property
    def name(self) -> str:
        """Name of the log."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature over ``message``."""
        ...

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        ...
