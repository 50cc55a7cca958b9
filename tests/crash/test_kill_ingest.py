"""``kill -9`` at random moments during ``countersign ingest``: every accepted alert is there once, and the record holds.

``COUNTERSIGN_CRASH_RUNS`` says how often per database (8 here; 50 before a release), ``COUNTERSIGN_CRASH_SEED`` repeats
the moments of an earlier run as far as the machine repeats itself. Both are printed.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import secrets
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DatabaseError

from countersign.bootstrap import Site, open_site
from countersign.config import load
from countersign.errors import EnvironmentFault
from countersign.model.alerts import BATCH_ALERTS_MAX, Delivery
from countersign.model.entries import Kind
from countersign.store import evidence, recorded
from countersign.store import tables as t
from countersign.store.engine import make_engine, reading
from tests import fakes
from tests.forking import Process

pytestmark = [pytest.mark.crash, pytest.mark.slow]

RUNS = int(os.environ.get("COUNTERSIGN_CRASH_RUNS", "8"))
ALERTS = 3_000
KILLS_MAX = 3
BATCHES = -(-ALERTS // BATCH_ALERTS_MAX)
BATCH_S, STARTING_S, LOOK_S = 0.6, 0.6, 0.002
"""About what a micro-batch and a start take, so that moments fall all over them; how often to look."""
HOSTS = ("web-1", "web-2", "db-1", "mail-1", "ws-17")


def write_alerts(path: Path) -> list[str]:
    """A Wazuh file of alerts unlike each other; returns the SHA-256 of each. Some fold, some join cases across hosts."""
    draw = random.Random(4852)
    lines = []
    for number in range(ALERTS):
        rule = draw.randrange(12)
        data = {"srcip": f"203.0.113.{draw.randrange(40)}", "dstuser": f"user{draw.randrange(30)}"}
        lines.append(
            fakes.wazuh(
                f"1790000000.{number}",
                host=draw.choice(HOSTS),
                rule=str(5_700 + rule),
                level=3 + rule,
                at_ms=fakes.NOON_MS + number * 4_000,
                title=f"Rule {rule} fired",
                data=data,
            )
        )
    path.write_bytes(b"\n".join(lines) + b"\n")
    return [hashlib.sha256(line).hexdigest() for line in lines]


@dataclass(frozen=True)
class Moment:
    """When to kill: once ``batches`` micro-batches are committed, and ``after_s`` later."""

    batches: int
    after_s: float


CERTAIN = Moment(1, 0.0)
"""One that comes in any case: the batch after the first takes a hundred times as long as it takes to look and to kill."""


def some_moment(draw: random.Random) -> Moment:
    """Mostly while alerts are processed; now and then while keys, schema and ledger are being made."""
    if draw.random() < 0.2:
        return Moment(0, draw.uniform(0.0, STARTING_S))
    return Moment(draw.randrange(BATCHES), draw.uniform(0.0, BATCH_S))


def ingest_and_kill(file: Path, data: Path, moment: Moment) -> bool:
    """Start an ingest and kill it at its moment; True when it had not ended by then."""
    with tempfile.TemporaryFile() as said:
        child = fakes.start("ingest", file, "--source", "wazuh", "--data", data, stdout=said, stderr=said)
        engine = make_engine(load(data, {}).database)
        before = batches(engine)
        while not ended(child, LOOK_S) and batches(engine) - before < moment.batches:
            pass
        engine.dispose()
        timer = threading.Timer(moment.after_s, child.kill)
        timer.start()
        child.wait()
        timer.cancel()
        said.seek(0)
        assert child.returncode in (0, -9), said.read().decode()
    return child.returncode != 0


def ended(child: Process, within_s: float) -> bool:
    try:
        child.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def batches(engine: Engine) -> int:
    """Micro-batches committed so far; 0 while there is no database or no table."""
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    if file and not Path(file).exists():
        return 0
    try:
        with reading(engine) as conn:
            found = select(func.count()).where(t.entries.c.kind == Kind.LEASE_ISSUED.value)
            return int(conn.execute(found).scalar_one())
    except (DatabaseError, EnvironmentFault):
        return 0


def assert_sound(data: Path, wanted: list[str]) -> int:
    """What holds after a kill at any moment; returns how many alerts were accepted and processed so far."""
    site = open_site(data)
    try:
        received = digests_received(site)
        assert received == wanted[: len(received)], "not the beginning of the file, in order, each once"
        assert fakes.alerts_in_findings(site.engine) == len(received)
        assert waiting(site) == wanted[len(received) : len(received) + len(waiting(site))]
        fakes.assert_rebuilds(site)
        fakes.verified(site)
        return len(received)
    finally:
        site.close()


def digests_received(site: Site) -> list[str]:
    """SHA-256 of every alert that the ledger says was accepted, in order."""
    found = fakes.entries(site.engine, Kind.ALERT_RECEIVED)
    assert all(entry.body["accepted"] == entry.body["lines"] for entry in found)
    return [digest for entry in found for digest in entry.body["sha256"]]


def waiting(site: Site) -> list[str]:
    """SHA-256 of every alert that was accepted and not processed yet."""
    with reading(site.engine) as conn:
        blobs = list(conn.execute(select(t.inbox.c.blob).order_by(t.inbox.c.id)).scalars())
        return [hashlib.sha256(raw).hexdigest() for blob in blobs for raw in evidence.get(conn, blob, Delivery).raws]


def assert_complete(data: Path, wanted: list[str]) -> None:
    """Every alert once: in the ledger, in the findings, and behind them byte for byte."""
    assert assert_sound(data, wanted) == len(wanted)
    site = open_site(data)
    try:
        assert fakes.count(site.engine, "inbox") == 0
        assert fakes.count(site.engine, "quarantine") == 0
        assert sorted(behind_findings(site)) == sorted(wanted)
    finally:
        site.close()


def behind_findings(site: Site) -> list[str]:
    """SHA-256 of the raw bytes behind every finding."""
    with reading(site.engine) as conn:
        findings = conn.execute(select(t.findings.c.id)).scalars().all()
        refs = Counter(place for _, _, places in recorded.alerts(conn, findings) for place in places)
        assert set(refs.values()) == {1}
        raws = {blob: evidence.get(conn, blob, Delivery).raws for blob in {blob for blob, _ in refs}}
    return [hashlib.sha256(raws[blob][place]).hexdigest() for blob, place in refs]


def test_killed_at_any_moment_nothing_is_lost_and_nothing_is_there_twice(
    databases: Callable[[], str], tmp_path: Path
) -> None:
    seed = int(os.environ.get("COUNTERSIGN_CRASH_SEED", secrets.randbits(32)))
    draw = random.Random(seed)
    wanted = write_alerts(tmp_path / "alerts.json")
    moments: list[int] = []
    for run in range(RUNS):
        data = fakes.data_directory(tmp_path / f"run{run}", databases())
        print(f"run {run} of {RUNS}, seed {seed}, data {data}")
        for kill in range(draw.randint(1, KILLS_MAX)):
            moment = CERTAIN if not run and not kill else some_moment(draw)
            if not ingest_and_kill(tmp_path / "alerts.json", data, moment):
                break
            moments.append(assert_sound(data, wanted))
            print(f"  kill {kill}: {moments[-1]} alerts were processed")
        summary = fakes.run_json("ingest", tmp_path / "alerts.json", "--source", "wazuh", "--data", data)
        assert summary["accepted"] + summary["duplicates"] == ALERTS
        assert_complete(data, wanted)
    print(f"{len(moments)} kills at {sorted(moments)}")
    assert moments, "no run was killed before it ended"
    checked = json.loads(fakes.run("verify", data, "--json").stdout)
    assert checked["ok"] is True
    assert fakes.run_json("rebuild", "--check", "--data", data)["ok"] is True
