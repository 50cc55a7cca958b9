"""An action with a real effect on a real directory: a host is "isolated" while a file of its name lies there.

It stands in the registry in place of ``isolate_host``, as a site's own action would: one class, one line.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from countersign.actions.base import BaseAction, Reversal, Settings
from countersign.actions.hand import BaseHand
from countersign.actions.isolate_host import IsolateHost
from countersign.errors import TargetFault
from countersign.model.responses import Effect, Order, Seen
from countersign.ports import Reach


class MarkSettings(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """folder: where marks lie. trouble: a step at which the folder plays up, and how: ``check:unreachable``."""

    folder: str = ""
    trouble: str = ""


class Marks(BaseHand):
    """Every ``do`` leaves a line in ``effects.log`` as well, so that a test sees how often it happened."""

    action = "isolate_host"

    def __init__(self, settings: MarkSettings) -> None:
        self._folder = Path(settings.folder)
        self._step, _, self._kind = settings.trouble.partition(":")

    def _check(self, order: Order) -> Seen:
        self._trouble("check")
        return self._seen(order)

    def _do(self, order: Order) -> None:
        with (self._folder / "effects.log").open("a") as log:
            log.write(f"do {order.id} {os.getpid()}\n")
        self._trouble("before")
        if self._step != "lame":
            self._mark(order).touch()
        self._trouble("do")

    def _probe(self, order: Order) -> Seen:
        self._trouble("probe")
        return self._seen(order)

    def _undo(self, order: Order) -> None:
        self._mark(order).unlink(missing_ok=True)

    def _seen(self, order: Order) -> Seen:
        there = self._mark(order).exists()
        return Seen(Effect.HOLDS if there else Effect.ABSENT, f"{order.records[0].name} is {'marked' if there else 'free'}")

    def _mark(self, order: Order) -> Path:
        return self._folder / f"{order.records[0].name}.isolated"

    def _trouble(self, step: str) -> None:
        if self._step == step and self._kind == "bug":
            raise RuntimeError("a fault of ours")
        if self._step == step:
            raise TargetFault(self._kind, "the folder plays up", where=str(self._folder), todo="look at it")


class MarkHost(IsolateHost):
    """``isolate_host`` with marks for an effect."""

    settings = MarkSettings

    def hand(self, settings: Any, reach: Reach) -> BaseHand | None:
        return Marks(settings) if settings.folder else None


def actions() -> dict[str, BaseAction]:
    """The lines for the registry."""
    mark = MarkHost()
    return {"isolate_host": mark, "release_host": Reversal("release_host", "Release host", "allow device", mark)}
