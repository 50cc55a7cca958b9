"""Load what one micro-batch can touch, and write back what it changed: a handful of set queries, whatever the batch holds.

The working set is exact because the caller holds the head lock: nobody else can change these rows before it commits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain

import msgspec
from sqlalchemy import Connection, bindparam, func, select

from countersign.correlate import fold
from countersign.correlate.history import History
from countersign.correlate.link import HOUR_MS, Index, Row, most_keys, pattern_key
from countersign.correlate.nearby import BY_LEVEL, Nearby
from countersign.correlate.nearby import SITE as WHOLE_SITE
from countersign.flow import CaseState
from countersign.model.cases import LEFT_TO_PEOPLE, CaseStatus
from countersign.model.findings import FOLD_WINDOW_MS, Finding
from countersign.model.records import Known
from countersign.store import past, recorded
from countersign.store import tables as t
from countersign.store.sql import Among, upsert_rows
from countersign.triage.novelty import PatternRecord

ATTRACTING = (CaseStatus.OPEN.value, CaseStatus.CLOSED_AGENT.value)
"""Cases that new findings join. One that the agent closed is among them: what joins it may take its close back."""

_f, _i, _c, _l = t.findings.c, t.entity_index.c, t.closes.c, t.labels.c
_KNOWN = Among(select(_f.id, _f.case_id, _f.trouble, _f.blob, _f.place), _f.id)
_SETTLED = Among(select(_l.finding_id), _l.finding_id)
_LEFT = Among(select(_c.finding_id).where(_c.state.in_(LEFT_TO_PEOPLE)), _c.finding_id)
_INDEX = Among(select(_i.key, _i.case_id, _i.finding_id, _i.last_seen_ms, _i.findings), _i.key)
_CASES = Among(
    select(t.cases.c.id, t.cases.c.findings, t.cases.c.stages, t.cases.c.merged_into).where(
        t.cases.c.status.in_((*ATTRACTING, CaseStatus.MERGED.value))
    ),
    t.cases.c.id,
)
_UNSETTLED = Among(
    select(_f.case_id, _f.trouble, func.count()).where(_f.trouble > 0).group_by(_f.case_id, _f.trouble), _f.case_id
)
_PATTERNS = Among(select(t.patterns), t.patterns.c.pattern)
_CONFIRMED = Among(select(t.confirmed.c.key, t.confirmed.c.at_ms), t.confirmed.c.key)
_window = (_f.first_seen_ms // FOLD_WINDOW_MS).label("window")
_NEAR = (_f.trouble > 0, _f.first_seen_ms >= bindparam("low"), _f.first_seen_ms < bindparam("high"))
_SITE_TROUBLE = select(_window, _f.trouble, func.count()).where(*_NEAR).group_by(_window, _f.trouble)
_TROUBLE = Among(
    select(_f.anchor, _window, _f.trouble, func.count()).where(*_NEAR).group_by(_f.anchor, _window, _f.trouble), _f.anchor
)


@dataclass(slots=True)
class Working:
    """Everything read for one micro-batch."""

    known: dict[str, Known]
    history: History
    index: Index
    cases: dict[str, CaseState]
    patterns: dict[str, PatternRecord]
    nearby: Nearby
    confirmed: dict[str, int]


def load(
    conn: Connection,
    findings: Sequence[Finding],
    patterns: Sequence[str],
    history: History | None = None,
    recent: recorded.Recent | None = None,
) -> Working:
    """Working set for the findings of one batch (what it adds to each, or each as a whole) and their patterns.

    history: counts for these findings, when the caller has them already. recent: records that the caller remembers."""
    known = _known(conn, [f.id for f in findings], recent or recorded.Recent())
    keys: dict[str, list[str]] = {}
    for finding, pattern in zip(findings, patterns, strict=True):
        old = known.get(finding.id)
        whole = fold.merge(old.finding, finding) if old else finding
        keys[finding.id] = most_keys(whole, pattern)
    index = _index(conn, keys)
    cases = _cases(conn, {row.case for row in index.rows.values()} | {r.case for r in known.values()}, index)
    anchored = {pattern_key(pattern, f.anchor) for f, pattern in zip(findings, patterns, strict=True) if f.anchor}
    return Working(
        known=known,
        history=past.load(conn, findings) if history is None else history,
        index=index,
        cases=cases,
        patterns=_patterns(conn, set(patterns)),
        nearby=_nearby(conn, findings),
        confirmed=_confirmed(conn, anchored),
    )


def _known(conn: Connection, ids: Collection[str], recent: recorded.Recent) -> dict[str, Known]:
    """What was decided before. Columns name case and trouble: merges and people change them without touching the record."""
    rows = _KNOWN.rows(conn, ids)
    if not rows:
        return {}
    found = [row[0] for row in rows]
    settled = {row[0] for row in _SETTLED.rows(conn, found)}
    left = {row[0] for row in _LEFT.rows(conn, found)}
    held = recent.read(conn, [(blob, place) for *_, blob, place in rows])
    known = {}
    for ident, case, trouble, blob, place in rows:
        one = held[blob, place]
        known[ident] = Known(one.finding, one.links, BY_LEVEL[trouble], case, ident in settled, ident in left)
    return known


def _index(conn: Connection, keys: dict[str, list[str]]) -> Index:
    index = Index(keys=keys)
    for key, case, finding, seen, count in _INDEX.rows(conn, sorted(set(chain.from_iterable(keys.values())))):
        index.rows[key] = Row(case, finding, seen, count)
    return index


def _cases(conn: Connection, ids: set[str], index: Index) -> dict[str, CaseState]:
    """Cases that attract, among these and those that they were merged into; keys of merged ones are led on."""
    states: dict[str, CaseState] = {}
    merged = _take_cases(conn, ids, index, states)
    _take_cases(conn, set(merged.values()) - ids, index, states)
    for row in index.rows.values() if merged else ():
        row.case = merged.get(row.case, row.case)
    for case, level, count in _UNSETTLED.rows(conn, states):
        states[case].unsettled[BY_LEVEL[level]] = count
    return states


def _take_cases(conn: Connection, ids: set[str], index: Index, states: dict[str, CaseState]) -> dict[str, str]:
    """Read cases; returns what those among them were merged into that were."""
    merged = {}
    for case, count, stages, into in _CASES.rows(conn, ids) if ids else ():
        if into:
            merged[case] = into
            continue
        states[case] = CaseState(stages=frozenset(filter(None, stages.split(","))), findings=count)
        index.sizes[case] = count
    return merged


def _patterns(conn: Connection, patterns: Collection[str]) -> dict[str, PatternRecord]:
    states = {}
    for row in _PATTERNS.rows(conn, patterns):
        rarities = msgspec.msgpack.decode(row.rarities, type=tuple[int, ...])
        states[row.pattern] = PatternRecord(row.benign, row.threat, row.newest_ms, rarities)
    return states


def _nearby(conn: Connection, findings: Sequence[Finding]) -> Nearby:
    """Trouble on the batch's anchors and on the site, from an hour before its first finding to an hour after its last."""
    if not findings:
        return Nearby()
    low = min(one.first_seen_ms for one in findings) - HOUR_MS - FOLD_WINDOW_MS
    high = max(one.first_seen_ms for one in findings) + HOUR_MS + FOLD_WINDOW_MS
    cells = [(WHOLE_SITE, *row) for row in conn.execute(_SITE_TROUBLE, {"low": low, "high": high})]
    if cells:
        cells += _TROUBLE.rows(conn, {one.anchor for one in findings if one.anchor}, low=low, high=high)
    return Nearby(cells)


def _confirmed(conn: Connection, keys: Collection[str]) -> dict[str, int]:
    """When people last confirmed a threat of these patterns on these anchors."""
    return dict(_CONFIRMED.rows(conn, keys))


def save_index(conn: Connection, index: Index) -> None:
    """Write the link keys that changed; keys of merged cases lead to the survivor from now on."""
    changed = [(key, index.rows[key]) for key in sorted(index.changed)]
    rows = [(key, index.resolve(row.case), row.finding, row.last_seen_ms, row.findings) for key, row in changed]
    upsert_rows(conn, t.entity_index, rows)
