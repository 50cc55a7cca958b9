"""Findings and cases as OCSF events: Detection Finding (2004) and Incident Finding (2005), OCSF 1.8.0.

Pure. What the product decided goes where the schema has a place for it, the rest under ``unmapped``. Values written by
an attacker that the schema would refuse (a mail address that is none) stand in ``observables``, which take any text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from countersign import __version__
from countersign.model.alerts import Severity
from countersign.model.cases import CaseStatus, Disposition
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.evidence import Evidence
from countersign.model.findings import Finding
from countersign.model.records import FindingRecord

OCSF_VERSION = "1.8.0"
_PRODUCT = {"name": "Countersign", "vendor_name": "Countersign", "version": __version__}
_MAIL = re.compile(r"[a-zA-Z0-9!#$%&'*+\-/=?^_`{|}~.]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9.-]+")
_SEVERITY_NAMES = ("Unknown", "Informational", "Low", "Medium", "High", "Critical", "Fatal")
_OBSERVABLE = {
    EntityType.HOST: (1, "Hostname"),
    EntityType.DOMAIN: (1, "Hostname"),
    EntityType.IP: (2, "IP Address"),
    EntityType.USER: (4, "User Name"),
    EntityType.MAIL: (5, "Email Address"),
    EntityType.URL: (6, "URL String"),
    EntityType.FILE: (7, "File Name"),
    EntityType.HASH: (8, "Hash"),
    EntityType.PROCESS: (9, "Process Name"),
}
_VERDICTS = {
    Disposition.FALSE_POSITIVE: (1, "False Positive"),
    Disposition.TRUE_POSITIVE: (2, "True Positive"),
    Disposition.BENIGN: (5, "Benign"),
    Disposition.TEST: (6, "Test"),
    Disposition.DUPLICATE: (10, "Duplicate"),
}
_CREATE, _UPDATE, _CLOSE = (1, "Create"), (2, "Update"), (3, "Close")


@dataclass(frozen=True, slots=True)
class Incident:
    """What an incident says of its case. Times in milliseconds since the epoch. assignee: login, "" when nobody has
    it."""

    case: str
    title: str
    status: CaseStatus
    opened_ms: int
    changed_ms: int
    disposition: Disposition | None = None
    assignee: str = ""
    summary: str = ""


def detection_finding(record: FindingRecord) -> dict[str, Any]:
    """One finding as a Detection Finding event. JSON-ready; validates against OCSF 1.8.0 without profiles."""
    finding = record.finding
    resources, evidences, observables = _who(finding.entities)
    activity = _CREATE if record.first else _UPDATE
    event: dict[str, Any] = {
        **_class(2004, "Detection Finding", activity),
        "time": finding.last_seen_ms,
        "start_time": finding.first_seen_ms,
        "end_time": finding.last_seen_ms,
        "count": finding.count,
        **_severity(finding.severity),
        "status_id": 1,
        "status": "New",
        "is_alert": True,
        "confidence_score": _percent(record.verdict.p0_ppm),
        "metadata": {"version": OCSF_VERSION, "product": _PRODUCT, "uid": finding.id, "correlation_uid": record.case},
        "finding_info": _finding_info(finding),
        "unmapped": _decided(record),
    }
    optional = {
        "message": finding.message,
        "resources": resources,
        "evidences": evidences,
        "observables": observables,
        "enrichments": [_enrichment(evidence) for evidence in record.evidence],
    }
    return event | {key: value for key, value in optional.items() if value}


def incident_finding(incident: Incident, records: Sequence[FindingRecord]) -> dict[str, Any]:
    """A case with its findings as an Incident Finding event. JSON-ready; validates against OCSF 1.8.0 without
    profiles."""
    findings = [record.finding for record in records]
    closed = incident.status is not CaseStatus.OPEN
    worst = max((finding.severity for finding in findings), default=Severity.UNKNOWN)
    event: dict[str, Any] = {
        **_class(2005, "Incident Finding", _CLOSE if closed else _UPDATE),
        "time": incident.changed_ms,
        "start_time": incident.opened_ms,
        "count": max(1, sum(finding.count for finding in findings)),
        **_severity(worst),
        "status_id": 5 if closed else 2 if incident.assignee else 1,
        "status": "Closed" if closed else "In Progress" if incident.assignee else "New",
        "metadata": {"version": OCSF_VERSION, "product": _PRODUCT, "uid": incident.case},
        "finding_info_list": [_finding_info(finding) for finding in findings],
        "message": incident.title,
        "unmapped": {"status": incident.status.value},
        **_responsible(incident.assignee),
    }
    if incident.disposition is not None:
        event["verdict_id"], event["verdict"] = _VERDICTS[incident.disposition]
    attacks = [attack for finding in findings for attack in _attacks(finding)]
    optional = {
        "desc": incident.summary,
        "attacks": [attack for i, attack in enumerate(attacks) if attack not in attacks[:i]],
        "observables": _who(_unique(entity for finding in findings for entity in finding.entities), paths=False)[2],
    }
    return event | {key: value for key, value in optional.items() if value}


def _class(uid: int, name: str, activity: tuple[int, str]) -> dict[str, Any]:
    number, verb = activity
    return {
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": uid,
        "class_name": name,
        "activity_id": number,
        "activity_name": verb,
        "type_uid": uid * 100 + number,
        "type_name": f"{name}: {verb}",
    }


def _severity(severity: Severity) -> dict[str, Any]:
    return {"severity_id": int(severity), "severity": _SEVERITY_NAMES[severity]}


def _percent(ppm: int) -> int:
    return max(0, min(100, ppm // 10_000))


def _finding_info(finding: Finding) -> dict[str, Any]:
    info: dict[str, Any] = {
        "uid": finding.id,
        "title": finding.title,
        "analytic": {"uid": finding.rule_key, "name": finding.title, "type_id": 1, "type": "Rule"},
        "first_seen_time": finding.first_seen_ms,
        "last_seen_time": finding.last_seen_ms,
        "created_time": finding.window_ms,
        "data_sources": [finding.product],
        "product": {"name": finding.product},
    }
    attacks = _attacks(finding)
    return info | {"attacks": attacks} if attacks else info


def _attacks(finding: Finding) -> list[dict[str, Any]]:
    techniques = [{"sub_technique" if "." in uid else "technique": {"uid": uid}} for uid in finding.techniques]
    return [*techniques, *({"tactic": {"uid": uid}} for uid in finding.tactics)]


def _enrichment(evidence: Evidence) -> dict[str, Any]:
    return {
        "name": evidence.query,
        "value": evidence.query.partition(":")[2] or evidence.query,
        "type": evidence.source,
        "provider": evidence.source,
        "desc": evidence.summary,
        "data": {"status": evidence.status.value, "digest": evidence.digest, "facts": dict(evidence.facts)},
    }


def _decided(record: FindingRecord) -> dict[str, Any]:
    verdict, decision = record.verdict, record.decision
    return {
        "pattern": record.pattern,
        "verdict": verdict.label.value,
        "model": verdict.model,
        "threat_ppm": [verdict.p0_ppm, verdict.p1_ppm],
        "decision": decision.action.value,
        "scope": decision.scope,
        "stage": decision.stage,
        "why": decision.why,
    }


def _responsible(assignee: str) -> dict[str, Any]:
    return {"assignee": {"name": assignee}} if assignee else {"assignee_group": {"name": "queue"}}


def _unique(entities: Iterable[Entity]) -> tuple[Entity, ...]:
    return tuple(dict.fromkeys(entities))


def _who(
    entities: tuple[Entity, ...], *, paths: bool = True
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """(resources, evidences, observables); an observable's ``name`` is the path of the value in the event."""
    resources: list[dict[str, Any]] = []
    evidences: list[dict[str, Any]] = []
    observables: list[dict[str, Any]] = []
    for entity in entities:
        path = ""
        if entity.type is EntityType.HOST and entity.role is Role.TARGET:
            path = f"resources[{len(resources)}].hostname"
            resources.append({"name": entity.value, "hostname": entity.value, "type": "host"})
        elif (place := _place(entity)) is not None:
            path = f"evidences[{len(evidences)}].{place[0]}"
            evidences.append(place[1])
        type_id, name = _OBSERVABLE[entity.type]
        observable = {"type_id": type_id, "type": name, "value": entity.value}
        observables.append(observable | {"name": path} if path and paths else observable)
    return resources, evidences, observables


