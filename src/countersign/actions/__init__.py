"""Responses, one file each: plan, check, do, probe and undo side by side. A new one is a file and a line here.

Each is a plan until the site turns it on (``[actions.NAME] run = true``), and runs only as an approved proposal.
How: docs/how-to/add-an-action.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from countersign.actions.base import BaseAction, Reversal
from countersign.actions.block_address import BlockAddress
from countersign.actions.block_domain import BlockDomain
from countersign.actions.contain_crowdstrike import ContainCrowdstrike
from countersign.actions.disable_account import DisableAccount
from countersign.actions.disable_aws_key import DisableAwsKey
from countersign.actions.disable_entra import DisableEntra
from countersign.actions.isolate_defender import IsolateDefender
from countersign.actions.isolate_host import IsolateHost
from countersign.actions.isolate_wazuh import IsolateWazuh
from countersign.actions.notify_webhook import NotifyWebhook
from countersign.actions.open_ticket import CloseTicket, OpenTicket
from countersign.actions.quarantine_instance import QuarantineInstance
from countersign.actions.refuse_ssh_user import RefuseSshUser
from countersign.actions.suspend_okta import SuspendOkta
from countersign.ports import ActionPlan

_isolate, _disable, _block = IsolateHost(), DisableAccount(), BlockAddress()
_domain, _refuse = BlockDomain(), RefuseSshUser()
_crowdstrike, _defender, _wazuh = ContainCrowdstrike(), IsolateDefender(), IsolateWazuh()
_okta, _entra = SuspendOkta(), DisableEntra()
_keys, _instance, _ticket = DisableAwsKey(), QuarantineInstance(), OpenTicket()

ACTIONS: dict[str, ActionPlan] = {
    "isolate_host": _isolate,
    "release_host": Reversal("release_host", "Release host", "allow device", _isolate),
    "disable_account": _disable,
    "enable_account": Reversal("enable_account", "Enable account", "allow account", _disable),
    "block_address": _block,
    "unblock_address": Reversal("unblock_address", "Unblock address", "allow ipv4_net or ipv6_net", _block),
    "block_domain": _domain,
    "unblock_domain": Reversal("unblock_domain", "Unblock domain", "allow domain_name", _domain),
    "refuse_ssh_user": _refuse,
    "allow_ssh_user": Reversal("allow_ssh_user", "Allow ssh user", "allow account", _refuse),
    "open_ticket": _ticket,
    "close_ticket": CloseTicket("close_ticket", "Close ticket", "delete ticket", _ticket),
    "notify_webhook": NotifyWebhook(),
    "contain_crowdstrike": _crowdstrike,
    "lift_crowdstrike": Reversal("lift_crowdstrike", "Lift containment (CrowdStrike)", "allow device", _crowdstrike),
    "isolate_defender": _defender,
    "unisolate_defender": Reversal("unisolate_defender", "Release host (Defender)", "allow device", _defender),
    "isolate_wazuh": _wazuh,
    "release_wazuh": Reversal("release_wazuh", "Release host (Wazuh)", "allow device", _wazuh),
    "suspend_okta": _okta,
    "unsuspend_okta": Reversal("unsuspend_okta", "Unsuspend user (Okta)", "allow account", _okta),
    "disable_entra": _entra,
    "enable_entra": Reversal("enable_entra", "Enable account (Entra ID)", "allow account", _entra),
    "disable_aws_key": _keys,
    "enable_aws_key": Reversal("enable_aws_key", "Enable access keys (AWS)", "allow account", _keys),
    "quarantine_instance": _instance,
    "release_instance": Reversal("release_instance", "Release instance (AWS)", "allow device", _instance),
}

ALTERNATIVES: dict[str, tuple[str, ...]] = {
    "isolate_host": ("contain_crowdstrike", "isolate_defender", "isolate_wazuh", "quarantine_instance"),
    "open_ticket": ("notify_webhook",),
    "disable_account": ("suspend_okta", "disable_entra", "disable_aws_key"),
}
"""Actions that do with a vendor's product what the playbooks ask for in general."""


def offered(action: str, on: Collection[str]) -> tuple[str, ...]:
    """What is suggested where a playbook says ``action``: the alternatives that this site has switched on, in its place
    unless it is switched on as well."""
    found = tuple(one for one in ALTERNATIVES.get(action, ()) if one in on)
    return (action, *found) if action in on or not found else found


def switched_on(tables: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Actions that this site carries out once they are approved. tables: ``[actions.NAME]`` of its configuration."""
    return tuple(name for name, one in ACTIONS.items() if tables.get(one.configured, {}).get("run") is True)


def standing(on: Collection[str]) -> str:
    """What may run here, as a sentence without its full stop."""
    if not on:
        return "Nothing runs here: no response is switched on, and an approved one stays approved"
    return f"Switched on here, and run once approved: {', '.join(ACTIONS[name].title.lower() for name in on)}"


__all__ = ["ACTIONS", "ALTERNATIVES", "BaseAction", "offered", "standing", "switched_on"]
