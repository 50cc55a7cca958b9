"""What a test needs to use a hand: a lease for it, an order, a site that gives its secrets away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from countersign.actions import ACTIONS
from countersign.actions.hand import BaseHand, Cover
from countersign.authority.agents import Operation
from countersign.authority.grant import Part, alone
from countersign.authority.grant import running as resource
from countersign.authority.terms import Use
from countersign.model.inventory import Asset, Identity
from countersign.model.responses import Order, Seen
from tests.namespaces import PATIENCE_S
from tests.vendors import SECRET

USE = Use("action-7", 1_000, "C-1001")


@dataclass(frozen=True)
class Site:
    """Every reference leads to the same secret."""

    timeout_s: float = PATIENCE_S

    def secret(self, reference: str) -> str:
        assert reference == "env:TOKEN"
        return SECRET


def cover(action: str) -> Cover:
    """Under the responder's lease for this action."""
    part = Part("responder", Operation.RUN, (resource(action),))
    return Cover(alone(USE, "responder", [part]).of(Operation.RUN, resource(action)), USE)


def order(action: str, *records: Asset | Identity, **parameters: str | int) -> Order:
    return Order("ab" * 32, 7, action, "C-1001", records, dict(parameters))


@dataclass
class Using:
    """One action's hand with its order and lease."""

    action: str
    settings: dict[str, Any]
    records: tuple[Asset | Identity, ...]
    timeout_s: float = PATIENCE_S

    @property
    def hand(self) -> BaseHand:
        action = ACTIONS[self.action]
        made = action.hand(msgspec.convert(self.settings, action.settings), Site(self.timeout_s))
        assert isinstance(made, BaseHand)
        assert made.action == self.action
        return made

    @property
    def order(self) -> Order:
        return order(self.action, *self.records)

    def check(self) -> Seen:
        return self.hand.check(self.order, cover(self.action))

    def do(self) -> None:
        self.hand.do(self.order, cover(self.action))

    def probe(self) -> Seen:
        return self.hand.probe(self.order, cover(self.action))

    def undo(self) -> None:
        self.hand.undo(self.order, cover(self.action))

    def inverse(self) -> Using:
        """The action that takes it back."""
        return Using(ACTIONS[self.action].inverse, self.settings, self.records, self.timeout_s)
