"""An action that was carried out as an OCSF Remediation Activity (7001), OCSF 1.8.0. Pure.

What people approved and what the probe found stand in it; whatever the schema has no place for stands under ``unmapped``.
"""

from __future__ import annotations

from typing import Any

from countersign import __version__
from countersign.actions.base import Reversal
from countersign.approvals.proposal import Proposal, digest
from countersign.approvals.status import Status
from countersign.model.responses import Effect, Seen, Takes, TargetKind
from countersign.ports import ActionPlan

OCSF_VERSION = "1.8.0"
_CLASS = 7001
_ISOLATE, _EVICT, _RESTORE, _OTHER = (1, "Isolate"), (2, "Evict"), (3, "Restore"), (99, "Notify")
_ACTIVITY = {"account": _EVICT, "login": _EVICT}
_STATUS = {Effect.HOLDS: (1, "Success"), Effect.ABSENT: (2, "Failure"), Effect.UNKNOWN: (0, "Unknown")}
_D3FEND = {
    (Takes.HOST, False): ("Isolate", "D3-NI", "Network Isolation"),
    (Takes.HOST, True): ("Restore", "D3-RNA", "Restore Network Access"),
    (Takes.ACCOUNT, False): ("Evict", "D3-AL", "Account Locking"),
    (Takes.ACCOUNT, True): ("Restore", "D3-RUAA", "Restore User Account Access"),
    (Takes.ADDRESS, False): ("Isolate", "D3-NTF", "Network Traffic Filtering"),
    (Takes.ADDRESS, True): ("Restore", "D3-RNA", "Restore Network Access"),
}


def event(
    action: ActionPlan, proposal: Proposal, number: int, status: Status, seen: Seen, started_ms: int, probed_ms: int
) -> dict[str, Any]:
    """One event, JSON-ready; validates against OCSF 1.8.0 without profiles. Times in milliseconds since the epoch."""
    back = isinstance(action, Reversal)
    activity, activity_name = _activity(action, back=back)
    status_id, status_name = _STATUS[seen.effect]
    made: dict[str, Any] = {
        "category_uid": 7,
        "category_name": "Remediation",
        "class_uid": _CLASS,
        "class_name": "Remediation Activity",
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": _CLASS * 100 + activity,
        "type_name": f"Remediation Activity: {activity_name}",
        "time": probed_ms,
        "start_time": started_ms,
        "end_time": probed_ms,
        "severity_id": 1,
        "severity": "Informational",
        "status_id": status_id,
        "status": status_name,
        "status_detail": seen.detail,
        "command_uid": digest(proposal),
        "message": action.title,
        "metadata": {
            "version": OCSF_VERSION,
            "product": {"name": "Countersign", "vendor_name": "Countersign", "version": __version__},
            "uid": f"{number}",
            "correlation_uid": proposal.case,
        },
        "remediation": {"desc": proposal.plan},
        "unmapped": {
            "action": action.name,
            "proposal": number,
            "state": status.value,
            "undo": proposal.undo,
            "blast_radius": list(proposal.blast_radius),
            "tested_with": action.proven,
        },
    }
    optional = {"observables": _observables(proposal), "countermeasures": _countermeasures(action, back=back)}
    return made | {key: value for key, value in optional.items() if value}


def _activity(action: ActionPlan, *, back: bool) -> tuple[int, str]:
    if action.takes is Takes.NOTHING:
        return _OTHER
    return _RESTORE if back else _ACTIVITY.get(action.takes.value, _ISOLATE)


def _countermeasures(action: ActionPlan, *, back: bool) -> list[dict[str, Any]]:
    """MITRE D3FEND's name for it, where it has one."""
    found = _D3FEND.get((action.takes, back))
    if found is None:
        return []
    tactic, uid, name = found
    return [{"d3f_tactic": {"name": tactic}, "d3f_technique": {"uid": uid, "name": name}}]


def _observables(proposal: Proposal) -> list[dict[str, Any]]:
    kinds = {TargetKind.ASSET: (1, "Hostname"), TargetKind.IDENTITY: (4, "User Name")}
    made = [{"type_id": kinds[one.kind][0], "type": kinds[one.kind][1], "value": one.name} for one in proposal.targets]
    if address := proposal.parameters.get("address"):
        made.append({"type_id": 2, "type": "IP Address", "value": str(address)})
    if domain := proposal.parameters.get("domain"):
        made.append({"type_id": 1, "type": "Hostname", "value": str(domain)})
    return made
