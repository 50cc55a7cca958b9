"""One raw message from a tool, and what a source read out of it."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from countersign.model.entities import Entity

MESSAGE_CHARS_MAX = 500
"""Longest attacker-controlled text carried beside the raw bytes (which are always kept whole)."""
ENTITIES_MAX = 64
"""Most entities kept per alert and per finding."""


class Severity(IntEnum):
    """OCSF ``severity_id``. UNKNOWN when the tool does not say."""

    UNKNOWN = 0
    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5
    FATAL = 6


class Alert(msgspec.Struct, frozen=True, gc=False):
    """What a source reads from one raw message.

    time_ms: event time, milliseconds since the epoch, UTC.  uid: the alert's own id within its source, "" if it has none.
    rule: stable id of the detection within the product (``86601``).  title: the detection's name.  entities: each once.
    techniques/tactics: ATT&CK ids (``T1078``, ``TA0001``).  facets: categorical (name, value) pairs that shape the
    pattern (category, program, action …), never free text.  tainted: paths of raw fields that an attacker can write.
    message: attacker-writable text, for people only.  label: disposition imported from the tool, "" if none.
    """

    source: str
    product: str
    uid: str
    time_ms: int
    rule: str
    title: str
    severity: Severity
    tactics: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    entities: tuple[Entity, ...] = ()
    facets: tuple[tuple[str, str], ...] = ()
    tainted: tuple[str, ...] = ()
    message: str = ""
    label: str = ""


class Ignored(msgspec.Struct, frozen=True, gc=False):
    """A well-formed message that is not an alert (for example an EVE ``flow``); counted by reason, kept raw."""

    reason: str


class Delivery(msgspec.Struct, frozen=True):
    """One accepted chunk of raw messages, at most ``CHUNK_ALERTS_MAX``, as it waits in the inbox.

    origin: file name or ``http``.  positions: line (or record) number of each raw message, 1-based, for error locations.
    header: CSV header record, empty otherwise.  mapping: TOML text of the mapping used, empty when the source needs none.
    """

    source: str
    origin: str
    positions: tuple[int, ...]
    raws: tuple[bytes, ...]
    header: bytes = b""
    mapping: str = ""


CHUNK_ALERTS_MAX = 500
"""Most alerts in one delivery, and in one piece of evidence."""
BATCH_ALERTS_MAX = 2_000
"""Most alerts in one micro-batch: what every batch costs, however small, is shared by those that wait (decision 29)."""
