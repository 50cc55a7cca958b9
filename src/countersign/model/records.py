"""What one decision about one finding rests on, kept whole beside the ledger and referenced by a salted commitment."""

from __future__ import annotations

from typing import Any

import msgspec

from countersign.model.cases import Link
from countersign.model.decisions import Decision
from countersign.model.evidence import Evidence
from countersign.model.findings import Finding
from countersign.model.once import Once
from countersign.model.verdicts import Label, Verdict


class FindingRecord(msgspec.Struct, frozen=True, gc=False):
    """A finding as it stood after one micro-batch.

    features: values in the order of ``triage.features.FEATURES``. rarity: nonconformity within its pattern in milli-nats.
    gate: msgpack of the gate's whole input, so that the decision replays. first: True when the batch created the finding.
    added: how many raw alerts the batch added (``Records.refs`` says which); 0 when only the gate was asked again.
    trouble: what the case gate of its neighbours minds (1 undecided, 2 a threat); -1 in records that were written without.
    """

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
    first: bool
    added: int = 0
    trouble: int = -1


class Outline(msgspec.Struct, frozen=True, gc=False):
    """The part of a record that the next micro-batch must know; the rest is read only for people and replay."""

    finding: Finding
    links: tuple[Link, ...]


class Known(msgspec.Struct, frozen=True, gc=False):
    """What is known of a finding when more of it comes. label: the trouble it makes its neighbours. case: where the finding
    is now, which a merge may have changed since its record was written. settled: a person has judged it. left: a person
    took its close back."""

    finding: Finding
    links: tuple[Link, ...]
    label: Label
    case: str
    settled: bool = False
    left: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decision = Once(_encode)


_RecordAs: Any = msgspec.defstruct("FindingRecord", [(f.name, Any) for f in msgspec.structs.fields(FindingRecord)], gc=False)
"""Written like a record, some of whose fields may be encoded already (``msgspec.Raw``)."""


def encoded(record: FindingRecord) -> bytes:
    """Msgpack of the record. A decision that comes again is encoded once."""
    whole = _RecordAs(
        record.finding,
        record.pattern,
        record.case,
        record.links,
        record.evidence,
        record.features,
        record.rarity,
        record.verdict,
        _decision(record.decision),
        record.gate,
        record.first,
        record.added,
        record.trouble,
    )
    return _encode(whole)


class Records(msgspec.Struct, frozen=True):
    """Records of one micro-batch as they are kept, at most ``CHUNK_ALERTS_MAX`` together: each record is msgpack of a
    FindingRecord. refs: for each record its raw alerts as (index into ``blobs``, place within the blob)."""

    records: list[bytes]
    blobs: list[str]
    refs: list[list[tuple[int, int]]]
