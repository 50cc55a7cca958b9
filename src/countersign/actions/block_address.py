"""Drop traffic with an outside address at the site's own firewalls."""

from __future__ import annotations

from countersign.actions.base import BaseAction
from countersign.actions.words import case_line, names, record_line
from countersign.model.responses import Plan, Scene, Takes


class BlockAddress(BaseAction):
    """The targets are firewalls of the inventory. Parameters ``address``: an address that a lookup proved to be outside
    the site, in canonical form; ``minutes``: after how long its undo is proposed by itself."""

    name = "block_address"
    title = "Block address"
    verb = "deny ipv4_net or ipv6_net"
    takes = Takes.ADDRESS
    inverse = "unblock_address"
    minutes = 240

    def plan(self, scene: Scene) -> Plan:
        """One address, at every firewall given."""
        address, minutes = scene.parameters["address"], scene.parameters["minutes"]
        where = names([record.name for record in scene.records])
        return Plan(
            plan=f"Drop all traffic from and to {address} at {where}.",
            undo=f"Take the rule for {address} out again at {where}; proposed by itself after {minutes} minutes.",
            blast_radius=(
                *(record_line(record) for record in scene.records),
                f"everything behind {where} loses {address}, whoever else is served from it",
                case_line(scene, str(address)),
            ),
        )
