"""Ways to tell people that something waits for them, one file each. A message says what and where, and approves nothing."""

from __future__ import annotations

from countersign.config import Config, secret
from countersign.notify.mail import Mail
from countersign.notify.slack import Slack
from countersign.notify.webhook import Webhook
from countersign.ports import Notifier


def channels(config: Config) -> dict[str, Notifier]:
    """The channels that the configuration names. Raises ConfigError when a reference leads nowhere."""
    chosen = config.notify
    found: dict[str, Notifier] = {}
    if chosen.webhook.url:
        url = secret(chosen.webhook.url, "notify.webhook.url")
        found["webhook"] = Webhook(url, secret(chosen.webhook.secret, "notify.webhook.secret"))
    if chosen.slack.url:
        found["slack"] = Slack(secret(chosen.slack.url, "notify.slack.url"))
    if chosen.mail.host:
        found["mail"] = Mail(chosen.mail, secret(chosen.mail.password, "notify.mail.password"))
    return found


__all__ = ["channels"]
