"""What stands before every page: who may pass, which writes are refused, which headers every answer carries.

Routes deny by default: a door without an ``Access`` cannot be hung. Cross-site writes are refused by ``Sec-Fetch-Site``
(Fetch Metadata), or by ``Origin`` where a client sends none; a write that sends neither is refused.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from countersign.authority.roles import OPENS, Right
from countersign.store.sessions import LINK
from countersign.web.session import COOKIE, Person, Sessions

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-frame-options": "DENY",
}
SAFE_METHODS = frozenset({"GET", "HEAD"})
FORM_BYTES_MAX = 65_536


Access = Right
"""What a door needs: a right of ``authority.roles``."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ROLES = {right: ", ".join(role for role, opened in OPENS.items() if right in opened) for right in Right}


class SecureHeaders:
    """Sets the security headers on every answer, and keeps pages out of shared caches."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI application."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self.app(scope, receive, send_with_headers)


def person_of(request: Request, sessions: Sessions, now_ms: int) -> Person | None:
    """Who the request's cookie speaks for."""
    return sessions.person(request.cookies.get(COOKIE, ""), now_ms)


def refused_person(access: Right, person: Person) -> str:
    """Why a person may not use a door, "" when they may: its right is not among those that their roles open."""
    if person.may(access):
        return ""
    if access is Right.APPROVE and person.how == LINK:
        return "The printed link lets one person in, and nobody approves alone. Sign in with a passkey of an approver."
    return f"This needs the right to {access.value}, which these open: {_ROLES[access] or 'none'}. An admin can grant them."


def sealed_cookie(request: Request) -> bool:
    """Whether cookies must be Secure: everywhere but on this machine's own address."""
    return request.url.scheme == "https" or (request.url.hostname or "") not in LOOPBACK


def refused_write(method: str, headers: Headers) -> str:
    """Why a write must not pass, "" when it may: it came from another site, or its body is too large or unmeasured."""
    if method in SAFE_METHODS:
        return ""
    site = headers.get("sec-fetch-site", "")
    if site and site != "same-origin":
        return "This form was sent from another site, so nothing was changed."
    if not site and not _same_origin(headers):
        return "The browser did not say where this form came from, so nothing was changed."
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal() and len(length) <= 18) or int(length) > FORM_BYTES_MAX:
        return f"A form may hold at most {FORM_BYTES_MAX:,} bytes; nothing was changed."
    return ""


def _same_origin(headers: Headers) -> bool:
    origin = urlsplit(headers.get("origin", ""))
    return bool(origin.netloc) and origin.netloc == headers.get("host", "")
