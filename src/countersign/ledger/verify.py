"""Is the log what was signed? Reads everything once, in bundles, and names what is wrong.

Checked: the checkpoint's signature; every entry's canonical form and kind; that agents wrote under leases of theirs, and
whatever else the given judges know; the root, once from the entries and once from the hash tiles; every hash tile above
level 0; consistency with an older checkpoint; and, when a database stands beside the log, that its rows are the sealed
entries, that those not sealed yet are whole and without a gap, and that every piece of evidence still matches its
commitment. Nothing raises for what is found wrong: it is listed.

What one bundle says by itself is found in ``stretches``, by as many processes as there may be; here it is put together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256

import msgspec

from countersign.errors import VerificationError
from countersign.ledger import findings, heads
from countersign.ledger.canonical import decode
from countersign.ledger.compare import differences
from countersign.ledger.erasures import TAKING, Erasure, Erasures
from countersign.ledger.findings import Problem, Problems
from countersign.ledger.judging import Judge, Key, Opinion, Told
from countersign.ledger.mandates import Mandates
from countersign.ledger.merkle import Tree, leaf_hash
from countersign.ledger.note import Checkpoint, VerifierKey
from countersign.ledger.record import LogReader, RecordReader, Row, Rows, row_problem
from countersign.ledger.stretches import Spread, Stretch, Task, are_same, in_turn, split
from countersign.ledger.tiles import HASH_BYTES, TILE_WIDTH, HashTile, tile_path

UNREAD = "entries_not_judged"
EVIDENCE = "references_to_evidence"


class Report(msgspec.Struct, frozen=True):
    """``size`` and ``root`` (base64) are the checkpoint's; ``checked`` counts what was looked at, ``unchecked`` what could
    not be: it is neither right nor wrong. open: what was begun and has not ended. keys: whose signatures it rests on."""

    ok: bool
    size: int
    root: str
    checked: dict[str, int]
    problems: tuple[Problem, ...]
    unchecked: dict[str, int] = {}
    open: tuple[Problem, ...] = ()
    keys: tuple[Key, ...] = ()
    erasures: tuple[Erasure, ...] = ()


def verify(
    log: LogReader,
    keys: Sequence[VerifierKey],
    *,
    record: RecordReader | None = None,
    since: bytes | None = None,
    progress: Callable[[int, int], None] | None = None,
    judges: Sequence[Judge] = (),
    spread: Spread | None = None,
) -> Report:
    """Verify a whole log. ``since``: an older signed checkpoint. ``progress`` is told (entries done, size). judges: know
    more rules (``approvals.record``); each serves once. spread: who looks at the bundles, which changes nothing else."""
    problems = Problems()
    checkpoint, signed = heads.checkpoint(log.checkpoint(), keys, problems)
    older = heads.older(since, checkpoint, keys, problems) if since is not None else None
    rows = None if record is None else Rows(record.rows())
    walk = _Walk(log, checkpoint, problems, rows, older, (Mandates(), *judges))
    walk.checked["checkpoints"] = int(signed) + int(older is not None)
    if record is not None:
        walk.check_evidence(record)
    head = None if record is None else heads.head(record, problems)
    walk.entries(spread or in_turn(log), progress)
    walk.roots()
    if record is not None:
        walk.unsealed(head, heads.head(record, problems))
    return walk.report()


class _Walk:
    """One pass over the log, bundle by bundle."""

    def __init__(
        self,
        log: LogReader,
        checkpoint: Checkpoint | None,
        problems: Problems,
        rows: Rows | None,
        older: Checkpoint | None,
        judges: Sequence[Judge],
    ) -> None:
        self._log = log
        self._checkpoint = checkpoint
        self._problems = problems
        self._rows = rows
        self._older = older
        self._judges = judges
        self._judging = True
        self._older_roots: set[bytes] = set()
        self._tiles = Tree()  # from the level-0 hash tiles
        self._entries: Tree | None = None  # from the entries; None as long as it is the same
        self._whole = True
        self._moved = self._rows_moved = 0
        self._held: set[str] | None = None  # digests of the evidence that is there; None: no database beside the log
        self._spoilt: list[bytes] = []  # digests of evidence that does not match, to be found in entries
        self._erasures = Erasures()
        self.checked = {"checkpoints": 0, "entries": 0, "entries_of_agents": 0, "hash_tiles": 0}
        self._unchecked = {UNREAD: 0, EVIDENCE: 0}
        if rows is not None:
            self.checked |= {"database_rows": 0, "unsealed_rows": 0, "evidence": 0}

    @property
    def _size(self) -> int:
        return self._checkpoint.size if self._checkpoint else 0

    def report(self) -> Report:
        """Everything that was found."""
        erasures = self.erased()
        found = self._problems.listed()
        opinions = [judge.finish() for judge in self._judges]
        for one in opinions:
            self.checked |= one.checked
            self._unchecked |= one.unchecked
        root = findings.b64(self._checkpoint.root) if self._checkpoint else ""
        last = _last(opinions, self._unchecked)
        return Report(not found, self._size, root, self.checked, found, *last, erasures)

    # --- the log

    def entries(self, spread: Spread, progress: Callable[[int, int], None] | None) -> None:
        """Walk all bundles that the checkpoint covers."""
        self._note_older_root()
        watched = frozenset(kind.value for kind in TAKING).union(*(judge.kinds for judge in self._judges))
        for found in spread(Task(self._size, watched, tuple(self._spoilt), beside=self._rows is not None)):
            if not self._bundle(found):
                self._whole = False
                return
            if progress is not None:
                progress(found.start + found.width, self._size)
        for tile in self._tiles.partial():
            self._compare_tile(tile)

    def _bundle(self, found: Stretch) -> bool:
        """One bundle with its hash tile and rows; False when neither says what belongs here."""
        start, width = found.start, found.width
        self.checked["hash_tiles"] += found.tiles
        self.checked["entries"] += found.checked
        for problem in found.problems:
            self._problems.add(problem.index, problem.what)
        have = None if found.entries is None else split(found.entries)
        rows = None if self._rows is None or self._rows.ended else self._rows.take(start, start + width)
        are_as_signed = rows is not None and found.entries == found.leaves and are_same(found, rows)
        row_hashes: list[bytes | None] | None = None
        if rows is not None:
            row_hashes = [*(have or ())] if are_as_signed else [None if r is None else leaf_hash(r.data) for r in rows]
        leaves = have if found.entries == found.leaves else None if found.leaves is None else split(found.leaves)
        want = leaves or _exactly(have, width) or _exactly(row_hashes, width)
        if want is None:
            self._problems.add(start, f"entries from {start} on cannot be read from bundle, hash tile or database")
            return False
        if have is not None and leaves is not None and have is not leaves:
            differing, self._moved = differences(have, want, start, self._moved)
            self._problems.entry_differences(differing)
        if self._rows is not None and row_hashes is not None:
            self._compare_rows(self._rows, row_hashes, want, start)
        self._grow(want, have)
        self._judge(found)
        if not are_as_signed:
            for row in rows or []:
                self._check_row(row, compared=True)
        return True

    def _judge(self, found: Stretch) -> None:
        """Hand on what judges must see. After a gap they would take what they missed for what never was."""
        self._judging &= found.checked == found.width
        if not self._judging:
            self._unchecked[UNREAD] += found.width
        for told in found.told:
            self._erasures.note(told.index, told.entry)
        for told in found.told if self._judging else ():
            for judge in self._judges:
                for what in judge.problems(told):
                    self._tell(told, what)
        self._references(found)

    def _tell(self, told: Told, what: str) -> None:
        for index in range(told.index, told.index + told.count):
            self._problems.add(index, f"entry {index}: {what}")

    def _references(self, found: Stretch) -> None:
        """The evidence that an entry commits to must be there; what is missing is told at the end."""
        if self._held is None:
            self._unchecked[EVIDENCE] += len(found.references)
            return
        for index, digest in found.references:
            if digest not in self._held:
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
            self._held = None  # what comes after it is neither there nor missing
            self._problems.add(None, f"evidence cannot be read: {error}")

    def _compare_rows(self, rows: Rows, have: list[bytes | None], want: Sequence[bytes], start: int) -> None:
        if rows.fault:
            want = want[: len(have)]  # what could not be read is one problem, not many missing rows
        found, self._rows_moved = differences(have, want, start, self._rows_moved)
        self._problems.row_differences(found, self._size)
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
        expected = self._size
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


def _last(
    opinions: Sequence[Opinion], unchecked: dict[str, int]
) -> tuple[dict[str, int], tuple[Problem, ...], tuple[Key, ...]]:
    """What could not be checked (where there is any), what is open, and the keys, of all judges."""
    left = {name: number for name, number in unchecked.items() if number}
    still = tuple(problem for one in opinions for problem in one.open)
    return left, still, tuple(key for one in opinions for key in one.keys)
