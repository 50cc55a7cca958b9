"""Packages of npm that tests use, from committed lock files."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "node"


def installed(name: str, package: str, cache: Path) -> Path:
    """``cache`` with the package of ``tests/node/NAME`` installed; skips with the reason where that cannot be."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm and node are not installed")
    with (cache / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of one run share the folder
        for file in (FOLDER / name).iterdir():
            if file.is_file():
                shutil.copy(file, cache / file.name)
        if not (cache / "node_modules" / package).is_dir():
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=cache, capture_output=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"npm ci failed: {done.stderr.decode(errors='replace')[-200:]}")
    return cache
