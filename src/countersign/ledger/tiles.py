"""Where tiles live and how they are written: C2SP tlog-tiles, as pure functions.

A hash tile holds 1 to 256 consecutive 32-byte hashes of the tree at height 8·level. An entry bundle holds the entries
under one level-0 tile, each behind its length as a big-endian uint16. Fewer than 256 make a *partial* tile (``.p/W``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from countersign.errors import UsageError, VerificationError

TILE_WIDTH = 256
HASH_BYTES = 32
LEVEL_BITS = 8
LEVEL_MAX = 63


class TileAt(msgspec.Struct, frozen=True, gc=False):
    """Place of a tile: ``width`` hashes (1…256) of tile ``index`` at ``level``."""

    level: int
    index: int
    width: int

    @property
    def end(self) -> int:
        """One past the last entry that this tile covers."""
        return (self.index * TILE_WIDTH + self.width) << (LEVEL_BITS * self.level)


class HashTile(NamedTuple):
    """A tile and its hashes, 32 bytes each."""

    at: TileAt
    data: bytes


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """``tile/<L>/<N>[.p/<W>]``, N in zero-padded groups of three digits."""
    if not 0 <= level <= LEVEL_MAX:
        raise UsageError(f"tile level {level} is not in 0…{LEVEL_MAX}")
    return f"tile/{level}/{_number(index)}{_suffix(width)}"


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """``tile/entries/<N>[.p/<W>]``."""
    return f"tile/entries/{_number(index)}{_suffix(width)}"


def _number(index: int) -> str:
    if index < 0:
        raise UsageError(f"tile index {index} is negative")
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03d}")
    return "/".join(reversed(groups))


def _suffix(width: int) -> str:
    if not 1 <= width <= TILE_WIDTH:
        raise UsageError(f"tile width {width} is not in 1…{TILE_WIDTH}")
    return "" if width == TILE_WIDTH else f".p/{width}"


def width_at(size: int, level: int, index: int) -> int:
    """Hashes that tile ``index`` at ``level`` has in a tree of ``size`` entries: 0 (not there) to 256."""
    return max(0, min(TILE_WIDTH, (size >> (LEVEL_BITS * level)) - index * TILE_WIDTH))


def right_edge(size: int) -> tuple[TileAt, ...]:
    """The partial tiles of a tree of ``size`` entries, lowest level first: all that is needed to go on appending."""
    edge = []
    for level in range(LEVEL_MAX + 1):
        count = size >> (LEVEL_BITS * level)
        if not count:
            break
        if count % TILE_WIDTH:
            edge.append(TileAt(level, count // TILE_WIDTH, count % TILE_WIDTH))
    return tuple(edge)


def split_hashes(data: bytes) -> list[bytes]:
    """The 32-byte hashes of a tile; raises VerificationError when its length is not a multiple of 32."""
    if len(data) % HASH_BYTES:
        raise VerificationError(f"hash tile of {len(data)} bytes is not a whole number of hashes")
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entry bundle of 1 to 256 entries."""
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise UsageError(f"a bundle holds 1 to {TILE_WIDTH} entries, not {len(entries)}")
    return b"".join(_prefixed(entries))


def _prefixed(entries: Iterable[bytes]) -> Iterator[bytes]:
    for entry in entries:
        if len(entry) > 0xFFFF:
            raise UsageError(f"entry of {len(entry)} bytes does not fit a 16-bit length")
        yield len(entry).to_bytes(2, "big")
        yield entry


def decode_bundle(data: bytes) -> tuple[list[bytes], int]:
    """(whole entries, bytes left over). Anything but 0 left over means that the bundle ends inside an entry."""
    entries = []
    at = 0
    while at + 2 <= len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if end > len(data):
            break
        entries.append(data[at + 2 : end])
        at = end
    return entries, len(data) - at


def cut_bundle(data: bytes, width: int) -> bytes:
    """The first ``width`` entries of a fuller bundle, as a bundle (all of ``data`` when it holds fewer)."""
    at = 0
    for _ in range(width):
        if at + 2 > len(data):
            return data
        at += 2 + int.from_bytes(data[at : at + 2], "big")
    return data[:at]
