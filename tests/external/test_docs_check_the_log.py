"""The how-to's commands are executed as they stand, in a folder such as a stranger has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import fakes, npm
from tests.external.checkers import PROGRAMS, Go, Shell
from tests.external.conftest import Log

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("external")]
PAGE = (fakes.ROOT / "docs" / "how-to" / "check-the-log.md").read_text("utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
INSTALLS = ("npm install", "pip install")


@pytest.fixture(scope="module")
def seventeen(small: Log) -> dict[str, str]:
    return dict(fakes.run_json("proof", "17", "--data", small.data))


@pytest.fixture
def folder(small: Log, seventeen: dict[str, str], tmp_path: Path) -> Path:
    found = tmp_path / "stranger"
    shutil.copytree(PROGRAMS, found)
    small.copy(found / "tlog")
    (found / "log.vkey").write_text(small.vkey + "\n")
    shutil.copy(small.older[0], found / "older-checkpoint")
    (found / "17.tlog-proof").write_text(seventeen["proof"], "utf-8")
    (found / "17.entry").write_text(seventeen["entry"], "utf-8")
    return found


def block(words: str) -> str:
    (found,) = [each for each in BLOCKS if words in each]
    return "\n".join(line for line in found.splitlines() if not line.startswith(INSTALLS))


def followed(folder: Path, script: str, **more: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)} | more
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_five_blocks() -> None:
    assert len(BLOCKS) == 5


def test_with_openssl_sha256sum_and_xxd(folder: Path) -> None:
    Shell()
    assert len(re.findall(r"^verified: ", followed(folder, block("check_log.sh tree")), re.MULTILINE)) == 5
    (folder / "17.entry").unlink()
    assert followed(folder, block("check_log.sh entry")).startswith("verified: entry 17 of ")


def test_with_go(folder: Path, request: pytest.FixtureRequest) -> None:
    assert request.config.cache is not None
    Go(request.config.cache.mkdir("go"))
    said = followed(folder, block("go build"))
    assert re.match(r"verified: \d+ entries, \d+ proved one by one, 1 older checkpoints\nverified: entry 17 of \d+\n", said)


def test_with_npm(folder: Path, request: pytest.FixtureRequest) -> None:
    assert request.config.cache is not None
    there = npm.installed("sigstore", "@sigstore/verify", request.config.cache.mkdir("node-sigstore"))
    (folder / "node_modules").symlink_to(there.resolve() / "node_modules")
    assert followed(folder, block("check_proof.cjs")).startswith("verified: entry 17 of ")


def test_with_sigstore_python(folder: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    assert followed(folder, block("check_proof.py"), PATH=path).startswith("verified: entry 17 of ")


def test_without_anything_it_says_how_it_is_used(folder: Path) -> None:
    done = Shell()()
    assert done.returncode == 2
    for name in ("checkpoint", "proof", "tree", "since", "entries", "entry"):
        assert f"check_log.sh {name} VKEY" in done.stderr
    assert "set -euo" not in done.stderr