def _place(entity: Entity) -> tuple[str, dict[str, Any]] | None:
    """Where an entity stands in ``evidences``: (path, item); None when only an observable can hold it."""
    make = _PLACES.get((entity.type, entity.role)) or _PLACES.get((entity.type, None))
    if make is None or not _FITS.get(entity.type, bool)(entity.value):
        return None
    path, item = make
    return path, item(entity.value)


def _is_ip(value: str) -> bool:
    try:
        return len(ip_address(value).compressed) <= 40 and "%" not in value
    except ValueError:
        return False


_Item = Callable[[str], dict[str, Any]]
_FITS: dict[EntityType, Callable[[str], object]] = {EntityType.IP: _is_ip, EntityType.MAIL: _MAIL.fullmatch}
_PLACES: dict[tuple[EntityType, Role | None], tuple[str, _Item]] = {
    (EntityType.HOST, Role.ACTOR): ("src_endpoint.hostname", lambda v: {"src_endpoint": {"hostname": v}}),
    (EntityType.IP, Role.ACTOR): ("src_endpoint.ip", lambda v: {"src_endpoint": {"ip": v}}),
    (EntityType.IP, Role.TARGET): ("dst_endpoint.ip", lambda v: {"dst_endpoint": {"ip": v}}),
    (EntityType.USER, Role.ACTOR): ("actor.user.name", lambda v: {"actor": {"user": {"name": v}}}),
    (EntityType.USER, Role.TARGET): ("user.name", lambda v: {"user": {"name": v}}),
    (EntityType.MAIL, Role.ACTOR): ("email.from", lambda v: {"email": {"from": v}}),
    (EntityType.MAIL, Role.TARGET): ("email.to[0]", lambda v: {"email": {"to": [v]}}),
    (EntityType.URL, None): ("url.url_string", lambda v: {"url": {"url_string": v}}),
    (EntityType.DOMAIN, None): ("query.hostname", lambda v: {"query": {"hostname": v}}),
    (EntityType.FILE, None): ("file.name", lambda v: {"file": {"name": v, "type_id": 0}}),
}
"""Path within an evidence, and the evidence; None as role stands for any."""
