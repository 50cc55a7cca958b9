"""``kill -9`` at random moments of ``countersign erase``: all of a person is there or nothing, the next run completes it.

``COUNTERSIGN_CRASH_SEED`` repeats the moments of an earlier run as far as the machine repeats itself.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from countersign.bootstrap import Site, open_site
from countersign.model.entries import Kind
from countersign.store import erasing
from countersign.store.engine import reading
from countersign.store.erasing_who import Wanted
from tests import fakes
from tests.crash.test_kill_ingest import write_alerts
from tests.planted import content

pytestmark = [pytest.mark.crash, pytest.mark.slow]

RUNS = int(os.environ.get("COUNTERSIGN_CRASH_ERASE_RUNS", "4"))
ALERTS, LOOK_S = 800, 0.002
NAME = "user17"


def names(site: Site) -> tuple[int, int]:
    """How many tables and kinds of evidence name the person, and how many entries say that they were erased."""
    with reading(site.engine) as conn:
        found = erasing.look(conn, Wanted((NAME,)))
    return len(found.rows) + len(found.evidence), len(fakes.entries(site.engine, Kind.PERSON_ERASED))


def files_naming(folder: Path) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.is_file() and NAME.encode() in content(file).lower()]


def test_all_or_nothing_is_erased(tmp_path: Path) -> None:
    seed = int(os.environ.get("COUNTERSIGN_CRASH_SEED") or secrets.randbits(32))
    print(f"COUNTERSIGN_CRASH_SEED={seed}")
    draw = random.Random(seed)
    whole, alerts = tmp_path / "whole", tmp_path / "alerts.json"
    write_alerts(alerts)
    alerts.write_bytes(b"".join(alerts.read_bytes().splitlines(keepends=True)[:ALERTS]))
    assert fakes.run("ingest", alerts, "--source", "wazuh", "--data", whole).returncode == 0
    outcomes = []
    for number in range(RUNS):
        data = tmp_path / f"run{number}"
        shutil.copytree(whole, data)
        killed(data, draw, committed=bool(number % 2))
        outcomes.append(completed(data))
        shutil.rmtree(data)
    print(f"killed before the commit: {outcomes.count(0)}, after: {outcomes.count(1)}")


def killed(data: Path, draw: random.Random, *, committed: bool) -> None:
    """Kill an erasure at a random moment: while it is worked out and written, or once it is committed."""
    with open(os.devnull, "wb") as nowhere:
        args = ("erase", NAME, "--yes", "--reason", "asked", "--data", data)
        process = fakes.start(*args, stdout=nowhere, stderr=nowhere)
    with closing(sqlite3.connect(data / "countersign.sqlite", timeout=60)) as database:
        entries = "SELECT count(*) FROM entries WHERE kind = 'person.erased'"
        while committed and process.poll() is None and not database.execute(entries).fetchone()[0]:
            time.sleep(LOOK_S)
    with suppress(subprocess.TimeoutExpired):
        process.wait(draw.uniform(0, 0.4) if committed else draw.uniform(0, 3))
    process.kill()
    process.wait()


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
