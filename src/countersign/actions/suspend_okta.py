"""Suspend a user in Okta and end its sessions."""

from __future__ import annotations

import msgspec

from countersign.actions.base import BaseAction
from countersign.actions.vendor_hand import StateHand
from countersign.actions.vendor_http import Api, Open, VendorSettings, ident, login, only, ready, signed_in
from countersign.actions.words import case_line, names, owned, record_line
from countersign.errors import TargetFault
from countersign.model.inventory import Asset, Identity
from countersign.model.responses import Effect, Order, Plan, Scene, Seen, Takes
from countersign.ports import Reach


class OktaSettings(VendorSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """url: of the organisation. token: a reference to its API token. domain: what is added to a login without an @."""

    token: str = ""
    domain: str = ""


class SuspendOkta(BaseAction):
    """No parameters: it stays suspended until that is undone."""

    name = "suspend_okta"
    title = "Suspend user (Okta)"
    verb = "deny account"
    takes = Takes.ACCOUNT
    inverse = "unsuspend_okta"
    proven = "contract-tested"
    settings = OktaSettings

    def plan(self, scene: Scene) -> Plan:
        """One account."""
        (account,) = scene.records
        owns = owned(scene.inventory, account.name)
        return Plan(
            plan=f"Have Okta suspend {account.name}, end its sessions and revoke tokens; sessions inside apps may last.",
            undo=f"Unsuspend {account.name}; ended sessions stay ended.",
            blast_radius=(
                record_line(account),
                f"owns {names(owns)}" if owns else "owns no asset of the inventory",
                case_line(scene, account.name),
            ),
        )

    def hand(self, settings: OktaSettings, reach: Reach) -> OktaHand | None:
        """None without address and token."""
        if not ready(settings, self.name, "url", "token"):
            return None
        token = reach.secret(settings.token)

        def sign_in(api: Api) -> None:
            api.authorize(f"SSWS {token}")

        return OktaHand(settings.domain, signed_in(settings, reach.timeout_s, sign_in))


class _Profile(msgspec.Struct):
    login: str = ""


class _User(msgspec.Struct):
    id: str
    status: str
    profile: _Profile = msgspec.field(default_factory=_Profile)


_EFFECTS = {"SUSPENDED": Effect.HOLDS, "ACTIVE": Effect.ABSENT}
_OTHER = frozenset({"STAGED", "PROVISIONED", "RECOVERY", "PASSWORD_EXPIRED", "LOCKED_OUT", "DEPROVISIONED"})


class OktaHand(StateHand[Api, _User]):
    """Okta's users API. Only an active user can be suspended: any other state is left to a person."""

    action = SuspendOkta.name
    settles = False

    def __init__(self, domain: str, open_: Open) -> None:
        super().__init__(open_)
        self._domain = domain

    def _find(self, session: Api, record: Asset | Identity) -> _User:
        name = login(record.name, self._domain)
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        found = session.read(list[_User], "GET", ("api", "v1", "users"), params={"filter": f'profile.login eq "{quoted}"'})
        return only([one for one in found if one.profile.login.lower() == name.lower()], name, session.where)

    def _look(self, session: Api, found: _User) -> Seen:
        status = session.read(_User, "GET", self._path(found)).status
        known = status in _EFFECTS or status in _OTHER
        word = status.lower().replace("_", " ") if known else "in a state that is not known here"
        return Seen(_EFFECTS.get(status, Effect.UNKNOWN), f"Okta says that the user is {word}")

    def _check(self, order: Order) -> Seen:
        seen = super()._check(order)
        if seen.effect is Effect.UNKNOWN:
            raise TargetFault(
                TargetFault.REFUSED, f"{seen.detail}; only an active user is suspended", todo="look at the user"
            )
        return seen

    def _bring(self, session: Api, found: _User, order: Order) -> None:
        session.call("POST", (*self._path(found), "lifecycle", "suspend"))

    def _finish(self, session: Api, found: _User) -> None:
        session.call("DELETE", (*self._path(found), "sessions"), params={"oauthTokens": "true"})

    def _lift(self, session: Api, found: _User, order: Order) -> None:
        session.call("POST", (*self._path(found), "lifecycle", "unsuspend"))

    @staticmethod
    def _path(found: _User) -> tuple[str, ...]:
        return ("api", "v1", "users", ident(found.id, "a user"))
