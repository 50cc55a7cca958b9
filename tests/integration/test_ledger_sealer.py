"""Rows → tiles → checkpoint: resumes, survives a kill at any step, refuses to sign over what it sealed."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, update

from countersign.errors import EnvironmentFault, VerificationError
from countersign.ledger.canonical import encode
from countersign.ledger.merkle import EMPTY_ROOT
from countersign.ledger.tiles import entries_path, tile_path
from countersign.ledger.verify import verify
from countersign.store import tables as t
from countersign.store.engine import make_engine, writing
from countersign.store.ledger_rows import LedgerRows
from countersign.store.sealer import CHUNK_ENTRIES, Sealer
from countersign.store.tiles import Disk, TileDir
from tests.ledger_log import KEY, OTHER_KEY, MemoryLog, add, blobs, entry, flip


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    made = make_engine(database)
    t.metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
def tiles(tmp_path: Path) -> TileDir:
    return TileDir(tmp_path / "tlog")


def paths(tiles: TileDir) -> set[str]:
    """Published files, without lock and temporaries."""
    files = (path.relative_to(tiles.root).as_posix() for path in tiles.root.rglob("*") if path.is_file())
    return {path for path in files if not path.startswith(".")}


def test_an_empty_log_is_sealed_too(engine: Engine, tiles: TileDir) -> None:
    sealed = Sealer(engine, tiles, KEY).seal()
    assert (sealed.size, sealed.root) == (0, EMPTY_ROOT)
    assert paths(tiles) == {"checkpoint"}


def test_seals_in_any_portions_to_the_same_log(engine: Engine, tiles: TileDir) -> None:
    size = 0
    sealer = Sealer(engine, tiles, KEY)
    for portion in (1, 2, 252, 1, 1, 255, 300, CHUNK_ENTRIES, 3):
        add(engine, portion, size)
        size += portion
        assert sealer.seal().size == size
        assert Sealer(engine, tiles, KEY).seal() == sealer.checkpoint()
        report = verify(tiles, [KEY.vkey], record=LedgerRows(engine))
        assert report.ok, report.problems
    want = MemoryLog(blobs(size))
    assert tiles.checkpoint() == want.checkpoint()
    assert want.files.keys() <= paths(tiles)
    for path, data in want.files.items():
        assert (tiles.root / path).read_bytes() == data


def test_partial_tiles_stay_for_their_checkpoints_and_go_once_full(engine: Engine, tiles: TileDir) -> None:
    sealer = Sealer(engine, tiles, KEY)
    for size in (1, 2, 3):
        add(engine, 1, size - 1)
        sealer.seal()
    partials = {f"{stem}.p/{width}" for stem in ("tile/0/000", "tile/entries/000") for width in (1, 2, 3)}
    assert paths(tiles) == partials | {"checkpoint"}
    add(engine, 253, 3)
    sealer.seal()
    assert paths(tiles) == {"checkpoint", "tile/0/000", "tile/1/000.p/1", "tile/entries/000"}
    assert tiles.tile(0, 0, 3) == (tiles.root / "tile/0/000").read_bytes()[:96]
    assert tiles.bundle(0, 3) == MemoryLog(blobs(3)).bundle(0, 3)


def test_nothing_is_written_when_nothing_is_new(engine: Engine, tiles: TileDir) -> None:
    add(engine, 300)
    sealer = Sealer(engine, tiles, KEY)
    sealer.seal()
    before = {path: (tiles.root / path).stat().st_mtime_ns for path in paths(tiles)}
    sealer.seal()
    Sealer(engine, tiles, KEY).seal()
    assert before == {path: (tiles.root / path).stat().st_mtime_ns for path in paths(tiles)}


class Killed(BaseException):
    """The process is gone: nothing after it runs, not even error handling."""


class FailingDisk(Disk):
    """Dies at its n-th step, before the step or, for a write, half-way through it."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def _step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise Killed

    def write(self, path: Path, data: bytes) -> None:
        try:
            self._step()
        except Killed:
            path.write_bytes(data[: len(data) // 2])
            raise
        super().write(path, data)

    def replace(self, source: Path, target: Path) -> None:
        self._step()
        super().replace(source, target)

    def flush_directory(self, path: Path) -> None:
        self._step()
        super().flush_directory(path)

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)


@pytest.mark.parametrize("before", [0, 250, 256])
def test_a_kill_at_any_step_loses_nothing_and_leaves_a_log_that_verifies(
    engine: Engine, tiles: TileDir, tmp_path: Path, before: int
) -> None:
    add(engine, before)
    if before:
        Sealer(engine, tiles, KEY).seal()
    tiles.root.mkdir(exist_ok=True)
    add(engine, 300, before)
    want = MemoryLog(blobs(before + 300))
    for steps in itertools.count():
        again = TileDir(shutil.copytree(tiles.root, tmp_path / str(steps)))
        try:
            Sealer(engine, TileDir(again.root, FailingDisk(steps)), KEY).seal()
            break
        except Killed:
            after_kill = verify(again, [KEY.vkey], record=LedgerRows(engine))
            assert [p.what for p in after_kill.problems] == ([] if again.checkpoint() else ["checkpoint is missing"])
        Sealer(engine, again, KEY).seal()
        assert again.checkpoint() == want.checkpoint()
        assert set(want.files) <= paths(again)
        assert verify(again, [KEY.vkey], record=LedgerRows(engine)).ok
        assert not list((again.root / ".tmp").glob("*"))
        if before == 250:
            assert not (again.root / "tile/0/000.p").exists()
    assert steps > 20


def test_kill_after_kill_gets_there_in_the_end(engine: Engine, tiles: TileDir) -> None:
    """Each try ends a little later and finds what the one before it left, with more entries every time."""
    add(engine, 300)
    for steps in range(6):
        with pytest.raises(Killed):
            Sealer(engine, TileDir(tiles.root, FailingDisk(steps)), KEY).seal()
        add(engine, 1, 300 + steps)
    assert Sealer(engine, tiles, KEY).seal().size == 306
    assert verify(tiles, [KEY.vkey], record=LedgerRows(engine)).ok


class FullDisk(Disk):
    """No space left."""

    def write(self, path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_one_clear_error(engine: Engine, tiles: TileDir) -> None:
    add(engine, 1)
    with pytest.raises(EnvironmentFault, match="No space left"):
        Sealer(engine, TileDir(tiles.root, FullDisk()), KEY).seal()
    assert tiles.checkpoint() is None


def test_rows_beyond_the_checkpoint_may_differ_from_a_killed_seal(engine: Engine, tiles: TileDir) -> None:
    """A restored database may hold other unsealed entries than those that a killed sealer saw."""
    add(engine, 10)
    Sealer(engine, tiles, KEY).seal()
    add(engine, 5, 10)
    with pytest.raises(Killed):
        Sealer(engine, TileDir(tiles.root, FailingDisk(4)), KEY).seal()
    with writing(engine) as conn:
        conn.execute(delete(t.entries).where(t.entries.c.idx >= 10))
    add(engine, 5, 10, "others")
    assert Sealer(engine, tiles, KEY).seal().size == 15
    assert verify(tiles, [KEY.vkey], record=LedgerRows(engine)).ok


@pytest.mark.parametrize("size", [300, 512])
def test_refuses_a_database_that_lost_sealed_entries(engine: Engine, tiles: TileDir, size: int) -> None:
    add(engine, size)
    sealed = Sealer(engine, tiles, KEY).seal()
    with writing(engine) as conn:
        conn.execute(delete(t.entries).where(t.entries.c.idx >= size - 1))
    with pytest.raises(VerificationError, match=f"entry {size - 1}: .*rolled back or truncated"):
        Sealer(engine, tiles, KEY).seal()
    assert Sealer(engine, tiles, KEY).checkpoint() == sealed


@pytest.mark.parametrize(("size", "index"), [(300, 299), (300, 256), (512, 511), (512, 256)])
def test_refuses_a_database_whose_last_sealed_entries_changed(engine: Engine, tiles: TileDir, size: int, index: int) -> None:
    add(engine, size)
    Sealer(engine, tiles, KEY).seal()
    with writing(engine) as conn:
        conn.execute(update(t.entries).where(t.entries.c.idx == index).values(bytes=encode(entry(index, "other"))))
    add(engine, 1, size)
    with pytest.raises(VerificationError, match=f"entry {index}: database row differs"):
        Sealer(engine, tiles, KEY).seal()


def test_refuses_a_gap(engine: Engine, tiles: TileDir) -> None:
    add(engine, 10)
    Sealer(engine, tiles, KEY).seal()
    add(engine, 5, 11)
    with pytest.raises(VerificationError, match="entry 10: entry is missing"):
        Sealer(engine, tiles, KEY).seal()


def test_refuses_a_checkpoint_of_another_key_or_damaged_tiles(engine: Engine, tiles: TileDir) -> None:
    add(engine, 300)
    Sealer(engine, tiles, KEY).seal()
    with pytest.raises(VerificationError, match="no signature by a trusted key"):
        Sealer(engine, tiles, OTHER_KEY).seal()
    path = tiles.root / tile_path(1, 0, 1)
    path.write_bytes(flip(path.read_bytes(), 0))
    with pytest.raises(VerificationError, match="do not lead to the root"):
        Sealer(engine, tiles, KEY).seal()


def test_refuses_another_history_after_the_checkpoint_was_removed(engine: Engine, tiles: TileDir) -> None:
    add(engine, 300)
    sealed = Sealer(engine, tiles, KEY).seal()
    (tiles.root / "checkpoint").unlink()
    assert Sealer(engine, tiles, KEY).seal() == sealed
    (tiles.root / "checkpoint").unlink()
    with writing(engine) as conn:
        conn.execute(update(t.entries).where(t.entries.c.idx == 3).values(bytes=encode(entry(3, "other"))))
    with pytest.raises(VerificationError, match=f"{entries_path(0)}: checkpoint is gone"):
        Sealer(engine, tiles, KEY).seal()


def test_many_sealers_at_once_make_one_log(engine: Engine, tiles: TileDir) -> None:
    add(engine, 700)
    sealers = [Sealer(engine, TileDir(tiles.root), KEY) for _ in range(4)]
    failures: list[BaseException] = []

    def work(sealer: Sealer, start: int) -> None:
        try:
            for _ in range(5):
                sealer.seal()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(sealer, n)) for n, sealer in enumerate(sealers)]
    for thread in threads:
        thread.start()
    for number in range(20):
        add(engine, 1, 700 + number)
    for thread in threads:
        thread.join()
    assert not failures
    assert sealers[0].seal().size == 720
    assert verify(tiles, [KEY.vkey], record=LedgerRows(engine)).ok
