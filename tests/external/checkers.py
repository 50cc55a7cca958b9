"""Code of others that checks a log, as the how-to tells a stranger to run it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from countersign.ledger.merkle import inclusion_proof
from countersign.ledger.proof import Proof, format_proof
from countersign.ledger.tiles import TILE_WIDTH, decode_bundle, width_at
from countersign.store.tiles import TileDir
from tests import npm
from tests.external.conftest import Log
from tests.fakes import ROOT

PROGRAMS = ROOT / "docs" / "how-to" / "check_the_log"
GOPATH = Path("/usr/share/gocode")
Done = subprocess.CompletedProcess[str]


def run(command: Sequence[str | Path], cwd: Path | None = None) -> Done:
    memory = {"TMPDIR": "/dev/shm"} if os.access("/dev/shm", os.W_OK) else {}  # the shell writes a file for each hash
    words = list(map(str, command))
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300, cwd=cwd, env=os.environ | memory)


def proofs(log: Log, indexes: Sequence[int], folder: Path) -> list[Path]:
    """Files with proof and bytes of each entry, straight from the tiles, whether they hold or not."""
    folder.mkdir(exist_ok=True)
    return [file for index in indexes for file in _proof(log, index, folder)]


def _proof(log: Log, index: int, folder: Path) -> tuple[Path, Path]:
    tiles = TileDir(log.tlog)
    bundle, place = divmod(index, TILE_WIDTH)
    entries, _ = decode_bundle(tiles.bundle(bundle, width_at(log.size, 0, bundle)) or b"")
    proof = Proof(index, tuple(inclusion_proof(index, log.size, tiles)), tiles.checkpoint() or b"")
    files = folder / f"{index}.proof", folder / f"{index}.entry"
    files[0].write_bytes(format_proof(proof).encode())
    files[1].write_bytes(entries[place])
    return files


class Go:
    """golang.org/x/mod/sumdb: ``note`` and ``tlog``. It checks a whole log, whichever entries are asked for."""

    def __init__(self, cache: Path) -> None:
        go, sumdb = shutil.which("go"), GOPATH / "src" / "golang.org" / "x" / "mod" / "sumdb"
        if go is None or not sumdb.is_dir():
            pytest.skip("go and golang.org/x/mod (Debian: golang-go, golang-golang-x-mod-dev) are not installed")
        self.program = cache / "check_log"
        settings = {"GO111MODULE": "off", "GOPATH": str(GOPATH), "GOCACHE": str(cache / "build"), "GOFLAGS": ""}
        command = [go, "build", "-o", str(self.program), str(PROGRAMS / "check_log.go")]
        built = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stderr

    def log(self, log: Log, older: Sequence[Path] = ()) -> Done:
        return run([self.program, "log", log.vkey, log.tlog, *older])

    def proof(self, vkey: str, proof: Path, entry: Path) -> Done:
        return run([self.program, "proof", vkey, proof, entry])

    def entries(self, log: Log, indexes: Sequence[int], folder: Path) -> Done:
        return self.log(log)


class Node:
    """npm's @sigstore/verify."""

    def __init__(self, cache: Path) -> None:
        self.folder = npm.installed("sigstore", "@sigstore/verify", cache)

    def entries(self, log: Log, indexes: Sequence[int], folder: Path) -> Done:
        return run(["node", PROGRAMS / "check_proof.cjs", log.vkey, *proofs(log, indexes, folder)], cwd=self.folder)


class Python:
    """sigstore-python."""

    def entries(self, log: Log, indexes: Sequence[int], folder: Path) -> Done:
        return run([sys.executable, "-I", PROGRAMS / "check_proof.py", log.vkey, *proofs(log, indexes, folder)])


class Shell:
    """openssl, sha256sum and xxd: the bundles that the entries are in, and the proof of each."""

    def __init__(self) -> None:
        missing = [name for name in ("bash", "openssl", "sha256sum", "xxd") if shutil.which(name) is None]
        if missing:
            pytest.skip(f"{', '.join(missing)} not installed")

    def __call__(self, *args: str | Path) -> Done:
        return run(["bash", PROGRAMS / "check_log.sh", *args])

    def entries(self, log: Log, indexes: Sequence[int], folder: Path) -> Done:
        done = self("entries", log.vkey, log.tlog, *[str(indexes[0] // TILE_WIDTH)] * 2)
        for index in indexes:
            if done.returncode == 0:
                done = self("proof", log.vkey, *proofs(log, [index], folder))
        return done


Checker = Go | Node | Python | Shell


def checker(name: str, request: pytest.FixtureRequest) -> Checker:
    """One of the four; skips with the reason where it cannot be."""
    cache = request.config.cache
    assert cache is not None
    match name:
        case "go":
            return Go(cache.mkdir("go"))
        case "node":
            return Node(cache.mkdir("node-sigstore"))
        case "python":
            return Python()
    return Shell()
