"""What a ``finding.decided`` entry looks like: a schema to write it by, and to check its bytes by, in compiled code.

The ledger holds more of these than of all other kinds together. Checking the written bytes costs a quarter of looking at
every value before it is written, and reading them a sixth of reading any JSON; a body that does not fit takes that slower
way. Fields stand in the order in which RFC 8785 writes them, so that writing them sorts nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from countersign.model.entries import Actor

INTEGER_MAX = 2**53 - 1
"""Largest magnitude that every JSON reader keeps exact (RFC 8785 section 3.2.2.3: numbers are IEEE doubles)."""

Exact = Annotated[int, msgspec.Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)]
Value = Exact | str


class _Strict(msgspec.Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """Neither more nor fewer fields than declared; no float, boolean or null passes for an integer or text."""


class Writer(_Strict):
    """``actor``."""

    id: str
    lease: str
    type: Literal["agent", "human", "system"]


class Alerts(_Strict):
    """``alerts``."""

    added: Exact
    total: Exact


class Flip(_Strict):
    """``counterfactual``."""

    changes: list[tuple[str, Value, Value, Exact]]
    pico: Exact
    possible: Exact


class Place(_Strict):
    """``record``."""

    blob: str
    place: Exact


class Body(_Strict, kw_only=True):
    """``body``; see ``bodies.decision``."""

    action: str
    advice: str
    alerts: Alerts
    case: str
    conditions: msgspec.Raw  # rows of four texts, see ``_are_rows``
    contributions: list[tuple[str, Value, Exact]]
    counterfactual: Flip
    draw: tuple[str, Exact, Exact, Exact, Exact] | None = None
    first: Exact
    host: str
    intercept: Exact
    label: str
    links: list[tuple[str, str, str]]
    model: str
    novelty_ppm: Exact
    p_ppm: tuple[Exact, Exact]
    pattern: str
    pico: Exact
    policy: str
    rarity: Exact
    record: Place
    rule: str
    scope: str
    seen: tuple[Exact, Exact]
    severity: Exact
    sources: dict[str, tuple[Exact, Exact, Exact]]
    stage: str
    tainted: list[str]
    techniques: list[str]
    why: str


class DecisionEntry(_Strict):
    """The whole entry."""

    actor: Writer
    body: Body
    kind: Literal["finding.decided"]
    subject: str
    tenant: str
    time: Exact
    trigger: str
    v: Literal[1]


def entry(actor: Actor, trigger: str, time_ms: int, subject: str, body: Body) -> DecisionEntry:
    """An entry of the default tenant, to be appended."""
    kind: Any = actor.type
    writer = Writer(actor.id, actor.lease, kind)
    return DecisionEntry(writer, body, "finding.decided", subject, "default", time_ms, trigger, 1)


_decode = msgspec.json.Decoder(DecisionEntry).decode
_encoder = msgspec.json.Encoder(order="deterministic")
write, _encode_into = _encoder.encode, _encoder.encode_into
"""``write``: bytes of a decision, canonical if they fit (``fits``)."""
_HIGH = bytes(range(0xF0, 0xF8))
_rows = msgspec.json.Decoder(list[tuple[str, str, str, str]]).decode
_known: set[bytes] = set()
KNOWN_MAX, KNOWN_BYTES_MAX = 4_096, 4_096
"""How many lists of conditions are remembered, and up to which size: most decisions repeat one of a few. They are half of
what there is to read."""


def fits(data: bytes) -> bool:
    """Whether these bytes, as the sorted writer wrote them, are a decision as it should be."""
    try:
        return _are_rows(bytes(_decode(data).body.conditions))
    except msgspec.ValidationError:
        return False


def _are_rows(data: bytes) -> bool:
    """Whether these are conditions in canonical form. Raises msgspec.MsgspecError where they are nothing of the kind."""
    if data in _known:
        return True
    if msgspec.json.encode(_rows(data)) != data:
        return False
    if len(_known) >= KNOWN_MAX:
        _known.clear()
    if len(data) <= KNOWN_BYTES_MAX:
        _known.add(data)
    return True


class Reader:
    """Reads decisions one after the other, into one buffer: not to be shared between threads."""

    def __init__(self) -> None:
        self._again = bytearray()

    def read(self, data: bytes) -> DecisionEntry | None:
        """The decision in canonical bytes; None for anything else, and where only the slow way can tell: keys of characters
        beyond U+FFFF may stand in another order (``canonical``)."""
        try:
            found = _decode(data)
            if not _are_rows(bytes(found.body.conditions)):
                return None
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return None
        _encode_into(found, self._again)
        is_ordered = data.isascii() or len(data.translate(None, _HIGH)) == len(data)
        return found if is_ordered and self._again == data else None
