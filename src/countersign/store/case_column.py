"""The case beside each entry (``entries.case_id``): what the entry says, so that a rebuild finds it changed.

The column is not in the log. It leads from a case to its entries, and from an action to its leases: emptied in the database,
it would hide entries from the page of their case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from countersign.model.entries import Entry, Kind
from countersign.store import tables as t

NAME = "entries: case"
_SUBJECT = frozenset({Kind.CASE_DISPOSED, Kind.CASE_REOPENED, Kind.CASE_ASSIGNED, Kind.RECALL_OPENED})
_BODY = frozenset({Kind.FINDING_DECIDED, Kind.LEASE_ISSUED, Kind.REVIEW_ANSWERED, Kind.PROPOSAL_CREATED})


class CaseColumn:
    """One pass over the ledger, in order."""

    def __init__(self) -> None:
        self._proposals: dict[str, str] = {}  # number of a proposal → its case

    def of(self, index: int, entry: Entry) -> str:
        """The case that an entry is about, "" when it is about none."""
        if entry.kind in _SUBJECT:
            return entry.subject
        if entry.kind is Kind.CASE_MERGED:
            return str(entry.body["into"])
        if entry.kind in _BODY:
            case = str(entry.body.get("case", ""))
            if entry.kind is Kind.PROPOSAL_CREATED:
                self._proposals[str(index)] = case
            return case
        if entry.kind.startswith(("proposal.", "action.")):
            return self._proposals.get(entry.subject, "")
        return ""

    def write(self, conn: Connection, numbered: Sequence[tuple[int, Entry]]) -> None:
        """Make the rows of these entries say so."""
        e = t.entries.c
        rows = [{"at": index, "case": self.of(index, entry)} for index, entry in numbered]
        wrong = update(t.entries).where(e.idx == bindparam("at"), e.case_id != bindparam("case"))
        conn.execute(wrong.values(case_id=bindparam("case")), rows)


def digest(conn: Connection) -> str:
    """SHA-256 over the column, in order."""
    total = hashlib.sha256()
    for row in conn.execute(select(t.entries.c.idx, t.entries.c.case_id).order_by(t.entries.c.idx)):
        total.update(msgspec.msgpack.encode(tuple(row)))
    return total.hexdigest()
