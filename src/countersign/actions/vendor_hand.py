"""A hand for a system that has one state to ask for: find the one that a name means, look, act when it is not so yet."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar

from countersign.actions.hand import BaseHand
from countersign.actions.vendor_http import Deadline
from countersign.errors import TargetFault
from countersign.model.inventory import Asset, Identity
from countersign.model.responses import Effect, Order, Seen


class Session(Protocol):
    """An open way to the vendor, for one step."""

    @property
    def deadline(self) -> Deadline:
        """The step's."""
        ...


_S = TypeVar("_S", bound=Session)
_F = TypeVar("_F")
Opens = Callable[[], AbstractContextManager[_S]]
"""Opens a session for one step."""


class StateHand(BaseHand, Generic[_S, _F]):
    """``open`` signs in; every step does so anew, so that a probe shares nothing with what was done. settles: whether a
    state that is on its way (UNKNOWN) is worth waiting for within the step's time."""

    settles = True

    def __init__(self, open_: Opens[_S]) -> None:
        self._open = open_

    def _check(self, order: Order) -> Seen:
        with self._open() as session:
            return self._look(session, self._find(session, target(order)))

    def _do(self, order: Order) -> None:
        with self._open() as session:
            found = self._find(session, target(order))
            if self._look(session, found).effect is not Effect.HOLDS:
                self._bring(session, found, order)
            self._finish(session, found)

    def _probe(self, order: Order) -> Seen:
        with self._open() as session:
            found = self._find(session, target(order))
            seen = self._look(session, found)
            while seen.effect is Effect.UNKNOWN and self.settles and session.deadline.pause():
                try:
                    seen = self._look(session, found)
                except TargetFault as fault:
                    if fault.kind != TargetFault.TIMEOUT:
                        raise
                    break  # what was seen last stands: on its way
            return seen

    def _undo(self, order: Order) -> None:
        with self._open() as session:
            found = self._find(session, target(order))
            if self._look(session, found).effect is not Effect.ABSENT:
                self._lift(session, found, order)

    @abstractmethod
    def _find(self, session: _S, record: Asset | Identity) -> _F:
        """The one that the record means there."""

    @abstractmethod
    def _look(self, session: _S, found: _F) -> Seen:
        """Its state now, by a read of its own."""

    @abstractmethod
    def _bring(self, session: _S, found: _F, order: Order) -> None: ...

    def _finish(self, session: _S, found: _F) -> None:
        """What belongs to it besides the state, done again whenever it is: nothing, if not said otherwise."""

    @abstractmethod
    def _lift(self, session: _S, found: _F, order: Order) -> None: ...


def target(order: Order) -> Asset | Identity:
    """The one record that it is about. Raises TargetFault."""
    if len(order.records) != 1:
        raise TargetFault(TargetFault.REFUSED, "not exactly one target", where=order.action, todo="have it proposed anew")
    return order.records[0]


def because(order: Order) -> str:
    """What a vendor's audit log is told: no text of an alert, no name of a person."""
    return f"Countersign proposal {order.number}, case {order.case}"
