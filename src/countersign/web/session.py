"""Who is at the screen, for one machine and one person: a one-time link gives a signed cookie. No password exists.

The link's token is random, lives in memory only (as its digest), works once and expires. The cookie carries the
person's name and an expiry under HMAC-SHA-256; it is HttpOnly and SameSite=Strict. The key comes from the site.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from threading import Lock

import msgspec

COOKIE = "countersign_session"
SESSION_MS = 12 * 3_600_000
LINK_MS = 10 * 60_000
KEY_BYTES_MIN = 32
_DOMAIN = b"countersign-session-v1\x00"


class Person(msgspec.Struct, frozen=True):
    """Who a valid session speaks for, until ``expires_ms``."""

    name: str
    expires_ms: int


class Sessions:
    """Issues and checks links and cookies. ``key``: at least 32 secret bytes, the same for every process of a site."""

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES_MIN:
            raise ValueError(f"session key has {len(key)} bytes; it needs at least {KEY_BYTES_MIN}")
        self._key = key
        self._links: dict[bytes, Person] = {}
        self._lock = Lock()

    def link_token(self, name: str, now_ms: int) -> str:
        """A token for ``/enter?t=…`` that signs ``name`` in once within ten minutes."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._links = {key: who for key, who in self._links.items() if who.expires_ms > now_ms}
            self._links[_digest(token)] = Person(name, now_ms + LINK_MS)
        return token

    def enter(self, token: str, now_ms: int) -> str | None:
        """Cookie value for a link's token, None when it is unknown, used or expired."""
        with self._lock:
            found = self._links.pop(_digest(token), None)
        if found is None or found.expires_ms <= now_ms:
            return None
        return self.cookie(found.name, now_ms)

    def cookie(self, name: str, now_ms: int) -> str:
        """Signed cookie value: ``base64url(json) . hex mac``."""
        body = base64.urlsafe_b64encode(msgspec.json.encode(Person(name, now_ms + SESSION_MS))).rstrip(b"=")
        return f"{body.decode()}.{self._mac(body)}"

    def person(self, cookie: str, now_ms: int) -> Person | None:
        """Who a cookie speaks for; None when it is absent, forged or expired."""
        body, _, mac = cookie.partition(".")
        raw = body.encode("utf-8", "replace")
        if not hmac.compare_digest(self._mac(raw).encode(), mac.encode("utf-8", "replace")):
            return None
        try:
            person = msgspec.json.decode(base64.urlsafe_b64decode(raw + b"=" * (-len(raw) % 4)), type=Person)
        except (msgspec.DecodeError, binascii.Error):
            return None
        return person if person.expires_ms > now_ms else None

    def _mac(self, body: bytes) -> str:
        return hmac.new(self._key, _DOMAIN + body, hashlib.sha256).hexdigest()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
