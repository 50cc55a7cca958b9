"""A proposed action as OpenC2 commands (OASIS Language Specification 1.0), for tools that take such. Pure.

The language has no account, ticket or notification as target, so these stand under this product's own namespace. Each command
has one target: an action on several firewalls is as many commands, told apart by their actuator.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from countersign.actions.base import Reversal
from countersign.approvals.proposal import Proposal, digest
from countersign.model.responses import Takes, Target
from countersign.ports import ActionPlan

NAMESPACE = "x-countersign"
ID_CHARS_MAX = 36
_MINUTE_MS = 60_000


def commands(action: ActionPlan, proposal: Proposal) -> list[dict[str, Any]]:
    """One command for each target, JSON-ready; exactly one when no system is touched. command_id begins with that of the
    proposal's digest."""
    places: tuple[Target | None, ...] = proposal.targets or (None,)
    stem = digest(proposal)[: ID_CHARS_MAX - 4]
    many = len(places) > 1
    return [_command(action, proposal, one, f"{stem}-{n}" if many else stem) for n, one in enumerate(places)]


def _command(action: ActionPlan, proposal: Proposal, place: Target | None, ident: str) -> dict[str, Any]:
    verb, _, thing = action.verb.partition(" ")
    made: dict[str, Any] = {
        "action": verb,
        "target": _target(action, proposal, place, thing),
        "args": {"response_requested": "complete"},
        "command_id": ident,
    }
    if action.takes is not Takes.HOST and action.takes is not Takes.ACCOUNT and place is not None:
        made["actuator"] = {NAMESPACE: {"hostname": place.name}}
    minutes = proposal.parameters.get("minutes")
    if isinstance(minutes, int) and not isinstance(action, Reversal):
        made["args"]["duration"] = minutes * _MINUTE_MS
    return made


def _target(action: ActionPlan, proposal: Proposal, place: Target | None, thing: str) -> dict[str, Any]:
    address = proposal.parameters.get("address")
    if isinstance(address, str):
        net = ipaddress.ip_network(address)
        return {f"ipv{net.version}_net": str(net)}
    if place is not None and action.takes is Takes.HOST:
        return {"device": {"hostname": place.name}}
    if place is not None and action.takes is Takes.ACCOUNT:
        return {f"{NAMESPACE}:account": {"name": place.name}}
    values = {name: value for name, value in proposal.parameters.items() if name != "minutes"}
    if isinstance(domain := values.get("domain"), str):
        return {"domain_name": domain}
    return {f"{NAMESPACE}:{thing.split()[0]}": {"case": proposal.case, **values}}
