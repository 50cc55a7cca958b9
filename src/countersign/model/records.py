"""What one decision about one finding rests on, kept whole beside the ledger and referenced by a salted commitment."""

from __future__ import annotations

import msgspec

from countersign.model.cases import Link
from countersign.model.decisions import Decision
from countersign.model.evidence import Evidence
from countersign.model.findings import Finding
from countersign.model.verdicts import Verdict


class FindingRecord(msgspec.Struct, frozen=True, gc=False):
    """A finding as it stood after one micro-batch. features: values in the order of ``triage.features.FEATURES``.
    rarity: nonconformity within its pattern in milli-nats. gate: msgpack of the gate's whole input, so that the decision replays. alerts: (blob digest hex, place) of the raw
    alerts that this batch added. first: True when the batch created it."""

    finding: Finding
    pattern: str
    case: str
    links: tuple[Link, ...]
    evidence: tuple[Evidence, ...]
    features: tuple[int | str, ...]
    rarity: int
    verdict: Verdict
    decision: Decision
    gate: bytes
    alerts: tuple[tuple[str, int], ...]
    first: bool
