"""Does the log go on as it should? Checks what was sealed since the last look, and nothing of what came before.

Checked of each new stretch: the checkpoint's signature; that it extends the one before; that the new entries are canonical,
hash to their tiles, lead to the signed root, and are the rows of the database. ``verify`` reads a whole log; this keeps up
with a growing one. Nothing raises for what is found wrong: it is listed, and nothing beyond it is taken as checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from countersign.errors import VerificationError
from countersign.ledger.canonical import decode
from countersign.ledger.compare import differences
from countersign.ledger.findings import Problem, Problems, b64
from countersign.ledger.merkle import Tree, leaf_hash
from countersign.ledger.note import Checkpoint, VerifierKey, open_checkpoint
from countersign.ledger.record import LogReader, Row, row_problem
from countersign.ledger.tiles import HASH_BYTES, TILE_WIDTH, TileAt, decode_bundle, entries_path, tile_path

Keys = Callable[[], Sequence[VerifierKey]]
"""Keys that sign at this moment: the log's key may be rotated while it is followed."""
RowsOf = Callable[[int, int], Sequence[Row]]
"""Rows of entries [start, stop), by index."""


class Follower:
    """Begins at the checkpoint that is there at its first ``step``. tick: called now and then, so that it can be slowed."""

    def __init__(self, log: LogReader, keys: Keys, rows: RowsOf, tick: Callable[[], None] = lambda: None) -> None:
        self._log = log
        self._keys = keys
        self._rows = rows
        self._tick = tick
        self._tree: Tree | None = None
        self._last = Checkpoint("", 0, b"")
        self._signed: bytes | None = None
        self.problems: tuple[Problem, ...] = ()

    @property
    def size(self) -> int:
        """Entries up to here are followed."""
        return self._last.size

    def step(self) -> bool:
        """Check what is new; True when anything was. ``problems`` says what is wrong with it."""
        signed = self._log.checkpoint()
        if signed == self._signed and not self.problems:
            return False
        found = Problems()
        tree, checkpoint = self._extended(signed, found)
        self.problems = found.listed()
        if not self.problems and tree is not None and checkpoint is not None:
            self._tree, self._last, self._signed = tree, checkpoint, signed
        return True

    def _extended(self, signed: bytes | None, found: Problems) -> tuple[Tree | None, Checkpoint | None]:
        if signed is None:
            if self._tree is not None:
                found.add(None, "checkpoint is missing")
            return None, None
        try:
            checkpoint = open_checkpoint(signed, self._keys())
            tree = Tree.load(checkpoint.size, self._tile) if self._tree is None else self._tree.copy()
        except VerificationError as error:
            found.add(None, f"checkpoint: {error}")
            return None, None
        if self._tree is not None and checkpoint.size < self._last.size:
            what = f"checkpoint covers {checkpoint.size} entries where {self._last.size} were sealed: it was rolled back"
            found.add(checkpoint.size, what)
            return None, None
        for start in range(tree.size // TILE_WIDTH * TILE_WIDTH, checkpoint.size, TILE_WIDTH):
            self._bundle(tree, start, min(TILE_WIDTH, checkpoint.size - start), found)
            self._tick()
        if tree.root() != checkpoint.root and not found.listed():
            what = f"the log does not go on from its {self._last.size} entries: root of {checkpoint.size} is not the signed"
            found.add(None, f"{what} {b64(checkpoint.root)}")
        return tree, checkpoint

    def _bundle(self, tree: Tree, start: int, width: int, found: Problems) -> None:
        """The new entries of one bundle: as leaves of the tree, in their tile, and in the database."""
        first = tree.size
        bundle, rest = decode_bundle(self._log.bundle(start // TILE_WIDTH, width) or b"")
        if rest or len(bundle) < width:
            path = entries_path(start // TILE_WIDTH, width)
            found.add(start + len(bundle), f"{path} is missing, truncated or damaged at entry {start + len(bundle)}")
            return
        entries = bundle[first - start : width]
        leaves = [leaf_hash(entry) for entry in entries]
        for index, entry in enumerate(entries, first):
            if what := _not_canonical(entry):
                found.add(index, f"entry {index}: {what}")
        self._compare(first, start, width, leaves, found)
        for full in tree.append(leaves):
            if full.at.level and self._log.tile(full.at.level, full.at.index, full.at.width) != full.data:
                path = tile_path(full.at.level, full.at.index, full.at.width)
                found.add(full.at.end - 1, f"{path} is missing, or not what the level below hashes to")

    def _compare(self, first: int, start: int, width: int, leaves: Sequence[bytes], found: Problems) -> None:
        data = self._log.tile(0, start // TILE_WIDTH, width) or b""
        sealed = [data[i : i + HASH_BYTES] for i in range((first - start) * HASH_BYTES, len(data), HASH_BYTES)]
        if sealed != list(leaves):
            path = tile_path(0, start // TILE_WIDTH, width)
            wrong = next((i for i, (a, b) in enumerate(zip(sealed, leaves, strict=False)) if a != b), len(sealed))
            found.add(first + wrong, f"{path}: leaf hash {first + wrong} is not that of its entry, or is missing")
        rows = {row.index: row for row in self._rows(first, first + len(leaves))}
        have = [leaf_hash(rows[i].data) if i in rows else None for i in range(first, first + len(leaves))]
        found.row_differences(differences(have, leaves, first)[0], start + width)
        for problem in _beside(rows.values()):
            found.add(problem.index, problem.what)

    def _tile(self, at: TileAt) -> bytes:
        return self._log.tile(at.level, at.index, at.width) or b""


def _not_canonical(entry: bytes) -> str:
    try:
        decode(entry)
    except VerificationError as error:
        return str(error)
    return ""


def _beside(rows: Iterable[Row]) -> Iterator[Problem]:
    for row in rows:
        problem = row_problem(row, compared=True)
        if problem is not None:
            yield problem
