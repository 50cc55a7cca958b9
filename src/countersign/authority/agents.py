"""The agents that work here, and the most that a lease may let each of them do.

An agent proposes and records; only people approve. A site's own agents are added beside these.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

import msgspec


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
    """One agent: ``operations`` bounds every lease it is given."""

    name: str
    purpose: str
    operations: frozenset[Operation]


_ALL = (
    Agent("enricher", "asks the site's lookups about the entities of a finding", frozenset({Operation.LOOKUP})),
    Agent("correlator", "links findings that one person should see as one case", frozenset({Operation.LINK})),
    Agent("triage", "scores findings and records verdict and decision", frozenset({Operation.DECIDE})),
    Agent(
        "investigator",
        "gathers further evidence for a case and drafts its summary and proposals",
        frozenset({Operation.LOOKUP, Operation.SUMMARISE, Operation.PROPOSE}),
    ),
    Agent("responder", "runs actions that people have approved, and undoes them", frozenset({Operation.RUN})),
)

AGENTS: MappingProxyType[str, Agent] = MappingProxyType({agent.name: agent for agent in _ALL})
