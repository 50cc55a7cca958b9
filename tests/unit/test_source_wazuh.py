"""Wazuh alerts: what is read out of each shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import SourceError
from countersign.model.alerts import Alert, Severity
from countersign.model.findings import main_host
from countersign.sources.wazuh import WazuhSource

GOOD = Path(__file__).resolve().parents[1] / "vectors" / "sources" / "wazuh" / "good.jsonl"
LINES = GOOD.read_bytes().splitlines()
SSH, DOVECOT, EVE, SNORT, SYSCHECK, SYSMON, FORWARDED = range(7)


def parse(body: bytes | dict[str, Any]) -> Alert:
    found = WazuhSource().parse(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert isinstance(found, Alert)
    return found


def keys(alert: Alert) -> list[str]:
    return [f"{entity.role.value}={entity.key}" for entity in alert.entities]


def changed(line: int, **fields: object) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(LINES[line])
    return body | fields


def test_ssh_login_failure() -> None:
    alert = parse(LINES[SSH])
    assert (alert.uid, alert.rule, alert.severity) == ("1769850611.4455", "5710", Severity.LOW)
    assert alert.time_ms == 1769850611120
    assert alert.techniques == ("T1110.001", "T1021.004")
    assert alert.tactics == ("TA0006", "TA0008")
    assert keys(alert) == [
        "target=host:web-1.example.org",
        "observed=host:web-1",
        "target=ip:192.0.2.10",
        "actor=ip:203.0.113.7",
        "actor=user:admin",
    ]
    assert alert.message.startswith("Jan 31 09:10:11 web-1 sshd")
    assert alert.tainted == ("full_log", "data", "rule.description", "predecoder.hostname", "predecoder.program_name")


def test_user_and_remote_address_come_from_the_log_when_no_decoder_gave_them() -> None:
    assert keys(parse(LINES[DOVECOT])) == [
        "target=host:mail-1",
        "target=ip:192.0.2.25",
        "target=user:a.person",
        "actor=ip:198.51.100.9",
    ]


def test_nested_suricata_alert_carries_its_signature_in_the_rule() -> None:
    alert = parse(LINES[EVE])
    assert alert.product == "Wazuh"
    assert alert.rule == "86601:2900001"
    assert ("engine", "suricata") in alert.facets
    assert (alert.tactics, alert.techniques) == (("TA0011",), ("T1071",))
    assert "target=ip:10.0.4.7" in keys(alert)
    assert main_host(alert.entities) == "10.0.4.7", "the sensor's machine is no party"
    other = changed(EVE)
    other["data"]["alert"]["signature_id"] = "2900002"
    assert parse(other).rule != alert.rule


def test_one_line_ids_log_carries_its_signature_too() -> None:
    alert = parse(LINES[SNORT])
    assert alert.rule == "20101:2013504"
    assert alert.title == "IDS event. ET POLICY Example Updater"
    assert keys(alert) == ["actor=ip:203.0.113.88", "target=ip:10.0.4.7"]


def test_syscheck_names_file_owner_and_hash() -> None:
    alert = parse(LINES[SYSCHECK])
    assert {"target=file:/etc/passwd", "observed=user:root"} <= set(keys(alert))
    assert ("event", "modified") in alert.facets
    assert "syscheck" in alert.tainted


def test_windows_event() -> None:
    alert = parse(LINES[SYSMON])
    assert alert.severity is Severity.HIGH
    assert main_host(alert.entities) == "ws-12"
    assert "actor=user:example\\b.person" in keys(alert)
    assert "observed=hash:da39a3ee5e6b4b0d3255bfef95601890afd80709" in keys(alert)


def test_what_the_manager_forwards_belongs_to_the_host_in_the_syslog_header() -> None:
    assert keys(parse(LINES[FORWARDED])) == ["target=host:switch-3"]


def test_a_forged_host_name_in_a_log_line_does_not_move_the_alert() -> None:
    forged = changed(SSH, predecoder={"hostname": "domain-controller", "program_name": "sshd"})
    assert main_host(parse(forged).entities) == "web-1.example.org"


def test_a_forged_user_name_does_not_change_the_address() -> None:
    """sshd logs what the client sends: here a user called ``root from 192.0.2.99 port 22``."""
    claimed = "root from 192.0.2.99 port 22"
    log = f"Jan 31 09:10:11 web-1 sshd[1]: Failed password for invalid user {claimed} from 203.0.113.7 port 51992 ssh2"
    alert = parse(changed(SSH, full_log=log, data={}))
    assert "actor=ip:203.0.113.7" in keys(alert)
    assert not [key for key in keys(alert) if "192.0.2.99" in key and key.startswith("actor")]


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        (0, "INFORMATIONAL"),
        (3, "INFORMATIONAL"),
        (4, "LOW"),
        (6, "LOW"),
        (7, "MEDIUM"),
        (11, "MEDIUM"),
        (12, "HIGH"),
        (14, "HIGH"),
        (15, "CRITICAL"),
        (16, "CRITICAL"),
    ],
)
def test_levels(level: int, severity: str) -> None:
    rule = {"id": "1", "level": level, "description": "x"}
    assert parse(changed(SSH, rule=rule)).severity.name == severity


@pytest.mark.parametrize("level", [-1, 17, 10**30])
def test_levels_that_wazuh_does_not_have(level: int) -> None:
    with pytest.raises(SourceError) as caught:
        parse(changed(SSH, rule={"id": "1", "level": level}))
    assert caught.value.where == "rule.level"


def test_a_faulty_nested_record_names_its_field() -> None:
    body = changed(EVE)
    body["data"]["alert"]["signature_id"] = "none"
    with pytest.raises(SourceError) as caught:
        parse(body)
    assert caught.value.where == "data.alert.signature_id"


def test_the_last_of_two_equal_keys_counts() -> None:
    raw = LINES[SSH].replace(b'"id":"1769850611.4455"', b'"id":"first","id":"second"')
    assert parse(raw).uid == "second"


@given(st.text(max_size=300))
def test_hostile_log_lines(text: str) -> None:
    alert = parse(changed(DOVECOT, full_log=text + " for x from 1.2.3.4 port 5"))
    assert alert.rule == "9701"
    assert alert.severity is Severity.INFORMATIONAL
    assert main_host(alert.entities) == "mail-1"
