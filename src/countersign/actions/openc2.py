"""A proposed action as OpenC2 commands (OASIS Language Specification 1.0), for tools that take such. Pure.

The language has no account, ticket or notification as target, so these stand under this product's own namespace. Each
command has one target: an action on several firewalls is as many commands, told apart by their actuator.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from countersign.actions.base import Reversal
from countersign.approvals.proposal import Proposal, digest
from countersign.model.responses import Takes, Target, TargetKind
from countersign.ports import ActionPlan

NAMESPACE = "x-countersign"
ID_CHARS_MAX = 36
_MINUTE_MS = 60_000


def commands(action: ActionPlan, proposal: Proposal) -> list[dict[str, Any]]:
    """One command for each target, JSON-ready; exactly one when no system is touched. command_id begins with that of the
    proposal's digest."""
    assets = [one for one in proposal.targets if one.kind is TargetKind.ASSET]
    accounts = [one for one in proposal.targets if one.kind is TargetKind.IDENTITY]
    whom: list[Target | None] = [*(assets if action.takes is Takes.HOST else accounts)]
    where: list[Target | None] = [] if action.takes is Takes.HOST else [*assets]
    pairs = [(one, place) for one in whom or [None] for place in where or [None]]
    stem = digest(proposal)[: ID_CHARS_MAX - 4]
    many = len(pairs) > 1
    return [_command(action, proposal, *pair, f"{stem}-{n}" if many else stem) for n, pair in enumerate(pairs)]


def _command(
    action: ActionPlan, proposal: Proposal, whom: Target | None, where: Target | None, ident: str
) -> dict[str, Any]:
    verb, _, thing = action.verb.partition(" ")
    made: dict[str, Any] = {
        "action": verb,
        "target": _target(proposal, whom, thing),
        "args": {"response_requested": "complete"},
        "command_id": ident,
    }
    if where is not None:
        made["actuator"] = {NAMESPACE: {"hostname": where.name}}
    minutes = proposal.parameters.get("minutes")
    if isinstance(minutes, int) and not isinstance(action, Reversal):
        made["args"]["duration"] = minutes * _MINUTE_MS
    return made


def _target(proposal: Proposal, whom: Target | None, thing: str) -> dict[str, Any]:
    if whom is not None and whom.kind is TargetKind.ASSET:
        return {"device": {"hostname": whom.name}}
    if whom is not None:
        return {f"{NAMESPACE}:account": {"name": whom.name}}
    if isinstance(address := proposal.parameters.get("address"), str):
        net = ipaddress.ip_network(address)
        return {f"ipv{net.version}_net": str(net)}
    if isinstance(domain := proposal.parameters.get("domain"), str):
        return {"domain_name": domain}
    return {f"{NAMESPACE}:{thing.split(maxsplit=1)[0]}": {"case": proposal.case}}
