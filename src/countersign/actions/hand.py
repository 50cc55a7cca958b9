"""What carries an action out: check, do, probe and undo, each of them under a lease and for one approved order.

A subclass fills in the four parts with a leading underscore; the parts that callers see ask for the lease first, so that a
hand cannot be used without one. Nothing here decides whether an action runs: ``running`` does, from signed approvals.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from countersign.authority.agents import Operation
from countersign.authority.grant import running
from countersign.authority.lease import VerifiedLease, demand
from countersign.authority.terms import Use
from countersign.model.responses import Effect, Order, Seen


@dataclass(frozen=True, slots=True)
class Cover:
    """The responder's lease for one order, and the use it is put to."""

    lease: VerifiedLease | None
    use: Use

    def demand(self, action: str) -> None:
        """Raises LeaseRefused."""
        demand(self.lease, Operation.RUN, running(action), self.use)


class BaseHand(ABC):
    """One action on the site's real systems. Every part raises LeaseRefused without a lease for this action and order, and
    TargetFault when the system does not play along; nothing else."""

    action: str

    def check(self, order: Order, cover: Cover) -> Seen:
        """What is so before anything is done; changes nothing. Raises TargetFault when it could not be done at present."""
        cover.demand(self.action)
        return self._check(order)

    def do(self, order: Order, cover: Cover) -> None:
        """Bring the effect about. Done twice, it is as done once: ``order.id`` is the idempotency key."""
        cover.demand(self.action)
        self._do(order)

    def probe(self, order: Order, cover: Cover) -> Seen:
        """Whether the effect holds, asked from outside: never the answer that ``do`` was given."""
        cover.demand(self.action)
        return self._probe(order)

    def undo(self, order: Order, cover: Cover) -> None:
        """Take the effect back. Undone twice, it is as undone once."""
        cover.demand(self.action)
        self._undo(order)

    @abstractmethod
    def _check(self, order: Order) -> Seen: ...

    @abstractmethod
    def _do(self, order: Order) -> None: ...

    @abstractmethod
    def _probe(self, order: Order) -> Seen: ...

    @abstractmethod
    def _undo(self, order: Order) -> None: ...


class Inverse(BaseHand):
    """An action taken back, as an action of its own: what the other undoes, this one does."""

    def __init__(self, action: str, of: BaseHand) -> None:
        self.action = action
        self._of = of

    def _check(self, order: Order) -> Seen:
        return _turned(self._of._check(order))

    def _do(self, order: Order) -> None:
        self._of._undo(order)

    def _probe(self, order: Order) -> Seen:
        return _turned(self._of._probe(order))

    def _undo(self, order: Order) -> None:
        self._of._do(order)


_TURNED = {Effect.HOLDS: Effect.ABSENT, Effect.ABSENT: Effect.HOLDS, Effect.UNKNOWN: Effect.UNKNOWN}


def _turned(seen: Seen) -> Seen:
    return Seen(_TURNED[seen.effect], seen.detail)
