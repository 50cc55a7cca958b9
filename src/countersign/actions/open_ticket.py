"""Tell another team through its ticket queue."""

from __future__ import annotations

from countersign.actions.base import BaseAction
from countersign.model.responses import Plan, Scene, Takes


class OpenTicket(BaseAction):
    """Touches no system of the site; carries no text of an alert."""

    name = "open_ticket"
    title = "Open ticket"
    verb = "create ticket"
    takes = Takes.NOTHING
    impactful = False

    def plan(self, scene: Scene) -> Plan:
        """One ticket about the case."""
        return Plan(
            plan=f"Open a ticket that links to {scene.case}; no text of an alert is copied into it.",
            undo="Close the ticket with a note.",
            blast_radius=("no system of the site is touched; whoever reads the queue is told",),
        )
