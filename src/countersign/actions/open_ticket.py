"""Tell another team through its ticket queue."""

from __future__ import annotations

from countersign.actions import webhook
from countersign.actions.base import BaseAction, Reversal
from countersign.model.responses import Plan, Scene, Takes
from countersign.ports import Reach


class OpenTicket(BaseAction):
    """Touches no system of the site; carries no text of an alert."""

    name = "open_ticket"
    title = "Open ticket"
    verb = "create ticket"
    takes = Takes.NOTHING
    impactful = False
    inverse = "close_ticket"
    settings = webhook.TicketSettings

    def plan(self, scene: Scene) -> Plan:
        """One ticket about the case."""
        return Plan(
            plan=f"Open a ticket that links to {scene.case}; no text of an alert is copied into it.",
            undo="Close the ticket with a note, where the site's settings say how; else it cannot be undone.",
            blast_radius=("no system of the site is touched; whoever reads the queue is told",),
        )

    def hand(self, settings: webhook.TicketSettings, reach: Reach) -> webhook.WebhookHand | None:
        """None without an address."""
        return webhook.hand(self.name, self.title, settings, reach)


class CloseTicket(Reversal):
    """Takes it back, and touches no system of the site either."""

    impactful = False

    def plan(self, scene: Scene) -> Plan:
        """The ticket of the case."""
        return Plan(
            plan=f"Close the ticket that links to {scene.case}, with a note, where the site's settings say how.",
            undo="Open another ticket.",
            blast_radius=("no system of the site is touched; whoever reads the queue is told",),
        )
