"""One raw alert, byte for byte as it came in, checked against the commitment that the ledger holds."""

from __future__ import annotations

import hashlib

import msgspec
from sqlalchemy import Connection

from countersign.errors import NotFoundError
from countersign.model.alerts import Delivery
from countersign.store import evidence

RAW_BYTES_MAX = 256 * 1024
"""Most bytes of one raw alert shown on a page; its digest is over all of them."""


class RawAlert(msgspec.Struct, frozen=True):
    """data: the first ``RAW_BYTES_MAX`` bytes. size: all of them. header: the CSV header record, empty otherwise.
    place: 0-based within the delivery. position: 1-based line or record number in its origin. erased: entry of the latest
    erasure that took a person out of the delivery, -1 when none did; a message that named them is no longer as received."""

    blob: str
    place: int
    position: int
    source: str
    origin: str
    sha256: str
    size: int
    data: bytes
    header: bytes
    erased: int = -1


def raw_alert(conn: Connection, blob: str, place: int) -> RawAlert:
    """The alert at a 0-based place of a delivery. Raises NotFoundError, or VerificationError when the stored bytes are
    not the ones committed to."""
    delivery = evidence.get(conn, blob, Delivery)
    if not 0 <= place < len(delivery.raws):
        todo = "open it from its finding"
        raise NotFoundError("the delivery holds no such alert", where=f"{blob[:12]}:{place}", todo=todo)
    raw = delivery.raws[place]
    erased = evidence.erased(conn, blob)
    return RawAlert(
        blob=blob,
        place=place,
        position=delivery.positions[place],
        source=delivery.source,
        origin=delivery.origin,
        sha256=hashlib.sha256(raw).hexdigest(),
        size=len(raw),
        data=raw[:RAW_BYTES_MAX],
        header=delivery.header,
        erased=-1 if erased is None else erased,
    )
