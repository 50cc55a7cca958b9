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
from countersign.actions.disable_account import DisableAccount
from countersign.actions.isolate_host import IsolateHost
from countersign.actions.open_ticket import OpenTicket
from countersign.actions.refuse_ssh_user import RefuseSshUser
from countersign.ports import ActionPlan

_isolate, _disable, _block = IsolateHost(), DisableAccount(), BlockAddress()
_domain, _refuse = BlockDomain(), RefuseSshUser()

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
    "open_ticket": OpenTicket(),
}


def switched_on(tables: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Actions that this site carries out once they are approved. tables: ``[actions.NAME]`` of its configuration."""
    return tuple(name for name, one in ACTIONS.items() if tables.get(one.configured, {}).get("run") is True)


def standing(on: Collection[str]) -> str:
    """What may run here, as a sentence without its full stop."""
    if not on:
        return "Nothing runs here: no response is switched on, and an approved one stays approved"
    return f"Switched on here, and run once approved: {', '.join(ACTIONS[name].title.lower() for name in on)}"


__all__ = ["ACTIONS", "BaseAction", "standing", "switched_on"]
