"""Rows of the read side, as pure functions of records and entries, and the SQL that keeps cases in step with findings.

The hot path and ``rebuild`` write through these same functions, which is why they give the same rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, Integer, bindparam, case, func, insert, select, update

from countersign.correlate.link import case_number
from countersign.correlate.nearby import LEVEL
from countersign.model.alerts import CHUNK_ALERTS_MAX
from countersign.model.attack import TACTIC_ORDER
from countersign.model.cases import CaseStatus
from countersign.model.decisions import Action
from countersign.model.records import FindingRecord, Records, encoded
from countersign.store import evidence, recorded
from countersign.store import tables as t
from countersign.store.sql import Among, among, upsert, upsert_rows
from countersign.triage.priority import rank
from countersign.triage.tactics import furthest

COUNTED = ("lines", "accepted", "duplicates", "ignored", "quarantined", "findings", "closed", "escalated", "reopened")
"""Counters kept in the ``counters`` table."""


class Decided(NamedTuple):
    """One decision as it is written: its entry, its time, its record and where that is kept, the policy, and the draw of a
    close (``closing.Draw``), () when it is none."""

    entry: int
    time_ms: int
    record: FindingRecord
    blob: str
    place: int
    policy: str = ""
    draw: tuple[str, int, int, int, int] | tuple[()] = ()


def pack_records(records: Sequence[FindingRecord], refs: Sequence[Sequence[tuple[str, int]]]) -> Records:
    """Every record encoded, with its raw alerts by number of blob."""
    blobs: dict[str, int] = {}
    numbered = [[(blobs.setdefault(blob, len(blobs)), place) for blob, place in some] for some in refs]
    return Records(list(map(encoded, records)), list(blobs), numbered)


def keep(
    conn: Connection, records: Sequence[FindingRecord], refs: Sequence[Sequence[tuple[str, int]]]
) -> list[recorded.Place]:
    """Put records beside the log, as many to a piece as a delivery has alerts: who reads one record reads its piece.
    Returns where each is."""
    kept: list[recorded.Place] = []
    for at in range(0, len(records), CHUNK_ALERTS_MAX):
        part = slice(at, at + CHUNK_ALERTS_MAX)
        blob = evidence.pack("records", pack_records(records[part], refs[part]))
        evidence.put(conn, [blob])
        kept.extend((blob.digest, place) for place in range(len(records[part])))
    return kept


def trouble(record: FindingRecord) -> int:
    """What the finding means for its neighbours; by its label in records of before that was written down."""
    return record.trouble if record.trouble >= 0 else LEVEL[record.verdict.label]


def finding_row(one: Decided) -> tuple[Any, ...]:
    """Row of ``findings``, in the order of its columns."""
    record = one.record
    finding, verdict, decision = record.finding, record.verdict, record.decision
    return (
        finding.id,
        record.case,
        finding.source,
        finding.product,
        finding.rule,
        finding.title,
        int(finding.severity),
        finding.host,
        finding.anchor,
        record.pattern,
        decision.scope,
        ",".join(finding.tactics),
        ",".join(finding.techniques),
        finding.first_seen_ms,
        finding.last_seen_ms,
        finding.count,
        str(verdict.label),
        record.rarity,
        verdict.pico,
        verdict.p0_ppm,
        verdict.p1_ppm,
        str(decision.action),
        str(decision.advice),
        decision.why,
        one.entry,
        one.time_ms,
        decision.quiet,
        trouble(record),
        one.blob,
        one.place,
        "\n".join([entity.key for entity in finding.entities]).lower(),
    )


def write_findings(conn: Connection, several: Sequence[Decided]) -> None:
    """Write decisions, at most one of each finding: it stands from now on, and where the one before is kept is noted."""
    again = [one.record.finding.id for one in several if not one.record.first]
    if again:
        f, before = t.findings.c, t.earlier_decisions
        standing = among(conn, select(f.id, f.entry, f.blob, f.place), f.id, again)
        conn.execute(insert(before).from_select(list(before.columns), standing))
    upsert_rows(conn, t.findings, [finding_row(one) for one in several])


class Merge(NamedTuple):
    """One case taken in by another: ids, the entry that says so, and its time."""

    merged: str
    survivor: str
    entry: int
    time_ms: int


def merge_cases(conn: Connection, merges: Sequence[Merge]) -> None:
    """Everything of each merged case belongs to its survivor, which is no merged case itself, from now on."""
    if not merges:
        return
    f, c = t.findings.c, t.cases.c
    moved = [{"merged": m.merged, "survivor": m.survivor} for m in merges]
    conn.execute(update(t.findings).where(f.case_id == bindparam("merged")).values(case_id=bindparam("survivor")), moved)
    earlier = update(t.cases).where(c.merged_into == bindparam("merged"), c.merged_into != "")
    conn.execute(earlier.values(merged_into=bindparam("survivor")), moved)
    rows = _case_rows(conn, {case_id for m in merges for case_id in (m.merged, m.survivor)})
    for merge in merges:
        survivor, merged = rows[merge.survivor], rows[merge.merged]
        _take_in(survivor, merged)
        merged |= {"status": CaseStatus.MERGED.value, "merged_into": merge.survivor}
        merged |= {"entry": merge.entry, "updated_ms": merge.time_ms}
        survivor["rank"] = case_rank(survivor)
    upsert(conn, t.cases, list(rows.values()))


def _take_in(survivor: dict[str, Any], merged: dict[str, Any]) -> None:
    """What a case is once it holds the findings of another."""
    for name in ("findings", "closed", "alerts"):
        survivor[name] += merged[name]
    survivor["first_seen_ms"] = min(survivor["first_seen_ms"], merged["first_seen_ms"])
    for name in ("last_seen_ms", "severity"):
        survivor[name] = max(survivor[name], merged[name])
    for name in _SETS:
        survivor[name] = _united(name, survivor[name], merged[name])
    survivor["owner"] = survivor["owner"] or merged["owner"]
    if merged["advice"] == Action.ESCALATE.value:
        survivor["advice"] = Action.ESCALATE.value
    if _rank(merged["pico"], merged["top_finding"]) < _rank(survivor["pico"], survivor["top_finding"]):
        survivor |= {name: merged[name] for name in ("top_finding", *_TOP)}


def refresh_cases(conn: Connection, several: Sequence[Decided], opened: Mapping[str, int]) -> None:
    """Bring the cases that these decisions touch up to date. opened: new case → its opening time.

    The row of a case says what its findings were before, so only a few cases need their findings read again: those whose
    top finding lost rank, and those that may have turned from escalate to close.
    """
    touched: dict[str, list[Decided]] = {}
    for one in several:
        touched.setdefault(one.record.case, []).append(one)
    rows = _case_rows(conn, touched)
    topless, doubtful = [], []
    for case_id, some in touched.items():
        row = rows.get(case_id)
        if row is None:
            row = rows[case_id] = _blank(case_id, opened.get(case_id, 0))
        _add(row, some)
        if not _top_stands(row, some):
            topless.append(case_id)
        if not _advice_stands(row, some):
            doubtful.append(case_id)
    for case_id, top in _tops(conn, topless).items():
        rows[case_id] |= top
    for case_id, advice in _advices(conn, doubtful).items():
        rows[case_id]["advice"] = advice
    _settle(conn, rows, touched)
    for row in rows.values():
        row["rank"] = case_rank(row)
    upsert(conn, t.cases, [rows[case_id] for case_id in sorted(rows, key=case_number)])


def _settle(conn: Connection, rows: dict[str, dict[str, Any]], touched: Mapping[str, Sequence[Decided]]) -> None:
    """A case whose every finding the agent closed is closed by the agent; one with a finding for a person is open. Findings
    are counted only where one of them was decided anew."""
    closes = {case_id: sum([one.record.decision.action is _CLOSE for one in some]) for case_id, some in touched.items()}
    concerned = [case_id for case_id, new in closes.items() if new or rows[case_id]["closed"]]
    again = [case_id for case_id in concerned if not all(one.record.first for one in touched[case_id])]
    counted = closed_findings(conn, again)
    for case_id in concerned:
        row = rows[case_id]
        closed = row["closed"] + closes[case_id]
        row["closed"], left = counted.get(case_id, (closed, row["findings"] - closed))
        if row["status"] in _AGENTS:  # somebody has it: the agent closes no case under a person's hands
            row["status"] = (CaseStatus.OPEN if left or row["owner"] else CaseStatus.CLOSED_AGENT).value


_AGENTS = (CaseStatus.OPEN.value, CaseStatus.CLOSED_AGENT.value)
"""Whether a case is open or closed by the agent follows from its findings; other states are people's."""


