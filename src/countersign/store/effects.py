"""What an approved change does: one effect for each kind of change, in the transaction that records its last approval."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec
from sqlalchemy import Connection

from countersign.approvals.change import Change
from countersign.autonomy.scopes import Stage
from countersign.autonomy.states import Approval
from countersign.errors import ConflictError
from countersign.model.entries import Actor


class Approved(msgspec.Struct, frozen=True):
    """A change that enough people approved. by: who gave the last approval. entry: index of its ``change.approved``."""

    id: int
    change: Change
    digest: str
    by: Actor
    entry: int

    def promotion(self) -> Approval:
        """As the stage machine takes it. Raises ConflictError when ``to`` is no stage."""
        if self.change.to not in set(Stage):
            raise ConflictError(f"{self.change.to!r} is no stage", where=self.change.subject, todo="have it proposed anew")
        return Approval(self.by.id, self.change.subject, Stage(self.change.to), str(self.entry))


Now: TypeAlias = Callable[[Connection, Change], str]
"""What the change's ``from`` would be now. Raises a CountersignError when the change makes no sense any more."""
Do: TypeAlias = Callable[[Connection, Approved, int], None]
"""Writes rows and entries at a time (milliseconds); whatever it raises takes the approval back with it."""


class Effect(msgspec.Struct, frozen=True):
    """One kind of change. now: what it would start from. do: makes it so."""

    now: Now
    do: Do


def unmoved(conn: Connection, effect: Effect, change: Change) -> None:
    """Raises ConflictError when what the change starts from is no longer so."""
    found = effect.now(conn, change)
    if found != change.was:
        what = f"{change.subject} is {found or 'nothing'} now, not {change.was or 'nothing'}"
        raise ConflictError(what, where=change.change, todo="have it proposed anew")
