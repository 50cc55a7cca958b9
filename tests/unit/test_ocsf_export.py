"""What is exported validates against OCSF's own schema, and the ocsf source reads it back."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema  # type: ignore[import-untyped]

from countersign.correlate.fold import fold
from countersign.correlate.ocsf_export import OCSF_VERSION, Incident, detection_finding, incident_finding
from countersign.model.alerts import Alert, Severity
from countersign.model.cases import CaseStatus, Disposition, Link, LinkReason
from countersign.model.decisions import Action, Decision
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.evidence import Evidence, LookupStatus
from countersign.model.findings import Finding
from countersign.model.records import FindingRecord
from countersign.model.verdicts import Counterfactual, Label, Verdict
from countersign.sources import SOURCES, make_source
from countersign.sources.ocsf import OcsfSource
from countersign.sources.values import maker
from tests.examples import examples

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "sources"


@cache
@cache
def validator(name: str) -> Draft202012Validator:
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=OCSF_VERSION))
    return Draft202012Validator(schema.get_class_schema(class_name=name, profiles=[]))


def check(name: str, event: dict[str, Any]) -> None:
    plain = json.loads(json.dumps(event, allow_nan=False))
    errors = [f"{error.json_path}: {error.message[:200]}" for error in validator(name).iter_errors(plain)]
    assert errors == []


def recorded(finding: Finding, *evidence: Evidence) -> FindingRecord:
    verdict = Verdict(
        label=Label.INSUFFICIENT, pico=0, intercept_pico=0, p0_ppm=400_000, p1_ppm=600_000, contributions=(),
        counterfactual=Counterfactual(possible=False, changes=(), pico=0), novelty_ppm=0, model="m",
    )  # fmt: skip
    decision = Decision(
        action=Action.ESCALATE, advice=Action.ESCALATE, scope="other", stage="advise", conditions=(), why="x"
    )
    link = Link(finding.id, "C-1", LinkReason.FIRST, "")
    used: dict[str, Any] = {
        "finding": finding,
        "pattern": "P-1",
        "case": "C-1",
        "links": (link,),
        "evidence": evidence,
        "verdict": verdict,
        "decision": decision,
        "first": True,
    }
    # The export must depend on nothing else of a record.
    filled: dict[str, Any] = {name: used.get(name) for name in FindingRecord.__struct_fields__}
    return FindingRecord(**filled)


def found(**change: Any) -> Finding:
    base: dict[str, Any] = {
        "source": "wazuh",
        "product": "Wazuh",
        "uid": "1",
        "time_ms": 1_769_850_611_120,
        "rule": "5710",
        "title": "t",
    }
    return fold([Alert(**(base | {"severity": Severity.LOW} | change))])[0][0]


def sample_findings() -> list[Finding]:
    findings = []
    for name in ("wazuh", "suricata", "ocsf"):
        lines = (VECTORS / name / "good.jsonl").read_bytes().splitlines()
        alerts = [alert for raw in lines if isinstance(alert := make_source(name).parse(raw), Alert)]
        findings += fold(alerts)[0]
    return findings


@pytest.mark.parametrize("finding", sample_findings(), ids=lambda finding: f"{finding.source}-{finding.rule}")
def test_samples_validate(finding: Finding) -> None:
    evidence = Evidence("assets", "host:web-1", LookupStatus.FOUND, (("owner", "web team"),), "00", "known", 1)
    check("detection_finding", detection_finding(recorded(finding, evidence)))


def entities() -> st.SearchStrategy[Entity]:
    texts = st.one_of(
        st.text(min_size=1, max_size=60), st.sampled_from(["192.0.2.1", "2001:db8::1", "a@b.example", "web-1", "'\"@x.y"])
    )
    built = st.builds(
        lambda kind, role, text: maker(kind, role)(text),
        st.sampled_from(list(EntityType)),
        st.sampled_from(list(Role)),
        texts,
    )
    return built.filter(lambda entity: entity is not None)  # type: ignore[return-value]


@given(st.lists(entities(), max_size=8, unique=True), st.sampled_from(list(Severity)), st.text(max_size=30))
@settings(max_examples=examples(80), deadline=None)
def test_anything_that_a_source_can_say_validates(who: list[Entity], severity: Severity, text: str) -> None:
    finding = found(
        entities=tuple(who),
        severity=severity,
        message=text,
        title=text or "t",
        techniques=("T1059.001", "T1078"),
        tactics=("TA0002",),
    )
    event = detection_finding(recorded(finding))
    check("detection_finding", event)
    assert len(event.get("observables", ())) == len(finding.entities)
    for observable in event.get("observables", ()):
        if "name" in observable:
            assert observable["value"] == at(event, observable["name"])
    check("incident_finding", incident_finding(Incident("C-1", text, CaseStatus.OPEN, 1, 2), [recorded(finding)]))


def at(event: dict[str, Any], path: str) -> Any:
    """The value that an observable's name points to."""
    node: Any = event
    for part in path.replace("[", ".[").split("."):
        node = node[int(part[1:-1])] if part.startswith("[") else node[part]
    return node


@pytest.mark.parametrize("status", list(CaseStatus))
@pytest.mark.parametrize("disposition", [None, *Disposition])
@pytest.mark.parametrize("assignee", ["", "a.person"])
def test_incidents_validate(status: CaseStatus, disposition: Disposition | None, assignee: str) -> None:
    records = [recorded(finding) for finding in sample_findings()]
    incident = Incident(
        "C-7", "Several things", status, 1_769_850_611_120, 1_769_850_711_120, disposition, assignee, "Two tools agree."
    )
    event = incident_finding(incident, records)
    check("incident_finding", event)
    assert event["severity_id"] == max(record.finding.severity for record in records)
    assert len(event["finding_info_list"]) == len(records)
    assert event["unmapped"]["status"] == status.value, "a close by the agent is not shown as one by a person"


def test_export_is_read_back_by_the_source() -> None:
    assert "ocsf" in SOURCES
    who = (
        Entity(EntityType.HOST, "web-1", Role.TARGET),
        Entity(EntityType.HOST, "jump-1", Role.ACTOR),
        Entity(EntityType.IP, "203.0.113.7", Role.ACTOR),
        Entity(EntityType.IP, "192.0.2.10", Role.TARGET),
        Entity(EntityType.IP, "192.0.2.11", Role.OBSERVED),
        Entity(EntityType.USER, "eve", Role.ACTOR),
        Entity(EntityType.USER, "alice", Role.TARGET),
        Entity(EntityType.MAIL, "a@b.example", Role.ACTOR),
        Entity(EntityType.MAIL, "c@d.example", Role.TARGET),
        Entity(EntityType.URL, "https://b.example/x", Role.OBSERVED),
        Entity(EntityType.DOMAIN, "b.example", Role.OBSERVED),
        Entity(EntityType.FILE, "x.exe", Role.OBSERVED),
        Entity(EntityType.HASH, "0" * 64, Role.OBSERVED),
        Entity(EntityType.PROCESS, "cmd.exe", Role.OBSERVED),
    )
    finding = found(
        entities=who, techniques=("T1059", "T1110.001"), tactics=("TA0006",), severity=Severity.HIGH, message="m"
    )
    back = OcsfSource().parse(json.dumps(detection_finding(recorded(finding))).encode())
    assert isinstance(back, Alert)
    assert set(back.entities) == set(who)
    assert (back.rule, back.title, back.severity, back.message) == (
        finding.rule_key,
        finding.title,
        finding.severity,
        finding.message,
    )
    assert (back.techniques, back.tactics, back.time_ms) == (finding.techniques, finding.tactics, finding.last_seen_ms)
