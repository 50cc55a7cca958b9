"""The benchmark measures what it says, on alerts that are what it says."""

from __future__ import annotations

from pathlib import Path

import msgspec

from countersign.evaluate import bench
from countersign.model.alerts import Alert
from countersign.sources import make_source


def test_distinct_alerts_are_distinct_readable_and_three_kilobytes() -> None:
    raws = list(bench.distinct_alerts(300))
    assert len(set(raws)) == 300
    assert all(bench.ALERT_BYTES - 8 <= len(raw) <= bench.ALERT_BYTES + 8 for raw in raws)
    source = make_source("wazuh")
    alerts = [source.parse(raw) for raw in raws]
    assert all(isinstance(alert, Alert) for alert in alerts)
    assert len({alert.uid for alert in alerts if isinstance(alert, Alert)}) == 300
    assert raws == list(bench.distinct_alerts(300))
    assert raws != list(bench.distinct_alerts(300, seed=2))


def test_every_alert_of_a_run_is_counted_and_every_stage_is_named(tmp_path: Path) -> None:
    found = bench.hot_path(tmp_path / "site", bench.deliveries(bench.distinct_alerts(700)))
    assert (found["alerts"], found["findings"], found["database"]) == (700, 700, "sqlite")
    assert found["entries"] > 700
    assert {"read", "fold", "load", "correlate", "judge", "write"} <= set(found["stages"])
    stages = sum(stage["cpu_seconds"] for stage in found["stages"].values())
    assert abs(stages - found["cpu_seconds"]) < 0.01  # rounding: the stages are all of it
    msgspec.json.encode(found)
