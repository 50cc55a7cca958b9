"""Every action of the registry with a hand that leaves marks in a folder, so that the runner can be tested with each.

An action stands in with its own plan, targets, parameters and inverse; only what touches a system is replaced. A new line of
the registry needs nothing here. The hand plays up at one step, in one way, as it is told.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from countersign.actions.base import Reversal, Settings
from countersign.actions.hand import BaseHand, Inverse
from countersign.actions.suggest import Suggestion
from countersign.approvals.proposal import Proposal, digest, people_needed
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.model.responses import Effect, Order, Scene, Seen, Takes, target_of
from countersign.ports import ActionPlan, Reach

HOST = Asset("file-01", "fileserver", "k.curlew", Criticality.HIGH, ("10.20.20.21",))
FIREWALL = Asset("fw-01", "firewall", "k.curlew", Criticality.MEDIUM)
RESOLVER = Asset("ns-01", "resolver", "k.curlew", Criticality.HIGH)
ACCOUNT = Identity("k.curlew", "administrator", "", Criticality.HIGH)
INVENTORY = Inventory((HOST, FIREWALL, RESOLVER), (ACCOUNT,))
OUTSIDE: dict[Takes, dict[str, str | int]] = {
    Takes.ADDRESS: {"address": "203.0.113.9"},
    Takes.DOMAIN: {"domain": "login.bad-harbour.example"},
}
RECORDS: dict[Takes, tuple[Asset | Identity, ...]] = {
    Takes.HOST: (HOST,),
    Takes.ACCOUNT: (ACCOUNT,),
    Takes.ADDRESS: (FIREWALL,),
    Takes.DOMAIN: (RESOLVER,),
    Takes.LOGIN: (ACCOUNT, HOST),
    Takes.NOTHING: (),
}
STEPS = ("check", "before", "after", "probe")
"""Where it may play up: in the check, before or after the effect, in the probe. An inverse's effect is the other's undo."""


def scene(action: ActionPlan, case: str = "C-1001") -> Scene:
    """What an action is planned from here."""
    parameters: dict[str, str | int] = dict(OUTSIDE.get(action.takes, {}))
    if action.minutes:
        parameters["minutes"] = action.minutes
    return Scene(case, RECORDS[action.takes], parameters, INVENTORY, 3, 5, ("dc-01",))


def suggestion(action: ActionPlan, case: str, stage: Scene | None = None) -> Suggestion:
    """The action as a person would find it suggested for a case. stage: from what, else from the records here."""
    stage = stage or scene(action, case)
    planned, targets = action.plan(stage), tuple(map(target_of, stage.records))
    draft = Proposal(action.name, stage.parameters, targets, case, planned.plan, planned.undo, planned.blast_radius)
    return Suggestion(
        title=action.title,
        verb=action.verb,
        impactful=action.impactful,
        because=(),
        findings=(),
        people=people_needed(targets),
        expiry_minutes=60,
        digest=digest(draft),
        proposal=draft,
    )


@dataclass
class Trouble:
    """What happens at a step. None: nothing does."""

    step: str = ""
    happens: Callable[[Order], None] | None = None

    def at(self, step: str, order: Order) -> None:
        if self.happens is not None and step == self.step:
            self.happens(order)


class Deadly:
    """Kills the process at the step that is written down for an order, once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._steps: dict[str, str] = json.loads((folder / "die.json").read_text("utf-8"))

    def at(self, step: str, order: Order) -> None:
        died = self._folder / f"died-{order.number}"
        if self._steps.get(str(order.number)) == step and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Marks(BaseHand):
    """A file says whether the effect holds; every time that it is brought about or taken back is a line. at_first: whether
    it holds where nobody has done anything yet."""

    def __init__(self, action: str, folder: Path, trouble: Trouble | Deadly, *, at_first: bool) -> None:
        self.action, self._folder, self._trouble, self._at_first = action, folder, trouble, at_first

    def _check(self, order: Order) -> Seen:
        self._trouble.at("check", order)
        return self._seen(order)

    def _do(self, order: Order) -> None:
        self._change(order, holds=True)

    def _undo(self, order: Order) -> None:
        self._change(order, holds=False)

    def _probe(self, order: Order) -> Seen:
        self._trouble.at("probe", order)
        return self._seen(order)

    def _change(self, order: Order, *, holds: bool) -> None:
        self._trouble.at("before", order)
        with (self._folder / "effects.log").open("a") as log:
            log.write(f"{order.number}\n")
        self._mark(order).write_text(str(holds))
        self._trouble.at("after", order)

    def _seen(self, order: Order) -> Seen:
        mark = self._mark(order)
        holds = mark.read_text() == str(True) if mark.exists() else self._at_first
        return Seen(Effect.HOLDS if holds else Effect.ABSENT, "so the mark says")

    def _mark(self, order: Order) -> Path:
        """One for each effect: an inverse takes back what ``undoes`` says, or what its own number would have done."""
        return self._folder / f"mark-{order.parameters.get('undoes', order.number)}"


class StandIn:
    """An action of the registry in everything but its hand."""

    settings = Settings

    def __init__(self, real: ActionPlan, folder: Path, trouble: Trouble | Deadly) -> None:
        self._real, self._folder, self._trouble = real, folder, trouble

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def hand(self, settings: Any, reach: Reach) -> BaseHand:
        back = isinstance(self._real, Reversal)
        marks = Marks(self._real.name, self._folder, self._trouble, at_first=back)
        return Inverse(self._real.name, marks) if back else marks


def stand_ins(registry: dict[str, ActionPlan], folder: Path, trouble: Trouble | Deadly) -> dict[str, ActionPlan]:
    """For every line of a registry."""
    return {name: StandIn(one, folder, trouble) for name, one in registry.items()}


def tables(registry: dict[str, ActionPlan]) -> dict[str, dict[str, Any]]:
    """The configuration that turns every one of them on."""
    return {one.configured: {"run": True} for one in registry.values()}
