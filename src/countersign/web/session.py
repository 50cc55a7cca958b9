"""Who is at the screen. A cookie holds 256 random bits under HMAC-SHA-256; the session behind it stands in the database.

The MAC keeps forged cookies from costing a query, and its key comes from the site. A one-time link of a single-person site
lives in memory only (as its digest), works once and expires. No password exists.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from threading import Lock

import msgspec
from sqlalchemy import Engine

from countersign.authority.roles import Right
from countersign.store import sessions as store
from countersign.store.act import person as actor
from countersign.store.engine import reading, writing

COOKIE = "countersign_session"
SESSION_MS = store.SESSION_MS
LINK_MS = 10 * 60_000
KEY_BYTES_MIN = 32
_DOMAIN = b"countersign-session-v2\x00"


class Person(msgspec.Struct, frozen=True):
    """Who a valid session speaks for, until ``expires_ms`` at the latest. id: pseudonym. rights: what they may do now.
    how: ``link``, ``passkey`` or ``oidc``. auth_ms: when they proved who they are. session: its hash."""

    name: str
    expires_ms: int
    id: str = ""
    roles: tuple[str, ...] = ()
    rights: frozenset[Right] = frozenset()
    how: str = ""
    auth_ms: int = 0
    seen_ms: int = 0
    session: str = ""

    def may(self, right: Right) -> bool:
        """Whether they hold a right."""
        return right in self.rights


class Sessions:
    """Issues and checks links and cookies. ``key``: at least 32 secret bytes, the same for every process of a site.
    ``engine``: where sessions stand; ``over`` sets it when the console is made."""

    def __init__(self, key: bytes, engine: Engine | None = None) -> None:
        if len(key) < KEY_BYTES_MIN:
            raise ValueError(f"session key has {len(key)} bytes; it needs at least {KEY_BYTES_MIN}")
        self._key = key
        self._engine = engine
        self._links: dict[bytes, Person] = {}
        self._lock = Lock()

    def over(self, engine: Engine) -> None:
        """Keep sessions in this database from now on."""
        self._engine = engine

    def link_token(self, name: str, now_ms: int) -> str:
        """A token for ``/enter?t=…`` that signs ``name`` in once within ten minutes."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._links = {key: who for key, who in self._links.items() if who.expires_ms > now_ms}
            self._links[_digest(token)] = Person(name, now_ms + LINK_MS)
        return token

    def enter(self, token: str, now_ms: int, agent: str = "") -> str | None:
        """Cookie value for a link's token, None when it is unknown, used or expired."""
        with self._lock:
            found = self._links.pop(_digest(token), None)
        if found is None or found.expires_ms <= now_ms:
            return None
        with writing(self.engine) as conn:
            who = actor(conn, found.name).id
            started = store.start(conn, who, store.LINK, now_ms, agent=agent)
            store.signed_in(conn, who, store.LINK, now_ms)
        return self.signed(started)

    def cookie(self, name: str, now_ms: int) -> str:
        """Cookie of a new session as the printed link would give it."""
        with writing(self.engine) as conn:
            token = store.start(conn, actor(conn, name).id, store.LINK, now_ms)
        return self.signed(token)

    def signed(self, token: str) -> str:
        """A session's token as a cookie's value."""
        return f"{token}.{self._mac(token)}"

    def person(self, cookie: str, now_ms: int) -> Person | None:
        """Who a cookie speaks for; None when it is absent, forged or over."""
        token, _, mac = cookie.partition(".")
        if not hmac.compare_digest(self._mac(token).encode(), mac.encode("utf-8", "replace")):
            return None
        with reading(self.engine) as conn:
            who = store.who(conn, token, now_ms)
        if who is None:
            return None
        one = who.session
        ends = min(one.ends_ms, one.seen_ms + store.IDLE_MS)
        proof = (one.how, one.auth_ms, one.seen_ms, one.hash)
        return Person(who.name, ends, one.person, who.roles, who.rights, *proof)

    def seen(self, person: Person, now_ms: int) -> None:
        """The person did something; noted once a minute."""
        if now_ms - person.seen_ms >= store.TOUCH_MS:
            with writing(self.engine) as conn:
                store.touch(conn, person.session, now_ms)

    @property
    def engine(self) -> Engine:
        """Where sessions stand."""
        if self._engine is None:
            raise RuntimeError("sessions are not over a database yet")
        return self._engine

    def _mac(self, token: str) -> str:
        return hmac.new(self._key, _DOMAIN + token.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
