"""The kind beside each piece of evidence (``evidence.kind``): what the entry that commits to it says, so that a rebuild
finds it changed.

The commitment does not cover it. Archiving goes by it, and so does erasing a person: a piece under another kind would be
taken out of the database, or be left as it is with the person in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from countersign.ledger import bodies, erasures
from countersign.model.entries import Entry, Kind
from countersign.store import tables as t

NAME = "evidence: kind"
_OF: Mapping[Kind, str] = {
    Kind.ALERT_RECEIVED: "delivery",
    Kind.ALERT_QUARANTINED: "delivery",
    Kind.FINDING_DECIDED: "records",
    Kind.INVENTORY_IMPORTED: "inventory",
    Kind.MODEL_PROPOSED: "model",
    Kind.MODEL_ACTIVATED: "model",
    Kind.POLICY_ACTIVATED: "policy",
    Kind.PROPOSAL_CREATED: "proposal",
    Kind.ACTION_PROBED: "probe",
    Kind.ACTION_LEFT: "probe",
}


class EvidenceKind:
    """One pass over the ledger, in order."""

    def __init__(self) -> None:
        self._of: dict[str, str] = {}
        """By commitment."""

    def write(self, conn: Connection, numbered: Sequence[tuple[int, Entry]]) -> None:
        """Make the evidence that these entries commit to say so."""
        new = {digest: kind for _, entry in numbered for digest, kind in self._told(entry) if digest not in self._of}
        if not new:
            return
        self._of |= new
        e = t.evidence.c
        wrong = update(t.evidence).where(e.digest == bindparam("of"), e.kind != bindparam("is"))
        conn.execute(wrong.values(kind=bindparam("is")), [{"of": digest, "is": kind} for digest, kind in new.items()])

    def _told(self, entry: Entry) -> Iterator[tuple[str, str]]:
        """(commitment, kind) of what an entry rests on, or put in the place of something else."""
        if entry.kind in _OF and (digest := bodies.reference(entry)):
            yield digest, _OF[entry.kind]
        for old, new in erasures.pairs(entry):
            if new and old in self._of:
                yield new, self._of[old]


def digest(conn: Connection) -> str:
    """SHA-256 over the column, in order of the commitments."""
    total = hashlib.sha256()
    e = t.evidence.c
    for row in conn.execute(select(e.digest, e.kind).order_by(e.digest)):
        total.update(msgspec.msgpack.encode(tuple(row)))
    return total.hexdigest()
