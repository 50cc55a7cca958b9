"""Merkle tree and proofs against RFC 6962 taken word for word, for every small size and around every tile edge."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.errors import UsageError, VerificationError
from countersign.ledger.merkle import (
    Tree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from countersign.ledger.tiles import TileAt, right_edge, tile_path, width_at
from tests.examples import examples
from tests.ledger_log import flip, naive_root

EDGES = [255, 256, 257, 511, 512, 513, 4096, 65535, 65536, 65537, 65792, 65793]
sizes = st.integers(1, 700) | st.sampled_from(EDGES)


@cache
def leaves(count: int) -> tuple[bytes, ...]:
    return tuple(leaf_hash(str(number).encode()) for number in range(count))


class Tiles:
    """The tiles of a tree of ``size``, as a log would publish them."""

    def __init__(self, size: int) -> None:
        tree = Tree()
        tiles = tree.append(leaves(max(EDGES))[:size])
        self.root = tree.root()
        self.files = {tile_path(t.at.level, t.at.index, t.at.width): t.data for t in [*tiles, *tree.partial()]}

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        return self.files.get(tile_path(level, index, width))


log = cache(Tiles)


@pytest.mark.parametrize("size", range(67))
def test_every_proof_of_every_small_tree(size: int) -> None:
    tiles = log(size)
    assert tiles.root == naive_root(leaves(size))
    for index in range(size):
        path = inclusion_proof(index, size, tiles)
        verify_inclusion(leaves(size)[index], index, size, path, tiles.root)
    for old in range(size + 1):
        path = consistency_proof(old, size, tiles)
        verify_consistency(old, size, naive_root(leaves(old)), tiles.root, path)


@given(sizes, st.data())
@settings(max_examples=examples(60), deadline=None)
def test_proofs_around_tile_edges(size: int, data: st.DataObject) -> None:
    tiles = log(size)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_proof(index, size, tiles)
    verify_inclusion(leaves(size)[index], index, size, path, tiles.root)
    old = data.draw(st.integers(1, size))
    verify_consistency(old, size, log(old).root, tiles.root, consistency_proof(old, size, tiles))


@given(sizes, st.data())
@settings(max_examples=examples(60), deadline=None)
def test_any_changed_inclusion_proof_is_refused(size: int, data: st.DataObject) -> None:
    tiles = log(size)
    index = data.draw(st.integers(0, size - 1))
    leaf, path = leaves(size)[index], inclusion_proof(index, size, tiles)
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index) | st.none())
    wrong = [
        (flip(leaf, data.draw(st.integers(0, 255))), index, path, tiles.root),
        (leaf, index, path, flip(tiles.root, data.draw(st.integers(0, 255)))),
        (leaf, index, [*path, leaf], tiles.root),
    ]
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        wrong.append((leaf, index, [*path[:at], flip(path[at], 3), *path[at + 1 :]], tiles.root))
        wrong.append((leaf, index, path[:at] + path[at + 1 :], tiles.root))
    if other is not None:
        wrong.append((leaf, other, path, tiles.root))
    for case in wrong:
        with pytest.raises(VerificationError):
            verify_inclusion(case[0], case[1], size, case[2], case[3])


@given(sizes.filter(lambda n: n > 1), st.data())
@settings(max_examples=examples(60), deadline=None)
def test_any_changed_consistency_proof_is_refused(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size - 1))
    before, after = log(old).root, log(size).root
    path = consistency_proof(old, size, log(size))
    at = data.draw(st.integers(0, len(path) - 1))
    wrong = [
        (flip(before, 7), after, path),
        (before, flip(after, 7), path),
        (before, after, [*path, before]),
        (before, after, path[:at] + path[at + 1 :]),
        (before, after, [*path[:at], flip(path[at], 9), *path[at + 1 :]]),
    ]
    for one, two, proof in wrong:
        with pytest.raises(VerificationError):
            verify_consistency(old, size, one, two, proof)


@given(st.lists(st.integers(0, 600), max_size=6))
@settings(deadline=None)
def test_appending_in_any_portions_gives_the_same_tiles(portions: list[int]) -> None:
    tree, tiles, done = Tree(), [], 0
    for portion in portions:
        tiles += tree.append(leaves(max(EDGES))[done : done + portion])
        done += portion
        assert tree.size == done
    whole = log(done)
    assert tree.root() == whole.root
    assert {tile_path(t.at.level, t.at.index, t.at.width): t.data for t in [*tiles, *tree.partial()]} == whole.files


@given(sizes, st.integers(0, 600))
@settings(max_examples=examples(40), deadline=None)
def test_a_tree_opened_from_its_edge_goes_on_as_if_never_closed(size: int, more: int) -> None:
    tiles = log(size)
    reads: list[TileAt] = []

    def read(at: TileAt) -> bytes:
        reads.append(at)
        return tiles.tile(at.level, at.index, at.width) or b""

    tree = Tree.load(size, read)
    assert (tree.size, tree.root()) == (size, tiles.root)
    assert len(reads) <= 3
    tree.append(leaves(max(EDGES) + 600)[size : size + more])
    fresh = Tree()
    fresh.append(leaves(max(EDGES) + 600)[: size + more])
    assert tree.root() == fresh.root()


@given(st.integers(0, 2**40))
def test_the_right_edge_covers_the_whole_tree(size: int) -> None:
    edge = right_edge(size)
    assert sum(at.width << (8 * at.level) for at in edge) == size
    assert all(width_at(size, at.level, at.index) == at.width and at.end <= size for at in edge)


def test_a_damaged_edge_is_refused() -> None:
    with pytest.raises(VerificationError, match="holds 4 hashes, not 5"):
        Tree.load(5, lambda at: b"\0" * 32 * 4)
    with pytest.raises(VerificationError, match="whole number"):
        Tree.load(5, lambda at: b"\0" * 159)


def test_proofs_outside_the_log_are_refused() -> None:
    for index in (-1, 5, 6):
        with pytest.raises(UsageError):
            inclusion_proof(index, 5, log(5))
        with pytest.raises(VerificationError):
            verify_inclusion(leaves(6)[0], index, 5, [], log(5).root)
    for old, new in ((6, 5), (-1, 5)):
        with pytest.raises(UsageError):
            consistency_proof(old, new, log(5))
        with pytest.raises(VerificationError):
            verify_consistency(old, new, b"", log(5).root, [])


def test_a_log_of_the_same_size_with_another_root_is_not_consistent() -> None:
    with pytest.raises(VerificationError):
        verify_consistency(5, 5, log(5).root, log(6).root, [])
    with pytest.raises(VerificationError):
        verify_consistency(0, 5, log(5).root, log(5).root, [])
