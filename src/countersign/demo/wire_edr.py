"""Endpoint detections as an EDR writes them in OCSF: Detection Finding (class 2004, schema 1.3.0)."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from countersign.demo.estate import ADDRESS, DOMAIN, LINUX, NETBIOS
from countersign.demo.wire import RULES, compact, hash_of

VENDOR, PRODUCT = "Countersign demo", "Sandbar EDR"


class Process(msgspec.Struct, frozen=True):
    """What ran. ``line`` is the command line, attacker-writable."""

    name: str
    line: str
    parent: str = ""


def finding(time_ms: int, host: str, uid: str, user: str, process: Process, *, remote: str = "") -> bytes:
    """One Detection Finding. ``remote``: address on the other side, when the detection has one."""
    rule = RULES["edr"][uid]
    sha256 = hashlib.sha256(f"{process.name} {uid}".encode()).hexdigest()
    running = _process(process, sha256)
    observables = _observables(host, user, sha256, remote)
    evidence: dict[str, Any] = {"process": running}
    if remote:
        evidence["src_endpoint"] = {"ip": remote}
    body = {
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "category_uid": 2,
        "category_name": "Findings",
        "activity_id": 1,
        "activity_name": "Create",
        "type_uid": 200401,
        "time": time_ms,
        "severity_id": rule["severity_id"],
        "severity": ("Unknown", "Informational", "Low", "Medium", "High", "Critical")[rule["severity_id"]],
        "status_id": 1,
        "metadata": {
            "version": "1.3.0",
            "profiles": ["host", "security_control"],
            "product": {"name": PRODUCT, "vendor_name": VENDOR},
        },
        "action_id": 1,
        "disposition_id": 1,
        "finding_info": _info(time_ms, host, uid),
        "device": _device(host),
        "actor": {"user": {"name": user, "domain": "" if host in LINUX else NETBIOS}, "process": running},
        "evidences": [evidence],
        "observables": observables,
    }
    return compact(body)


def _info(time_ms: int, host: str, uid: str) -> dict[str, Any]:
    rule = RULES["edr"][uid]
    tactic = dict(zip(("uid", "name"), rule["tactics"][0], strict=True))
    attacks = [
        {"version": "15.1", "tactic": tactic, "technique": {"uid": ident, "name": name}}
        for ident, name in rule["techniques"]
    ]
    return {
        "uid": f"sb-{hash_of(time_ms, host, uid) % 16**12:012x}",
        "title": rule["title"],
        "created_time": time_ms,
        "analytic": {"uid": uid, "name": rule["title"], "type_id": 1, "type": "Rule"},
        "attacks": attacks,
    }


def _device(host: str) -> dict[str, Any]:
    kind, name = (1, "Server") if not host.startswith("ws-") else (2, "Desktop")
    system = {"name": "Linux", "type_id": 200} if host in LINUX else {"name": "Windows", "type_id": 100}
    return {
        "hostname": host,
        "domain": DOMAIN,
        "ip": ADDRESS[host],
        "type_id": kind,
        "type": name,
        "os": system,
    }


def _process(process: Process, sha256: str) -> dict[str, Any]:
    file = {"name": process.name, "type_id": 1, "hashes": [{"algorithm_id": 3, "algorithm": "SHA-256", "value": sha256}]}
    body: dict[str, Any] = {"name": process.name, "pid": 4_242, "cmd_line": process.line, "file": file}
    if process.parent:
        body["parent_process"] = {"name": process.parent, "pid": 2_121}
    return body


def _observables(host: str, user: str, sha256: str, remote: str) -> list[dict[str, Any]]:
    rows = [
        {"name": "device.hostname", "type_id": 1, "type": "Hostname", "value": host},
        {"name": "device.ip", "type_id": 2, "type": "IP Address", "value": ADDRESS[host]},
        {"name": "actor.user.name", "type_id": 4, "type": "User Name", "value": user},
        {"name": "actor.process.file.hashes[0].value", "type_id": 8, "type": "Hash", "value": sha256},
    ]
    if remote:
        rows.append({"name": "evidences[0].src_endpoint.ip", "type_id": 2, "type": "IP Address", "value": remote})
    return rows
