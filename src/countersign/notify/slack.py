"""A plain text to a Slack-compatible incoming webhook."""

from __future__ import annotations

import msgspec

from countersign.model.notices import Message
from countersign.notify.posting import post


class Slack:
    """``POST`` of ``{"text": …}``."""

    def __init__(self, url: str) -> None:
        self._url = url

    def tell(self, message: Message) -> None:
        """Raises EnvironmentFault when it did not get through."""
        text = f"{message.text}\n{message.link}" if message.link else message.text
        for sign, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(sign, written)
        post(self._url, msgspec.json.encode({"text": text}), {})
