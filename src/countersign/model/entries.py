"""Ledger entries: typed kinds and the envelope (governance: canonical JSON, integers and strings only)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

ENTRY_BYTES_MAX = 65_535
"""C2SP tlog-tiles entry bundles carry a 16-bit length."""


class Kind(StrEnum):
    """Every kind of entry, ``noun.verb``."""

    LEDGER_OPENED = "ledger.opened"
    LEDGER_REKEYED = "ledger.rekeyed"
    ALERT_RECEIVED = "alert.received"
    ALERT_QUARANTINED = "alert.quarantined"
    ALERT_RESUBMITTED = "alert.resubmitted"
    FINDING_DECIDED = "finding.decided"
    CASE_MERGED = "case.merged"
    CASE_DISPOSED = "case.disposed"
    CASE_REOPENED = "case.reopened"
    CASE_ASSIGNED = "case.assigned"
    INVENTORY_IMPORTED = "inventory.imported"
    PERSON_ENROLLED = "person.enrolled"
    PERSON_REVOKED = "person.revoked"
    CHANGE_PROPOSED = "change.proposed"
    CHANGE_APPROVED = "change.approved"
    CHANGE_DENIED = "change.denied"
    AGENT_REGISTERED = "agent.registered"
    AGENT_STOPPED = "agent.stopped"
    AGENT_RESUMED = "agent.resumed"
    AGENT_RETIRED = "agent.retired"
    PROPOSAL_CREATED = "proposal.created"
    PROPOSAL_APPROVED = "proposal.approved"
    PROPOSAL_DENIED = "proposal.denied"
    PROPOSAL_EXPIRED = "proposal.expired"
    PROPOSAL_OUTDATED = "proposal.outdated"
    ACTION_INTENDED = "action.intended"
    ACTION_STARTED = "action.started"
    ACTION_PROBED = "action.probed"
    ACTION_LEFT = "action.left"
    LEASE_ISSUED = "lease.issued"
    LEASE_REVOKED = "lease.revoked"
    LEASE_REFUSED = "lease.refused"
    MODEL_PROPOSED = "model.proposed"
    MODEL_ACTIVATED = "model.activated"
    POLICY_ACTIVATED = "policy.activated"
    AUTONOMY_STOPPED = "autonomy.stopped"
    AUTONOMY_RESUMED = "autonomy.resumed"
    AUTONOMY_OBSERVED = "autonomy.observed"
    AUTONOMY_CERTIFIED = "autonomy.certified"
    AUTONOMY_HALTED = "autonomy.halted"
    AUTONOMY_RESTARTED = "autonomy.restarted"
    AUTONOMY_DEMOTED = "autonomy.demoted"
    AUTONOMY_PROMOTED = "autonomy.promoted"
    AUTONOMY_ACKNOWLEDGED = "autonomy.acknowledged"
    REVIEW_COMMITTED = "review.committed"
    REVIEW_OPENED = "review.opened"
    REVIEW_ANSWERED = "review.answered"
    RECALL_OPENED = "recall.opened"
    TOKEN_ISSUED = "token.issued"  # noqa: S105 - a kind of entry, not a secret
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - as above
    ROLE_GRANTED = "role.granted"
    ROLE_REVOKED = "role.revoked"
    PASSKEY_ENROLLED = "passkey.enrolled"
    PASSKEY_REVOKED = "passkey.revoked"
    PERSON_INVITED = "person.invited"
    PERSON_SIGNED_IN = "person.signed_in"
    PERSON_SIGNED_OUT = "person.signed_out"


class Actor(msgspec.Struct, frozen=True):
    """Who did it: ``agent``, ``human`` or ``system``; a human's id is a keyed pseudonym."""

    type: str
    id: str
    lease: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One record. time: milliseconds since the epoch. subject: what it is about (case or finding id …).
    trigger: index of the entry that caused it as text, or the front door's name. body: JSON of integers and strings."""

    kind: Kind
    time: int
    actor: Actor
    subject: str
    trigger: str
    body: dict[str, Any]
    tenant: str = "default"
    v: int = 1
