"""What the ledger costs: appending, verifying, opening, proving, and its share of the hot path. CPU time of one core.

Entries are those that the hot path itself writes for distinct 3 KB alerts, in its order; where more are needed than it
wrote, they follow each other again and again. The figures say which kinds they are and how large.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import msgspec

from countersign.approvals.record.judge import Approvals
from countersign.evaluate import bench_alerts, bench_share
from countersign.ledger.merkle import Tree, inclusion_proof, leaf_hash, leaf_hashes, verify_inclusion
from countersign.ledger.note import Checkpoint, sign_note
from countersign.ledger.tiles import TILE_WIDTH, HashTile, TileAt, decode_bundle, encode_bundle, entries_path, tile_path
from countersign.ledger.verify import verify
from countersign.model.entries import Entry
from countersign.store.keys import LogKey
from countersign.store.tiles import Disk, TileDir

KEY = LogKey("bench.invalid/log", bytes(range(32)))
APPEND_TARGET, VERIFY_TARGET_S, SHARE_TARGET = 400_000, 15.0, 0.2
VERIFIED = 1_000_000
"""The target speaks of so many entries."""
PROOFS = 200
_kind = msgspec.json.Decoder(Entry)


class _Fast(Disk):
    """Writes without waiting for the disk: what a flush costs is no CPU time."""

    def write(self, path: Path, data: bytes) -> None:
        """Write a file."""
        path.write_bytes(data)

    def flush_directory(self, path: Path) -> None:
        """Nothing."""


def bench_ledger(folder: Path, entries: int, alerts: int) -> dict[str, Any]:
    """Figures for a log of so many entries, made from what the hot path writes for so many alerts. folder: empty; the log
    takes as much room as its entries have bytes."""
    share = bench_share.hot_path(folder / "site", bench_alerts.deliveries(bench_alerts.distinct_alerts(alerts)))
    wrote = _entries(TileDir(folder / "site" / "tlog"))
    mix = _mix(wrote)
    tiles = TileDir(folder / "log", _Fast())
    appended = _write(tiles, entries, wrote)
    verified = _verified(tiles, entries)
    return {
        "entries": entries,
        **mix,
        **appended,
        **verified,
        **share,
        **_proving(tiles, entries),
        "opening": _opening(entries),
        "met": "yes" if _met(appended, verified, share) else "no",
    }


def _met(*figures: dict[str, Any]) -> bool:
    found = {name: value for one in figures for name, value in one.items()}
    return bool(
        found["append_entries_per_cpu_second"] >= APPEND_TARGET
        and found["verify_cpu_seconds_per_million"] <= VERIFY_TARGET_S
        and found["ledger_share_of_hot_path"] < SHARE_TARGET
    )


# --- entries --------------------------------------------------------------------------------------------------------


def _entries(log: TileDir) -> list[bytes]:
    """Every entry of a log."""
    found: list[bytes] = []
    size = int((log.checkpoint() or b"\n0\n").split(b"\n")[1])
    for start in range(0, size, TILE_WIDTH):
        found += decode_bundle(log.bundle(start // TILE_WIDTH, min(TILE_WIDTH, size - start)) or b"")[0]
    return found


def _mix(wrote: Sequence[bytes]) -> dict[str, Any]:
    """Share in ppm and mean size of each kind."""
    kinds = [_kind.decode(entry).kind.value for entry in wrote]
    sizes: Counter[str] = Counter()
    for kind, entry in zip(kinds, wrote, strict=True):
        sizes[kind] += len(entry)
    mix = [f"{kind} {number * 100 / len(wrote):.2f} % of {sizes[kind] // number} bytes" for kind, number in _ranked(kinds)]
    return {"bytes_per_entry": sum(map(len, wrote)) // len(wrote), "mix": "; ".join(mix)}


def _ranked(kinds: Sequence[str]) -> list[tuple[str, int]]:
    return Counter(kinds).most_common()


def _log(wrote: Sequence[bytes]) -> Iterator[bytes]:
    """What was written, then all of it but the first entry again and again."""
    yield from wrote
    yield from cycle(wrote[1:])


# --- appending ------------------------------------------------------------------------------------------------------


def _write(tiles: TileDir, size: int, wrote: Sequence[bytes]) -> dict[str, Any]:
    """A signed log of ``size`` entries, with the CPU that its tree takes: hashing each entry, and every node above; the
    latter by itself as well."""
    tree, cpu, above = Tree(), 0.0, 0.0
    supply = islice(_log(wrote), size)
    while chunk := list(islice(supply, 16 * TILE_WIDTH)):
        base = tree.size
        start = time.process_time()
        leaves = leaf_hashes(chunk)
        hashed = time.process_time()
        full = tree.append(leaves)
        end = time.process_time()
        cpu, above = cpu + end - start, above + end - hashed
        _keep(tiles, full, base, chunk)
    start = time.process_time()
    root = tree.root()
    cpu += time.process_time() - start
    _keep(tiles, tree.partial(), 0, ())
    tiles.write_checkpoint(sign_note(Checkpoint(KEY.name, size, root).text, KEY))
    return {
        "append_cpu_seconds": round(cpu, 3),
        "append_entries_per_cpu_second": round(size / cpu),
        "append_of_leaf_hashes_per_cpu_second": round(size / above),
    }


def _keep(tiles: TileDir, hashes: Sequence[HashTile], base: int, entries: Sequence[bytes]) -> None:
    files = [(tile_path(at.level, at.index, at.width), data) for at, data in hashes]
    for start in range(0, len(entries), TILE_WIDTH):
        part = entries[start : start + TILE_WIDTH]
        files.append((entries_path((base + start) // TILE_WIDTH, len(part)), encode_bundle(part)))
    tiles.write(files)


# --- verifying and proving ------------------------------------------------------------------------------------------


def _verified(tiles: TileDir, entries: int) -> dict[str, Any]:
    start = time.process_time()
    report = verify(tiles, [KEY.vkey], judges=[Approvals()])
    cpu = time.process_time() - start
    return {
        "verify_cpu_seconds": round(cpu, 2),
        "verify_cpu_seconds_per_million": round(cpu * VERIFIED / entries, 2),
        "verify_problems": len(report.problems),
        "leases_checked": report.checked["leases"],
    }


class _Counted:
    """Tiles, with how many were read."""

    def __init__(self, read: Callable[[int, int, int], bytes | None]) -> None:
        self._read = read
        self.reads = self.size = 0

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """A hash tile."""
        data = self._read(level, index, width)
        self.reads += 1
        self.size += len(data or b"")
        return data


def _proving(tiles: TileDir, size: int) -> dict[str, Any]:
    """Inclusion proofs of entries all over the log, each from its tiles alone."""
    counted = _Counted(tiles.tile)
    indices = [index * size // PROOFS for index in range(PROOFS)]
    start = time.process_time()
    proofs = [inclusion_proof(index, size, counted) for index in indices]
    cpu = time.process_time() - start
    root = Tree.load(size, lambda at: tiles.tile(at.level, at.index, at.width) or b"").root()
    for index, proof in zip(indices, proofs, strict=True):
        leaves = tiles.tile(0, index // TILE_WIDTH, min(TILE_WIDTH, size - index // TILE_WIDTH * TILE_WIDTH)) or b""
        place = index % TILE_WIDTH * 32
        verify_inclusion(leaves[place : place + 32], index, size, proof, root)
    return {
        "proof_cpu_us": round(cpu / PROOFS * 1e6),
        "proof_tiles_read": round(counted.reads / PROOFS, 1),
        "proof_hashes": max(map(len, proofs)),
    }


def _opening(most: int) -> list[dict[str, int]]:
    """Logs of 1,000 entries and on: what is read, and how many hashes it holds, to go on appending. Sizes are one short of
    full tiles, which is the most that there can be to read."""
    found = []
    size = 1_000
    while size <= most:
        tree = Tree()
        held: dict[tuple[int, int, int], bytes] = {}
        for tile in [*_appended(tree, size), *tree.partial()]:
            held[tile.at.level, tile.at.index, tile.at.width] = tile.data
        counted = _Counted(lambda level, index, width, held=held: held.get((level, index, width)))  # type: ignore[misc]
        start = time.process_time()
        opened = Tree.load(size, lambda at, read=counted: _tile(read, at))  # type: ignore[misc]
        opened.root()
        cpu = time.process_time() - start
        found.append(
            {"entries": size, "tiles_read": counted.reads, "hashes_read": counted.size // 32, "cpu_us": round(cpu * 1e6)}
        )
        size *= 10
    return found


def _tile(read: _Counted, at: TileAt) -> bytes:
    return read.tile(at.level, at.index, at.width) or b""


def _appended(tree: Tree, size: int) -> Iterator[HashTile]:
    leaf = leaf_hash(b"")
    for start in range(0, size, 1 << 16):
        yield from tree.append([leaf] * min(1 << 16, size - start))
