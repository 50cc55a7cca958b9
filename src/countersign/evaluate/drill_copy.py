"""What tampering drills work on: a copy of a site's published log and of those tables that ``verify`` reads.

A copy is real files and a real SQLite database, so that the code under test reads what a site's own would. Whoever holds the
log's key can also make another history of it, tiles, checkpoint and all: ``publish``.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import Engine, NullPool, create_engine

from countersign.bootstrap import Site
from countersign.errors import UsageError
from countersign.ledger.canonical import decode
from countersign.ledger.merkle import Tree, leaf_hash
from countersign.ledger.note import Checkpoint, open_checkpoint, sign_note
from countersign.ledger.record import RecordReader, Row
from countersign.ledger.tiles import TILE_WIDTH, encode_bundle, entries_path, right_edge, tile_path
from countersign.ports import Signer
from countersign.store import tables as t
from countersign.store.ledger_rows import LedgerRows
from countersign.store.tiles import CHECKPOINT, Disk, TileDir

LOG, DATABASE = "tlog", "record.sqlite"
ENTRIES_MIN = 300
"""Fewer fill no tile."""
ENTRIES_MAX = 20_000
"""More take hours for a thousand drills: each verifies the whole record twice."""
INSERT = "INSERT INTO entries (idx, kind, subject, case_id, time_ms, bytes) VALUES (?, ?, ?, '', ?, ?)"


class _Unflushed(Disk):
    """A copy need not survive a power cut."""

    def write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)

    def flush_directory(self, path: Path) -> None:
        """Nothing."""


class Original(msgspec.Struct, frozen=True):
    """The site's record as it was before any drill. entries: canonical bytes. key: the log's own."""

    folder: Path
    entries: tuple[bytes, ...]
    key: Signer
    checkpoint: Checkpoint

    def copy(self, folder: Path) -> Copy:
        """A copy to tamper with, in place of an earlier one."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder)
        return Copy(folder, self)

    def older(self, size: int) -> bytes:
        """The checkpoint that was signed when the log had this many entries."""
        tree = Tree()
        tree.append([leaf_hash(each) for each in self.entries[:size]])
        return sign_note(Checkpoint(self.key.name, size, tree.root()).text, self.key)


def original(site: Site, folder: Path) -> Original:
    """Seal the site and copy its record into ``folder``. Raises UsageError when it has too few entries, or too many."""
    site.seal()
    record = LedgerRows(site.engine)
    size = record.head() or 0
    if not ENTRIES_MIN <= size <= ENTRIES_MAX:
        todo = f"drill on one of {ENTRIES_MIN} to {ENTRIES_MAX} entries"
        raise UsageError(f"a record of {size} entries does not suit drills", where=str(site.data), todo=todo)
    rows = list(record.rows())
    entries = tuple(row.data for row in rows)
    publish(folder / LOG, entries, site.log_key)
    _database(folder / DATABASE, rows, record)
    checkpoint = open_checkpoint(TileDir(folder / LOG).checkpoint() or b"", [site.log_key.vkey])
    return Original(folder, entries, site.log_key, checkpoint)


def publish(root: Path, entries: Sequence[bytes], key: Signer) -> None:
    """A whole log of these entries, signed."""
    tree = Tree()
    tiles = [*tree.append([leaf_hash(each) for each in entries]), *tree.partial()]
    files = [(tile_path(at.level, at.index, at.width), data) for at, data in tiles]
    for start in range(0, len(entries), TILE_WIDTH):
        part = entries[start : start + TILE_WIDTH]
        files.append((entries_path(start // TILE_WIDTH, len(part)), encode_bundle(part)))
    log = TileDir(root, _Unflushed())
    log.write(files)
    log.write_checkpoint(sign_note(Checkpoint(key.name, tree.size, tree.root()).text, key))


def _database(path: Path, rows: Sequence[Row], record: RecordReader) -> None:
    engine = plain_engine(path)
    t.metadata.create_all(engine, tables=[t.entries, t.evidence, t.ledger_head])
    with _opened(path) as conn:
        conn.executemany(INSERT, [(row.index, row.kind, row.subject, row.time, row.data) for row in rows])
        conn.execute("INSERT INTO ledger_head (id, size, next_case) VALUES (1, ?, 1001)", (len(rows),))
        conn.executemany("INSERT INTO evidence (digest, kind, salt, bytes) VALUES (?, '', ?, ?)", record.evidence())


def plain_engine(path: Path) -> Engine:
    """SQLite without the write-ahead log and the flushing that a site's own database has."""
    return create_engine(f"sqlite:///{path}", poolclass=NullPool)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    conn = sqlite3.connect(path)
    conn.execute("PRAGMA synchronous=OFF")
    try:
        with conn:
            yield conn
    finally:
        conn.close()


class Copy:
    """One copy: what a drill may do to it, and what detectors read."""

    def __init__(self, folder: Path, original: Original) -> None:
        self.original = original
        self.root = folder / LOG
        self.database = folder / DATABASE
        self.log = TileDir(self.root)

    # --- the published log

    def files(self) -> list[str]:
        """Paths of all tiles and bundles of the log, by what the checkpoint covers."""
        size = self.original.checkpoint.size
        edge = [tile_path(at.level, at.index, at.width) for at in right_edge(size)]
        full = [tile_path(level, n) for level in range(8) for n in range((size >> 8 * level) // TILE_WIDTH)]
        bundles = [self.bundle(n * TILE_WIDTH) for n in range(-(-size // TILE_WIDTH))]
        return [*full, *edge, *bundles]

    def bundle(self, index: int) -> str:
        """Path of the bundle that holds an entry."""
        start = index // TILE_WIDTH * TILE_WIDTH
        return entries_path(index // TILE_WIDTH, min(TILE_WIDTH, self.original.checkpoint.size - start))

    def tile(self, index: int) -> str:
        """Path of the hash tile that holds an entry's leaf."""
        return self.bundle(index).replace("entries", "0", 1)

    def read(self, path: str) -> bytes:
        """A file of the log."""
        return (self.root / path).read_bytes()

    def write(self, path: str, data: bytes) -> None:
        """Another file in its place."""
        (self.root / path).write_bytes(data)

    def remove(self, path: str) -> None:
        """Without this file."""
        (self.root / path).unlink()

    def republish(self, entries: Sequence[bytes], key: Signer | None, *, checkpoint: bool = True) -> None:
        """Another log in place of this one; ``checkpoint=False``: under the checkpoint that was there."""
        signed = self.read(CHECKPOINT)
        shutil.rmtree(self.root)
        publish(self.root, entries, key or self.original.key)
        if not checkpoint:
            self.write(CHECKPOINT, signed)

    # --- the database

    @contextmanager
    def sql(self) -> Iterator[sqlite3.Connection]:
        """The database, for any change at all."""
        with _opened(self.database) as conn:
            yield conn

    def refill(self, entries: Sequence[bytes]) -> None:
        """Other entries in the database, as if they had always been there."""
        read = ((index, decode(data), data) for index, data in enumerate(entries))
        with self.sql() as conn:
            conn.execute("DELETE FROM entries")
            conn.executemany(INSERT, [(index, e.kind.value, e.subject, e.time, data) for index, e, data in read])
            conn.execute("UPDATE ledger_head SET size = ?", (len(entries),))
