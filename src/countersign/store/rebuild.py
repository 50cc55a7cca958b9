"""Recreate every projection from the ledger and the evidence beside it; the rows must come out the same.

Entries are applied in order through the same functions that the hot path and casework write with. One transaction: a
rebuild that fails leaves everything as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, delete, select, update

from countersign.correlate import link
from countersign.correlate.link import case_number
from countersign.model.decisions import Action
from countersign.model.entries import Entry, Kind
from countersign.model.inventory import Inventory
from countersign.model.records import FindingRecord, Records
from countersign.store import (
    accounts,
    agents,
    autonomy,
    case_column,
    casework,
    changes,
    closing,
    erased,
    evidence,
    evidence_kind,
    leases,
    ledger,
    passkeys,
    past,
    people,
    performing,
    projection,
    proposals,
    quarantine,
    recalling,
    reviewing,
    settling,
    switches,
    tokens,
    undoing,
    working,
)
from countersign.store import inventory as inventory_store
from countersign.store import tables as t
from countersign.triage.features import FEATURES

_PAIR_FIRINGS = FEATURES.index("pair_firings")
_Numbered = tuple[int, Entry]
_record = msgspec.msgpack.Decoder(FindingRecord)


def digests(conn: Connection) -> dict[str, str]:
    """SHA-256 over the rows of each projection, in key order: equal digests are equal tables."""
    return {str(table.name): _digest(conn, table) for table in t.PROJECTIONS} | {
        case_column.NAME: case_column.digest(conn),
        evidence_kind.NAME: evidence_kind.digest(conn),
        "ledger_head: next case": hashlib.sha256(str(ledger.lock_head(conn)[1]).encode()).hexdigest(),
    }


def _digest(conn: Connection, table: Table) -> str:
    total = hashlib.sha256()
    for row in conn.execute(select(table).order_by(*table.primary_key)):
        total.update(msgspec.msgpack.encode(tuple(row)))
    return total.hexdigest()


def rebuild(
    conn: Connection,
    tick: Callable[[int], None] | None = None,
    also: Callable[[Sequence[_Numbered]], None] = lambda _numbered: None,
) -> int:
    """Empty the projections and apply every entry again; returns the number of entries. also: is shown every entry, so that
    whoever wants to look at all of them need not read them again."""
    ledger.lock_head(conn)
    for table in t.PROJECTIONS:
        conn.execute(delete(table))
    erased.restore(conn)
    last, highest = 0, ledger.FIRST_CASE - 1
    beside = (case_column.CaseColumn(), evidence_kind.EvidenceKind())
    for _, group in groupby(ledger.stream(conn), key=_step):
        numbered = list(group)
        for column in beside:
            column.write(conn, numbered)
        also(numbered)
        _APPLY.get(numbered[0][1].kind, _nothing)(conn, numbered)
        last = numbered[-1][0] + 1
        if numbered[0][1].kind is Kind.FINDING_DECIDED:
            highest = max(highest, *(case_number(str(entry.body["case"])) for _, entry in numbered))
        if tick is not None:
            tick(last)
    next_case = t.ledger_head.c.next_case
    conn.execute(update(t.ledger_head).where(next_case <= highest).values(next_case=highest + 1))
    return last


def _step(numbered: _Numbered) -> tuple[str, str]:
    """Decisions of one micro-batch are applied together, everything else by itself."""
    index, entry = numbered
    return (entry.kind.value, entry.trigger if entry.kind is Kind.FINDING_DECIDED else str(index))


def _nothing(_conn: Connection, _numbered: Sequence[_Numbered]) -> None:
    """Entries of this kind change no projection."""


def _received(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for _, entry in numbered:
        body = entry.body
        added = {name: body[name] for name in ("lines", "accepted", "duplicates", "quarantined")}
        projection.count(conn, added | {"ignored": sum(body["ignored"].values())})


def _quarantined(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    quarantine.hold(conn, [(i, e.body) for i, e in numbered], numbered[0][1].time)


def _resubmitted(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for _, entry in numbered:
        found = t.quarantine.c.id == int(entry.subject)
        conn.execute(update(t.quarantine).where(found).values(state=quarantine.RESUBMITTED))


def _decided(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    decided = list(_records(conn, numbered))
    records = [one.record for one in decided]
    if not any(record.added for record in records):
        return _asked(conn, decided)
    load = working.load(conn, [r.finding for r in records], [r.pattern for r in records])
    opened: dict[str, int] = {}
    for one in decided:
        _observe(one.record, load)
        opened.setdefault(one.record.case, one.time_ms)
    projection.write_findings(conn, decided)
    closing.write(conn, decided)
    past.save(conn, load.history)
    working.save_index(conn, load.index)
    projection.refresh_cases(conn, decided, opened)
    closed = sum(r.decision.action is Action.CLOSE for r in records)
    new = sum(r.first for r in records)
    projection.count(conn, {"findings": new, "closed": closed, "escalated": len(records) - closed})
    return None


def _asked(conn: Connection, decided: Sequence[projection.Decided]) -> None:
    """The gate was asked again: nothing was seen anew."""
    projection.write_findings(conn, decided)
    closing.write(conn, decided)
    projection.refresh_cases(conn, decided, {})
    closed = sum(one.record.decision.action is Action.CLOSE for one in decided)
    projection.count(conn, {"closed": closed, "reopened": len(decided) - closed})


def _observe(record: FindingRecord, load: working.Working) -> None:
    finding = record.finding
    load.history.observe(finding, added=record.added, first=record.first)
    if record.first:  # its case attracts, also one that is opened here
        load.index.sizes.setdefault(record.case, 0)
    if record.case in load.index.sizes:
        firings = int(record.features[_PAIR_FIRINGS])
        keys = link.link_keys(finding, record.pattern, is_notable=link.notable(finding, firings))
        link.remember(finding, keys, record.case, load.index)


def _records(conn: Connection, numbered: Sequence[_Numbered]) -> Iterator[projection.Decided]:
    packed: dict[str, Records] = {}
    for index, entry in numbered:
        blob, place = entry.body["record"]["blob"], entry.body["record"]["place"]
        if blob not in packed:
            packed[blob] = evidence.get(conn, blob, Records)
        record = _record.decode(packed[blob].records[place])
        draw = tuple(entry.body.get("draw", ()))
        yield projection.Decided(index, entry.time, record, blob, place, entry.body["policy"], draw)


def _merged(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    merges = [projection.Merge(entry.subject, entry.body["into"], index, entry.time) for index, entry in numbered]
    projection.merge_cases(conn, merges)


def _disposed(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        casework.apply_disposed(conn, entry.subject, entry.body, entry.actor, index, entry.time)


def _reopened(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        casework.apply_reopened(conn, entry.subject, entry.body, entry.actor, index, entry.time)


def _answered(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        reviewing.apply_answered(conn, entry.subject, entry.body, index, entry.time)


def _recalled(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        recalling.apply(conn, entry.body, index, entry.time)


def _observed(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        autonomy.apply_observed(conn, entry.subject, entry.body, index)


def _assigned(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        casework.apply_assigned(conn, entry.subject, entry.body["owner"], index, entry.time)


def _imported(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for _, entry in numbered:
        wanted = evidence.get(conn, entry.body["blob"], Inventory)
        inventory_store.save(conn, wanted, mode=entry.body["mode"])


def _switched(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        switches.apply(conn, entry.subject, stopped=entry.kind is Kind.AUTONOMY_STOPPED, entry=index)


def _people(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        if entry.kind is Kind.PERSON_ENROLLED:
            people.apply_enrolled(conn, entry.subject, entry.body, index, entry.time)
        else:
            people.apply_revoked(conn, entry.subject, entry.time)


def _agents(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        if entry.kind is Kind.AGENT_REGISTERED:
            agents.apply_registered(conn, entry.subject, entry.body, index, entry.time)
        elif entry.kind is Kind.AGENT_STOPPED:
            agents.apply_stopped(conn, entry.subject, entry.body["reason"], index)
        elif entry.kind is Kind.AGENT_RESUMED:
            agents.apply_resumed(conn, entry.subject, index)
        else:
            agents.apply_retired(conn, entry.subject, index, entry.time)


def _leases(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        if entry.kind is Kind.LEASE_REVOKED:
            leases.apply_revoked(conn, entry.subject, entry.body, index, entry.time)
        else:
            leases.apply_refused(conn, entry.body, index)


def _changes(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        if entry.kind is Kind.CHANGE_PROPOSED:
            changes.apply_proposed(conn, entry.body, index)
        else:
            changes.apply_answered(conn, entry, index)


def _proposals(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        if entry.kind is Kind.PROPOSAL_CREATED:
            settling.apply_created(conn, entry.body, entry.actor, index)
            if "undoes" in entry.body:
                undoing.apply_undo(conn, int(entry.body["undoes"]), index, entry.time)
        elif entry.kind in {Kind.PROPOSAL_APPROVED, Kind.PROPOSAL_DENIED}:
            proposals.apply_answered(conn, entry, index)
        else:
            settling.apply_settled(conn, entry, index)


def _performed(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        performing.apply(conn, entry, index)


def _roles(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        if entry.kind is Kind.ROLE_GRANTED:
            accounts.apply_granted(conn, entry.subject, entry.body, index, entry.time)
        else:
            accounts.apply_taken(conn, entry.subject, entry.body, index)


def _passkeys(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        if entry.kind is Kind.PASSKEY_ENROLLED:
            passkeys.apply_enrolled(conn, entry.subject, entry.body, index, entry.time)
        else:
            passkeys.apply_revoked(conn, entry.body, index, entry.time)


def _tokens(conn: Connection, numbered: Sequence[_Numbered]) -> None:
    for index, entry in numbered:
        if entry.kind is Kind.TOKEN_REVOKED:
            tokens.apply_revoked(conn, entry.body, index, entry.time)
        elif "scopes" in entry.body:  # the others are for one source, and their table is not from the ledger
            tokens.apply_issued(conn, entry.body, index, entry.time)


_APPLY: Mapping[Kind, Callable[[Connection, Sequence[_Numbered]], Any]] = {
    Kind.ALERT_RECEIVED: _received,
    Kind.ALERT_QUARANTINED: _quarantined,
    Kind.ALERT_RESUBMITTED: _resubmitted,
    Kind.FINDING_DECIDED: _decided,
    Kind.CASE_MERGED: _merged,
    Kind.CASE_DISPOSED: _disposed,
    Kind.CASE_REOPENED: _reopened,
    Kind.CASE_ASSIGNED: _assigned,
    Kind.INVENTORY_IMPORTED: _imported,
    Kind.PERSON_ENROLLED: _people,
    Kind.PERSON_REVOKED: _people,
    Kind.AGENT_REGISTERED: _agents,
    Kind.AGENT_STOPPED: _agents,
    Kind.AGENT_RESUMED: _agents,
    Kind.AGENT_RETIRED: _agents,
    Kind.LEASE_REVOKED: _leases,
    Kind.LEASE_REFUSED: _leases,
    Kind.ROLE_GRANTED: _roles,
    Kind.ROLE_REVOKED: _roles,
    Kind.PASSKEY_ENROLLED: _passkeys,
    Kind.PASSKEY_REVOKED: _passkeys,
    Kind.TOKEN_ISSUED: _tokens,
    Kind.TOKEN_REVOKED: _tokens,
    Kind.CHANGE_PROPOSED: _changes,
    Kind.CHANGE_APPROVED: _changes,
    Kind.CHANGE_DENIED: _changes,
    Kind.PROPOSAL_CREATED: _proposals,
    Kind.PROPOSAL_APPROVED: _proposals,
    Kind.PROPOSAL_DENIED: _proposals,
    Kind.PROPOSAL_EXPIRED: _proposals,
    Kind.PROPOSAL_OUTDATED: _proposals,
    Kind.ACTION_INTENDED: _performed,
    Kind.ACTION_STARTED: _performed,
    Kind.ACTION_PROBED: _performed,
    Kind.ACTION_LEFT: _performed,
    Kind.AUTONOMY_STOPPED: _switched,
    Kind.AUTONOMY_RESUMED: _switched,
    Kind.AUTONOMY_OBSERVED: _observed,
    Kind.REVIEW_ANSWERED: _answered,
    Kind.RECALL_OPENED: _recalled,
}
