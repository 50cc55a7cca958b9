"""What a micro-batch is handed, and what it reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from countersign import flow
from countersign.authority.grant import Grant
from countersign.model.entities import Entity
from countersign.model.evidence import Evidence
from countersign.model.findings import Finding
from countersign.ports import Source
from countersign.store.autonomy import InForce


@dataclass(frozen=True, slots=True)
class Tools:
    """What bootstrap hands in, so that this room knows no concrete source, lookup or model.

    lease: mints the lease of one micro-batch (task, now), checked against what is revoked.  issued: its ledger entry's body
    (alerts). answer: looks entities up under that lease.  judge: verdicts and decisions.  switches: kill switch state.
    role: what the inventory says that a finding's host is for.  in_force: model and policy that decide at present.
    sealed: whether the ledger is sealed in time; keep_sealed: the same, after sealing what is overdue.
    """

    source: Callable[[str, bytes, str], Source]
    lease: Callable[[Connection, str, int], Grant]
    issued: Callable[[Grant, int], dict[str, Any]]
    answer: Callable[[Sequence[Entity], Grant], tuple[Evidence, ...]]
    judge: Callable[[flow.Batch], list[flow.Judged]]
    killed: Callable[[Connection], frozenset[str]]
    prepare: Callable[[Connection], None]
    role: Callable[[Finding, Grant], str]
    in_force: Callable[[], InForce]
    sealed: Callable[[Connection], bool]
    keep_sealed: Callable[[], bool]


@dataclass(slots=True)
class Report:
    """What one or more micro-batches did. ``seconds`` is CPU time by stage."""

    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    ignored: int = 0
    quarantined: int = 0
    findings: int = 0
    cases: int = 0
    closed: int = 0
    escalated: int = 0
    reopened: int = 0
    batches: int = 0
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, other: Report) -> None:
        """Sum two reports."""
        for name in ("lines", "accepted", "duplicates", "ignored", "quarantined", "findings", "cases"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.closed += other.closed
        self.escalated += other.escalated
        self.reopened += other.reopened
        self.batches += other.batches
        for stage, seconds in other.seconds.items():
            self.seconds[stage] += seconds
