"""A log of 100,000 entries is accepted by code of others, and by none of it once a byte was changed.

Go's sumdb checks every entry and tile; sigstore's two libraries check proofs; the shell checks all hash tiles, proofs, and
bundles. What each refuses is changed in a copy: in the note, in the hash tile beside an entry, in the entry.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from countersign.ledger.tiles import HASH_BYTES, TILE_WIDTH, decode_bundle, encode_bundle, entries_path, tile_path, width_at
from tests import fakes
from tests.external import checkers
from tests.external.checkers import Checker, Go, Shell
from tests.external.conftest import ENTRIES, Log

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("external")]


@pytest.fixture(scope="module")
def go(request: pytest.FixtureRequest) -> Go:
    return Go(request.config.cache.mkdir("go"))  # type: ignore[union-attr]


@pytest.fixture(scope="module", params=["go", "node", "python", "shell"])
def checker(request: pytest.FixtureRequest) -> Checker:
    return checkers.checker(request.param, request)


def chosen(size: int) -> list[int]:
    """Entries at the edges of tiles of each level, at both ends, and in between."""
    edges = {0, 1, 255, 256, 65_535, 65_536, size - 1, size - 2, size // 256 * 256, size // 256 * 256 - 1}
    return sorted({*edges, *range(0, size, size // 20)} & set(range(size)))


def test_it_holds_as_many_entries_as_it_should(large: Log) -> None:
    assert large.size >= ENTRIES
    assert fakes.run("verify", large.data).returncode == 0


def test_each_accepts_it(large: Log, checker: Checker, tmp_path: Path) -> None:
    done = checker.entries(large, chosen(large.size), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "verified: " in done.stdout


def test_go_checks_every_entry_and_that_older_checkpoints_are_extended(large: Log, go: Go) -> None:
    done = go.log(large, large.older)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"verified: {large.size} entries, ")
    assert done.stdout.endswith(f" {len(large.older)} older checkpoints\n")


def test_go_refuses_an_older_checkpoint_of_another_history(large: Log, small: Log, go: Go, tmp_path: Path) -> None:
    sizes = large.older[0].read_text("utf-8")
    (tmp_path / "other").write_text(sizes.replace(sizes.splitlines()[2], small.older[0].read_text("utf-8").splitlines()[2]))
    for older in (tmp_path / "other", small.older[0]):
        assert go.log(large, [older]).returncode == 1


def test_the_shell_leads_all_hash_tiles_to_the_signed_root(large: Log) -> None:
    done = Shell()("tree", large.vkey, large.tlog)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("index", [0, ENTRIES // 3, ENTRIES - 1])
def test_a_printed_proof_is_accepted_by_go_and_the_shell(large: Log, go: Go, tmp_path: Path, index: int) -> None:
    made = fakes.run_json("proof", str(index), "--data", large.data)
    proof, entry, other = tmp_path / "proof", tmp_path / "entry", tmp_path / "other"
    proof.write_text(made["proof"], "utf-8")
    entry.write_text(made["entry"], "utf-8")
    other.write_text(made["entry"].replace('"', "'", 1), "utf-8")
    shell = Shell()
    assert json.loads(made["entry"])["kind"]
    assert [go.proof(large.vkey, proof, one).returncode for one in (entry, other)] == [0, 1]
    assert [shell("proof", large.vkey, proof, one).returncode for one in (entry, other)] == [0, 1]


INDEX = ENTRIES // 2 + 11


def note(log: Log) -> None:
    """The first digit of the size."""
    rewrite(log.tlog / "checkpoint", lambda data: flipped(data, data.index(b"\n") + 1))


def signature(log: Log) -> None:
    rewrite(log.tlog / "checkpoint", lambda data: flipped(data, len(data) - 40))


def tile(log: Log) -> None:
    """The leaf hash of the entry's neighbour, which is in its path."""
    path = tile_path(0, INDEX // TILE_WIDTH, width(log))
    rewrite(log.tlog / path, lambda data: flipped(data, (INDEX % TILE_WIDTH ^ 1) * HASH_BYTES + 7))


def entry(log: Log) -> None:
    def change(data: bytes) -> bytes:
        entries, _ = decode_bundle(data)
        entries[INDEX % TILE_WIDTH] = flipped(entries[INDEX % TILE_WIDTH], 100)
        return encode_bundle(entries)

    rewrite(log.tlog / entries_path(INDEX // TILE_WIDTH, width(log)), change)


def width(log: Log) -> int:
    return width_at(log.size, 0, INDEX // TILE_WIDTH)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def rewrite(file: Path, change: Callable[[bytes], bytes]) -> None:
    before = file.read_bytes()
    after = change(before)
    assert after != before
    file.unlink()  # a link to the file of the log itself
    file.write_bytes(after)


@pytest.mark.parametrize("change", [signature, tile, entry, note], ids=lambda change: str(change.__name__))
def test_each_refuses_a_changed_byte(large: Log, checker: Checker, change: Callable[[Log], None], tmp_path: Path) -> None:
    copy = large.copy(tmp_path / "copy")
    assert checker.entries(copy, [INDEX], tmp_path / "before").returncode == 0
    change(copy)
    done = checker.entries(copy, [INDEX], tmp_path / "after")
    assert done.returncode == 1
    assert done.stderr.startswith("NOT VERIFIED: "), done.stderr


def test_each_refuses_another_key(large: Log, small: Log, checker: Checker, tmp_path: Path) -> None:
    name, rest = large.vkey.split("+", 1)
    damaged = f"{name}+{rest[:-4]}AAA="
    for key in (small.vkey, damaged):
        assert checker.entries(replace(large, vkey=key), [INDEX], tmp_path / "files").returncode == 1, key
