"""``kill -9`` at random moments while approved actions are carried out: no effect without sealed intent and approval, no
effect twice, and everything ends probed or in front of a person.

``COUNTERSIGN_CRASH_RUNS`` says how often per database (8 here; 50 before a release); the seed is printed.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import subprocess
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select

from countersign.actions import ACTIONS
from countersign.approvals.status import Status
from countersign.approving import Approving
from countersign.bootstrap import Site, open_site
from countersign.config import FILE
from countersign.model.entries import Kind
from countersign.model.inventory import Asset, Criticality, Inventory
from countersign.store import read
from countersign.store import tables as t
from countersign.store.engine import reading
from tests import fakes, marking
from tests.passkey_signing import Authenticator, enrol
from tests.responding import CHAIN

pytestmark = [pytest.mark.crash, pytest.mark.slow]

RUNS = int(os.environ.get("COUNTERSIGN_CRASH_RUNS", "8"))
HOSTS = 5
ADA, CYN = "Ada Lovelace", "Cyn Boyd"
STEP_S = 0.25
"""About what one action takes here, so that moments fall all over it."""
ENDED = {Status.PROBED_OK.value, Status.PROBED_BAD.value, Status.PERSON.value}


def approved_actions(site: Site) -> None:
    """A case on each of some hosts, and on each an isolation that a person signed."""
    hosts = [f"host-{n}" for n in range(HOSTS)]
    assets = tuple(
        Asset(name, "file server", "k.curlew", Criticality.HIGH, (f"192.0.2.{n}",)) for n, name in enumerate(hosts)
    )
    site.commands.import_inventory(Inventory(assets, ()), "test")
    ada = enrol(site, ADA)
    enrol(site, CYN, roles=("analyst",))
    for n, name in enumerate(hosts):
        fakes.deliver(site, [_alert(f"{n}.{i}", name, *one) for i, one in enumerate(CHAIN)])
    approving = Approving(site)
    with reading(site.engine) as conn:
        rows = read.queue(conn, tab=read.Tab.ALL).rows
    for row in rows:
        number = approving.propose(row.id, _isolation, CYN)
        _approve(approving, number, ada)


def _isolation(found: tuple[object, ...]) -> object:
    return next(one for one in found if one.proposal.action == "isolate_host")  # type: ignore[attr-defined]


def _approve(approving: Approving, number: int, key: Authenticator) -> None:
    approving.approve_by_passkey(number, ADA, key.press(approving.ceremony(number, ADA)), "seen it")


def _alert(ident: str, host: str, technique: str, tactic: str) -> bytes:
    alert = json.loads(fakes.wazuh(ident, host=host, rule=f"9{ident[-1]}", level=15, data={}))
    alert["rule"]["mitre"] = {"id": [technique], "tactic": [tactic], "technique": [technique]}
    return json.dumps(alert).encode()


def carry_out(data: Path, kill_after_s: float | None) -> None:
    """Run the process; kill it so long after it began, if it has not ended by then."""
    reading_end, writing_end = os.pipe()
    with tempfile.TemporaryFile() as errors, open(reading_end, "rb") as told:
        with open(writing_end, "wb") as telling:
            child = fakes.start(data, stdout=telling, stderr=errors, module="tests.crash.carry_out")
        assert told.readline() == b"begins\n"
        if kill_after_s is not None:
            with suppress(subprocess.TimeoutExpired):
                child.wait(kill_after_s)
            child.kill()
        code = child.wait()
        errors.seek(0)
        assert code in ((0, -9) if kill_after_s is not None else (0,)), errors.read().decode()


def assert_sound(data: Path, folder: Path) -> None:
    """What holds once everything has ended."""
    site = open_site(data)
    try:
        with reading(site.engine) as conn:
            states = dict(conn.execute(select(t.proposals.c.digest, t.proposals.c.state)).all())
        assert len(states) == HOSTS
        assert set(states.values()) <= ENDED
        log = folder / "effects.log"
        done = Counter(line.split()[1] for line in log.read_text().splitlines()) if log.exists() else Counter()
        assert set(done.values()) <= {1}, "an effect happened twice"
        intents = {entry.body["digest"]: entry for entry in fakes.entries(site.engine, Kind.ACTION_INTENDED)}
        started = {entry.body["digest"]: entry for entry in fakes.entries(site.engine, Kind.ACTION_STARTED)}
        for digest in done:
            assert intents[digest].body["approvals"]
            assert started[digest].body["sealed"] > 0
        held = sum(state == Status.PROBED_OK.value for state in states.values())
        assert held == len(list(folder.glob("*.isolated")))
        assert fakes.verified(site).ok
        fakes.assert_rebuilds(site)
    finally:
        site.close()


@pytest.mark.parametrize("run", range(RUNS))
def test_no_effect_without_intent_and_none_twice(
    database: str, tmp_path: Path, run: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, action in marking.actions().items():
        monkeypatch.setitem(ACTIONS, name, action)
    seed = os.environ.get("COUNTERSIGN_CRASH_SEED") or secrets.token_hex(4)
    draw = random.Random(f"{seed}/{run}")
    print(f"seed {seed}, run {run}")
    data, folder = fakes.data_directory(tmp_path / "data", database), tmp_path / "marks"
    folder.mkdir()
    with (data / FILE).open("a") as file:
        file.write(f"\n[actions.isolate_host]\nrun = true\nfolder = {json.dumps(str(folder))}\n")
    site = open_site(data)
    approved_actions(site)
    site.close()
    for _ in range(3):
        carry_out(data, draw.uniform(0.0, HOSTS * STEP_S))
    carry_out(data, None)
    assert_sound(data, folder)
