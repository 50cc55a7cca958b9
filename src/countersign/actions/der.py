"""Distinguished Encoding Rules, as little of them as a probe speaks: single-byte tags, definite lengths (X.690)."""

from __future__ import annotations

from collections.abc import Iterator

SEQUENCE, INTEGER, BITS, TEXT, TIME = 0x30, 0x02, 0x03, 0x1B, 0x18


def tlv(tag: int, *parts: bytes) -> bytes:
    """One element: tag, length, and the parts one after the other."""
    value = b"".join(parts)
    size = len(value)
    if size < 0x80:
        return bytes((tag, size)) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + value


def number(value: int) -> bytes:
    """A non-negative INTEGER."""
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def elements(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, value) of each element in ``raw``. Raises ValueError where it is cut short."""
    at = 0
    while at < len(raw):
        tag, start, end = raw[at], *_extent(raw, at + 1)
        yield tag, raw[start:end]
        at = end


def _extent(raw: bytes, at: int) -> tuple[int, int]:
    """Where the value begins and ends whose length stands at ``at``."""
    if at >= len(raw):
        raise ValueError("the length is missing")
    size, start = raw[at], at + 1
    if size & 0x80:
        width = size & 0x7F
        if not 1 <= width <= 4 or start + width > len(raw):
            raise ValueError("the length cannot be read")
        size, start = int.from_bytes(raw[start : start + width], "big"), start + width
    if start + size > len(raw):
        raise ValueError("cut short")
    return start, start + size
