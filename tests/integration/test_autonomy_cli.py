"""From the certificate to the first close and back, by commands alone, as a person with a key of their own would."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from countersign.bootstrap import open_site
from countersign.store import tables as t
from countersign.store.engine import reading
from tests import earned, fakes
from tests.fakes import StepClock, data_directory, deliver, run, run_json

pytestmark = pytest.mark.slow
DAY_MS = earned.DAY_MS


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key pair that ``ssh-keygen`` made."""
    program = shutil.which("ssh-keygen")
    if program is None:
        pytest.skip("ssh-keygen is not installed")
    subprocess.run([program, "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    return tmp_path / "key"


def case_of(data: Path, finding: str) -> str:
    """The case of a finding."""
    site = open_site(data)
    with reading(site.engine) as conn:
        found = conn.execute(select(t.findings.c.case_id).where(t.findings.c.id == finding)).scalar_one()
    site.close()
    return str(found)


def test_a_scope_is_promoted_by_a_signature_closes_and_is_recalled(tmp_path: Path, key: Path) -> None:
    now_ms = time.time_ns() // 1_000_000
    then_ms = now_ms - 2 * DAY_MS - now_ms % 300_000
    data = data_directory(tmp_path / "data", f"sqlite:///{tmp_path / 'site.sqlite'}")
    site = open_site(data, clock=StepClock(then_ms))
    earned.furnish(site)
    deliver(site, earned.noise(range(385), at_ms=then_ms))
    earned.dispose_all(site)
    site.close()
    status = {row["scope"]: row for row in run_json("autonomy", "status", "--data", data)}
    assert (status["endpoint"]["stage"], status["endpoint"]["missing"]) == ("advise", [])
    assert any("of 299 reviewed" in reason for reason in status["network"]["missing"])
    refused = run("autonomy", "promote", "network", "--data", data)
    assert (refused.returncode, b"0 of 299 reviewed" in refused.stderr) == (2, True)
    assert run("people", "enrol", "Grace", "--key", f"{key}.pub", "--data", data).returncode == 0
    assert run("autonomy", "promote", "endpoint", "--data", data).returncode == 0  # waits for a signature
    sign = ("--sign-with", key, "--person", "Grace", "--reason", "certificate reached", "--data", data)
    done = run("autonomy", "promote", "endpoint", *sign)
    assert (done.returncode, b"promoted from advise to supervised" in done.stderr) == (0, True), done.stderr.decode()
    alerts = tmp_path / "new.json"
    alerts.write_bytes(b"\n".join(earned.noise(range(200, earned.HOSTS), at_ms=now_ms - 600_000)) + b"\n")
    closed = run_json("ingest", alerts, "--source", "wazuh", "--data", data)["closed"]
    assert closed > 100
    waits = run_json("autonomy", "reviews", "--limit", "500", "--data", data)
    assert len(waits) == closed
    assert run("autonomy", "review", waits[0]["finding"], "benign", "--data", data).returncode == 0
    case = case_of(data, waits[1]["finding"])
    would = run_json("recall", case, "--dry-run", "--data", data)
    assert run_json("recall", case, "--reason", "beacon found", "--data", data) == would
    assert len(would) == closed - 1
    status = {row["scope"]: row for row in run_json("autonomy", "status", "--data", data)}
    assert (status["endpoint"]["stage"], status["endpoint"]["closes"]) == ("advise", 0)
    assert run_json("verify", data, "--data", data)["ok"]
    again = open_site(data)
    fakes.assert_rebuilds(again)
    again.close()
