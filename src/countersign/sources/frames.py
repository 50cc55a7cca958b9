"""Cut a stream of blocks into the bytes of single messages: lines and CSV records (JSON documents: ``documents.py``).

Nothing is lost and nothing is interpreted: what cannot be a message (a torn rest, text between elements) comes out as a
message of its own, which the source refuses and the hot path quarantines. At most one message and one block are held at
a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from countersign.sources.streams import BrokenStreamError
from countersign.sources.values import RAW_BYTES_MAX

RECORD_BYTES_MAX = 64 << 20
"""A longer line or record is no alert and no mistake of one: reading stops."""
_BOM = b"\xef\xbb\xbf"
SPACE = b" \t\r\n"

Frame = tuple[int, bytes]
"""(number of the line, or of the array element, 1-based; the bytes without the line end)."""


class RecordTooLongError(Exception):
    """A record is longer than ``RECORD_BYTES_MAX``; the argument is its number. Never leaves this room."""


@dataclass(slots=True)
class Tally:
    """What a reader met. lines: physical lines seen. messages: frames given out. blank: blank lines. headers: CSV
    headers."""

    lines: int = 0
    messages: int = 0
    blank: int = 0
    headers: int = 0


class Window:
    """A growing view of the stream. ``data[pos:]`` is what has not been given out yet.

    ``broken`` holds the reason when the stream ended in a fault; the fault is raised by the reader after the last whole
    message.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.data = b""
        self.pos = 0
        self.ended = False
        self.broken = ""

    def fill(self, number: int = 0) -> bool:
        """Append at least one block (as much as is held already, so that long records cost linear time); False at the
        end."""
        if len(self.data) - self.pos > RECORD_BYTES_MAX:
            raise RecordTooLongError(number)
        parts = [self.data[self.pos :]]
        need = max(1, len(parts[0]))
        while need > 0 and not self.ended:
            try:
                block = next(self._blocks, b"")
            except BrokenStreamError as error:
                block, self.broken = b"", str(error)
            self.ended = not block
            parts.append(block)
            need -= len(block)
        grown = len(parts) > 1 and any(parts[1:])
        if grown:
            self.data, self.pos = b"".join(parts), 0
        return grown

    def fill_to(self, size: int) -> None:
        """Load until ``size`` bytes are there, or the stream ends."""
        while len(self.data) - self.pos < size and self.fill():
            pass

    def rest(self, number: int = 0) -> bytes:
        """Everything that is left, up to the size limit; "" after a broken stream, whose last message is torn by the
        transport."""
        while self.fill(number):
            pass
        left = self.data[self.pos :]
        self.pos = len(self.data)
        return b"" if self.broken else left


def skip_bom(window: Window) -> None:
    """Leave out a UTF-8 byte order mark at the start."""
    window.fill_to(len(_BOM))
    if window.data.startswith(_BOM):
        window.pos = len(_BOM)


def lines(window: Window, tally: Tally) -> Iterator[Frame]:
    """Lines without their ends (LF or CRLF); blank ones are counted and skipped. The last needs no line end."""
    for line in _physical(window, tally):
        if line.strip(SPACE):
            yield tally.lines, line.removesuffix(b"\r")
        else:
            tally.blank += 1


def _physical(window: Window, tally: Tally) -> Iterator[bytes]:
    """Lines without LF, with any CR."""
    while True:
        end = window.data.rfind(b"\n", window.pos)
        if end >= 0:
            chunk = window.data[window.pos : end]
            window.pos = end + 1
            for line in chunk.split(b"\n"):
                tally.lines += 1
                if len(line) > RECORD_BYTES_MAX:
                    raise RecordTooLongError(tally.lines)
                yield line
        elif not window.fill(tally.lines + 1):
            break
    left = window.rest(tally.lines + 1)
    if left:
        tally.lines += 1
        yield left


def csv_records(window: Window, tally: Tally) -> Iterator[Frame]:
    """CSV records: a line, or several when a quoted field holds line ends (kept as they are).

    A quote that never closes would swallow the rest of the file: when a record passes ``RAW_BYTES_MAX`` its first line
    is given out alone, and reading goes on with the second.
    """
    source = _physical(window, tally)
    held: deque[bytes] = deque()  # lines taken back from a record whose quote never closed
    while (line := held.popleft() if held else next(source, None)) is not None:
        number = tally.lines - len(held)
        if line.count(b'"') % 2:
            parts = _quoted(line, held, source)
            if sum(part.count(b'"') for part in parts) % 2 == 0:
                line = b"\n".join(parts)
            elif window.broken and not held:
                return  # torn by the transport, like the rest of a broken stream
            else:
                held.extendleft(reversed(parts[1:]))
        if line.strip(SPACE):
            yield number, line.removesuffix(b"\r")
        else:
            tally.blank += 1


def _quoted(line: bytes, held: deque[bytes], source: Iterator[bytes]) -> list[bytes]:
    """``line`` and those after it up to the one that closes its quote, the size limit or the end; takes them out of
    ``held``."""
    parts, size = [line], len(line)
    while size <= RAW_BYTES_MAX:
        more = held.popleft() if held else next(source, None)
        if more is None:
            break
        parts.append(more)
        size += len(more) + 1
        if more.count(b'"') % 2:
            break
    return parts
