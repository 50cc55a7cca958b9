"""Files, streams and HTTP bodies → deliveries: chunks of raw messages with the places they stood at.

What is read: plain, gzip, xz and zstd (by magic number); JSON lines, JSON arrays, pretty-printed objects, arrays
wrapped as
``{"alerts": […]}`` or ``{"value": […]}``, and CSV when the mapping says so. The shape is seen from the content. Every
message comes out byte for byte, also those that no source will be able to read. At most one chunk and one block are
held in memory.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from countersign.errors import EnvironmentFault, UsageError
from countersign.model.alerts import CHUNK_ALERTS_MAX, Delivery
from countersign.sources import make_source
from countersign.sources.documents import documents, is_documents
from countersign.sources.frames import (
    RECORD_BYTES_MAX,
    Frame,
    RecordTooLongError,
    Tally,
    Window,
    csv_records,
    lines,
    skip_bom,
)
from countersign.sources.mapping import parse_mapping
from countersign.sources.streams import BLOCK_BYTES, BrokenStreamError, blocks, is_compressed

CHUNK_BYTES_MAX = 4 << 20
"""A chunk is closed before it passes this size; a single longer message is a chunk of its own."""
BODY_BYTES_MAX = 32 << 20
"""Largest HTTP body, unpacked; it is held in memory whole."""
FOLLOW_POLL_S = 0.5
_CONTENT_TYPES = ("json", "text", "csv", "octet-stream", "gzip", "zstd", "xz", "form-urlencoded")


def _poll() -> bool:
    time.sleep(FOLLOW_POLL_S)
    return True


def read_deliveries(
    path: Path,
    source: str,
    *,
    origin: str = "",
    mapping: str = "",
    follow: bool = False,
    unwrap: bool = True,
    tally: Tally | None = None,
    wait: Callable[[], bool] = _poll,
) -> Iterator[Delivery]:
    """The messages of one file in chunks of at most ``CHUNK_ALERTS_MAX`` and ``CHUNK_BYTES_MAX``.

    origin: what entries and quarantine call it; the file's name unless said. mapping: TOML text, for ``generic``. tally:
    filled while reading; ``tally.messages`` is the number of messages given out, which is the sum of accepted, duplicate,
    ignored and quarantined ones. follow: wait for more at the end of the file as long as ``wait``, called there, says True.
    unwrap: an object around an array of alerts gives its elements, not itself. Raises UsageError with file and line for a
    stream that is cut off or damaged (after delivering what could be read) and for a record over ``RECORD_BYTES_MAX``;
    ConfigError for a faulty mapping; EnvironmentFault for a file that cannot be read.
    """
    count = tally if tally is not None else Tally()
    try:
        with path.open("rb") as stream:
            if follow:
                yield from _follow(path, stream, source, mapping, count, wait)
            else:
                named = origin or path.name
                yield from read_stream(stream, source, origin=named, mapping=mapping, unwrap=unwrap, tally=count)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot read: {error.strerror}", where=str(path), todo="check the path and permissions"
        ) from None


def read_stream(
    stream: IO[bytes],
    source: str,
    *,
    origin: str = "-",
    mapping: str = "",
    unwrap: bool = True,
    tally: Tally | None = None,
) -> Iterator[Delivery]:
    """Like ``read_deliveries`` for an open binary stream, such as standard input."""
    count = tally if tally is not None else Tally()
    window = Window(blocks(stream))
    skip_bom(window)
    yield from _deliver(window, source, origin, mapping, count, unwrap=unwrap)
    if window.broken:
        raise UsageError(
            f"{window.broken}; {count.messages} messages before that were read",
            where=f"{origin}:{count.lines + 1}",
            todo="fetch the file again and ingest it whole: what was read is known and not taken twice",
        )


def split_body(
    body: bytes,
    source: str,
    *,
    mapping: str = "",
    content_type: str = "",
    origin: str = "http",
    tally: Tally | None = None,
) -> list[Delivery]:
    """The messages of an HTTP body: one object, an array, a wrapper, lines, or CSV; possibly compressed.

    content_type is not needed to tell them apart, but a declared type that is neither JSON nor text is refused. Raises
    UsageError, also for a body of more than ``BODY_BYTES_MAX`` when unpacked: nothing of it is taken.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind and not any(word in kind for word in _CONTENT_TYPES):
        todo = "send application/json, application/x-ndjson or text/csv"
        raise UsageError(f"content type {kind[:80]!r} is not accepted", where=origin, todo=todo)
    unpacked = bytearray()
    try:
        for block in blocks(io.BytesIO(body)):
            unpacked += block
            if len(unpacked) > BODY_BYTES_MAX:
                raise UsageError(f"body of more than {BODY_BYTES_MAX} bytes", where=origin, todo="send it in parts")
    except BrokenStreamError as error:
        raise UsageError(str(error), where=origin, todo="send it again") from None
    return list(read_stream(io.BytesIO(unpacked), source, origin=origin, mapping=mapping, tally=tally))


