"""What people said of this site's findings, with the features recorded when each was decided: what ``learn`` rests on.

A person's disposition labels every finding of the case but those that somebody reviewed blind, whose answer is their label;
test and duplicate say nothing, and a close by the agent is never a label. Each finding stands as in its newest decision
before the case was first disposed, or the answer given, so that no feature knows the answer; one that joined the case later
is left out. Imported dispositions are those that the tools' own alerts carry; a person's word here goes before them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, select

from countersign.errors import NotFoundError
from countersign.model.entries import Kind
from countersign.model.records import FindingRecord
from countersign.store import ledger, recorded
from countersign.store import tables as t
from countersign.store.casework import BENIGN, THREAT
from countersign.store.labelling import BLIND, HUMAN
from countersign.store.sql import chunks
from countersign.triage.text import Texts, artefacts

IMPORTED = "imported"
"""Third source of labels, beside ``labelling.HUMAN`` and ``labelling.BLIND``."""

_record = msgspec.msgpack.Decoder(FindingRecord)


@dataclass(frozen=True, slots=True)
class Said:
    """A label of a finding. case: what it is grouped by. before: only decisions below this entry index may be looked at."""

    finding: str
    case: str
    threat: bool
    source: str
    before: int


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled finding as it was decided. entry: index of that decision; it orders examples in time. row: values in the
    order of FEATURES. texts: ``triage.text.artefacts``."""

    finding: str
    case: str
    entry: int
    threat: bool
    source: str
    row: tuple[int | str, ...]
    texts: Texts


def examples(conn: Connection, *, imported: bool = False) -> list[Example]:
    """Every labelled finding whose record is still there, in the order of the decisions."""
    said = {one.finding: one for one in (_imported(conn) if imported else ())}
    said |= {one.finding: one for one in (*disposed(conn), *blind(conn))}
    found = _decisions(conn, said)
    made = [_example(said[ident], entry, record) for ident, entry, record in _records(conn, found)]
    return sorted(made, key=lambda one: (one.entry, one.finding))


def snapshot(chosen: Iterable[Example]) -> str:
    """SHA-256 that names what was learnt from: per example the decision's entry, its label and where that came from. The
    ledger commits to everything behind an entry, so these few words pin the whole and name nobody."""
    total = hashlib.sha256()
    for one in chosen:
        total.update(f"{one.entry} {int(one.threat)} {one.source}\n".encode())
    return total.hexdigest()


def disposed(conn: Connection) -> list[Said]:
    """Labels of the findings of every case whose last disposition stands and says something."""
    first: dict[str, int] = {}
    last: dict[str, tuple[int, str]] = {}
    for index, entry in ledger.stream_kind(conn, Kind.CASE_DISPOSED):
        first.setdefault(entry.subject, index)
        last[entry.subject] = (index, entry.body["disposition"])
    for index, entry in ledger.stream_kind(conn, Kind.CASE_REOPENED):
        if index > last.get(entry.subject, (index, ""))[0]:
            last.pop(entry.subject)
    standing = {case: verdict for case, (_, name) in last.items() if (verdict := _threat(name)) is not None}
    said = []
    for part in chunks(sorted(standing)):
        f = t.findings.c
        for ident, case in conn.execute(select(f.id, f.case_id).where(f.case_id.in_(part))):
            said.append(Said(ident, case, standing[case], HUMAN, first[case]))
    return said


def blind(conn: Connection) -> list[Said]:
    """Answers of blind reviews of closes."""
    one, f = t.labels.c, t.findings.c
    columns = select(f.id, f.case_id, one.threat, one.entry).where(f.id == one.finding_id, one.source == BLIND)
    return [Said(row.id, row.case_id, bool(row.threat), BLIND, row.entry) for row in conn.execute(columns)]


def _threat(disposition: str) -> bool | None:
    """True and False for a finding of fact, None for what says nothing."""
    if disposition in {d.value for d in THREAT}:
        return True
    return False if disposition in {d.value for d in BENIGN} else None


def _imported(conn: Connection) -> list[Said]:
    """Labels that alerts brought along; a finding whose alerts disagree has none."""
    said = []
    for row, outline in recorded.every(conn):
        words = {_word(label) for label in outline.finding.labels}
        verdicts = {verdict for word in words if (verdict := _threat(word)) is not None}
        if len(verdicts) == 1:
            said.append(Said(row.id, row.case_id, verdicts.pop(), IMPORTED, row.entry + 1))
    return said


def _word(label: str) -> str:
    """``False Positive`` as ``false_positive``."""
    return "_".join(label.casefold().replace("-", " ").replace("_", " ").split())


Place = tuple[int, str, int]
"""Entry, blob and place of a record."""


def _decisions(conn: Connection, said: Mapping[str, Said]) -> dict[str, Place]:
    """Per finding its newest decision that its label allows to look at."""
    found: dict[str, Place] = {}
    later: list[str] = []
    f = t.findings.c
    for part in chunks(sorted(said)):
        for row in conn.execute(select(f.id, f.entry, f.blob, f.place).where(f.id.in_(part))):
            if row.entry < said[row.id].before:
                found[row.id] = (row.entry, row.blob, row.place)
            else:
                later.append(row.id)
    return found | _earlier(conn, later, said)


def _earlier(conn: Connection, idents: Sequence[str], said: Mapping[str, Said]) -> dict[str, Place]:
    """The same for findings that were decided again after their label; few, as only repeats within the window are."""
    found: dict[str, Place] = {}
    e = t.earlier_decisions
    for part in chunks(idents):
        for row in conn.execute(select(e).where(e.c.finding_id.in_(part)).order_by(e.c.entry)):
            if row.entry < said[row.finding_id].before:
                found[row.finding_id] = (row.entry, row.blob, row.place)
    return found


def _records(conn: Connection, found: Mapping[str, Place]) -> Iterable[tuple[str, int, FindingRecord]]:
    """Records by blob, each blob read once; those that were erased are no ground any more."""
    wanted = {(blob, place): (ident, entry) for ident, (entry, blob, place) in found.items()}
    for at, data in recorded.packed(conn, wanted, but=(NotFoundError,)):
        yield *wanted[at], _record.decode(data)


def _example(said: Said, entry: int, record: FindingRecord) -> Example:
    return Example(
        finding=said.finding,
        case=said.case,
        entry=entry,
        threat=said.threat,
        source=said.source,
        row=record.features,
        texts=artefacts(record.finding),
    )
