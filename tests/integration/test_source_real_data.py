"""Real alerts from beside the checkout: every line parses or is ignored with a reason, and the counts add up."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from countersign.errors import SourceError
from countersign.model.alerts import Alert, Severity
from countersign.sources import make_source
from countersign.sources.frames import Tally
from countersign.sources.reader import input_files, read_deliveries

MAPPINGS = Path(__file__).resolve().parents[2] / "docs" / "mappings"

VENDOR = """format = "json"
message = ["event.description", "event.displayMessage", "event.eventName", "event.operation"]

[time]
field = [{times}]
format = "{form}"

[rule]
field = "rule"

[title]
field = "test"

[product]
field = "product"
default = "vendor"

[label]
field = "expected"
table = {{ "true" = "true_positive", "false" = "benign" }}

[[entity]]
type = "user"
role = "actor"
field = "event.actor.alternateId"

[[entity]]
type = "user"
role = "actor"
field = "event.userIdentity.userName"

[[entity]]
type = "ip"
role = "actor"
field = "event.sourceIPAddress"

[[entity]]
type = "ip"
role = "actor"
field = "event.client.ipAddress"

[[ignore]]
field = "{first}"
missing = true
reason = "the sample carries no time"

[[ignore]]
field = "{first}"
equals = ["redacted", "..."]
reason = "the sample's time was taken out"
"""
TIMES = {
    "AWS.CloudTrail": ("event.eventTime",),
    "Azure.MonitorActivity": ("event.time",),
    "Okta.SystemLog": ("event.published",),
    "Proofpoint.Event": ("event.messageTime",),
    "Wiz.Audit": ("event.timestamp",),
    "Upwind.Detections": ("event.first_seen_time",),
    "Microsoft365.Audit.Exchange": ("event.creationtime",),
    "SentinelOne.Activity": ("event.createdat",),
    "GSuite.ActivityEvent": ("event.id.time",),
    "OneLogin.Events": ("event.p_event_time",),
    "AWS.SecurityFindingFormat": ("event.CreatedAt",),
    "AWS.GuardDuty": ("event.createdAt",),
    "Azure.Audit": ("event.time",),
}


def read(path: Path, name: str, mapping: str = "", most: int | None = None) -> tuple[list[Alert], Counter[str], Tally]:
    """(alerts, count of ignored by reason, tally); a message that cannot be read fails the test with its place."""
    alerts: list[Alert] = []
    ignored: Counter[str] = Counter()
    tally = Tally()
    source = None
    for delivery in islice(read_deliveries(path, name, mapping=mapping, tally=tally), most):
        source = source or make_source(name, header=delivery.header, mapping=mapping)
        for position, raw in zip(delivery.positions, delivery.raws, strict=True):
            try:
                found = source.parse(raw)
            except SourceError as error:
                pytest.fail(f"{path.name}:{position}: {error}")
            if isinstance(found, Alert):
                alerts.append(found)
            else:
                ignored[found.reason] += 1
    assert len(alerts) + ignored.total() == tally.messages
    assert tally.messages + tally.blank + tally.headers <= tally.lines or path.suffix == ".json"
    return alerts, ignored, tally


def mapping(name: str) -> str:
    return (MAPPINGS / f"{name}.toml").read_text()


def test_suricata(shared_data: Path) -> None:
    alerts = [alert for path in input_files(shared_data / "suricata-eve") for alert in read(path, "suricata")[0]]
    assert len(alerts) == 205
    assert all(alert.entities and alert.severity is not Severity.UNKNOWN for alert in alerts)


@pytest.mark.parametrize("part", ["attack", "no_attack"])
def test_wazuh(shared_data: Path, part: str) -> None:
    alerts, _, _ = read(shared_data / "wazuh-aminer-raw" / f"wazuh_{part}_lines.jsonl", "wazuh")
    assert len(alerts) == 100
    assert all(alert.uid and alert.entities and alert.facets for alert in alerts)
    nested = [alert for alert in alerts if alert.rule.startswith("86601:")]
    assert nested
    assert len({alert.rule for alert in nested}) == len({alert.title for alert in nested})


@pytest.mark.parametrize("part", ["attack", "no_attack"])
def test_aminer(shared_data: Path, part: str) -> None:
    alerts, _, _ = read(shared_data / "wazuh-aminer-raw" / f"aminer_{part}_lines.jsonl", "generic", mapping("aminer"))
    assert len(alerts) == 100
    assert all(alert.product == "AMiner" and alert.entities and alert.message for alert in alerts)


def test_first_lines_of_fox(shared_data: Path) -> None:
    path = shared_data / "ait-ads" / "fox.csv.xz"
    alerts, ignored, tally = read(path, "generic", mapping("ait-ads"), most=40)
    assert (len(alerts), ignored.total(), tally.headers) == (20_000, 0, 1)
    assert {alert.product for alert in alerts} == {"Wazuh", "Suricata"}
    with lzma.open(path, "rt") as stream:
        rows = [line.rstrip("\n").split(",") for line in islice(stream, 1, 20_001)]
    assert [(a.time_ms // 1000, a.rule, a.label) for a in alerts] == [(int(r[0]), r[4], r[6].replace("-", "")) for r in rows]


def test_sentinel_incidents(shared_data: Path) -> None:
    for path in input_files(shared_data / "sentinel-incidents"):
        alerts, _, _ = read(path, "generic", mapping("sentinel-alert"))
        assert len(alerts) == len(json.loads(path.read_bytes())["alerts"])
        assert len({alert.uid for alert in alerts}) == len(alerts)


def test_vendor_events(shared_data: Path) -> None:
    total = 0
    for path in input_files(shared_data / "vendor-events"):
        times = TIMES.get(path.stem)
        if times is None:
            continue
        text = VENDOR.format(times=", ".join(f'"{name}"' for name in times), form="iso", first=times[0])
        alerts, _, tally = read(path, "generic", text)
        assert alerts
        total += tally.messages
    assert total > 1_600
