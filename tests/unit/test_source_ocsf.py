"""OCSF Detection Findings: roles, attacks, errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from countersign.errors import SourceError
from countersign.model.alerts import Alert, Ignored, Severity
from countersign.sources.ocsf import OcsfSource

GOOD = Path(__file__).resolve().parents[1] / "vectors" / "sources" / "ocsf" / "good.jsonl"
LINES = GOOD.read_bytes().splitlines()


def parse(**change: object) -> Alert:
    found = OcsfSource().parse(json.dumps(json.loads(LINES[0]) | change).encode())
    assert isinstance(found, Alert)
    return found


def test_endpoint_detection() -> None:
    alert = parse()
    assert (alert.product, alert.uid, alert.rule, alert.severity) == ("Example EDR", "ev-1", "EDR-1059", Severity.HIGH)
    assert (alert.tactics, alert.techniques) == (("TA0002",), ("T1059.001",))
    found = [f"{entity.role.value}={entity.key}" for entity in alert.entities]
    assert found[:4] == [
        "target=host:ws-12",
        "target=ip:192.0.2.112",
        "actor=user:b.person",
        "actor=mail:b.person@example.org",
    ]
    assert found.count("target=host:ws-12") == 1
    assert "observed=host:ws-12" not in found, "an observable does not repeat what an object says better"
    assert "actor=ip:203.0.113.7" in found
    assert "observed=file:p.exe" in found


def test_mail_detection_without_a_rule_takes_its_title() -> None:
    alert = OcsfSource().parse(LINES[1])
    assert isinstance(alert, Alert)
    assert (alert.rule, alert.severity, alert.product) == ("Mail with a look-alike sender", Severity.UNKNOWN, "Example")
    found = [f"{entity.role.value}={entity.key}" for entity in alert.entities]
    assert "actor=mail:ceo@examp1e.org" in found
    assert not [key for key in found if key.endswith("mailbox-7")], "a resource is a host only if it says so"


@pytest.mark.parametrize("class_uid", [2001, 2005, 4001, 0])
def test_other_classes_are_ignored(class_uid: int) -> None:
    assert OcsfSource().parse(b'{"class_uid":%d}' % class_uid) == Ignored(f"class_uid={class_uid}")


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("actor.user.name", "actor"),
        ("evidences[0].src_endpoint.ip", "actor"),
        ("evidences[12].actor.user.name", "actor"),
        ("evidences[].user.name", "target"),
        ("device.hostname", "target"),
        ("resources[0].name", "target"),
        ("email.to[0]", "target"),
        ("something", "observed"),
        (None, "observed"),
    ],
)
def test_roles_of_bare_observables(name: str | None, role: str) -> None:
    item: dict[str, Any] = {"type_id": 4, "value": "x.person", "name": name}
    alert = parse(observables=[item])
    assert [entity.role.value for entity in alert.entities if entity.value == "x.person"] == [role]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"time": None}, "time"),
        ({"time": "now"}, "time"),
        ({"finding_info": {}}, "finding_info.uid"),
        ({"finding_info": {"uid": 7}}, "finding_info.uid"),
        ({"finding_info": {"uid": "x"}}, "finding_info.analytic.uid"),
        ({"metadata": []}, "metadata"),
        ({"class_uid": "2004"}, "class_uid"),
    ],
)
def test_errors_name_the_field(change: dict[str, object], where: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse(**change)
    assert caught.value.where == where
