"""Gathers one case from the database: its entries, and the entries that those rest on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, func, select

from countersign.errors import ConflictError, CountersignError, NotFoundError
from countersign.model.alerts import Delivery
from countersign.model.entries import Kind
from countersign.reporting.case import CaseFile, Raw
from countersign.reporting.model import Cited
from countersign.reporting.reading import Pieces, by_index, cited
from countersign.reporting.responses import key_of
from countersign.reporting.says import Names
from countersign.store import evidence, recorded
from countersign.store import tables as t
from countersign.store.sql import among, chunks

FINDINGS_MAX = 200
STEPS_MAX = 2_000
RAWS_MAX = 500
_e = t.entries.c
_COLUMNS = (_e.idx, _e.case_id, _e.bytes)


def case_ids(conn: Connection, ident: str) -> list[str]:
    """The case and those that became part of it. Raises NotFoundError, and ConflictError for one that was merged away."""
    row = conn.execute(select(t.cases.c.merged_into).where(t.cases.c.id == ident)).first()
    if row is None:
        raise NotFoundError("there is no such case", where=ident, todo="look for it with `countersign queue`")
    if row.merged_into:
        raise ConflictError(f"case became part of {row.merged_into}", where=ident, todo=f"ask for {row.merged_into}")
    found, fresh = [ident], [ident]
    while fresh:
        parts = conn.execute(select(t.cases.c.id).where(t.cases.c.merged_into.in_(fresh))).scalars().all()
        fresh = [one for one in parts if one not in found]
        found += fresh
    return found


def read_case(conn: Connection, ident: str, pieces: Pieces, names: Names) -> CaseFile:
    """The case with everything that a report says of it. Raises NotFoundError, ConflictError."""
    cases = case_ids(conn, ident)
    decisions, findings = _decisions(conn, cases)
    others = _others(conn, cases)
    held = {one.index: one for one in (*decisions, *others)}
    messages, alerts = _raws(conn, decisions)
    held |= by_index(conn, {raw.received for raw in messages})
    held |= {one.index: one for one in _beneath(conn, list(held.values()))}
    for one in list(held.values()):
        _take(pieces, one)
    return CaseFile(
        id=ident,
        entries=held,
        decisions=decisions,
        decided=_count(conn, cases),
        findings=findings,
        raws=messages,
        alerts=alerts,
        pieces=pieces.held,
        names=names,
    )


def _decisions(conn: Connection, cases: Sequence[str]) -> tuple[tuple[Cited, ...], int]:
    """The latest decision of the strongest findings, and how many findings there are."""
    f = t.findings.c
    mine = f.case_id.in_(cases)
    chosen = conn.execute(select(f.entry).where(mine).order_by(f.pico.desc(), f.id).limit(FINDINGS_MAX)).scalars().all()
    found = by_index(conn, chosen)
    total = conn.execute(select(func.count()).select_from(t.findings).where(mine)).scalar_one()
    return tuple(found[index] for index in chosen), int(total)


def _others(conn: Connection, cases: Sequence[str]) -> list[Cited]:
    """Whatever else is filed under the case. Raises ConflictError when that is more than a report can hold."""
    mine = select(*_COLUMNS).where(_e.case_id.in_(cases), _e.kind != Kind.FINDING_DECIDED.value)
    rows = conn.execute(mine.order_by(_e.idx).limit(STEPS_MAX + 1)).all()
    if len(rows) > STEPS_MAX:
        raise ConflictError(f"more than {STEPS_MAX:,} steps are filed under it", where=cases[0], todo="ask for a period")
    return [cited(row) for row in rows]


def _count(conn: Connection, cases: Sequence[str]) -> int:
    mine = (_e.case_id.in_(cases), _e.kind == Kind.FINDING_DECIDED.value)
    return int(conn.execute(select(func.count()).select_from(t.entries).where(*mine)).scalar_one())


# --- raw messages -----------------------------------------------------------------------------------------------------


def _raws(conn: Connection, decisions: Sequence[Cited]) -> tuple[tuple[Raw, ...], int]:
    """Raw messages behind the findings, in the order they came, and how many there are of them in all."""
    idents = [one.entry.subject for one in decisions]
    found: list[Raw] = []
    for ident, entry, places in recorded.alerts(conn, idents):
        found += _located(conn, ident, entry, places[: RAWS_MAX - len(found)])
        if len(found) >= RAWS_MAX:
            break
    f = t.findings.c
    total = conn.execute(among(conn, select(func.coalesce(func.sum(f.count), 0)), f.id, idents)).scalar_one()
    return tuple(sorted(found, key=lambda raw: (raw.received, raw.place))), int(total)


def _located(conn: Connection, finding: str, decided: int, places: Sequence[recorded.Place]) -> Iterator[Raw]:
    """Where the delivery of a raw message was entered: in the batch of its decision, between the lease and the decision."""
    received = _deliveries(conn, decided)
    for blob, item in places:
        one = received.get(blob)
        digests = one.entry.body["sha256"] if one is not None else []
        if one is not None and item < len(digests):
            yield Raw(finding, one.index, item, digests[item])


def _deliveries(conn: Connection, decided: int) -> dict[str, Cited]:
    first = conn.execute(select(func.max(_e.idx)).where(_e.kind == Kind.LEASE_ISSUED.value, _e.idx <= decided)).scalar()
    within = (_e.kind == Kind.ALERT_RECEIVED.value, _e.idx >= (first or 0), _e.idx <= decided)
    return {one.entry.body["blob"]: one for one in map(cited, conn.execute(select(*_COLUMNS).where(*within)))}


def raw_messages(conn: Connection, file: CaseFile) -> tuple[dict[str, bytes], list[str]]:
    """(raw messages of the case by file name, which are not as they came any more)."""
    found: dict[str, bytes] = {}
    missing: list[str] = []
    for index in sorted({raw.received for raw in file.raws}):
        blob = file.entries[index].entry.body["blob"]
        try:
            delivery = evidence.get(conn, blob, Delivery)
        except CountersignError as error:
            missing.append(f"raw messages of entry {index}: {error.what}")
            continue
        for raw in file.raws:
            if raw.received != index:
                continue
            data = delivery.raws[raw.place]
            if hashlib.sha256(data).hexdigest() == raw.sha256:
                found[f"messages/{raw.sha256}"] = data
            else:
                missing.append(f"raw message {raw.place + 1} of entry {index}: a person was erased from it")
    return found, missing


# --- what entries rest on ---------------------------------------------------------------------------------------------


def _beneath(conn: Connection, held: Sequence[Cited]) -> Iterator[Cited]:
    """Leases, agents, models, policies and keys that these entries name; and where the log begins."""
    yield from by_index(conn, [0]).values()
    leases = {one.entry.actor.lease for one in held if one.entry.actor.lease}
    yield from _of_subject(conn, Kind.LEASE_ISSUED, leases)
    agents = {one.entry.actor.id for one in held if one.entry.actor.type == "agent"}
    yield from _of_subject(conn, Kind.AGENT_REGISTERED, agents)
    decided = [one.entry.body for one in held if one.entry.kind is Kind.FINDING_DECIDED]
    yield from _of_subject(conn, Kind.MODEL_ACTIVATED, {body["model"] for body in decided})
    yield from _of_subject(conn, Kind.POLICY_ACTIVATED, {body["policy"] for body in decided})
    used = {one.entry.body["fingerprint"] for one in held if one.entry.kind is Kind.PROPOSAL_APPROVED}
    if used:
        enrolled = _of_kinds(conn, (Kind.PERSON_ENROLLED, Kind.PASSKEY_ENROLLED))
        yield from (one for one in enrolled if key_of(one) in used)


def _of_subject(conn: Connection, kind: Kind, subjects: Iterable[str]) -> Iterator[Cited]:
    for part in chunks(sorted(subjects)):
        yield from map(cited, conn.execute(select(*_COLUMNS).where(_e.kind == kind.value, _e.subject.in_(part))))


def _of_kinds(conn: Connection, kinds: Sequence[Kind]) -> Iterator[Cited]:
    values = [kind.value for kind in kinds]
    yield from map(cited, conn.execute(select(*_COLUMNS).where(_e.kind.in_(values)).order_by(_e.idx)))


_PIECES = {
    Kind.PROPOSAL_CREATED: "canonical bytes of the proposal",
    Kind.ACTION_PROBED: "words of the probe",
    Kind.ACTION_LEFT: "why it was left",
    Kind.POLICY_ACTIVATED: "policy set",
    Kind.MODEL_ACTIVATED: "triage model",
}


def _take(pieces: Pieces, one: Cited) -> None:
    if what := _PIECES.get(one.entry.kind):
        pieces.take(str(one.entry.body.get("blob", "")), what, one.index)
