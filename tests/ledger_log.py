"""Logs in memory and in a database, for the ledger's tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from sqlalchemy import Engine, delete, insert

from countersign.ledger.canonical import decode, encode
from countersign.ledger.merkle import Tree, leaf_hash
from countersign.ledger.note import Checkpoint, sign_note
from countersign.ledger.record import Row
from countersign.ledger.tiles import TILE_WIDTH, encode_bundle, entries_path, tile_path
from countersign.model.entries import Actor, Entry, Kind
from countersign.store import tables as t
from countersign.store.engine import writing
from countersign.store.keys import LogKey

KEY = LogKey("log.test/one", bytes(range(32)))
OTHER_KEY = LogKey("log.test/one", bytes(32))


def entry(number: int, text: str = "") -> Entry:
    """An entry unlike any with another number."""
    actor = Actor("system", "test")
    return Entry(Kind.ALERT_RECEIVED, number, actor, f"s{number}", "file", {"n": number, "text": text})


def blobs(count: int, start: int = 0, text: str = "") -> list[bytes]:
    """Canonical entries ``start`` … ``start + count - 1``."""
    return [encode(entry(number, text)) for number in range(start, start + count)]


class MemoryLog:
    """A published log as a dict of paths."""

    def __init__(self, entries: Sequence[bytes] = (), key: LogKey = KEY) -> None:
        self.files: dict[str, bytes] = {}
        tree = Tree()
        leaves = [leaf_hash(each) for each in entries]
        for at, data in [*tree.append(leaves), *tree.partial()]:
            self.files[tile_path(at.level, at.index, at.width)] = data
        for start in range(0, len(entries), TILE_WIDTH):
            part = entries[start : start + TILE_WIDTH]
            self.files[entries_path(start // TILE_WIDTH, len(part))] = encode_bundle(part)
        self.sign(Checkpoint(key.name, tree.size, tree.root()), key)

    def sign(self, checkpoint: Checkpoint, key: LogKey = KEY) -> None:
        self.files["checkpoint"] = sign_note(checkpoint.text, key)

    def checkpoint(self) -> bytes | None:
        return self.files.get("checkpoint")

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        return self.files.get(tile_path(level, index, width))

    def bundle(self, index: int, width: int) -> bytes | None:
        return self.files.get(entries_path(index, width))


class MemoryRecord:
    """A database beside a log."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.entries: dict[int, Row] = {}
        for index, data in enumerate(entries):
            self.put(index, data)
        self.size: int | None = len(entries)
        self.pieces: list[tuple[str, bytes, bytes]] = []

    def put(self, index: int, data: bytes) -> None:
        read = decode(data)
        self.entries[index] = Row(index, read.kind.value, read.subject, read.time, data)

    def head(self) -> int | None:
        return self.size

    def rows(self) -> Iterator[Row]:
        return iter([self.entries[index] for index in sorted(self.entries)])

    def evidence(self) -> Iterator[tuple[str, bytes, bytes]]:
        return iter(self.pieces)

    def matter(self, _digest: str) -> bytes | None:
        return None


def add(engine: Engine, count: int, start: int = 0, text: str = "") -> None:
    """Commit entries to a database, with the head that hands out indices."""
    rows = [
        {
            "idx": number,
            "kind": Kind.ALERT_RECEIVED.value,
            "subject": f"s{number}",
            "case_id": "",
            "time_ms": number,
            "bytes": encode(entry(number, text)),
        }
        for number in range(start, start + count)
    ]
    with writing(engine) as conn:
        if rows:
            conn.execute(insert(t.entries), rows)
        conn.execute(delete(t.ledger_head))
        conn.execute(insert(t.ledger_head).values(id=1, size=start + count, next_case=1001))


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def flip(data: bytes, bit: int) -> bytes:
    """``data`` with one bit changed."""
    at, mask = divmod(bit % (8 * len(data)), 8)
    return data[:at] + bytes([data[at] ^ (1 << mask)]) + data[at + 1 :]


def indices(problems: Iterable[object]) -> set[int | None]:
    """Entry numbers named."""
    return {getattr(problem, "index", None) for problem in problems}
