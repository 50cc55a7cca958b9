"""A JSON document of ours, posted to an address of the site: what ticket and notification have in common.

The document is made here of the case's number, the action's title and a link; no text of an alert and no name of the
inventory is in it. The order's id goes along as its key, so that a receiver can tell a repetition from a second message,
and be asked.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from countersign.actions.hand import BaseHand
from countersign.actions.vendor_http import Api, VendorSettings, base_url, ready
from countersign.errors import ConfigError, TargetFault
from countersign.model.responses import Effect, Order, Seen
from countersign.ports import Reach

REFERENCES = ("env:", "file:")


class WebhookSettings(VendorSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """url: where documents are posted; a reference when the address is a secret itself. token: a reference to a bearer
    token, empty: none. console: address of the console, for the link, empty: no link. status: address that shows one
    document, with ``{key}`` in it; empty: it stays unknown whether one arrived."""

    token: str = ""
    console: str = ""
    status: str = ""


class TicketSettings(WebhookSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """close: address that closes a ticket when it is posted to, with ``{key}`` in it; empty: it cannot be undone. state:
    name of the field that ``status`` answers with, and closed: its values for a ticket that is not open any more."""

    close: str = ""
    state: str = "status"
    closed: tuple[str, ...] = ("closed", "done", "resolved")


def hand(action: str, title: str, settings: WebhookSettings, reach: Reach) -> WebhookHand | None:
    """None without an address. Raises ConfigError."""
    table = f"countersign.toml: actions.{action}"
    if not settings.url:
        return None
    url = reach.secret(settings.url) if settings.url.startswith(REFERENCES) else settings.url
    base_url(url, f"{table}.url", query=True)
    ready(replace(settings, url="https://localhost"), action, "url")
    for key in ("status", "close"):
        text = getattr(settings, key, "")
        if text:
            base_url(text, f"{table}.{key}", query=True)
            if text.count("{key}") != 1:
                raise ConfigError("holds no {key}", where=f"{table}.{key}", todo="write {key} where the ticket's key goes")
    if settings.console:
        base_url(settings.console, f"{table}.console")
    token = reach.secret(settings.token) if settings.token else ""
    return WebhookHand(action, title, replace(settings, url=url), token, reach.timeout_s)


class WebhookHand(BaseHand):
    """Posts, and asks back where the settings say how."""

    def __init__(self, action: str, title: str, settings: WebhookSettings, token: str, timeout_s: float) -> None:
        self.action, self._title, self._settings, self._token = action, title, settings, token
        self._timeout_s = timeout_s

    def _check(self, order: Order) -> Seen:
        return (
            self._probe(order) if self._settings.status else Seen(Effect.ABSENT, "nothing was sent yet, as far as is known")
        )

    def _do(self, order: Order) -> None:
        if self._check(order).effect is Effect.HOLDS:
            return
        with self._api() as api:
            api.call("POST", (), json=self._document(order))

    def _probe(self, order: Order) -> Seen:
        if not self._settings.status:
            return Seen(Effect.UNKNOWN, "no status address is set, so nobody can be asked whether it arrived")
        with self._api() as api:
            try:
                body = api.call("GET", (), url=self._settings.status.replace("{key}", quote(self._key(order), safe="")))
            except TargetFault as fault:
                if fault.kind == TargetFault.MISSING:
                    return Seen(Effect.ABSENT, "the receiver does not know of it")
                raise
        if self._is_closed(body):
            return Seen(Effect.ABSENT, "the receiver says that it is closed")
        return Seen(Effect.HOLDS, "the receiver shows it")

    def _undo(self, order: Order) -> None:
        close = getattr(self._settings, "close", "")
        if not close:
            what = f"“{self._title.lower()}” cannot be undone: no address to close it is set"
            raise TargetFault(TargetFault.REFUSED, what, where=order.action, todo="tell the receiver yourself")
        if self._settings.status and self._probe(order).effect is Effect.ABSENT:
            return
        with self._api() as api:
            key = self._key(order)
            note = f"Taken back by Countersign, proposal {order.number}"
            api.call("POST", (), url=close.replace("{key}", quote(key, safe="")), json={"key": key, "note": note})

    def _key(self, order: Order) -> str:
        return f"countersign-{order.case}" if isinstance(self._settings, TicketSettings) else order.id

    def _is_closed(self, body: bytes) -> bool:
        if not isinstance(self._settings, TicketSettings):
            return False
        try:
            said = msgspec.json.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        state = said.get(self._settings.state) if isinstance(said, dict) else None
        return isinstance(state, str) and state.lower() in self._settings.closed

    def _document(self, order: Order) -> dict[str, Any]:
        made: dict[str, str | int] = {
            "source": "Countersign",
            "action": self._title,
            "title": f"{self._title}: case {order.case}",
            "case": order.case,
            "proposal": order.number,
            "key": self._key(order),
        }
        console = self._settings.console.rstrip("/")
        return made | {"link": f"{console}/cases/{order.case}"} if console else made

    def _api(self) -> Api:
        api = Api(self._settings, self._timeout_s)
        if self._token:
            api.authorize(f"Bearer {self._token}")
        return api
