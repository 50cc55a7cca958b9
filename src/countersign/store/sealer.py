"""Committed entries → tiles → signed checkpoint.

A kill at any instant is harmless: until the checkpoint is renamed into place, whatever was written lies beyond what it
covers and is written again from the database. What a checkpoint covers is never signed differently: the sealer reads the
last covered rows again and refuses to go on when the database no longer holds what was sealed.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from sqlalchemy import Engine, func, select

from countersign.errors import EnvironmentFault, VerificationError
from countersign.ledger.cosignature import with_signatures
from countersign.ledger.merkle import Tree, leaf_hash, leaf_hashes
from countersign.ledger.note import Checkpoint, Signature, VerifierKey, open_checkpoint, sign_note, split_note
from countersign.ledger.tiles import (
    TILE_WIDTH,
    HashTile,
    TileAt,
    encode_bundle,
    entries_path,
    split_hashes,
    tile_path,
)
from countersign.ports import Signer
from countersign.store import tables as t
from countersign.store.engine import reading
from countersign.store.tiles import TileDir

CHUNK_ENTRIES = 16 * TILE_WIDTH
"""Entries read and written at a time: bounds memory whatever waits to be sealed."""
LOCK = ".lock"


class _Head(NamedTuple):
    """What was sealed last: the signed checkpoint as it stands on disk, read, and the tree it stands for."""

    signed: bytes
    checkpoint: Checkpoint
    tree: Tree


class Sealer:
    """Seals the entries of one database into one tile directory; any number of processes may hold one."""

    def __init__(self, engine: Engine, tiles: TileDir, signer: Signer) -> None:
        self._engine = engine
        self._tiles = tiles
        self._signer = signer
        self._head: _Head | None = None

    def checkpoint(self) -> Checkpoint | None:
        """The latest checkpoint of this log, its signature checked; None before the first seal."""
        signed = self._tiles.checkpoint()
        return None if signed is None else self._open(signed)

    def locked(self) -> AbstractContextManager[None]:
        """Nobody seals meanwhile, in no process."""
        return self._lock()

    def seal(self) -> Checkpoint:
        """Cover every entry committed so far and return the checkpoint that does; waits for another sealer.

        Raises VerificationError when database, tiles and checkpoint disagree: nothing is signed then.
        """
        with self._lock():
            head = self._recover()
            tree = Tree() if head is None else head.tree.copy()
            pending = self._check_sealed(tree)
            self._extend(tree, pending, first=head is None)
            if head is not None and tree.size == head.checkpoint.size:
                return head.checkpoint
            return self._publish(tree)

    def cosign(self, signed: bytes, more: Sequence[Signature], enough: Callable[[bytes], bool]) -> bytes:
        """Put witnesses' signatures under a checkpoint of this log and return it. It is published where it is the newest
        still, and kept beside that one where ``enough`` says so, whatever was sealed since it was sent to them."""
        with self._lock():
            published = self._tiles.checkpoint() or b""
            newest = bool(published) and split_note(published)[0] == split_note(signed)[0]
            cosigned = with_signatures(published if newest else signed, more)
            if newest:
                self._tiles.write_checkpoint(cosigned)
                if self._head is not None and self._head.signed == published:
                    self._head = self._head._replace(signed=cosigned)
            if enough(cosigned):
                self._tiles.write_cosigned(cosigned)
            return cosigned

    @contextmanager
    def _lock(self) -> Iterator[None]:
        path = self._tiles.root / LOCK
        try:
            self._tiles.root.mkdir(parents=True, exist_ok=True)
            file = path.open("wb")
        except OSError as error:
            raise EnvironmentFault(f"log cannot be locked ({error.strerror})", where=str(path)) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)  # released when the file closes, so a killed sealer holds nobody up
            self._tiles.clean()
            yield

    def _open(self, signed: bytes) -> Checkpoint:
        return open_checkpoint(signed, [VerifierKey(self._signer.name, self._signer.public_key)])

    def _recover(self) -> _Head | None:
        """The last checkpoint and its tree, from the partial tiles alone; from memory when nobody sealed since."""
        signed = self._tiles.checkpoint()
        if signed is None:
            return None
        if self._head is None or self._head.signed != signed:
            checkpoint = self._open(signed)
            tree = Tree.load(checkpoint.size, self._tile)
            if tree.root() != checkpoint.root:
                what = f"hash tiles do not lead to the root of the checkpoint of {checkpoint.size} entries"
                raise VerificationError(what, where=str(self._tiles.root), todo="run countersign verify")
            self._head = _Head(signed, checkpoint, tree)
        return self._head

    def _tile(self, at: TileAt) -> bytes:
        return self._tiles.tile(at.level, at.index, at.width) or b""

    def _check_sealed(self, tree: Tree) -> list[bytes]:
        """Compare the last sealed rows with their leaf hashes; returns the entries of the bundle that is not full."""
        self._check_not_shrunk(tree.size)
        start = max(0, tree.size - 1) // TILE_WIDTH * TILE_WIDTH
        rows = self._rows(start, tree.size)
        leaves: Sequence[bytes] = tree.leaves
        if rows and not leaves:
            leaves = split_hashes(self._tile(TileAt(0, start // TILE_WIDTH, TILE_WIDTH)))
        for index, (row, leaf) in enumerate(zip(rows, leaves, strict=True), start):
            if leaf_hash(row) != leaf:
                what = "database row differs from the sealed entry"
                raise VerificationError(what, where=f"entry {index}", todo="run countersign verify")
        return rows if tree.leaves else []

    def _check_not_shrunk(self, sealed: int) -> None:
        with reading(self._engine) as conn:
            last = conn.execute(select(func.max(t.entries.c.idx))).scalar_one()
        have = 0 if last is None else last + 1
        if have < sealed:
            what = f"database holds {have} entries where {sealed} are sealed: it was rolled back or truncated"
            raise VerificationError(what, where=f"entry {have}", todo="restore it; run countersign verify")

    def _rows(self, start: int, stop: int) -> list[bytes]:
        """Entries [start, stop), as many as are committed; raises VerificationError at a gap."""
        idx = t.entries.c.idx
        statement = select(idx, t.entries.c.bytes).where(idx >= start, idx < stop).order_by(idx)
        with reading(self._engine) as conn:
            rows = conn.execute(statement).all()
        for place, row in enumerate(rows, start):
            if row[0] != place:
                raise VerificationError("entry is missing from the database", where=f"entry {place}")
        return [bytes(row[1]) for row in rows]

    def _extend(self, tree: Tree, pending: list[bytes], *, first: bool) -> None:
        """Append what is committed beyond ``tree`` and write its tiles, the partial ones at the end."""
        sealed = tree.size
        while True:
            rows = self._rows(tree.size, tree.size + CHUNK_ENTRIES)
            base = tree.size - len(pending)
            full = tree.append(leaf_hashes(rows))
            pending += rows
            bundles = list(_bundles(base, pending))
            self._write([*bundles, *_hash_tiles(full)], first=first)
            del pending[: len(bundles) * TILE_WIDTH]
            for tile in full:
                self._tiles.collect(tile.at)
            if len(rows) < CHUNK_ENTRIES:
                break
        if tree.size > sealed:
            edge = [(entries_path(tree.size // TILE_WIDTH, len(pending)), encode_bundle(pending))] if pending else []
            self._write([*edge, *_hash_tiles(tree.partial())], first=first)

    def _write(self, files: Sequence[tuple[str, bytes]], *, first: bool) -> None:
        """Without a checkpoint, tiles already there are either from a killed first seal, thus equal, or evidence that
        the checkpoint was removed: then another history must not be signed over them."""
        if first and (path := self._tiles.different(files)):
            what = "checkpoint is gone, and the tiles are not those of this database"
            raise VerificationError(what, where=path, todo="restore the checkpoint; run countersign verify")
        self._tiles.write(files)

    def _publish(self, tree: Tree) -> Checkpoint:
        checkpoint = Checkpoint(self._signer.name, tree.size, tree.root())
        signed = sign_note(checkpoint.text, self._signer)
        self._tiles.write_checkpoint(signed)
        self._head = _Head(signed, checkpoint, tree)
        return checkpoint


def _bundles(base: int, entries: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """The full bundles in ``entries``, which start at index ``base``."""
    for start in range(0, len(entries) - TILE_WIDTH + 1, TILE_WIDTH):
        yield entries_path((base + start) // TILE_WIDTH), encode_bundle(entries[start : start + TILE_WIDTH])


def _hash_tiles(tiles: Sequence[HashTile]) -> Iterator[tuple[str, bytes]]:
    for at, data in tiles:
        yield tile_path(at.level, at.index, at.width), data