def closed_findings(conn: Connection, ids: Collection[str]) -> dict[str, tuple[int, int]]:
    """(closed by the agent, left to people) among the findings of each case."""
    if not ids:
        return {}
    f = t.findings.c
    closed = func.sum(case((f.action == Action.CLOSE.value, 1), else_=0))
    statement = among(conn, select(f.case_id, closed, func.count()), f.case_id, ids).group_by(f.case_id)
    return {row[0]: (int(row[1]), int(row[2]) - int(row[1])) for row in conn.execute(statement).all()}


def case_rank(row: Mapping[str, Any]) -> int:
    """The case's place in the queue, from the columns of its own row."""
    stages, products = (tuple(filter(None, row[name].split(","))) for name in ("stages", "products"))
    return rank(row["pico"], stages, products, row["severity"])


_SETS = ("products", "tactics", "techniques", "stages")
"""Columns that hold a comma-separated set, which only grows."""
_TOP = ("title", "host", "scope", "label", "pico", "p0_ppm", "p1_ppm", "why")
"""Columns that say what the top finding says."""
_CASE = tuple(t.cases.columns.keys())
_CASES = Among(select(t.cases), t.cases.c.id)
_BLANK: dict[str, Any] = {
    column.name: 0 if isinstance(column.type, Integer | BigInteger) else "" for column in t.cases.columns
} | {"status": CaseStatus.OPEN.value, "advice": Action.CLOSE.value}
_CLOSE, _ESCALATE = Action.CLOSE, Action.ESCALATE


