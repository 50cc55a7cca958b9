"""Tell a chat room or an automation that a case wants attention."""

from __future__ import annotations

from countersign.actions import webhook
from countersign.actions.base import BaseAction
from countersign.model.responses import Plan, Scene, Takes
from countersign.ports import Reach


class NotifyWebhook(BaseAction):
    """Touches no system of the site; carries no text of an alert."""

    name = "notify_webhook"
    title = "Notify"
    verb = "create notification"
    takes = Takes.NOTHING
    impactful = False
    settings = webhook.WebhookSettings

    def plan(self, scene: Scene) -> Plan:
        """One message about the case."""
        return Plan(
            plan=f"Post a message that links to {scene.case} to the site's webhook; no text of an alert is copied into it.",
            undo="Cannot be undone: what was read was read.",
            blast_radius=("no system of the site is touched; whoever reads there is told",),
        )

    def hand(self, settings: webhook.WebhookSettings, reach: Reach) -> webhook.WebhookHand | None:
        """None without an address."""
        return webhook.hand(self.name, self.title, settings, reach)
