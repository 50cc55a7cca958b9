"""The way of an action, as one table: what may follow what. Time decides nothing; an expiry is an event like any other.

proposed → approved → intent sealed → running → probed ok. Whatever goes wrong once the intent is sealed ends before a
person or in an undo, which is a proposal of its own. After a crash a running action is probed: no other event leads on.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from countersign.errors import ConflictError


class Status(StrEnum):
    """Where an action is."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    SEALED = "intent_sealed"
    RUNNING = "running"
    PROBED_OK = "probed_ok"
    PROBED_BAD = "probed_bad"
    DENIED = "denied"
    EXPIRED = "expired"
    OUTDATED = "outdated"
    UNDO_PROPOSED = "undo_proposed"
    PERSON = "left_to_person"


class Event(StrEnum):
    """What happened to it. ``changed``: a target is no longer what was approved. ``failed``: an adapter, the policy, the
    lease or the ledger said no, or said nothing."""

    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    CHANGED = "changed"
    SEALED = "sealed"
    STARTED = "started"
    PROBED_OK = "probed_ok"
    PROBED_BAD = "probed_bad"
    UNDO = "undo_proposed"
    FAILED = "failed"


NEXT: Mapping[tuple[Status, Event], Status] = MappingProxyType(
    {
        (Status.PROPOSED, Event.APPROVED): Status.APPROVED,
        (Status.PROPOSED, Event.DENIED): Status.DENIED,
        (Status.PROPOSED, Event.EXPIRED): Status.EXPIRED,
        (Status.PROPOSED, Event.CHANGED): Status.OUTDATED,
        (Status.APPROVED, Event.SEALED): Status.SEALED,
        (Status.APPROVED, Event.EXPIRED): Status.EXPIRED,
        (Status.APPROVED, Event.CHANGED): Status.OUTDATED,
        (Status.APPROVED, Event.FAILED): Status.PERSON,
        (Status.SEALED, Event.STARTED): Status.RUNNING,
        (Status.SEALED, Event.EXPIRED): Status.PERSON,
        (Status.SEALED, Event.CHANGED): Status.PERSON,
        (Status.SEALED, Event.FAILED): Status.PERSON,
        (Status.RUNNING, Event.PROBED_OK): Status.PROBED_OK,
        (Status.RUNNING, Event.PROBED_BAD): Status.PROBED_BAD,
        (Status.RUNNING, Event.FAILED): Status.PERSON,
        (Status.PROBED_OK, Event.UNDO): Status.UNDO_PROPOSED,
        (Status.PROBED_BAD, Event.UNDO): Status.UNDO_PROPOSED,
        (Status.PROBED_BAD, Event.FAILED): Status.PERSON,
    }
)
"""Everything that may happen; what is not here may not."""


def next_status(status: Status, event: Event) -> Status:
    """Where ``event`` leads. Raises ConflictError when it may not happen in this state."""
    try:
        return NEXT[(status, event)]
    except KeyError:
        raise ConflictError(f"an action that is {status.value} cannot be {event.value}", where="action") from None
