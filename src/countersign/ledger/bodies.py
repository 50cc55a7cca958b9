"""Bodies of the entries: what each kind says, in integers and strings, with no person's identifier in clear.

Pure functions of values, so that replay builds the same bytes from a record that the hot path built from an alert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from countersign.ledger.decisions import Alerts, Body, Flip, Place
from countersign.model.cases import Link, LinkReason
from countersign.model.entities import PERSONAL, EntityType
from countersign.model.entries import Entry
from countersign.model.evidence import Evidence, LookupStatus
from countersign.model.once import Once
from countersign.model.records import FindingRecord

_PERSONAL_PREFIXES = tuple(f"{kind.value}:" for kind in (*sorted(PERSONAL), EntityType.URL))
"""A URL may carry a person's name or mail address (``?user=…``), so it is treated like one."""
_SAME_PATTERN = LinkReason.SAME_PATTERN
REASONS_MAX = 32
"""Most reasons for ignoring that one entry names: the sender chooses them, and an entry is bounded."""


def is_personal(key: str) -> bool:
    """Whether an entity key names a person."""
    return key.startswith(_PERSONAL_PREFIXES)


def personal_keys(record: FindingRecord) -> set[str]:
    """Entity keys in the record that may enter a ledger entry only as pseudonyms."""
    return {link.entity for link in record.links if is_personal(link.entity)}


def alert_received(
    *, source: str, origin: str, blob: str, digests: Sequence[bytes], ignored: Mapping[str, int], duplicates: int, bad: int
) -> dict[str, Any]:
    """One delivery, read. ``sha256`` lists every raw message in order, whatever became of it."""
    return {
        "source": source,
        "origin": origin,
        "blob": blob,
        "lines": len(digests),
        "accepted": len(digests) - sum(ignored.values()) - duplicates - bad,
        "ignored": _reasons(ignored),
        "duplicates": duplicates,
        "quarantined": bad,
        "sha256": [digest.hex() for digest in digests],
    }


def _reasons(ignored: Mapping[str, int]) -> dict[str, int]:
    """The commonest reasons by name, the rest in one sum."""
    if len(ignored) <= REASONS_MAX:
        return dict(sorted(ignored.items()))
    ranked = sorted(ignored.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(number for _, number in ranked[REASONS_MAX:])
    return dict(sorted(ranked[:REASONS_MAX])) | {"other reasons": rest}


def alert_quarantined(
    *, source: str, origin: str, position: int, blob: str, item: int, sha256: bytes, field: str, error: str
) -> dict[str, Any]:
    """One raw message that could not be read, where it stands and why."""
    return {
        "source": source,
        "origin": origin,
        "position": position,
        "blob": blob,
        "item": item,
        "sha256": sha256.hex(),
        "field": field,
        "error": error,
    }


def decision(
    record: FindingRecord,
    *,
    blob: str,
    place: int,
    policy: str,
    pseudonyms: Mapping[str, str],
    draw: Sequence[str | int] = (),
) -> Body:
    """One verdict and decision, with everything that they rest on. ``record`` points to the whole matter. draw: of a close,
    for blind review: week, probability and lowest probability in ppm, whether drawn, p1 by the site's own reviews."""
    finding, verdict, decided = record.finding, record.verdict, record.decision
    flip = verdict.counterfactual
    contributions: Any = verdict.contributions  # array-like structs and tuples are written as the lists that the schema has
    changes: Any = flip.changes
    tainted: Any = finding.tainted
    techniques: Any = finding.techniques
    drawn: Any = draw
    return Body(
        action=decided.action,
        advice=decided.advice,
        alerts=Alerts(record.added, finding.count),
        case=record.case,
        conditions=_json(decided.conditions),
        contributions=contributions,
        counterfactual=Flip(changes, flip.pico, int(flip.possible)),
        draw=drawn or None,
        first=int(record.first),
        host=finding.host,
        intercept=verdict.intercept_pico,
        label=verdict.label,
        links=[_link(link, pseudonyms) for link in record.links],
        model=verdict.model,
        novelty_ppm=verdict.novelty_ppm,
        p_ppm=(verdict.p0_ppm, verdict.p1_ppm),
        pattern=record.pattern,
        pico=verdict.pico,
        policy=policy,
        rarity=record.rarity,
        record=Place(blob, place),
        rule=finding.rule_key,
        scope=decided.scope,
        seen=(finding.first_seen_ms, finding.last_seen_ms),
        severity=int(finding.severity),
        sources=_sources(record.evidence),
        stage=decided.stage,
        tainted=tainted,
        techniques=techniques,
        why=decided.why,
    )


_json = Once(msgspec.json.Encoder().encode)


def reference(entry: Entry) -> str:
    """Commitment of the evidence that an entry rests on, "" when it rests on none."""
    where = entry.body.get("record", entry.body)
    found = where.get("blob", "") if isinstance(where, dict) else ""
    return found if isinstance(found, str) else ""


def _sources(evidence: Sequence[Evidence]) -> dict[str, Any]:
    """Per lookup: how many answers were found, not found, unavailable. Queries, facts and digests stand in the record,
    which the entry commits to with a salt: in clear, a digest of facts about a person could be guessed."""
    counts: dict[str, list[int]] = {}
    for item in evidence:
        row = counts.get(item.source)
        if row is None:
            row = counts[item.source] = [0, 0, 0]
        row[_COLUMN[item.status]] += 1
    return counts


_COLUMN = {LookupStatus.FOUND: 0, LookupStatus.NOT_FOUND: 1, LookupStatus.UNAVAILABLE: 2}


def _link(link: Link, pseudonyms: Mapping[str, str]) -> tuple[str, str, str]:
    """Without the anchor of a pattern link, which is the host (named above) or else a person."""
    reason, entity = link.reason, link.entity
    if reason is _SAME_PATTERN:
        entity = entity.partition("@")[0]
    return (link.case, reason, pseudonyms.get(entity, entity))
