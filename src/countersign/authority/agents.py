"""The agents that work here, and the most that a lease may let each of them do.

An agent proposes and records; only people approve. A site's own agents are added beside these.
"""

from __future__ import annotations

import base64
import hashlib
import re
from enum import StrEnum
from types import MappingProxyType

import msgspec

NAME = re.compile(r"[a-z][a-z0-9-]{1,39}")
"""What an agent can be called: the name stands in tokens, entries and addresses."""


class Operation(StrEnum):
    """What a lease can allow, ``noun.verb``. Nothing here touches the outside world except ``action.run``, which needs
    an approval as well."""

    LOOKUP = "evidence.lookup"
    LINK = "case.link"
    DECIDE = "finding.decide"
    SUMMARISE = "case.summarise"
    PROPOSE = "action.propose"
    RUN = "action.run"


class Agent(msgspec.Struct, frozen=True):
    """One agent: ``operations`` bounds every lease it is given, its own as well as one that is handed on to it."""

    name: str
    purpose: str
    operations: frozenset[Operation]


_ALL = (
    Agent("enricher", "asks the site's lookups about the entities of a finding", frozenset({Operation.LOOKUP})),
    Agent("correlator", "links findings that one person should see as one case", frozenset({Operation.LINK})),
    Agent(
        "triage",
        "scores findings and records verdict and decision; hands lookups to the enricher and linking to the correlator",
        frozenset({Operation.DECIDE, Operation.LOOKUP, Operation.LINK}),
    ),
    Agent(
        "investigator",
        "gathers further evidence for a case and drafts its summary and proposals",
        frozenset({Operation.LOOKUP, Operation.SUMMARISE, Operation.PROPOSE}),
    ),
    Agent("responder", "runs actions that people have approved, and undoes them", frozenset({Operation.RUN})),
)

AGENTS: MappingProxyType[str, Agent] = MappingProxyType({agent.name: agent for agent in _ALL})


def fingerprint(public: bytes) -> str:
    """Name of a public key in entries and on screens: SHA-256 of its 32 bytes, as OpenSSH writes one."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(public).digest()).decode().rstrip("=")
