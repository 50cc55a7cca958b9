"""What every source does to bytes, times and names before they become an alert.

Bounds stand here once: a raw message is at most ``RAW_BYTES_MAX``, an entity value at most ``VALUE_CHARS_MAX``
characters, a time lies between 1990 and 2100. Control and bidi characters are kept (screens make them visible) but for
NUL, which no database text can hold: escaped in JSON it is read as the symbol U+2400, because an attacker who can write
one must not be able to push the alert out of the queue (P10); as a bare byte it means that the file is not text, and is
refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import TypeVar

import msgspec

from countersign.errors import SourceError
from countersign.model.alerts import ENTITIES_MAX, MESSAGE_CHARS_MAX
from countersign.model.entities import Entity, EntityType, Role

RAW_BYTES_MAX = 1 << 20
"""Largest raw message that is read; larger ones are quarantined whole."""
VALUE_CHARS_MAX = 512
RULE_CHARS_MAX = 128
TITLE_CHARS_MAX = 300
EARLIEST_MS = 631_152_000_000
"""1990-01-01 UTC. Earlier times are broken clocks and missing values (the epoch itself)."""
LATEST_MS = 4_102_444_800_000
"""2100-01-01 UTC."""
CACHE_SIZE = 16_384
"""Entries per cache of repeated strings."""
_CACHED_CHARS_MAX = 128

_T = TypeVar("_T")
Maker = Callable[[str], Entity | None]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EMPTY = frozenset({"", "-", "(null)", "n/a"})
_BACKSLASH = ord("\\")
_NUL_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_IPV4 = re.compile(r"(?:25[0-5]|2[0-4]\d|1?[1-9]\d|1\d\d|\d)(?:\.(?:25[0-5]|2[0-4]\d|1?[1-9]\d|1\d\d|\d)){3}", re.ASCII)
_MISSING = re.compile(r"missing required field `([^`]*)`")
_HEX = re.compile(r"[0-9a-f]{32,128}")
_MAIL_EDGES = re.compile(r"[\s<>\",;]+")


def text_bytes(raw: bytes) -> bytes:
    """``raw`` if it is bounded UTF-8 text, with JSON-escaped NULs made visible. Raises SourceError."""
    if len(raw) > RAW_BYTES_MAX:
        raise SourceError(f"message of {len(raw)} bytes; the limit is {RAW_BYTES_MAX}", todo="shorten it at the sender")
    if not raw.isascii():
        _require_utf8(raw)
    if 0 in raw:
        raise SourceError(f"NUL byte at offset {raw.index(0)}", todo="send UTF-8 text")
    if _BACKSLASH in raw and b"\\u0000" in raw:  # a byte, named by its number, is found ten times as fast as six
        return _NUL_ESCAPE.sub(rb"\1\\u2400", raw)
    return raw


def _require_utf8(raw: bytes) -> None:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise SourceError(f"not UTF-8 at byte {error.start}", todo="send UTF-8 text") from None


def decode_json(decoder: msgspec.json.Decoder[_T], raw: bytes) -> _T:
    """Decode one JSON message; every failure is a SourceError that names the field where it can.

    A key that occurs twice counts with its last value, as most JSON readers have it; the raw bytes keep both.
    """
    try:
        return decoder.decode(text_bytes(raw))
    except msgspec.ValidationError as error:
        raise _wrong_type(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"not valid JSON: {_short(error)}") from None
    except RecursionError:
        raise SourceError("JSON nested too deeply") from None


def convert(value: object, kind: type[_T], where: str) -> _T:
    """Read a decoded JSON value as ``kind``; a failure is a SourceError below the field ``where``."""
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _wrong_type(error, where) from None
    except RecursionError:
        raise SourceError("JSON nested too deeply", where=where) from None


def _wrong_type(error: msgspec.ValidationError, prefix: str = "") -> SourceError:
    what, _, path = str(error).partition(" - at `$")
    where = prefix + path.rstrip("`")
    if missing := _MISSING.search(what):
        where = f"{where}.{missing.group(1)}"
    return SourceError(_short(what), where=where.lstrip(".")[:VALUE_CHARS_MAX])


def _short(error: object) -> str:
    return str(error)[:200]


def bounded_ms(ms: int, where: str) -> int:
    """``ms`` if it lies between 1990 and 2100 (exclusive)."""
    if not EARLIEST_MS < ms < LATEST_MS:
        raise SourceError(
            "time is not between 1990 and 2100", where=where, todo="check the sender's clock and the time unit"
        )
    return ms


def iso_ms(text: str, where: str) -> int:
    """ISO 8601 time as milliseconds since the epoch; no zone means UTC. Raises SourceError naming ``where``."""
    try:
        return bounded_ms(datetime_ms(datetime.fromisoformat(text)), where)
    except (ValueError, OverflowError):
        raise SourceError(f"not an ISO 8601 time: {text[:40]!r}", where=where) from None


def datetime_ms(moment: datetime) -> int:
    """Milliseconds since the epoch, rounded down, in integers; no zone means UTC."""
    past: timedelta = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    return past.days * 86_400_000 + past.seconds * 1000 + past.microseconds // 1000


def message(text: str) -> str:
    """Text for people, bounded."""
    return text[:MESSAGE_CHARS_MAX]


def unique(found: Iterable[Entity | None]) -> tuple[Entity, ...]:
    """The entities in order, each once, at most ``ENTITIES_MAX``."""
    kept: list[Entity] = []
    for entity in found:
        if entity is not None and entity not in kept:
            kept.append(entity)
    return tuple(kept[:ENTITIES_MAX])


def clean_ip(text: str) -> str:
    """Canonical address without port, brackets or zone; "" if it is none. IPv4-mapped IPv6 becomes IPv4."""
    if _IPV4.fullmatch(text):
        return text
    host = text.partition("]")[0][1:] if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return address.compressed


def is_private(address: str) -> bool:
    """Is this canonical address one that a site uses inside (RFC 1918, 4193, 3927, loopback, link-local)?"""
    if address.startswith("172."):
        return address[4:7] in _PRIVATE_172
    return address.startswith(("10.", "192.168.", "127.", "169.254.", "fc", "fd", "fe80:")) or address == "::1"


_PRIVATE_172 = frozenset(f"{n}." for n in range(16, 32))


def _clean_name(text: str) -> str:
    return text.lower().rstrip(".")


def _clean_domain(text: str) -> str:
    name = _clean_name(text)
    if name.count(":") == 1:
        name = name.partition(":")[0]
    return "" if clean_ip(name) else name


def _clean_hash(text: str) -> str:
    digest = text.lower().replace(":", "").rpartition("=")[2]
    for prefix in ("sha256", "sha1", "md5"):
        digest = digest.removeprefix(prefix)
    return digest if _HEX.fullmatch(digest) else ""


def _clean_mail(text: str) -> str:
    """The last address in ``Name <address>``, ``mailto:address`` and the like."""
    for part in reversed(_MAIL_EDGES.split(text)):
        if "@" in part:
            return part.lower().removeprefix("mailto:").removeprefix("smtp:")
    return ""


_CLEAN: dict[EntityType, Callable[[str], str]] = {
    EntityType.HOST: _clean_name,
    EntityType.USER: str.lower,
    EntityType.IP: clean_ip,
    EntityType.DOMAIN: _clean_domain,
    EntityType.HASH: _clean_hash,
    EntityType.MAIL: _clean_mail,
}


@lru_cache(maxsize=64)
def maker(kind: EntityType, role: Role) -> Maker:
    """The function that turns text into the entity of this type in this role, or None when the text names none.

    One function per type and role, because hashing an enum member for a cache costs more than all the rest.
    """
    clean = _CLEAN.get(kind)

    def build(text: str) -> Entity | None:
        value = text.strip()
        if value.lower() in _EMPTY:
            return None
        if clean is not None:
            value = clean(value)
        return Entity(kind, value[:VALUE_CHARS_MAX], role) if value else None

    known: dict[str, Entity] = {}

    def make(text: str) -> Entity | None:
        entity = known.get(text)
        if entity is None:
            entity = build(text[: 2 * VALUE_CHARS_MAX])
            # Long texts stay out of the memory, which must never hold megabytes of an attacker's choosing.
            if entity is not None and len(text) <= _CACHED_CHARS_MAX:
                if len(known) >= CACHE_SIZE:
                    known.clear()
                known[text] = entity
        return entity

    return make
