"""Cut a stream of JSON documents into messages: array elements, pretty-printed objects, arrays wrapped in an object.

A scanner, not a parser: it follows brackets and strings only, so that each message's bytes come out as they stood, and
what is not JSON comes out too, for the source to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from countersign.sources.frames import SPACE, Frame, Tally, Window

WRAPPERS = frozenset({b'"alerts"', b'"value"'})
"""Keys of objects around an array of alerts: ``{"alerts": […]}``, ``{"value": […]}``. What else such an object holds is
left out."""
_LOOK_BYTES = 256 * 1024
_GAP = re.compile(rb"[ \t\r\n]*+")
_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:"(?:[^"\\]|\\.)*+"[^"{}\[\]]*+)*+([{}\[\]])', re.DOTALL)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(rb'(?:"(?:[^"\\]|\\.)*+"|[^",\]}])*+', re.DOTALL)
_WRAPPED = re.compile(rb'\{\s*+(?:"[^"\\]*+"\s*+:\s*+(?:"[^"\\]*+"|[\w.+-]++)\s*+,\s*+)*+(?:"alerts"|"value")\s*+:\s*+\[')


def is_documents(window: Window) -> bool:
    """Is this a stream of documents rather than of lines? Looks at the first block only.

    Yes for an array, a wrapper, one object that ends within the first block, and an object printed over several lines:
    its first line stops after an opening bracket or comma and the next begins with a key or a closing bracket. A torn
    line does not look so.
    """
    window.fill_to(_LOOK_BYTES)
    head = window.data[window.pos : window.pos + _LOOK_BYTES].strip(SPACE)
    if head.startswith(b"["):
        return True
    if not head.startswith(b"{"):
        return False
    if _WRAPPED.match(head):
        return True
    first, _, more = head.partition(b"\n")
    if not more:
        return window.ended and len(head) < _LOOK_BYTES and first.rstrip(SPACE).endswith(b"}")
    return first.rstrip(SPACE).endswith((b"{", b"[", b",")) and more.lstrip(SPACE)[:1] in (b'"', b"}", b"]")


def documents(window: Window, tally: Tally, *, unwrap: bool = True) -> Iterator[Frame]:
    """Messages with their ordinal number. A torn array gives its whole elements, then the torn rest. unwrap: the elements
    of a wrapper are messages, not the wrapper."""
    scanner = _Scanner(window, WRAPPERS if unwrap else frozenset())
    for number, raw in enumerate(scanner.messages(), 1):
        tally.lines = number
        yield number, raw


class _Scanner:
    """Positions are relative to ``window.pos``, which stays at the start of what has not been given out."""

    def __init__(self, window: Window, wrappers: frozenset[bytes]) -> None:
        self._window = window
        self._wrappers = wrappers
        self._number = 0

    def messages(self) -> Iterator[bytes]:
        """Each top-level value, arrays and wrappers taken apart."""
        while first := self._peek():
            if first == b"[":
                self._skip(1)
                yield from self._elements()
            elif first == b"{":
                yield from self._object()
            else:
                yield self._take(self._line_end())

    def _elements(self) -> Iterator[bytes]:
        """Elements up to the closing bracket, which is consumed."""
        while first := self._peek():
            if first == b"]":
                self._skip(1)
                return
            if first == b",":
                self._skip(1)
                continue
            end = self._value_end(0)
            if end < 0:
                yield from self._torn()
                return
            yield self._take(end)
        self._window.broken = self._window.broken or "the JSON array is not closed"

    def _object(self) -> Iterator[bytes]:
        """One object as a message, or the elements of the array that it wraps."""
        place, wrapped = 1, False
        while True:
            place = self._gap(place)
            mark = self._byte(place)
            if mark == b",":
                place += 1
            elif mark == b'"' and (value := self._after_key(place)) > 0:
                if self._text(place, value) in self._wrappers and self._byte(value) == b"[":
                    self._skip(value + 1)
                    yield from self._elements()
                    place, wrapped = 0, True
                    continue
                place = self._value_end(value)
                if place < 0:
                    break
            else:
                break
        if wrapped:
            if mark == b"}":
                self._skip(place + 1)
                return
            yield from self._torn()
            return
        end = place + 1 if mark == b"}" else self._value_end(0)
        if end < 0:
            yield from self._torn()
        else:
            yield self._take(end)

    def _text(self, start: int, end: int) -> bytes:
        """The key that stands between two places, with its quotes."""
        base = self._window.pos
        return self._window.data[base + start : base + end].rstrip(SPACE).removesuffix(b":").rstrip(SPACE)

    def _after_key(self, place: int) -> int:
        """Where the value begins whose key begins at ``place``; -1 if there is no key and colon."""
        end = self._string_end(place)
        if end < 0:
            return -1
        end = self._gap(end)
        return self._gap(end + 1) if self._byte(end) == b":" else -1

    def _value_end(self, start: int) -> int:
        """Where the value that begins at ``start`` ends; -1 when the stream ends first."""
        first = self._byte(start)
        if first in (b"{", b"["):
            return self._bracket_end(start)
        while True:
            window = self._window
            match = _SCALAR.match(window.data, window.pos + start)
            end = match.end() - window.pos if match else start
            stop = window.data[window.pos + end : window.pos + end + 1]
            if stop in (b",", b"]", b"}"):
                return max(end, start + 1)  # a stray bracket is a message of its own
            if not self._fill():  # it stopped at the end of what is loaded, or at a quote that has not closed yet
                return -1

    def _bracket_end(self, start: int) -> int:
        depth, place = 0, start
        while True:
            window = self._window
            match = _BRACKET.match(window.data, window.pos + place)
            if match is None:
                if not self._fill():
                    return -1
                continue
            place = match.end() - window.pos
            depth += 1 if match.group(1) in (b"{", b"[") else -1
            if depth == 0:
                return place

    def _string_end(self, place: int) -> int:
        while (match := _STRING.match(self._window.data, self._window.pos + place)) is None:
            if not self._fill():
                return -1
        return match.end() - self._window.pos

    def _line_end(self) -> int:
        window = self._window
        while (end := window.data.find(b"\n", window.pos)) < 0 and self._fill():
            pass
        return (end if end >= 0 else len(window.data)) - window.pos

    def _gap(self, place: int) -> int:
        """First place at or after ``place`` that is not white space."""
        while True:
            window = self._window
            match = _GAP.match(window.data, window.pos + place)
            place = match.end() - window.pos if match else place
            if window.pos + place < len(window.data) or not self._fill():
                return place

    def _byte(self, place: int) -> bytes:
        """The byte at ``place``, empty at the end of the stream."""
        window = self._window
        while window.pos + place >= len(window.data):
            if not self._fill():
                return b""
        return window.data[window.pos + place : window.pos + place + 1]

    def _peek(self) -> bytes:
        """Go to the next byte that is not white space and look at it."""
        self._skip(self._gap(0))
        return self._byte(0)

    def _skip(self, count: int) -> None:
        self._window.pos += count

    def _take(self, count: int) -> bytes:
        window = self._window
        self._number += 1
        raw = window.data[window.pos : window.pos + count]
        window.pos += count
        return raw.rstrip(SPACE)

    def _torn(self) -> Iterator[bytes]:
        """What is left when the stream ends within a value; nothing when the transport tore it."""
        left = self._window.rest(self._number + 1).rstrip(SPACE)
        if left:
            self._number += 1
            yield left

    def _fill(self) -> bool:
        return self._window.fill(self._number + 1)
