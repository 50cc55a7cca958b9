"""Disable an account in Entra ID and void its sign-in sessions, through Microsoft Graph."""

from __future__ import annotations

import re

import msgspec

from countersign.actions.base import BaseAction
from countersign.actions.vendor_hand import StateHand
from countersign.actions.vendor_http import Api, Open, VendorSettings, ident, login, only, ready, signed_in
from countersign.actions.words import case_line, names, owned, record_line
from countersign.model.inventory import Asset, Identity
from countersign.model.responses import Effect, Order, Plan, Scene, Seen, Takes
from countersign.ports import Reach


class EntraSettings(VendorSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """url: of Microsoft Graph. login: address of the directory's token service. tenant, client: ids of directory and app;
    secret: a reference to the app's secret. domain: what is added to a login without an @."""

    login: str = "https://login.microsoftonline.com"
    tenant: str = ""
    client: str = ""
    secret: str = ""
    domain: str = ""


class DisableEntra(BaseAction):
    """No parameters: it stays disabled until that is undone."""

    name = "disable_entra"
    title = "Disable account (Entra ID)"
    verb = "deny account"
    takes = Takes.ACCOUNT
    inverse = "enable_entra"
    proven = "contract-tested"
    settings = EntraSettings

    def plan(self, scene: Scene) -> Plan:
        """One account."""
        (account,) = scene.records
        owns = owned(scene.inventory, account.name)
        return Plan(
            plan=f"Have Entra ID disable {account.name} and void its sessions; access tokens in use last until they expire.",
            undo=f"Enable {account.name}; ended sessions stay ended.",
            blast_radius=(
                record_line(account),
                f"owns {names(owns)}" if owns else "owns no asset of the inventory",
                case_line(scene, account.name),
            ),
        )

    def hand(self, settings: EntraSettings, reach: Reach) -> EntraHand | None:
        """None without address and app."""
        if not ready(settings, self.name, "url", "tenant", "client", "secret", addresses=("url", "login")):
            return None
        secret = reach.secret(settings.secret)

        def sign_in(api: Api) -> None:
            path = (settings.tenant, "oauth2", "v2.0", "token")
            scope = "https://graph.microsoft.com/.default"
            api.oauth(settings.login, path, settings.client, secret, grant_type="client_credentials", scope=scope)

        return EntraHand(settings.domain, signed_in(settings, reach.timeout_s, sign_in))


class _User(msgspec.Struct):
    id: str
    name: str = msgspec.field(name="userPrincipalName", default="")
    enabled: bool | None = msgspec.field(name="accountEnabled", default=None)
    since: str = msgspec.field(name="signInSessionsValidFromDateTime", default="")


class _Users(msgspec.Struct):
    value: list[_User]


_SELECT = "id,userPrincipalName,accountEnabled,signInSessionsValidFromDateTime"
_TIME = re.compile(r"[0-9T:.Z+-]{10,40}")


class EntraHand(StateHand[Api, _User]):
    """Graph's users. Sessions are voided with the account, since a disabled account's refresh tokens would outlive an
    undo."""

    action = DisableEntra.name
    settles = False

    def __init__(self, domain: str, open_: Open) -> None:
        super().__init__(open_)
        self._domain = domain

    def _find(self, session: Api, record: Asset | Identity) -> _User:
        name = login(record.name, self._domain)
        quoted = name.replace("'", "''")
        query = {"$filter": f"userPrincipalName eq '{quoted}'", "$select": _SELECT}
        found = session.read(_Users, "GET", ("v1.0", "users"), params=query).value
        return only([one for one in found if one.name.lower() == name.lower()], name, session.where)

    def _look(self, session: Api, found: _User) -> Seen:
        now = session.read(_User, "GET", self._path(found), params={"$select": _SELECT})
        since = f"; sessions count from {now.since} on" if _TIME.fullmatch(now.since) else ""
        if now.enabled is None:
            return Seen(Effect.UNKNOWN, f"Graph does not show whether the account is enabled{since}")
        effect, word = (Effect.ABSENT, "enabled") if now.enabled else (Effect.HOLDS, "disabled")
        return Seen(effect, f"Graph says that the account is {word}{since}")

    def _bring(self, session: Api, found: _User, order: Order) -> None:
        session.call("PATCH", self._path(found), json={"accountEnabled": False})

    def _finish(self, session: Api, found: _User) -> None:
        session.call("POST", (*self._path(found), "revokeSignInSessions"))

    def _lift(self, session: Api, found: _User, order: Order) -> None:
        session.call("PATCH", self._path(found), json={"accountEnabled": True})

    @staticmethod
    def _path(found: _User) -> tuple[str, ...]:
        return ("v1.0", "users", ident(found.id, "a user"))
