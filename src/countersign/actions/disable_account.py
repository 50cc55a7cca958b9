"""Lock an account."""

from __future__ import annotations

from countersign.actions.base import BaseAction
from countersign.actions.words import case_line, names, owned, record_line
from countersign.model.responses import Plan, Scene, Takes


class DisableAccount(BaseAction):
    """No parameters: it stays locked until it is undone."""

    name = "disable_account"
    title = "Disable account"
    verb = "deny account"
    takes = Takes.ACCOUNT
    inverse = "enable_account"

    def plan(self, scene: Scene) -> Plan:
        """One account."""
        (account,) = scene.records
        owns = owned(scene.inventory, account.name)
        return Plan(
            plan=f"Lock the account {account.name} against sign-in and end its sessions.",
            undo=f"Unlock {account.name}; ended sessions stay ended.",
            blast_radius=(
                record_line(account),
                f"owns {names(owns)}" if owns else "owns no asset of the inventory",
                case_line(scene, account.name),
            ),
        )