def input_files(path: Path) -> list[Path]:
    """The files to read for a path: itself, or all files below a directory sorted by path (hidden ones and hidden folders
    left out, links to folders not followed). Raises UsageError."""
    if path.is_dir():
        found = sorted(item for item in path.rglob("*") if item.is_file() and not _hidden(item.relative_to(path)))
        if not found:
            raise UsageError("no files in this directory", where=str(path))
        return found
    if not path.exists():
        raise UsageError("no such file or directory", where=str(path))
    return [path]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _deliver(window: Window, source: str, origin: str, mapping: str, tally: Tally, *, unwrap: bool) -> Iterator[Delivery]:
    header, frames = _frames(window, source, mapping, tally, unwrap=unwrap)
    try:
        for chunk in _chunks(frames):
            tally.messages += len(chunk)
            yield _delivery(chunk, source, origin, header, mapping)
    except RecordTooLongError as error:
        raise UsageError(
            f"record longer than {RECORD_BYTES_MAX} bytes",
            where=f"{origin}:{error.args[0]}",
            todo="this is not a file of alerts, or it lacks line ends",
        ) from None


def _delivery(chunk: list[Frame], source: str, origin: str, header: bytes, mapping: str) -> Delivery:
    return Delivery(
        source=source,
        origin=origin,
        positions=tuple([number for number, _ in chunk]),
        raws=tuple([raw for _, raw in chunk]),
        header=header,
        mapping=mapping,
    )


def _frames(window: Window, source: str, mapping: str, tally: Tally, *, unwrap: bool) -> tuple[bytes, Iterator[Frame]]:
    """(CSV header, messages). Makes the source once, so that a wrong name, mapping or header fails before anything is
    read."""
    if not mapping or parse_mapping(mapping).format == "json":
        make_source(source, mapping=mapping)
        return b"", documents(window, tally, unwrap=unwrap) if is_documents(window) else lines(window, tally)
    records = csv_records(window, tally)
    header = b""
    if not parse_mapping(mapping).columns:
        _, header = next(records, (0, b""))
        if not header:
            return b"", records
        tally.headers = 1
    make_source(source, header=header, mapping=mapping)
    return header, records


def _chunks(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    chunk: list[Frame] = []
    size = 0
    for frame in frames:
        if chunk and (len(chunk) >= CHUNK_ALERTS_MAX or size + len(frame[1]) > CHUNK_BYTES_MAX):
            yield chunk
            chunk, size = [], 0
        chunk.append(frame)
        size += len(frame[1])
    if chunk:
        yield chunk


def _follow(
    path: Path, stream: IO[bytes], source: str, mapping: str, tally: Tally, wait: Callable[[], bool]
) -> Iterator[Delivery]:
    """Whole lines as they are appended. A file that was replaced or cut (log rotation) is read again from its start."""
    header = b""
    try:
        while True:
            for data in _appended(stream):
                if is_compressed(data):
                    todo = "follow the plain file"
                    raise UsageError("a compressed file cannot be followed", where=str(path), todo=todo)
                header, frames = _followed(data, header, mapping, tally)
                for chunk in _chunks(frames):
                    tally.messages += len(chunk)
                    yield _delivery(chunk, source, path.name, header, mapping)
            if not wait():
                return
            if _rotated(path, stream):
                stream.close()
                stream = path.open("rb")
                tally.lines, header = 0, b""
    finally:
        stream.close()


def _followed(data: bytes, header: bytes, mapping: str, tally: Tally) -> tuple[bytes, Iterator[Frame]]:
    """(CSV header, messages) of some whole lines; the header is read from the first of them."""
    window = Window(iter((data,)))
    if not tally.lines:
        skip_bom(window)
    if not mapping or parse_mapping(mapping).format == "json":
        return b"", lines(window, tally)
    frames = csv_records(window, tally)
    if not header and not parse_mapping(mapping).columns:
        _, header = next(frames, (0, b""))
        tally.headers += bool(header)
    return header, frames


def _appended(stream: IO[bytes]) -> Iterator[bytes]:
    """What has been added since, up to the last line end; the stream is left standing after it."""
    while True:
        start = stream.tell()
        data = stream.read(BLOCK_BYTES)
        while data and b"\n" not in data and len(data) <= RECORD_BYTES_MAX and (more := stream.read(len(data))):
            data += more
        end = data.rfind(b"\n") + 1
        if len(data) - end > RECORD_BYTES_MAX:
            raise UsageError(f"record longer than {RECORD_BYTES_MAX} bytes", where=f"byte {start}")
        stream.seek(start + end)
        if not end:
            return
        yield data[:end]


def _rotated(path: Path, stream: IO[bytes]) -> bool:
    try:
        now = path.stat()
    except FileNotFoundError:
        return False  # between rename and creation
    return now.st_ino != os.fstat(stream.fileno()).st_ino or now.st_size < stream.tell()
