"""Paths and encodings of tiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import UsageError, VerificationError
from countersign.ledger.tiles import (
    cut_bundle,
    decode_bundle,
    encode_bundle,
    entries_path,
    split_hashes,
    tile_path,
    width_at,
)

bundle = st.lists(st.binary(max_size=40), min_size=1, max_size=256)


@pytest.mark.parametrize(
    ("index", "path"),
    [(0, "000"), (7, "007"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067"), (10**9, "x001/x000/x000/000")],
)
def test_numbers_are_grouped_by_three(index: int, path: str) -> None:
    assert tile_path(3, index) == f"tile/3/{path}"
    assert entries_path(index, 255) == f"tile/entries/{path}.p/255"


def test_impossible_places_are_refused() -> None:
    for level, index, width in ((-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)):
        with pytest.raises(UsageError):
            tile_path(level, index, width)


@given(bundle)
def test_bundles_read_back(entries: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(entries)) == (entries, 0)


@given(bundle, st.data())
def test_a_cut_bundle_is_the_bundle_of_the_first_entries(entries: list[bytes], data: st.DataObject) -> None:
    width = data.draw(st.integers(1, len(entries)))
    assert cut_bundle(encode_bundle(entries), width) == encode_bundle(entries[:width])


@given(bundle, st.data())
def test_a_truncated_bundle_tells_where_it_ends(entries: list[bytes], data: st.DataObject) -> None:
    whole = encode_bundle(entries)
    cut = data.draw(st.integers(0, len(whole) - 1))
    read, rest = decode_bundle(whole[:cut])
    assert read == entries[: len(read)]
    assert len(encode_bundle(read) if read else b"") + rest == cut


def test_limits_of_a_bundle() -> None:
    assert decode_bundle(encode_bundle([b"x" * 65535]))[0] == [b"x" * 65535]
    for wrong in ([], [b""] * 257, [b"x" * 65536]):
        with pytest.raises(UsageError):
            encode_bundle(wrong)
    with pytest.raises(VerificationError):
        split_hashes(b"x" * 33)


def test_width_of_a_tile_follows_the_size() -> None:
    assert [width_at(70_000, level, index) for level, index in ((0, 272), (0, 273), (0, 274), (1, 0), (1, 1))] == [
        256,
        112,
        0,
        256,
        17,
    ]
