"""The benchmark measures what it says, on alerts that are what it says."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from countersign.evaluate import bench, bench_alerts, bench_ledger
from countersign.model.alerts import Alert
from countersign.sources import make_source


def test_distinct_alerts_are_distinct_readable_and_three_kilobytes() -> None:
    raws = list(bench_alerts.distinct_alerts(300))
    assert len(set(raws)) == 300
    assert all(bench_alerts.ALERT_BYTES - 8 <= len(raw) <= bench_alerts.ALERT_BYTES + 8 for raw in raws)
    source = make_source("wazuh")
    alerts = [source.parse(raw) for raw in raws]
    assert all(isinstance(alert, Alert) for alert in alerts)
    assert len({alert.uid for alert in alerts if isinstance(alert, Alert)}) == 300
    assert raws == list(bench_alerts.distinct_alerts(300))
    assert raws != list(bench_alerts.distinct_alerts(300, seed=2))


def test_every_alert_of_a_run_is_counted_and_every_stage_is_named(tmp_path: Path) -> None:
    found = bench.hot_path(tmp_path / "site", bench_alerts.deliveries(bench_alerts.distinct_alerts(700)))
    assert (found["alerts"], found["findings"], found["database"]) == (700, 700, "sqlite")
    assert found["entries"] > 700
    assert {"read", "fold", "load", "correlate", "judge", "write"} <= set(found["stages"])
    stages = sum(stage["cpu_seconds"] for stage in found["stages"].values())
    assert abs(stages - found["cpu_seconds"]) < 0.01  # rounding: the stages are all of it
    assert 0 < found["policy_share"] < 1
    msgspec.json.encode(found)


@pytest.mark.slow
def test_with_closing_the_agent_closes_what_its_scope_has_earned(tmp_path: Path) -> None:
    found = bench.closing(tmp_path / "site", 1000)
    assert found["alerts"] == found["findings"] == 1000
    assert found["closed"] > 500


@pytest.mark.slow
def test_the_ledgers_figures_are_of_what_the_hot_path_writes(tmp_path: Path) -> None:
    found = bench_ledger.bench_ledger(tmp_path, 12_000, 700)
    assert (found["entries"], found["verify_problems"]) == (12_000, 0)
    assert found["mix"].startswith("finding.decided 9")
    assert found["leases_checked"] > 10
    assert 0 < found["ledger_share_of_hot_path"] < found["with_evidence_and_commit"] < 1
    few, many = found["opening"]
    assert (few["entries"], many["entries"]) == (1_000, 10_000)
    for one in (few, many):  # the right edge alone: at most 255 hashes a level
        levels = -(-one["entries"].bit_length() // 8)
        assert 0 < one["tiles_read"] <= levels
        assert one["hashes_read"] <= 255 * levels
    assert found["proof_hashes"] <= 14
    msgspec.json.encode(found)
