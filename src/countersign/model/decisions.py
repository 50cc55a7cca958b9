"""What policy makes of a verdict: close or escalate, with every condition that held or failed."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec


class Outcome(StrEnum):
    """A condition that could not be evaluated counts as failed (P4) but is named apart."""

    HELD = "held"
    FAILED = "failed"
    UNEVALUATED = "unevaluated"


class Action(StrEnum):
    """The only two things the gate can say."""

    CLOSE = "close"
    ESCALATE = "escalate"


Quiet: TypeAlias = int
"""0: some condition speaks against closing. 1: none but the scope's own state (stage, threshold, budget). 2: and the score
lies where the site's reviews vouch for it, or nothing is known of that yet."""


class Condition(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One gate condition: ``have`` is the value found, ``need`` what the gate asks for."""

    name: str
    outcome: Outcome
    have: str
    need: str


class Decision(msgspec.Struct, frozen=True, gc=False):
    """``action`` is close only when every condition held. ``advice`` is what the gate would say if the scope's stage
    allowed closing: shown to people as advice, never executed. ``quiet``: how near a close it was; only such findings tell,
    once people reviewed them, what closing would have cost."""

    action: Action
    advice: Action
    scope: str
    stage: str
    conditions: tuple[Condition, ...]
    why: str
    quiet: Quiet = 0
