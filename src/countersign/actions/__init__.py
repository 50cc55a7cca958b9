"""Responses, one file each: as far as this version goes they plan, and touch nothing. A new one is a file and a line here.

How: docs/how-to/add-an-action.md.
"""

from __future__ import annotations

from countersign.actions.block_address import BlockAddress
from countersign.actions.disable_account import DisableAccount
from countersign.actions.isolate_host import IsolateHost
from countersign.actions.open_ticket import OpenTicket
from countersign.ports import ActionPlan

NOTHING_RUNS = "Nothing runs in this version: an approved response stays approved"
PLANS_ONLY = "plans only in this version"

ACTIONS: dict[str, ActionPlan] = {
    "isolate_host": IsolateHost(),
    "disable_account": DisableAccount(),
    "block_address": BlockAddress(),
    "open_ticket": OpenTicket(),
}

__all__ = ["ACTIONS", "NOTHING_RUNS", "PLANS_ONLY"]
