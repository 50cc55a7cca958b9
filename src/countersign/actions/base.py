"""What most actions have in common, and an action taken back as an action of its own."""

from __future__ import annotations

from typing import Any

import msgspec

from countersign.actions.hand import BaseHand, Inverse
from countersign.actions.words import case_line, names, record_line
from countersign.model.responses import Plan, Scene, Takes, aim
from countersign.ports import Reach


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[actions.NAME]`` of every action. run: whether it is carried out once it is approved; it stays a plan otherwise."""

    run: bool = False


class BaseAction:
    """Defaults: it has impact, stays until it is undone, nothing takes it back, and nothing carries it out."""

    name: str
    title: str
    verb: str
    takes: Takes
    impactful = True
    minutes = 0
    inverse = ""
    proven = ""
    settings: type[Settings] = Settings

    @property
    def configured(self) -> str:
        """Name of its table in the configuration."""
        return self.name

    def hand(self, settings: Any, reach: Reach) -> BaseHand | None:  # noqa: ANN401 - each action's own struct
        """Nothing can carry it out."""
        return None


class Reversal(BaseAction):
    """Takes another action back. It is configured with it, and approved like it."""

    def __init__(self, name: str, title: str, verb: str, of: BaseAction) -> None:
        self.name, self.title, self.verb = name, title, verb
        self._of = of
        self.takes, self.proven, self.settings = of.takes, of.proven, of.settings
        self.inverse = of.name

    @property
    def configured(self) -> str:
        """Name of its table in the configuration."""
        return self._of.configured

    def plan(self, scene: Scene) -> Plan:
        """What the other action did, undone."""
        where = names([record.name for record in scene.records])
        outside = aim(scene.parameters)
        what = f"{outside} at {where}" if outside else where
        return Plan(
            plan=f"{self.title}: {what}; what “{self._of.title.lower()}” brought about ends.",
            undo=f"{self._of.title} once more: {what}.",
            blast_radius=(
                *(record_line(record) for record in scene.records),
                case_line(scene, outside or where),
            ),
        )

    def hand(self, settings: Any, reach: Reach) -> BaseHand | None:  # noqa: ANN401
        """The other one's, turned round."""
        hand = self._of.hand(settings, reach)
        return Inverse(self.name, hand) if hand is not None else None
