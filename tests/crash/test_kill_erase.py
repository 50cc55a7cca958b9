"""``kill -9`` at random moments of ``countersign erase``: all of a person is there or nothing, the next run completes it.

``COUNTERSIGN_CRASH_SEED`` repeats the moments of an earlier run as far as the machine repeats itself.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from countersign.bootstrap import Site, open_site
from countersign.model.entries import Kind
from tests import fakes
from tests.crash.test_kill_ingest import write_alerts
from tests.integration.test_erase import content

pytestmark = [pytest.mark.crash, pytest.mark.slow]

RUNS = int(os.environ.get("COUNTERSIGN_CRASH_ERASE_RUNS", "5"))
NAME = "user17"


def names(site: Site) -> tuple[int, int]:
    """How many tables and kinds of evidence name the person, and how many entries say that they were erased."""
    shown = fakes.run_json("erase", NAME, "--data", site.data)
    return len(shown["rows"]) + len(shown["evidence"]), len(fakes.entries(site.engine, Kind.PERSON_ERASED))


def files_naming(folder: Path) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.is_file() and NAME.encode() in content(file).lower()]


def test_all_or_nothing_is_erased(tmp_path: Path) -> None:
    seed = int(os.environ.get("COUNTERSIGN_CRASH_SEED") or secrets.randbits(32))
    print(f"COUNTERSIGN_CRASH_SEED={seed}")
    draw = random.Random(seed)
    whole, alerts = tmp_path / "whole", tmp_path / "alerts.json"
    write_alerts(alerts)
    assert fakes.run("ingest", alerts, "--source", "wazuh", "--data", whole).returncode == 0
    started = time.monotonic()
    shutil.copytree(whole, tmp_path / "timed")
    assert fakes.run("erase", NAME, "--yes", "--reason", "asked", "--data", tmp_path / "timed").returncode == 0
    took_s = time.monotonic() - started
    outcomes = []
    for number in range(RUNS):
        data = tmp_path / f"run{number}"
        shutil.copytree(whole, data)
        args = fakes.command("erase", NAME, "--yes", "--reason", "asked", "--data", data)
        process = subprocess.Popen(args, env=fakes.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(draw.uniform(0.2, 1) * took_s)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        outcomes.append(completed(data))
        shutil.rmtree(data)
    print(f"killed before the commit: {outcomes.count(0)}, after: {outcomes.count(1)}")


def completed(data: Path) -> int:
    """Check a killed run and the one that completes it; returns how many erasures the kill had left."""
    site = open_site(data)
    try:
        fakes.verified(site)
        left, entries = names(site)
        assert (left == 0) == (entries == 1), "half of a person was erased"
    finally:
        site.close()
    assert fakes.run("erase", NAME, "--yes", "--reason", "asked", "--data", data).returncode == 0
    assert files_naming(data) == []
    site = open_site(data)
    try:
        assert names(site) == (0, 1)
        fakes.verified(site)
        fakes.assert_rebuilds(site)
    finally:
        site.close()
    return entries
