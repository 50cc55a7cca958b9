"""Canonical bytes of a ledger entry: RFC 8785 (JCS) JSON of the envelope, integers and strings only.

Why so narrow: floats, booleans and null are where JSON writers differ, so the ledger has none of them. Allowed are
``int`` within ±(2^53-1) (RFC 8785 section 3.2.2.3: numbers are IEEE doubles), ``str`` without lone surrogates, ``list``
(a ``tuple`` or an array-like struct is written as one), and ``dict`` with ``str`` keys; enums over ``str`` or ``int``
stand for their value. A ``bool`` is refused (write 0 or 1), so is ``None`` (leave the key out or write "") and
``bytes`` (write hex).

Speed: msgspec's sorted writer gives exactly RFC 8785 bytes for such values with one exception, checked by a property
test against the ``rfc8785`` package: it sorts keys by UTF-8 bytes where the standard asks for UTF-16 units, which
differs only once a character beyond U+FFFF is there. Those entries take the slow way, which orders keys itself.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from typing import Any, NoReturn

import msgspec

from countersign.errors import UsageError, VerificationError
from countersign.ledger.decisions import INTEGER_MAX, DecisionEntry, fits, write
from countersign.model.entries import ENTRY_BYTES_MAX, Entry, Kind

DEPTH_MAX = 32
"""Deepest nesting below ``body``."""
ACTOR_TYPES = frozenset({"agent", "human", "system"})

_SORTED = msgspec.json.Encoder(order="sorted")
_AS_GIVEN = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Entry)
_SCALARS = frozenset({int, str})
_PLAIN = frozenset({int, str, list, tuple, dict})
_ASTRAL = re.compile(rb"[\xf0-\xf7]")
_ENVELOPE = (Kind, int, int, str, str, str, str, str, str)


def encode(entry: Entry | DecisionEntry) -> bytes:
    """Canonical bytes of ``entry``, at most 65,535. Raises UsageError naming the field that cannot be written."""
    if isinstance(entry, DecisionEntry):
        return _encode_decision(entry)
    try:
        data = _SORTED.encode(entry)
        fast = _is_decision(entry, data) or _is_plain(entry)
    except (TypeError, ValueError, RecursionError, AttributeError):
        fast, data = False, b""
    if not fast or not (data.isascii() or _ASTRAL.search(data) is None):
        data = _encode_checked(entry)
    return _bounded(data, entry.kind)


def _encode_decision(entry: DecisionEntry) -> bytes:
    try:
        data = write(entry)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot be written: {error}", where=f"entry {entry.kind} of {entry.subject!r}") from error
    if not fits(data):
        _encode_checked(_DECODER.decode(data))  # names the field, unless a text stands where a number should, or the reverse
        _refuse("body", "has a value of another type than its schema")
    if not (data.isascii() or _ASTRAL.search(data) is None):
        data = _encode_checked(_DECODER.decode(data))
    return _bounded(data, entry.kind)


def _bounded(data: bytes, kind: str) -> bytes:
    if len(data) > ENTRY_BYTES_MAX:
        raise UsageError(
            f"entry of {len(data)} bytes is over the limit of {ENTRY_BYTES_MAX}",
            where=str(kind),
            todo="keep large matter as evidence and record its digest",
        )
    return data


def decode(data: bytes) -> Entry:
    """The entry in ``data``; raises VerificationError unless ``encode`` gives back exactly these bytes."""
    if not isinstance(data, bytes):  # SQLite lets anything into a column of bytes
        raise VerificationError(f"not an entry: {type(data).__name__} in place of bytes")
    if len(data) > ENTRY_BYTES_MAX:
        raise VerificationError(f"entry of {len(data)} bytes is over the limit of {ENTRY_BYTES_MAX}")
    try:
        entry = _DECODER.decode(data)
        again = encode(entry)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise VerificationError(f"not an entry: {error}") from error
    except UsageError as error:
        raise VerificationError(f"not a canonical entry: {error}") from error
    if again != data:
        at = _first_difference(again, data)
        raise VerificationError(f"not a canonical entry: differs from RFC 8785 at byte {at}")
    return entry


def encode_value(value: Any, name: str) -> bytes:  # noqa: ANN401 - JSON
    """Canonical bytes of any value of the allowed kinds. Raises UsageError naming the field, as ``name.field``."""
    return _AS_GIVEN.encode(_ordered(value, name, 0))


def _is_decision(entry: Entry, data: bytes) -> bool:
    """True when the bytes are those of a decision as it should be: its values are then of allowed types."""
    return entry.kind is Kind.FINDING_DECIDED and fits(data)


def _is_plain(entry: Entry) -> bool:
    """True when every value has an exact, allowed type: level by level, so that the interpreter runs per level."""
    actor = entry.actor
    texts = (actor.type, actor.id, actor.lease, entry.subject, entry.trigger, entry.tenant)
    envelope = (entry.kind, entry.time, entry.v, *texts)
    if (*map(type, envelope),) != _ENVELOPE or type(entry.body) is not dict:
        return False
    if entry.v != 1 or actor.type not in ACTOR_TYPES:
        return False
    level: list[Any] = [entry.time, *entry.body.values()]
    for _ in range(DEPTH_MAX):
        kinds = set(map(type, level))
        if not all(map(_is_allowed, kinds)) or (int in kinds and not _are_exact(level)):
            return False
        if kinds <= _SCALARS:
            return True
        level = _children(level)
    return False


@lru_cache(maxsize=256)
def _is_allowed(kind: type) -> bool:
    """Exact JSON types, enums over ``str``, and structs that are written as arrays (checked like the list they become)."""
    if kind in _PLAIN or issubclass(kind, StrEnum):
        return True
    return issubclass(kind, msgspec.Struct) and kind.__struct_config__.array_like


def _are_exact(level: list[Any]) -> bool:
    numbers = [value for value in level if type(value) is int]
    return max(numbers) <= INTEGER_MAX and min(numbers) >= -INTEGER_MAX


def _children(level: list[Any]) -> list[Any]:
    below: list[Any] = []
    structs: list[Any] = []
    for value in level:
        kind = type(value)
        if kind is str or kind is int:
            continue
        if kind is tuple or kind is list:
            below += value
        elif kind is dict:
            below += value.values()
        elif not isinstance(value, str):
            structs.append(value)
    below.extend(chain.from_iterable(map(msgspec.structs.astuple, structs)))
    return below


def _encode_checked(entry: Entry) -> bytes:
    """The slow way: checks every value by name, orders keys by UTF-16 code units (RFC 8785 section 3.2.3)."""
    if not isinstance(entry.kind, Kind):
        _refuse("kind", f"{entry.kind!r} is no entry kind")
    if entry.v != 1:
        _refuse("v", f"version {entry.v!r} is unknown")
    if entry.actor.type not in ACTOR_TYPES:
        _refuse("actor.type", f"{entry.actor.type!r} is not one of {', '.join(sorted(ACTOR_TYPES))}")
    if not isinstance(entry.body, dict):
        _refuse("body", "is not an object")
    actor = {name: _text(getattr(entry.actor, name), f"actor.{name}") for name in ("id", "lease", "type")}
    if not isinstance(entry.time, int):
        _refuse("time", "is not an integer")
    return _AS_GIVEN.encode(
        {
            "actor": actor,
            "body": _ordered(entry.body, "body", 0),
            "kind": entry.kind.value,
            "subject": _text(entry.subject, "subject"),
            "tenant": _text(entry.tenant, "tenant"),
            "time": _ordered(entry.time, "time", 0),
            "trigger": _text(entry.trigger, "trigger"),
            "v": 1,
        }
    )


def _ordered(value: Any, path: str, depth: int) -> Any:  # noqa: ANN401 - JSON
    if depth > DEPTH_MAX:
        _refuse(path[:200], f"is nested deeper than {DEPTH_MAX} levels")
    if isinstance(value, dict):
        keys = sorted((_text(key, f"{path} key") for key in value), key=lambda key: key.encode("utf-16-be"))
        return {key: _ordered(value[key], f"{path}.{key}", depth + 1) for key in keys}
    if isinstance(value, msgspec.Struct) and value.__struct_config__.array_like:
        value = msgspec.structs.astuple(value)
    if isinstance(value, list | tuple):
        return [_ordered(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, int) and not isinstance(value, bool):
        if not -INTEGER_MAX <= value <= INTEGER_MAX:
            _refuse(path, f"{value} is beyond ±(2^53-1)", "write it as a string")
        return int(value)
    return _text(value, path)


def _text(value: Any, path: str) -> str:  # noqa: ANN401 - JSON
    if not isinstance(value, str):
        _refuse(path, f"{type(value).__name__} is not allowed", "write integers, strings, lists and objects only")
    try:
        value.encode()
    except UnicodeEncodeError:
        _refuse(path, "holds a lone surrogate", "replace it with U+FFFD before recording")
    return str.__str__(value)


def _refuse(path: str, what: str, todo: str = "") -> NoReturn:
    raise UsageError(what, where=f"entry {path}", todo=todo)


def _first_difference(one: bytes, other: bytes) -> int:
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
