"""A JSON message to an address of the site's choice, signed with HMAC-SHA-256 where a secret is set."""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from countersign.model.notices import Message
from countersign.notify.posting import post

SIGNATURE = "x-countersign-signature"


class Webhook:
    """``POST`` of ``{event, number, what, case, text, link}``; ``id`` is the same in each try of one message."""

    def __init__(self, url: str, secret: str = "") -> None:
        self._url, self._secret = url, secret

    def tell(self, message: Message) -> None:
        """Raises EnvironmentFault when it did not get through."""
        body = msgspec.json.encode(message)
        headers = {}
        if self._secret:
            headers[SIGNATURE] = "sha256=" + hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest()
        post(self._url, body, headers)
