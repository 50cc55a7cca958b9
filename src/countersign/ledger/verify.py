"""Is the log what was signed? Reads everything once, in bundles, and names what is wrong.

Checked: the checkpoint's signature; every entry's canonical form and kind; that agents wrote under leases of theirs; the
root, once from the entries and once from the hash tiles; every hash tile above level 0; consistency with an older
checkpoint; and, when a database stands beside the log, that its rows are the sealed entries, that those not sealed yet
are whole and without a gap, and that every piece of evidence still matches its commitment. Nothing raises for what is
found wrong: it is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256

import msgspec

from countersign.errors import VerificationError
from countersign.ledger import findings
from countersign.ledger.bodies import reference
from countersign.ledger.canonical import decode
from countersign.ledger.compare import differences
from countersign.ledger.erasures import Erasure, Erasures
from countersign.ledger.findings import Problem, Problems
from countersign.ledger.mandates import Mandates
from countersign.ledger.merkle import Tree, leaf_hash
from countersign.ledger.note import Checkpoint, VerifierKey, open_checkpoint, parse_checkpoint, split_note
from countersign.ledger.record import LogReader, RecordReader, Row, Rows, row_problem
from countersign.ledger.tiles import HASH_BYTES, TILE_WIDTH, HashTile, decode_bundle, entries_path, tile_path
from countersign.model.entries import Entry


class Report(msgspec.Struct, frozen=True):
    """``size`` and ``root`` (base64) are the checkpoint's; ``checked`` counts what was looked at."""

    ok: bool
    size: int
    root: str
    checked: dict[str, int]
    problems: tuple[Problem, ...]
    erasures: tuple[Erasure, ...] = ()


