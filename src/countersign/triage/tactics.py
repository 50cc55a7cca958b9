"""How far an attacker has come: ATT&CK tactics in kill-chain order (``model.attack`` holds the one table of them)."""

from __future__ import annotations

from functools import lru_cache

from countersign.model.attack import TACTIC_ORDER

KILL_CHAIN = tuple(TACTIC_ORDER)
"""The stages that models are made on, by number: when the table changes, the models are trained anew."""


@lru_cache(maxsize=4096)
def stage(tactics: tuple[str, ...]) -> int:
    """Place of the furthest tactic in the kill chain, from 0; -1 when none is known."""
    return max((TACTIC_ORDER.get(tactic, -1) for tactic in tactics), default=-1)


@lru_cache(maxsize=4096)
def furthest(tactics: tuple[str, ...]) -> str:
    """Id of the furthest tactic, "" when none is known. One detection is one step of a chain, however many tactics its
    technique may serve (a valid account serves four): cases count steps by this."""
    place = stage(tactics)
    return KILL_CHAIN[place] if place >= 0 else ""
