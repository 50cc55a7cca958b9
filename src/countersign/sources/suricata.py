"""Suricata EVE JSON: records with ``event_type`` alert; flows, protocol records and statistics are ignored with their
type."""

from __future__ import annotations

import msgspec

from countersign.errors import SourceError
from countersign.model.alerts import Alert, Ignored
from countersign.sources import eve as wire
from countersign.sources import values


class SuricataSource:
    """``eve.json`` → alert. rule: ``gid:sid`` without the usual gid 1; the sensor name stays in the raw record.

    EVE records have no id of their own (``flow_id`` is shared by all alerts of a flow), so ``uid`` is "".
    """

    name = "suricata"

    def __init__(self, *, header: bytes = b"", mapping: str = "") -> None:
        del header, mapping
        self._decoder = msgspec.json.Decoder(wire.Eve, strict=False)

    def parse(self, raw: bytes) -> Alert | Ignored:
        """Read one EVE record. Raises SourceError naming the field."""
        eve = values.decode_json(self._decoder, raw)
        if eve.event_type != "alert":
            if not eve.event_type:
                raise SourceError("missing", where="event_type", todo="send EVE JSON records")
            return Ignored(f"event_type={eve.event_type[:40]}")
        alert = eve.alert
        if alert is None:
            raise SourceError("missing", where="alert")
        tactics, techniques = wire.attack(alert)
        sid = str(alert.signature_id)
        return Alert(
            source="suricata",
            product="Suricata",
            uid="",
            time_ms=values.iso_ms(eve.timestamp, "timestamp"),
            rule=sid if alert.gid in (None, 1) else f"{alert.gid}:{sid}",
            title=(alert.signature or f"Signature {sid}")[: values.TITLE_CHARS_MAX],
            severity=wire.severity(alert),
            tactics=tactics,
            techniques=techniques,
            entities=values.unique(wire.entities(eve, alert)),
            facets=tuple(wire.facets(eve, alert)),
            tainted=tuple(wire.tainted(eve)),
            message=wire.text(eve),
        )