def verify(
    log: LogReader,
    keys: Sequence[VerifierKey],
    *,
    record: RecordReader | None = None,
    since: bytes | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Verify a whole log. ``since``: an older signed checkpoint. ``progress`` is told (entries done, size)."""
    problems = Problems()
    checkpoint, signed = _checkpoint(log.checkpoint(), keys, problems)
    older = _older(since, checkpoint, keys, problems) if since is not None else None
    rows = None if record is None else Rows(record.rows())
    walk = _Walk(log, checkpoint, problems, rows, older)
    walk.checked["checkpoints"] = int(signed) + int(older is not None)
    if record is not None:
        walk.check_evidence(record)
    head = None if record is None else _head(record, problems)
    walk.entries(progress)
    walk.roots()
    if record is not None:
        walk.unsealed(head, _head(record, problems))
    erasures = walk.erased()
    found = problems.listed()
    root = findings.b64(checkpoint.root) if checkpoint else ""
    return Report(not found, checkpoint.size if checkpoint else 0, root, walk.checked, found, erasures)


def _checkpoint(signed: bytes | None, keys: Sequence[VerifierKey], problems: Problems) -> tuple[Checkpoint | None, bool]:
    """(checkpoint, signature holds). One that does not hold is still compared, so that more can be named."""
    if signed is None:
        problems.add(None, "checkpoint is missing")
        return None, False
    try:
        return open_checkpoint(signed, keys), True
    except VerificationError as error:
        problems.add(None, f"checkpoint: {error}")
    try:
        return parse_checkpoint(split_note(signed)[0]), False
    except VerificationError:
        return None, False


def _head(record: RecordReader, problems: Problems) -> int | None:
    try:
        return record.head()
    except VerificationError as error:
        problems.add(None, f"database: head cannot be read: {error}")
        return None


def _older(signed: bytes, current: Checkpoint | None, keys: Sequence[VerifierKey], problems: Problems) -> Checkpoint | None:
    try:
        older = open_checkpoint(signed, keys)
    except VerificationError as error:
        problems.add(None, f"older checkpoint: {error}")
        return None
    size = current.size if current else 0
    if current and older.origin != current.origin:
        problems.add(None, f"older checkpoint is of log {older.origin}, this one is {current.origin}")
    if older.size > size:
        what = f"older checkpoint covers {older.size} entries, this log only {size}: it was truncated or rolled back"
        problems.add(size, what)
    return older


class _Walk:
    """One pass over the log, bundle by bundle."""

    def __init__(
        self,
        log: LogReader,
        checkpoint: Checkpoint | None,
        problems: Problems,
        rows: Rows | None,
        older: Checkpoint | None,
    ) -> None:
        self._log = log
        self._checkpoint = checkpoint
        self._problems = problems
        self._rows = rows
        self._older = older
        self._older_roots: set[bytes] = set()
        self._tiles = Tree()  # from the level-0 hash tiles
        self._entries: Tree | None = None  # from the entries; None as long as it is the same
        self._whole = True
        self._moved = self._rows_moved = 0
        self._held: set[str] | None = None  # digests of the evidence that is there; None: no database beside the log
        self._spoilt: list[bytes] = []  # digests of evidence that does not match, to be found in entries
        self._mandates = Mandates()
        self._erasures = Erasures()
        self.checked = {"checkpoints": 0, "entries": 0, "entries_of_agents": 0, "hash_tiles": 0}
        if rows is not None:
            self.checked |= {"database_rows": 0, "unsealed_rows": 0, "evidence": 0}

    # --- the log

    def entries(self, progress: Callable[[int, int], None] | None) -> None:
        """Walk all bundles that the checkpoint covers."""
        size = self._checkpoint.size if self._checkpoint else 0
        self._note_older_root()
        for start in range(0, size, TILE_WIDTH):
            if not self._bundle(start, min(TILE_WIDTH, size - start)):
                self._whole = False
                return
            if progress is not None:
                progress(min(size, start + TILE_WIDTH), size)
        for tile in self._tiles.partial():
            self._compare_tile(tile)

    def _bundle(self, start: int, width: int) -> bool:
        """One bundle with its hash tile and rows; False when neither says what belongs here."""
        entries = self._read_entries(start, width)
        leaves = self._read_leaves(start, width)
        have = None if entries is None else [leaf_hash(entry) for entry in entries]
        rows = None if self._rows is None or self._rows.ended else self._rows.take(start, start + width)
        row_hashes = None if rows is None else [None if row is None else leaf_hash(row.data) for row in rows]
        want = leaves or _exactly(have, width) or _exactly(row_hashes, width)
        if want is None:
            self._problems.add(start, f"entries from {start} on cannot be read from bundle, hash tile or database")
            return False
        if have is not None and leaves is not None:
            found, self._moved = differences(have, want, start, self._moved)
            self._problems.entry_differences(found)
        if self._rows is not None and row_hashes is not None:
            self._compare_rows(self._rows, row_hashes, want, start)
        self._grow(want, have)
        for offset, entry in enumerate(entries or []):
            self._check_entry(start + offset, entry)
        for row in rows or []:
            self._check_row(row, compared=True)
        return True

    def _read_entries(self, start: int, width: int) -> list[bytes] | None:
        path = entries_path(start // TILE_WIDTH, width)
        data = self._log.bundle(start // TILE_WIDTH, width)
        if data is None:
            self._problems.add(start, f"{path} is missing: entries {start} to {start + width - 1}")
            return None
        entries, rest = decode_bundle(data)
        if rest:
            at = start + len(entries)
            self._problems.add(at, f"{path} is truncated or damaged: it ends inside entry {at}")
        return entries

    def _read_leaves(self, start: int, width: int) -> list[bytes] | None:
        path = tile_path(0, start // TILE_WIDTH, width)
        data = self._log.tile(0, start // TILE_WIDTH, width)
        if data is None:
            self._problems.add(start, f"{path} is missing: leaf hashes {start} to {start + width - 1}")
            return None
        self.checked["hash_tiles"] += 1
        if len(data) != width * HASH_BYTES:
            at = start + min(len(data) // HASH_BYTES, width)
            what = f"{path} is truncated or damaged: {len(data)} bytes instead of {width * HASH_BYTES}"
            self._problems.add(at, what)
            return None
        return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]

    def _check_entry(self, index: int, entry: bytes) -> None:
        self.checked["entries"] += 1
        try:
            decoded = decode(entry)
            self._check_reference(index, decoded)
            self._erasures.note(index, decoded)
            if what := self._mandates.problem(decoded):
                self._problems.add(index, f"entry {index}: {what}")
            self.checked["entries_of_agents"] = self._mandates.checked
        except VerificationError as error:
            self._problems.add(index, f"entry {index}: {error}")
        for digest in self._spoilt:
            if digest in entry:
                what = f"evidence {digest.decode()} of entry {index} does not match its commitment: it was changed"
                self._problems.add(index, what)

    def _check_reference(self, index: int, entry: Entry) -> None:
        """The evidence that an entry commits to must be there; each missing piece is named once."""
        digest = reference(entry)
        if self._held is not None and digest and digest not in self._held:
            self._erasures.miss(index, digest)

    def erased(self) -> tuple[Erasure, ...]:
        """At the end: what is missing without an erasure that the log or a row beyond it tells of is a problem."""
        if self._held is None:
            return ()
        for problem in self._erasures.problems(self._held):
            self._problems.add(problem.index, problem.what)
        self.checked["erased_evidence"] = self._erasures.accounted()
        return self._erasures.erasures()

    def _grow(self, leaves: Sequence[bytes], have: Sequence[bytes] | None) -> None:
        """Add leaves to both trees, noting the roots at the older checkpoint's size on the way."""
        mine = leaves if have is None else have
        if self._entries is None and list(mine) != list(leaves):
            self._entries = self._tiles.copy()
        cut = self._older.size - self._tiles.size if self._older else 0
        for low, high in ((0, cut), (cut, len(leaves))) if 0 < cut <= len(leaves) else ((0, len(leaves)),):
            full = self._tiles.append(leaves[low:high])
            if self._entries is not None:
                self._entries.append(mine[low : high if high < len(leaves) else len(mine)])
            self._note_older_root()
            for tile in full:
                self._compare_tile(tile)

    def _note_older_root(self) -> None:
        if self._older is not None and self._older.size == self._tiles.size:
            self._older_roots = {tree.root() for tree in (self._tiles, self._entries) if tree is not None}

    def _compare_tile(self, computed: HashTile) -> None:
        """A tile above level 0 must be what the level below hashes to."""
        at = computed.at
        if at.level == 0:
            return
        path = tile_path(at.level, at.index, at.width)
        data = self._log.tile(at.level, at.index, at.width)
        first = at.index * TILE_WIDTH
        if data is None:
            self._problems.add(first << 8 * at.level, f"{path} is missing")
            return
        self.checked["hash_tiles"] += 1
        if data == computed.data:
            return
        pairs = range(0, len(computed.data), HASH_BYTES)
        wrong = next((i for i in pairs if data[i : i + HASH_BYTES] != computed.data[i : i + HASH_BYTES]), len(data))
        low = (first + wrong // HASH_BYTES) << 8 * at.level
        what = f"{path}: hash {wrong // HASH_BYTES} is not that of entries {low} to {low + (1 << 8 * at.level) - 1}"
        self._problems.add(low, what)

    def roots(self) -> None:
        """Compare the recomputed roots with the signed one, and with the older checkpoint's."""
        if self._checkpoint is None:
            return
        if not self._whole:
            self._problems.add(None, "root cannot be recomputed: parts of the log are missing")
            return
        signed = self._checkpoint.root
        by_tiles = self._tiles.root()
        by_entries = by_tiles if self._entries is None else self._entries.root()
        self._problems.blame(tiles_hold=by_tiles == signed, entries_hold=by_entries == signed)
        for name, root in (("hash tiles", by_tiles), ("entries", by_entries)):
            if root != signed:
                what = f"root recomputed from the {name} is {findings.b64(root)}, the checkpoint says"
                self._problems.add(None, f"{what} {findings.b64(signed)}")
        older = self._older
        if older is not None and older.size <= self._checkpoint.size and older.root not in self._older_roots:
            what = f"log does not extend the older checkpoint of {older.size} entries: its history was rewritten"
            self._problems.add(None, what)

    # --- the database beside it

    def check_evidence(self, record: RecordReader) -> None:
        """Compare each piece of evidence with its commitment; entries that rest on a bad one are named later."""
        self._held = set()
        try:
            for digest, salt, data in record.evidence():
                self._held.add(digest)
                self.checked["evidence"] += 1
                if sha256(salt + data).hexdigest() != digest:
                    self._spoilt.append(digest.encode())
                    self._problems.add(None, f"evidence {digest} does not match its commitment: it was changed")
        except VerificationError as error:
            self._problems.add(None, f"evidence cannot be read: {error}")

    def _compare_rows(self, rows: Rows, have: list[bytes | None], want: Sequence[bytes], start: int) -> None:
        if rows.fault:
            want = want[: len(have)]  # what could not be read is one problem, not many missing rows
        found, self._rows_moved = differences(have, want, start, self._rows_moved)
        self._problems.row_differences(found, self._checkpoint.size if self._checkpoint else 0)
        rows.ended |= len(have) < len(want)

    def _check_row(self, row: Row | None, *, compared: bool) -> None:
        problem = row_problem(row, compared=compared) if row is not None else None
        if problem is not None:
            self._problems.add(problem.index, problem.what)

    def _note_unsealed(self, row: Row) -> None:
        """An erasure that is committed but not sealed yet accounts for its pieces too."""
        with suppress(VerificationError):
            self._erasures.note(row.index, decode(row.data))

    def unsealed(self, before: int | None, after: int | None) -> None:
        """Rows beyond the checkpoint: not a problem, but they must be whole and follow each other."""
        if self._rows is None:
            return
        expected = self._checkpoint.size if self._checkpoint else 0
        for row in self._rows.rest():
            if row.index != expected:
                self._problems.add(expected, f"database: entries {expected} to {row.index - 1} are missing")
            self._check_row(row, compared=False)
            self._note_unsealed(row)
            self.checked["unsealed_rows"] += 1
            expected = row.index + 1
        self.checked["database_rows"] = self._rows.read
        if self._rows.fault:
            self._problems.add(self._rows.last + 1, self._rows.fault)
        if self._rows.ended:
            return
        if before is not None and expected < before:
            what = f"database ends before entry {expected}, its head says {before} entries: the last were deleted"
            self._problems.add(expected, what)
        if after is not None and expected > after:
            self._problems.add(after, f"database holds {expected} entries, its head says {after}")


def _exactly(hashes: Sequence[bytes | None] | None, width: int) -> list[bytes] | None:
    """The hashes, if they are all there."""
    if hashes is None or len(hashes) != width:
        return None
    whole = [each for each in hashes if each is not None]
    return whole if len(whole) == width else None
