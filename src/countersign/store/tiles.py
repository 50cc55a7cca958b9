"""A directory of tiles: the log as anyone may copy or serve it (C2SP tlog-tiles).

A file appears whole or not at all: written under ``.tmp``, flushed, renamed, its directory flushed. The checkpoint comes
last, so it never covers a tile that is not on disk. Partial tiles are collected once the full tile is there.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from countersign.errors import EnvironmentFault, VerificationError
from countersign.ledger.tiles import HASH_BYTES, TILE_WIDTH, TileAt, cut_bundle, entries_path, tile_path

CHECKPOINT = "checkpoint"
_TMP = ".tmp"


class Disk:
    """The few calls that change the disk, so that a test can let any one of them fail."""

    def write(self, path: Path, data: bytes) -> None:
        """Write and flush a new file."""
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def replace(self, source: Path, target: Path) -> None:
        """Move a file into place, whatever was there."""
        source.replace(target)

    def flush_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def remove(self, path: Path) -> None:
        """Remove a directory of partial tiles."""
        shutil.rmtree(path)


class TileDir:
    """Tiles under ``root``: ``checkpoint``, ``tile/<L>/…``, ``tile/entries/…``."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self.root = root
        self._disk = disk or Disk()
        self._serial = itertools.count()

    # --- reading

    def checkpoint(self) -> bytes | None:
        """The signed checkpoint, None when there is none."""
        return self._read(CHECKPOINT)

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """``width`` hashes of a tile: from the file of that width, else from the start of a fuller one."""
        data = self._read(tile_path(level, index, width))
        if data is None:
            fuller = self._fuller(tile_path(level, index), width)
            data = None if fuller is None else fuller[: width * HASH_BYTES]
        return data

    def bundle(self, index: int, width: int) -> bytes | None:
        """The first ``width`` entries under level-0 tile ``index``, as a bundle; found like a tile."""
        data = self._read(entries_path(index, width))
        if data is None:
            fuller = self._fuller(entries_path(index), width)
            data = None if fuller is None else cut_bundle(fuller, width)
        return data

    def _fuller(self, full: str, width: int) -> bytes | None:
        """The full tile, else the narrowest partial one wider than ``width``."""
        if width == TILE_WIDTH:
            return None
        data = self._read(full)
        if data is not None:
            return data
        partials = self.root / f"{full}.p"
        names = os.listdir(partials) if partials.is_dir() else []
        wider = sorted(int(name) for name in names if name.isascii() and name.isdigit() and int(name) > width)
        return self._read(f"{full}.p/{wider[0]}") if wider else None

    def _read(self, path: str) -> bytes | None:
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise _fault(self.root / path, error) from error

    def beside(self, name: str) -> bytes | None:
        """What is published beside the tiles under this name."""
        return self._read(name)

    # --- writing (by the sealer, under its lock)

    def clean(self) -> None:
        """Remove what a killed writer left behind; nothing in it was ever part of the log."""
        shutil.rmtree(self.root / _TMP, ignore_errors=True)

    def different(self, files: Iterable[tuple[str, bytes]]) -> str:
        """The first path whose file is there with other bytes, else ""."""
        return next((path for path, data in files if self._read(path) not in (None, data)), "")

    def write(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Write (path, bytes) so that each is whole, and durable on return. Equal files are left alone.

        The caller writes only tiles that reach beyond the checkpoint: what it covers is never written again.
        """
        touched: set[Path] = set()
        for path, data in files:
            target = self.root / path
            if self._read(path) != data:
                self._place(target, data)
            # also for what was there already: a killed writer may have renamed it and flushed no directory
            touched.update(parent for parent in target.parents if parent.is_relative_to(self.root))
        for directory in sorted(touched, key=lambda each: len(each.parts), reverse=True):
            self._disk.flush_directory(directory)

    def _place(self, target: Path, data: bytes) -> None:
        temporary = self.root / _TMP / str(next(self._serial))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.parent.mkdir(exist_ok=True)
            self._disk.write(temporary, data)
            self._disk.replace(temporary, target)
        except OSError as error:
            raise _fault(target, error) from error

    def write_checkpoint(self, data: bytes) -> None:
        """Publish a checkpoint: only after every tile that it covers was written."""
        self.write([(CHECKPOINT, data)])

    def collect(self, at: TileAt) -> None:
        """Drop the partial tiles of one that is full, and the partial bundles with a level-0 tile."""
        full = [tile_path(at.level, at.index), *([entries_path(at.index)] if at.level == 0 else [])]
        for path in full:
            if not (self.root / path).is_file():
                raise VerificationError("partial tiles cannot be collected: the full one is not there", where=path)
            partials = self.root / f"{path}.p"
            if partials.is_dir():
                self._disk.remove(partials)


def _fault(path: Path, error: OSError) -> EnvironmentFault:
    reason = error.strerror or type(error).__name__
    return EnvironmentFault(f"log tile cannot be read or written ({reason})", where=str(path), todo="check disk and rights")
