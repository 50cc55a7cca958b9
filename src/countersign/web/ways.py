"""Which ways in this console offers a request: passkeys where WebAuthn works, a directory where one is configured, and the
printed link. And how often each may fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from countersign.authority.limits import Limit
from countersign.authority.passkey import Party
from countersign.errors import RefusedError
from countersign.web.guard import LOOPBACK

MINUTE_MS = 60_000
PER_ADDRESS = (20, 5 * MINUTE_MS)
PER_ACCOUNT = (10, 15 * MINUTE_MS)
_LOCALHOST = "localhost"


class TooOften(RefusedError):
    """Too many failures; ``wait_s`` until the next try."""

    code = "refused.too_often"

    def __init__(self, wait_ms: int) -> None:
        self.wait_s = -(-wait_ms // 1000)
        super().__init__("too many failed attempts", where="sign-in", todo=f"try again in {self.wait_s} seconds")


@dataclass(slots=True)
class Ways:
    """url: where browsers reach the console; "" on one machine, where ``localhost`` works on any port. directory: name of
    the OpenID provider, "" without one."""

    url: str = ""
    directory: str = ""
    addresses: Limit = field(default_factory=lambda: Limit(*PER_ADDRESS))
    people: Limit = field(default_factory=lambda: Limit(*PER_ACCOUNT))

    def party(self, request: Request) -> Party | None:
        """Where a passkey would count; None where WebAuthn cannot work: at a bare address, or away from ``url``."""
        if self.url:
            parts = urlsplit(self.url)
            return Party(parts.hostname or "", f"{parts.scheme}://{parts.netloc}")
        host = request.headers.get("host", "")
        if (request.url.hostname or "") != _LOCALHOST:
            return None
        return Party(_LOCALHOST, f"{request.url.scheme}://{host}")

    def required_party(self, request: Request) -> Party:
        """The same. Raises RefusedError with what to do."""
        found = self.party(request)
        if found is None:
            todo = "open it at http://localhost, or set server.url to its https address"
            raise RefusedError("passkeys do not work at this address", where="passkey", todo=todo)
        return found

    def shown(self, request: Request) -> dict[str, Any]:
        """What the sign-in page needs."""
        host = request.url.hostname or ""
        there = ""
        if not self.url and host in LOOPBACK and host != _LOCALHOST:
            there = f"http://{_LOCALHOST}:{request.url.port}/sign-in" if request.url.port else f"http://{_LOCALHOST}/sign-in"
        local = host in LOOPBACK
        return {"passkeys": self.party(request) is not None, "localhost": there, "directory": self.directory, "local": local}

    def let_try(self, request: Request, now_ms: int, account: str = "") -> None:
        """Raises TooOften while this address, or this account, has failed too often."""
        wait = self.addresses.wait_ms(address(request), now_ms)
        if account:
            wait = max(wait, self.people.wait_ms(account, now_ms))
        if wait > 0:
            raise TooOften(wait)

    def failed(self, request: Request, now_ms: int, account: str = "") -> None:
        """Count a failure."""
        self.addresses.failed(address(request), now_ms)
        if account:
            self.people.failed(account, now_ms)

    def passed(self, request: Request, account: str) -> None:
        """Somebody proved who they are."""
        self.addresses.passed(address(request))
        self.people.passed(account)


def address(request: Request) -> str:
    """Where a request comes from, for counting."""
    return request.client.host if request.client else ""
