"""The probes of transparency-dev/merkle, which that project also ships as files: each published proof is accepted, and
every one of its corruptions is refused.

The proofs are those of the tree of eight leaves (``test_ledger_published``); the corruptions are made here as they are named
there, and then for every proof of that tree besides the published ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import pytest

from countersign.errors import VerificationError
from countersign.ledger.merkle import EMPTY_ROOT, consistency_proof, inclusion_proof, leaf_hash
from countersign.ledger.merkle import verify_consistency as consistent
from countersign.ledger.merkle import verify_inclusion as included
from tests.ledger_log import MemoryLog, naive_root
from tests.vectors.test_ledger_published import CONSISTENCY, INCLUSION, LEAVES, ROOTS

SOME_HASH = bytes.fromhex("abacaba000000000000000000000000000000000000000000060061e00123456")
UINT64 = 2**64
Probe = tuple[str, tuple[Any, ...]]

# Published beside those in test_ledger_published: (leaf, size, path) and (old, new, path).
INCLUSION_MORE = [
    (0, 1, []),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCY_MORE = [
    (1, 1, []),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        6,
        7,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
]


def root(size: int) -> bytes:
    return naive_root([leaf_hash(leaf) for leaf in LEAVES[:size]])


def flipped(path: Sequence[bytes], place: int, bit: int) -> list[bytes]:
    one = path[place]
    return [*path[:place], bytes([one[0] ^ bit]) + one[1:], *path[place + 1 :]]


def inclusion_probes(leaf: bytes, index: int, size: int, path: list[bytes], head: bytes) -> Iterator[Probe]:
    yield "leafIndex - 1", (leaf, (index - 1) % UINT64, size, path, head)
    yield "leafIndex + 1", (leaf, index + 1, size, path, head)
    yield "leafIndex ^ 2", (leaf, index ^ 2, size, path, head)
    yield "treeSize * 2", (leaf, index, size * 2, path, head)
    yield "treeSize / 2", (leaf, index, size // 2, path, head)
    yield "wrong leaf", (b"WrongLeaf", index, size, path, head)
    yield "empty root", (leaf, index, size, path, EMPTY_ROOT)
    yield "random root", (leaf, index, size, path, SOME_HASH)
    yield "trailing garbage", (leaf, index, size, [*path, b""], head)
    yield "trailing root", (leaf, index, size, [*path, head], head)
    yield "preceding garbage", (leaf, index, size, [b"", *path], head)
    yield "preceding root", (leaf, index, size, [head, *path], head)
    for place in range(len(path)):
        yield f"modified proof[{place}] bit 3", (leaf, index, size, flipped(path, place, 8), head)
    if path:
        yield "removed component", (leaf, index, size, path[:-1], head)
    if len(path) > 1:
        yield "inserted component", (leaf, index, size, [path[0], SOME_HASH, *path[1:]], head)


def consistency_probes(old: int, new: int, first: bytes, second: bytes, path: list[bytes]) -> Iterator[Probe]:
    yield "size1 - 1", (old - 1, new, first, second, path)
    yield "size1 + 1", (old + 1, new, first, second, path)
    yield "size1 ^ 2", (old ^ 2, new, first, second, path)
    yield "size2 * 2", (old, new * 2, first, second, path)
    yield "size2 / 2", (old, new // 2, first, second, path)
    yield "wrong root1", (old, new, b"WrongRoot", second, path)
    yield "wrong root2", (old, new, first, b"WrongRoot", path)
    yield "swapped roots", (old, new, second, first, path)
    yield "empty proof", (old, new, first, second, [])
    for name, more in (("garbage", b""), ("root1", first), ("root2", second), ("proof[0]", path[0])):
        yield f"preceding {name}", (old, new, first, second, [more, *path])
        yield f"trailing {name}", (old, new, first, second, [*path, more])
    yield "truncated proof", (old, new, first, second, path[:-1])
    for place in range(len(path)):
        yield f"modified proof[{place}] bit 4", (old, new, first, second, flipped(path, place, 16))


def taken(verify: Callable[..., None], probes: Iterator[Probe]) -> list[str]:
    """Names of the probes that are accepted and should not be."""
    wrong = []
    for name, arguments in probes:
        try:
            verify(*arguments)
        except VerificationError:
            continue
        wrong.append(name)
    return wrong


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION + INCLUSION_MORE)
def test_published_inclusion_proofs_hold_and_their_corruptions_do_not(index: int, size: int, path: list[str]) -> None:
    leaf, head, nodes = leaf_hash(LEAVES[index]), bytes.fromhex(ROOTS[size]), [bytes.fromhex(node) for node in path]
    included(leaf, index, size, nodes, head)
    assert inclusion_proof(index, size, MemoryLog(LEAVES[:size])) == nodes
    assert taken(included, inclusion_probes(leaf, index, size, nodes, head)) == []


@pytest.mark.parametrize(("old", "new", "path"), CONSISTENCY + CONSISTENCY_MORE)
def test_published_consistency_proofs_hold_and_their_corruptions_do_not(old: int, new: int, path: list[str]) -> None:
    first, second, nodes = bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]), [bytes.fromhex(node) for node in path]
    consistent(old, new, first, second, nodes)
    assert consistency_proof(old, new, MemoryLog(LEAVES[:new])) == nodes
    if nodes:
        assert taken(consistent, consistency_probes(old, new, first, second, nodes)) == []


@pytest.mark.parametrize(("index", "size"), [(0, 0), (0, 1), (1, 0), (2, 1)])
@pytest.mark.parametrize(("leaf", "head"), [(SOME_HASH, b""), (b"", EMPTY_ROOT), (SOME_HASH, EMPTY_ROOT)])
def test_no_entry_is_in_an_empty_tree_or_beyond_its_end(index: int, size: int, leaf: bytes, head: bytes) -> None:
    with pytest.raises(VerificationError):
        included(leaf, index, size, [], head)


@pytest.mark.parametrize(("leaf", "head", "holds"), [(b"d", b"d", True), (b"", b"d", False), (b"d", b"", False)])
def test_a_tree_of_one_entry(leaf: bytes, head: bytes, holds: bool) -> None:
    hashes = {b"d": leaf_hash(b"data"), b"": b""}
    assert (taken(included, iter([("one", (hashes[leaf], 0, 1, [], hashes[head]))])) == ["one"]) is holds


ONE, TWO = sha256(b"one").digest(), sha256(b"two").digest()


@pytest.mark.parametrize(
    ("old", "new", "first", "second", "path"),
    [
        (0, 0, ONE, TWO, []),
        (1, 1, ONE, TWO, []),
        (1, 0, ONE, TWO, []),
        (2, 1, ONE, TWO, []),
        (1, 2, ONE, TWO, []),
        (0, 1, ONE, TWO, []),
        (0, 0, EMPTY_ROOT, TWO, []),
        (1, 1, EMPTY_ROOT, TWO, []),
        (0, 0, EMPTY_ROOT, EMPTY_ROOT, [EMPTY_ROOT]),
        (0, 1, EMPTY_ROOT, EMPTY_ROOT, [EMPTY_ROOT]),
        (1, 1, EMPTY_ROOT, EMPTY_ROOT, [EMPTY_ROOT]),
    ],
)
def test_trees_that_are_not_consistent(old: int, new: int, first: bytes, second: bytes, path: list[bytes]) -> None:
    with pytest.raises(VerificationError):
        consistent(old, new, first, second, path)


def test_the_empty_tree_is_a_prefix_of_every_tree() -> None:
    """As RFC 9162 and C2SP tlog-witness have it; that project now refuses to be asked at all."""
    for size in range(9):
        consistent(0, size, EMPTY_ROOT, root(size), [])


def test_every_other_proof_of_the_tree_and_its_corruptions() -> None:
    for size in range(1, 9):
        log = MemoryLog(LEAVES[:size])
        for index in range(size):
            leaf, nodes = leaf_hash(LEAVES[index]), inclusion_proof(index, size, log)
            included(leaf, index, size, nodes, root(size))
            assert taken(included, inclusion_probes(leaf, index, size, nodes, root(size))) == []
        for old in range(1, size):
            nodes = consistency_proof(old, size, log)
            consistent(old, size, root(old), root(size), nodes)
            assert taken(consistent, consistency_probes(old, size, root(old), root(size), nodes)) == []
