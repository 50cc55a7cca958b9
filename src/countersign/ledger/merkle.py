"""The Merkle tree of RFC 6962 section 2.1, kept as tiles: hashing, appending, proofs, and their verification.

Appending keeps only the right edge (at most 255 hashes per level) and hands out each tile as it fills, so a log of any
length is opened and extended in memory that does not grow with it. Proofs are made from tiles alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Protocol

from countersign.errors import UsageError, VerificationError
from countersign.ledger.tiles import LEVEL_BITS, TILE_WIDTH, HashTile, TileAt, right_edge, split_hashes, width_at

_LEAF = sha256(b"\x00")
EMPTY_ROOT = sha256(b"").digest()
"""Root of the tree without entries."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry), 32 bytes."""
    return sha256(b"\x00" + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """``leaf_hash`` of each, without a copy of any."""
    hashes = []
    for entry in entries:
        leaf = _LEAF.copy()
        leaf.update(entry)
        hashes.append(leaf.digest())
    return hashes


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right), 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Root over 2^k hashes of equal height."""
    row = list(hashes)
    while len(row) > 1:
        pairs = iter(row)
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
    return row[0]


class Tree:
    """An append-only tree that remembers its right edge: per level, the hashes of the tile that is not full yet."""

    def __init__(self, edges: Iterable[Iterable[bytes]] = ()) -> None:
        self._edges = [list(edge) for edge in edges] or [[]]

    @classmethod
    def load(cls, size: int, read: Callable[[TileAt], bytes]) -> Tree:
        """The tree of ``size`` entries from its partial tiles: O(log size) reads.

        Raises VerificationError when ``read`` gives a tile of the wrong length.
        """
        edges: list[list[bytes]] = []
        for at in right_edge(size):
            hashes = split_hashes(read(at))
            if len(hashes) != at.width:
                raise VerificationError(f"hash tile {at.level}/{at.index} holds {len(hashes)} hashes, not {at.width}")
            edges.extend([] for _ in range(at.level - len(edges)))
            edges.append(hashes)
        return cls(edges)

    def copy(self) -> Tree:
        """An independent tree with the same entries."""
        return Tree(self._edges)

    @property
    def size(self) -> int:
        """Entries in the tree."""
        return sum(len(edge) << (LEVEL_BITS * level) for level, edge in enumerate(self._edges))

    @property
    def leaves(self) -> tuple[bytes, ...]:
        """Leaf hashes of the level-0 tile that is not full yet."""
        return tuple(self._edges[0])

    def append(self, leaves: Sequence[bytes]) -> list[HashTile]:
        """Add leaf hashes; returns the tiles of all levels that became full, lower levels first."""
        full: list[HashTile] = []
        start = 0
        while start < len(leaves):
            edge = self._edges[0]
            room = TILE_WIDTH - len(edge)
            edge.extend(leaves[start : start + room])
            start += room
            if len(edge) == TILE_WIDTH:
                self._close(full)
        return full

    def _close(self, full: list[HashTile]) -> None:
        """Emit the full level-0 tile, push its root up, and so on as long as tiles fill."""
        level = 0
        while len(self._edges[level]) == TILE_WIDTH:
            edge = self._edges[level]
            full.append(HashTile(TileAt(level, self._index(level), TILE_WIDTH), b"".join(edge)))
            self._edges[level] = []
            level += 1
            if level == len(self._edges):
                self._edges.append([])
            self._edges[level].append(perfect_root(edge))

    def _index(self, level: int) -> int:
        above = enumerate(self._edges[level + 1 :])
        return sum(len(edge) << (LEVEL_BITS * height) for height, edge in above)

    def partial(self) -> list[HashTile]:
        """The tiles that are not full yet."""
        return [
            HashTile(TileAt(level, self._index(level), len(edge)), b"".join(edge))
            for level, edge in enumerate(self._edges)
            if edge
        ]

    def root(self) -> bytes:
        """Root hash, 32 bytes."""
        right: bytes | None = None
        for edge in self._edges:
            right = _fold(edge, right)
        return EMPTY_ROOT if right is None else right


def _fold(hashes: Sequence[bytes], right: bytes | None) -> bytes | None:
    """Root over ``hashes`` of equal height followed by one smaller subtree ``right``."""
    end = len(hashes)
    while end:
        low = end & -end
        peak = perfect_root(hashes[end - low : end])
        right = peak if right is None else node_hash(peak, right)
        end -= low
    return right


class TileReader(Protocol):
    """Gives tiles; None when it has not got one."""

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """``width`` hashes of tile ``index`` at ``level``."""
        ...


class Subtrees:
    """Hashes of subtrees in the tree of ``size`` entries, from its tiles; each tile is read once."""

    def __init__(self, reader: TileReader, size: int) -> None:
        self._reader = reader
        self._size = size
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def perfect(self, height: int, index: int) -> bytes:
        """Hash of the ``index``-th subtree of 2^height entries."""
        level, up = divmod(height, LEVEL_BITS)
        tile, offset = divmod(index << up, TILE_WIDTH)
        return perfect_root(self._tile(level, tile)[offset : offset + (1 << up)])

    def span(self, start: int, end: int) -> bytes:
        """Root over entries [start, end), ``start`` aligned as RFC 6962 splits a tree."""
        right: bytes | None = None
        while end > start:
            low = (end - start) & -(end - start)
            peak = self.perfect(low.bit_length() - 1, (end - low) // low)
            right = peak if right is None else node_hash(peak, right)
            end -= low
        return EMPTY_ROOT if right is None else right

    def _tile(self, level: int, index: int) -> list[bytes]:
        if (level, index) not in self._tiles:
            width = width_at(self._size, level, index)
            hashes = split_hashes(self._reader.tile(level, index, width) or b"")
            if len(hashes) != width:
                raise VerificationError(f"hash tile {level}/{index} holds {len(hashes)} hashes, not {width}")
            self._tiles[level, index] = hashes
        return self._tiles[level, index]


def _split(n: int) -> int:
    """Largest power of two smaller than n."""
    return 1 << ((n - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, reader: TileReader) -> list[bytes]:
    """Audit path of entry ``index`` in the tree of ``size`` (RFC 6962 section 2.1.1), leaf's sibling first."""
    if not 0 <= index < size:
        raise UsageError(f"entry {index} is not in a log of {size} entries")
    trees, path = Subtrees(reader, size), []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(trees.span(middle, end))
            end = middle
        else:
            path.append(trees.span(start, middle))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, reader: TileReader) -> list[bytes]:
    """That the tree of ``old`` entries is a prefix of the one of ``new`` (RFC 6962 section 2.1.2)."""
    if not 0 <= old <= new:
        raise UsageError(f"a log of {new} entries cannot extend one of {old}")
    if old in (0, new):
        return []
    trees, path = Subtrees(reader, new), []
    start, end = 0, new
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(trees.span(middle, end))
            end = middle
        else:
            path.append(trees.span(start, middle))
            start = middle
    if start:
        path.append(trees.span(start, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raises VerificationError unless ``leaf`` is entry ``index`` under ``root`` (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        raise VerificationError(f"entry {index} is not in a log of {size} entries")
    fn, sn, have = index, size - 1, leaf
    for other in proof:
        if not sn:
            raise VerificationError("inclusion proof is too long")
        if fn & 1 or fn == sn:
            have = node_hash(other, have)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            have = node_hash(have, other)
        fn, sn = fn >> 1, sn >> 1
    if sn or have != root:
        raise VerificationError(f"inclusion proof of entry {index} does not lead to the root of {size} entries")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises VerificationError unless the ``new`` tree extends the ``old`` one (RFC 9162 section 2.1.4.2)."""
    if not 0 <= old <= new:
        raise VerificationError(f"a log of {new} entries cannot extend one of {old}")
    if old in (0, new):
        if proof or (old == new and old_root != new_root) or (not old and old_root != EMPTY_ROOT):
            raise VerificationError(f"roots of {old} and {new} entries do not agree")
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path or _roots(old, new, path) != (old_root, new_root):
        raise VerificationError(f"the log of {new} entries does not extend the one of {old}")


def contradicts(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the trees cannot be of one log: two roots of one size, or a proof that leads to the new root from another old
    one. A wrong proof shows nothing by itself, nor does one from a size that is a power of two: the root is not in it."""
    if old == new:
        return old_root != new_root
    if not proof or not old & (old - 1):
        return False
    try:
        first, second = _roots(old, new, proof)
    except VerificationError:
        return False
    return second == new_root and first != old_root


def _roots(old: int, new: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """(root of ``old``, root of ``new``) as a consistency proof claims them."""
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for other in path[1:]:
        if not sn:
            raise VerificationError("consistency proof is too long")
        if fn & 1 or fn == sn:
            first, second = node_hash(other, first), node_hash(other, second)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, other)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise VerificationError("consistency proof is too short")
    return first, second
