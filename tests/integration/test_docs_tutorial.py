"""The tutorial's commands are run in its order, on files of the demo's own tools."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from countersign.demo.alerts import deliveries

ROOT = Path(__file__).resolve().parents[2]
END_MS = 1_795_450_000_000
LEFT_OUT = ("serve", "token")
"""They wait for a sensor; posting over HTTP has tests of its own."""


def commands() -> list[list[str]]:
    page = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    return [line[1:] for line in lines if line[0].endswith("/countersign") and line[1] not in LEFT_OUT]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[list[str]], str]:
    """Runs one command of the tutorial with its paths replaced; it must end well."""
    feeds = deliveries(end_ms=END_MS)
    for source in ("wazuh", "suricata"):
        (tmp_path / f"{source}.json").write_bytes(b"".join(feed.body for feed in feeds if feed.source == source))
    paths = {
        "/var/ossec/logs/alerts/alerts.json": str(tmp_path / "wazuh.json"),
        "/var/log/suricata/eve.json": str(tmp_path / "suricata.json"),
        "checkpoint-of-last-week": str(tmp_path / "checkpoint"),
    }
    environment = os.environ | {"COUNTERSIGN_DATA_DIR": str(tmp_path / "site-data"), "PYTHONPATH": str(ROOT / "src")}

    def one(words: list[str]) -> str:
        words = [paths.get(word, word) for word in words]
        done = subprocess.run(
            [sys.executable, "-m", "countersign", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        checkpoint = tmp_path / "site-data" / "tlog" / "checkpoint"
        if words[0] == "ingest":
            (tmp_path / "checkpoint").write_bytes(checkpoint.read_bytes())
        return done.stdout

    return one


@pytest.mark.slow
def test_the_tutorial_works_as_written(run: Callable[[list[str]], str]) -> None:
    told = commands()
    assert [words[0] for words in told] == [
        "init",
        "ingest",
        "ingest",
        "queue",
        "case",
        "case",
        "verify",
        "replay",
        "rebuild",
        "verify",
    ]
    for words in told:
        out = run(words)
        if words[0] == "queue":
            assert "C-1" in out