def _case_rows(conn: Connection, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    found = _CASES.rows(conn, ids) if ids else ()
    return {row[0]: dict(zip(_CASE, row, strict=True)) for row in found}


def _blank(case_id: str, opened_ms: int) -> dict[str, Any]:
    return _BLANK | {"id": case_id, "opened_ms": opened_ms}


def _add(row: dict[str, Any], several: Sequence[Decided]) -> None:
    """Take what the decisions add to sums, spans and sets; a finding's own never shrink."""
    sets = (row["products"], row["tactics"], row["techniques"], row["stages"])
    for one in several:
        finding = one.record.finding
        row["first_seen_ms"] = min(row["first_seen_ms"], finding.first_seen_ms) if row["findings"] else finding.first_seen_ms
        row["last_seen_ms"] = max(row["last_seen_ms"], finding.last_seen_ms)
        row["severity"] = max(row["severity"], int(finding.severity))
        row["findings"] += one.record.first
        row["alerts"] += one.record.added
        sets = _grown(sets, finding.product, finding.tactics, finding.techniques)
    row["products"], row["tactics"], row["techniques"], row["stages"] = sets
    row["entry"], row["updated_ms"] = several[-1].entry, several[-1].time_ms


def _rank(pico: int, finding_id: str) -> tuple[int, str]:
    """Order of the findings of a case, the top one first."""
    return (-pico, finding_id)


def _rank_of(one: Decided) -> tuple[int, str]:
    return _rank(one.record.verdict.pico, one.record.finding.id)


def _top_stands(row: dict[str, Any], several: Sequence[Decided]) -> bool:
    """Set the top finding; False when the old one lost rank and an untouched finding may now stand above it."""
    best, old = min(several, key=_rank_of), row["top_finding"]
    if not old or _rank_of(best) <= _rank(row["pico"], old):
        row |= _top(best)
        return True
    if all(one.record.finding.id != old for one in several):
        return True
    row |= _top(best)
    return bool(row["findings"] == 1)


def _top(one: Decided) -> dict[str, Any]:
    finding, verdict, decision = one.record.finding, one.record.verdict, one.record.decision
    return {
        "top_finding": finding.id,
        "title": finding.title,
        "host": finding.host,
        "scope": decision.scope,
        "label": str(verdict.label),
        "pico": verdict.pico,
        "p0_ppm": verdict.p0_ppm,
        "p1_ppm": verdict.p1_ppm,
        "why": decision.why,
    }


def _advice_stands(row: dict[str, Any], several: Sequence[Decided]) -> bool:
    """Set the advice: close only when it is so for every finding. False when a finding that was decided before may have
    been the one to escalate."""
    if any(one.record.decision.advice is _ESCALATE for one in several):
        row["advice"] = _ESCALATE.value
        return True
    return row["advice"] == _CLOSE.value or all(one.record.first for one in several)


_Sets = tuple[str, str, str, str]
"""Products, tactics, techniques and stages, each comma-separated."""


@lru_cache(maxsize=1024)
def _grown(sets: _Sets, product: str, tactics: tuple[str, ...], techniques: tuple[str, ...]) -> _Sets:
    """With those of one more finding."""
    more = (product, ",".join(tactics), ",".join(techniques), furthest(tactics))
    products, named, used, stages = [_united(*both) for both in zip(_SETS, sets, more, strict=True)]
    return products, named, used, stages


def _united(name: str, one: str, two: str) -> str:
    """Union of two comma-separated sets: tactics in kill-chain order, everything else sorted."""
    values = {*one.split(","), *two.split(",")} - {""}
    return ",".join(sorted(values, key=tactic_order) if name in {"tactics", "stages"} else sorted(values))


def _tops(conn: Connection, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """The top finding of each case, read from all of its findings."""
    if not ids:
        return {}
    f = t.findings.c
    place = func.row_number().over(partition_by=f.case_id, order_by=(f.pico.desc(), f.id)).label("place")
    every = select(f.case_id, f.id.label("top_finding"), *(f[name] for name in _TOP), place)
    ranked = among(conn, every, f.case_id, ids).subquery()
    names = ("top_finding", *_TOP)
    chosen = select(ranked.c.case_id, *(ranked.c[name] for name in names)).where(ranked.c.place == 1)
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in conn.execute(chosen).all()}


def _advices(conn: Connection, ids: Collection[str]) -> dict[str, str]:
    """The advice on each case, read from all of its findings."""
    if not ids:
        return {}
    f = t.findings.c
    escalated = func.sum(case((f.advice == Action.CLOSE.value, 0), else_=1))
    statement = among(conn, select(f.case_id, escalated), f.case_id, ids).group_by(f.case_id)
    return {row[0]: (Action.ESCALATE if row[1] else Action.CLOSE).value for row in conn.execute(statement).all()}


def tactic_order(tactic: str) -> tuple[int, str]:
    """Place in the kill chain; unknown tactics last."""
    return (TACTIC_ORDER.get(tactic, len(TACTIC_ORDER)), tactic)


def count(conn: Connection, added: Mapping[str, int]) -> None:
    """Add to counters."""
    names = sorted(name for name, value in added.items() if value)
    old = {row.name: row.value for row in conn.execute(select(t.counters).where(t.counters.c.name.in_(names)))}
    upsert(conn, t.counters, [{"name": name, "value": old.get(name, 0) + added[name]} for name in names])
