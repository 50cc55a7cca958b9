"""EVE alerts: sides, severities, observables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from countersign.errors import SourceError
from countersign.model.alerts import Alert, Ignored, Severity
from countersign.sources.suricata import SuricataSource

GOOD = Path(__file__).resolve().parents[1] / "vectors" / "sources" / "suricata" / "good.jsonl"
LINES = GOOD.read_bytes().splitlines()
SCAN, DOWNLOAD, DNS, MAIL, TLS, FLOW, STATS = range(7)


def parse(body: bytes | dict[str, Any]) -> Alert:
    found = SuricataSource().parse(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert isinstance(found, Alert)
    return found


def keys(alert: Alert) -> list[str]:
    return [f"{entity.role.value}={entity.key}" for entity in alert.entities]


def changed(line: int, **alert: object) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(LINES[line])
    body["alert"] |= alert
    return body


def test_scan_from_outside() -> None:
    alert = parse(LINES[SCAN])
    assert (alert.rule, alert.severity, alert.uid) == ("2001219", Severity.MEDIUM, "")
    assert (alert.tactics, alert.techniques) == (("TA0043",), ("T1595",))
    assert keys(alert) == ["actor=ip:203.0.113.7", "target=ip:192.0.2.10"]
    assert alert.tainted == ()


def test_download_hits_the_client() -> None:
    alert = parse(LINES[DOWNLOAD])
    assert alert.time_ms == 1769847060000, "the zone counts"
    assert keys(alert) == [
        "actor=ip:198.51.100.80",
        "target=ip:10.0.4.7",
        "observed=domain:files.example.net",
        "observed=url:http://files.example.net/p.exe",
        "observed=file:/p.exe",
        "observed=hash:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ]
    assert alert.tactics == ("TA0011",)
    assert alert.message == "MZ......"
    assert alert.tainted == ("payload_printable", "payload", "http", "fileinfo")


def test_dns_of_every_version() -> None:
    for dns in ({"rrname": "a.example"}, {"query": [{"rrname": "a.example"}]}, {"queries": [{"rrname": "A.example."}]}):
        body = changed(DNS)
        body["dns"] = dns
        assert "observed=domain:a.example" in keys(parse(body))


def test_mail_addresses_have_sides() -> None:
    assert {"actor=mail:billing@example.net", "target=mail:a.person@example.org"} <= set(keys(parse(LINES[MAIL])))


def test_generator_other_than_one_is_part_of_the_rule() -> None:
    assert parse(LINES[TLS]).rule == "129:12"


@pytest.mark.parametrize(("line", "reason"), [(FLOW, "event_type=flow"), (STATS, "event_type=stats")])
def test_other_records_are_ignored_with_their_type(line: int, reason: str) -> None:
    assert SuricataSource().parse(LINES[line]) == Ignored(reason)


@pytest.mark.parametrize(
    ("number", "severity"), [(1, "HIGH"), (2, "MEDIUM"), (3, "LOW"), (4, "INFORMATIONAL"), (5, "UNKNOWN"), (0, "UNKNOWN")]
)
def test_severities(number: int, severity: str) -> None:
    assert parse(changed(SCAN, severity=number)).severity.name == severity


def sides(source: str, dest: str, *, alert: dict[str, Any] | None = None, **more: object) -> tuple[str, str]:
    body = changed(SCAN, **(alert or {"metadata": {}})) | {"src_ip": source, "dest_ip": dest} | more
    found = {entity.role.value: entity.value for entity in parse(body).entities}
    return found["actor"], found["target"]


IN, OUT, OUT2 = "10.0.4.7", "203.0.113.7", "203.0.113.8"


def test_the_rule_itself_says_who_the_target_is() -> None:
    assert sides(IN, OUT, alert={"target": {"ip": OUT}}) == (IN, OUT)
    assert sides(OUT, OUT2, alert={"target": {"ip": OUT}}) == (OUT2, OUT)


def test_the_author_says_whom_it_hits() -> None:
    server = {"metadata": {"attack_target": ["Server"]}}
    assert sides(IN, OUT, alert=server, direction="to_server") == (IN, OUT)
    assert sides(OUT, IN, alert=server, direction="to_client") == (IN, OUT)
    assert sides(OUT, IN, alert={"metadata": {"attack_target": ["Client_and_Server"]}}, direction="to_client") == (OUT, IN)


def test_else_the_private_side_else_the_receiver() -> None:
    assert sides(IN, OUT) == (OUT, IN)
    assert sides(OUT, IN) == (OUT, IN)
    assert sides(OUT, OUT2) == (OUT, OUT2)
    assert sides(IN, "10.0.4.8") == (IN, "10.0.4.8")
    assert sides("172.16.0.1", "172.32.0.1") == ("172.32.0.1", "172.16.0.1")


@pytest.mark.parametrize(
    ("change", "where"), [({"alert": None}, "alert"), ({"event_type": ""}, "event_type"), ({"timestamp": "x"}, "timestamp")]
)
def test_errors_name_the_field(change: dict[str, object], where: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse(changed(SCAN) | change)
    assert caught.value.where == where
