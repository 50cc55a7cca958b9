"""A case: correlated findings that one person handles as one matter (OCSF Incident Finding 2005)."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class CaseStatus(StrEnum):
    """Where the case is. ``closed_agent`` and ``closed_human`` are never shown alike (P12)."""

    OPEN = "open"
    CLOSED_HUMAN = "closed_human"
    CLOSED_AGENT = "closed_agent"
    MERGED = "merged"


class Disposition(StrEnum):
    """What a person found."""

    TRUE_POSITIVE = "true_positive"
    BENIGN = "benign"
    FALSE_POSITIVE = "false_positive"
    TEST = "test"
    DUPLICATE = "duplicate"


class CloseState(StrEnum):
    """What became of a close by the agent. ``reopened``: trouble turned up; ``recalled`` and ``threat``: a person said so,
    and the agent never closes it again."""

    CLOSED = "closed"
    BENIGN = "benign"
    THREAT = "threat"
    REOPENED = "reopened"
    RECALLED = "recalled"


CLOSED_STILL = (CloseState.CLOSED.value, CloseState.BENIGN.value)
"""A close that stands: not reviewed, or confirmed by a review."""
LEFT_TO_PEOPLE = (CloseState.THREAT.value, CloseState.RECALLED.value)


class LinkReason(StrEnum):
    """Why a finding joined a case."""

    FIRST = "first"
    SAME_PATTERN = "same_pattern"
    SAME_HOST = "same_host"
    SAME_USER = "same_user"
    SAME_ADDRESS = "same_address"
    SAME_DOMAIN = "same_domain"
    SAME_ARTEFACT = "same_artefact"
    SAME_MAIL = "same_mail"


class Link(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A finding joins a case for ``reason`` through ``entity`` (an entity key, or the pattern)."""

    finding: str
    case: str
    reason: LinkReason
    entity: str
