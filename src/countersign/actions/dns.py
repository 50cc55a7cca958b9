"""One question to a resolver, as small as DNS allows (RFC 1035 section 4): which IPv4 addresses does a name have?"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

NOERROR, NXDOMAIN = 0, 3
_HEADER = struct.Struct("!HHHHHH")
_RECURSE, _ANSWER, _RCODE = 0x0100, 0x8000, 0x000F
_A, _IN = 1, 1
_POINTER = 0xC0


@dataclass(frozen=True, slots=True)
class Reply:
    """rcode: RFC 1035's. addresses: of the answer's A records, whatever their owner's name, canonical."""

    rcode: int
    addresses: tuple[str, ...]


def question(name: str, ident: int) -> bytes:
    """A query for the A records of a canonical domain. ident: 16 bits, not to be guessed."""
    return _HEADER.pack(ident, _RECURSE, 1, 0, 0, 0) + _asked(name)


def reply(data: bytes, name: str, ident: int) -> Reply | None:
    """What was answered; None when this is no answer to that question, or is damaged."""
    asked = _asked(name)
    try:
        got, flags, questions, answers, _, _ = _HEADER.unpack_from(data)
        body = data[_HEADER.size :]
        if got != ident or not flags & _ANSWER or questions != 1 or body[: len(asked)].lower() != asked:
            return None
        return Reply(flags & _RCODE, tuple(_addresses(data, _HEADER.size + len(asked), answers)))
    except (struct.error, IndexError):
        return None


def _addresses(data: bytes, at: int, count: int) -> list[str]:
    found = []
    for _ in range(count):
        at = _after_name(data, at)
        kind, group, _, size = struct.unpack_from("!HHIH", data, at)
        at += 10
        if kind == _A and group == _IN and size == 4:
            found.append(str(ipaddress.IPv4Address(struct.unpack_from("!I", data, at)[0])))
        at += size
    return found


def _after_name(data: bytes, at: int) -> int:
    """Where the name that begins at ``at`` ends; a pointer ends it."""
    while size := data[at]:
        if size & _POINTER == _POINTER:
            return at + 2
        at += 1 + size
    return at + 1


def _asked(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split("."))
    return labels + b"\0" + struct.pack("!HH", _A, _IN)
