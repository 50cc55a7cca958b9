"""Take a host off the network, for a while."""

from __future__ import annotations

from countersign.actions.base import BaseAction
from countersign.actions.words import case_line, record_line
from countersign.model.inventory import Asset
from countersign.model.responses import Plan, Scene, Takes


class IsolateHost(BaseAction):
    """Parameter ``minutes``: after how long its undo is proposed by itself."""

    name = "isolate_host"
    title = "Isolate host"
    verb = "contain device"
    takes = Takes.HOST
    inverse = "release_host"
    minutes = 240

    def plan(self, scene: Scene) -> Plan:
        """One host."""
        (host,) = scene.records
        minutes = scene.parameters["minutes"]
        addresses = f" ({', '.join(host.addresses)})" if isinstance(host, Asset) and host.addresses else ""
        return Plan(
            plan=f"Cut {host.name}{addresses} off from every other system, except the management station.",
            undo=f"Let {host.name} back onto the network; proposed by itself after {minutes} minutes.",
            blast_radius=(
                record_line(host),
                f"whoever works on {host.name}, and whatever depends on it, loses it meanwhile",
                case_line(scene, host.name),
            ),
        )
