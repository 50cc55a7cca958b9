"""What a worker carries from one micro-batch to the next, so that it need not read what it has just written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from countersign.flow import Part
from countersign.model.alerts import Delivery
from countersign.model.records import FindingRecord, Outline
from countersign.store import evidence, inbox, past, recorded, working


class Carried:
    """Deliveries that this process accepted itself, counts of the past, and findings."""

    def __init__(self) -> None:
        self._fresh: dict[str, Delivery] = {}
        self._past = past.Carried()
        self.recent = recorded.Recent()

    def expect(self, fresh: Mapping[str, Delivery]) -> None:
        """Deliveries that are to be processed next, by their commitment."""
        self._fresh = dict(fresh)

    def deliveries(self, conn: Connection, claimed: Sequence[inbox.Claimed]) -> list[Delivery]:
        """What waits in each row. From where a person was erased since it was accepted, it is read as it is now."""
        held = [row.blob for row in claimed if row.blob in self._fresh]
        intact = evidence.intact(conn, held) if held else set()
        return [self._fresh[row.blob] if row.blob in intact else evidence.get(conn, row.blob, Delivery) for row in claimed]

    def load(self, conn: Connection, parts: Sequence[Part], size: int) -> working.Working:
        """The working set of a batch. size: entries in the ledger, whose head the caller has locked."""
        findings = [part.finding for part in parts]
        history = self._past.lend(conn, findings, size)
        return working.load(conn, findings, [part.pattern for part in parts], history, self.recent)

    def wrote(self, places: Sequence[recorded.Place], records: Sequence[FindingRecord]) -> None:
        """Where records are kept now."""
        self.recent.hold({place: Outline(r.finding, r.links) for place, r in zip(places, records, strict=True)})

    def keep(self, size: int) -> None:
        """The batch was committed, and the ledger now holds ``size`` entries."""
        self._past.keep(size)
