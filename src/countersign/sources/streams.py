"""Bytes of a file or stream, decompressed by magic number (gzip, xz, zstd), in bounded blocks.

A compressed stream that is cut off or corrupt gives what could be read, then raises BrokenStreamError.
"""

from __future__ import annotations

import lzma
import sys
import zlib
from collections.abc import Iterator
from typing import IO, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK_BYTES = 256 * 1024
GZIP, XZ, ZSTD = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_ERRORS = (zlib.error, lzma.LZMAError, zstd.ZstdError, EOFError)


class BrokenStreamError(Exception):
    """The compressed stream ends early or is damaged; the argument says which. Never leaves this room."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """zlib's object with the interface of the other two: input that did not fit into ``max_length`` is kept for the
    next call."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max(0, max_length))


def blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """The content of ``stream`` in blocks of at most ``BLOCK_BYTES``, decompressed when it begins like gzip, xz or
    zstd."""
    head = stream.read(BLOCK_BYTES)
    while 0 < len(head) < len(XZ) and (more := stream.read(BLOCK_BYTES)):
        head += more  # a pipe may give a few bytes at a time
    kind = "gzip" if head.startswith(GZIP) else "xz" if head.startswith(XZ) else "zstd" if head.startswith(ZSTD) else ""
    raw = _chain(head, stream)
    return _decompressed(kind, raw) if kind else raw


def is_compressed(head: bytes) -> bool:
    """Does a file that begins with ``head`` hold gzip, xz or zstd?"""
    return head.startswith((GZIP, XZ, ZSTD))


def _chain(head: bytes, stream: IO[bytes]) -> Iterator[bytes]:
    block = head
    while block:
        yield block
        block = stream.read(BLOCK_BYTES)


def _new(kind: str) -> _Decompressor:
    if kind == "gzip":
        return _Gzip()
    return lzma.LZMADecompressor() if kind == "xz" else zstd.ZstdDecompressor()


def _decompressed(kind: str, raw: Iterator[bytes]) -> Iterator[bytes]:
    """All members (gzip), streams (xz) or frames (zstd) after one another; zero padding between them is skipped."""
    data = b""
    while True:
        data = data.lstrip(b"\x00") or next(raw, b"").lstrip(b"\x00")
        if not data:
            return
        machine = _new(kind)
        while not machine.eof:
            out = _step(kind, machine, data)
            if out:
                yield out
            data = b""
            if not machine.eof and len(out) < BLOCK_BYTES:
                data = next(raw, b"")
                if not data:
                    raise BrokenStreamError(f"the {kind} stream is cut off")
        data = machine.unused_data


def _step(kind: str, machine: _Decompressor, data: bytes) -> bytes:
    try:
        return machine.decompress(data, BLOCK_BYTES)
    except _ERRORS as error:
        raise BrokenStreamError(f"the {kind} stream is damaged ({error})") from None
