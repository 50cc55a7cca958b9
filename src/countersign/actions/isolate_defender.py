"""Isolate a host with Microsoft Defender for Endpoint: it talks to Defender's service alone until it is released."""

from __future__ import annotations

from typing import Literal

import msgspec

from countersign.actions.base import BaseAction
from countersign.actions.vendor_hand import StateHand, because
from countersign.actions.vendor_http import Api, Open, VendorSettings, host_name, ident, only, ready, signed_in
from countersign.actions.words import case_line, record_line
from countersign.model.inventory import Asset, Identity
from countersign.model.responses import Effect, Order, Plan, Scene, Seen, Takes
from countersign.ports import Reach


class DefenderSettings(VendorSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """url: of Defender's API. login: address of the directory's token service. tenant, client: ids of directory and app;
    secret: a reference to the app's secret. domain: what is added to a host's name without a dot. isolation: how much is
    cut off."""

    login: str = "https://login.microsoftonline.com"
    tenant: str = ""
    client: str = ""
    secret: str = ""
    domain: str = ""
    isolation: Literal["Full", "Selective"] = "Full"


class IsolateDefender(BaseAction):
    """Parameter ``minutes``: after how long its undo is proposed by itself."""

    name = "isolate_defender"
    title = "Isolate host (Defender)"
    verb = "contain device"
    takes = Takes.HOST
    inverse = "unisolate_defender"
    minutes = 240
    proven = "contract-tested"
    settings = DefenderSettings

    def plan(self, scene: Scene) -> Plan:
        """One host."""
        (host,) = scene.records
        minutes = scene.parameters["minutes"]
        return Plan(
            plan=f"Have Microsoft Defender isolate {host.name}: it reaches Defender's service and nothing else.",
            undo=f"Release {host.name} from isolation; proposed by itself after {minutes} minutes.",
            blast_radius=(
                record_line(host),
                f"whoever works on {host.name}, and whatever depends on it, loses it meanwhile",
                case_line(scene, host.name),
            ),
        )

    def hand(self, settings: DefenderSettings, reach: Reach) -> DefenderHand | None:
        """None without address and app."""
        if not ready(settings, self.name, "url", "tenant", "client", "secret", addresses=("url", "login")):
            return None
        secret = reach.secret(settings.secret)

        def sign_in(api: Api) -> None:
            path = (settings.tenant, "oauth2", "v2.0", "token")
            scope = "https://api.securitycenter.microsoft.com/.default"
            api.oauth(settings.login, path, settings.client, secret, grant_type="client_credentials", scope=scope)

        return DefenderHand(settings, signed_in(settings, reach.timeout_s, sign_in))


class _Machine(msgspec.Struct):
    id: str
    computer_dns_name: str | None = msgspec.field(name="computerDnsName", default=None)
    health: str | None = msgspec.field(name="healthStatus", default=None)


class _Machines(msgspec.Struct):
    value: list[_Machine]


class _Action(msgspec.Struct):
    type: str
    status: str
    machine: str = msgspec.field(name="machineId")
    created: str = msgspec.field(name="creationDateTimeUtc", default="")


class _Actions(msgspec.Struct):
    value: list[_Action]


_ENDED_WITHOUT = frozenset({"Failed", "TimeOut", "Cancelled", "Canceled"})


class DefenderHand(StateHand[Api, _Machine]):
    """Machines and machine actions. A machine shows no isolation of its own: its last isolation or release that succeeded
    does, and one that is pending is waited for."""

    action = IsolateDefender.name

    def __init__(self, settings: DefenderSettings, open_: Open) -> None:
        super().__init__(open_)
        self._domain, self._isolation = settings.domain, settings.isolation

    def _find(self, session: Api, record: Asset | Identity) -> _Machine:
        short = host_name(record.name)
        name = f"{short}.{self._domain}" if self._domain and "." not in short else short
        query = {"$filter": f"computerDnsName eq '{name}'"}
        known = session.read(_Machines, "GET", ("api", "machines"), params=query).value
        same = [one for one in known if (one.computer_dns_name or "").lower() == name.lower()]
        return only(same, name, session.where)

    def _look(self, session: Api, found: _Machine) -> Seen:
        machine = session.read(_Machine, "GET", ("api", "machines", ident(found.id, "a machine")))
        last = self._last(session, found)
        state = f"the machine's sensor is {_plain(machine.health)}"
        if last is None:
            return Seen(Effect.ABSENT, f"Defender knows of no isolation in force; {state}")
        word = {"Isolate": "isolation", "Unisolate": "release"}[last.type]
        if last.status == "Succeeded":
            return Seen(
                Effect.HOLDS if last.type == "Isolate" else Effect.ABSENT, f"Defender's last {word} succeeded; {state}"
            )
        return Seen(Effect.UNKNOWN, f"Defender's {word} is still on its way; {state}")

    @staticmethod
    def _last(session: Api, found: _Machine) -> _Action | None:
        """The last isolation or release that did not fail."""
        query = {"$filter": f"machineId eq '{ident(found.id, 'a machine')}'"}
        known = session.read(_Actions, "GET", ("api", "machineactions"), params=query).value
        mine = [
            one
            for one in known
            if one.machine == found.id and one.type in ("Isolate", "Unisolate") and one.status not in _ENDED_WITHOUT
        ]
        return max(mine, key=lambda one: one.created.rstrip("Z"), default=None)

    def _bring(self, session: Api, found: _Machine, order: Order) -> None:
        last = self._last(session, found)
        if last is None or last.type != "Isolate":
            self._order(session, found, "isolate", {"Comment": because(order), "IsolationType": self._isolation})

    def _lift(self, session: Api, found: _Machine, order: Order) -> None:
        last = self._last(session, found)
        if last is None or last.type != "Unisolate":
            self._order(session, found, "unisolate", {"Comment": because(order)})

    @staticmethod
    def _order(session: Api, found: _Machine, word: str, body: dict[str, str]) -> None:
        session.call("POST", ("api", "machines", ident(found.id, "a machine"), word), json=body)


def _plain(word: str | None) -> str:
    """A word of the vendor's, when it is one."""
    return word.lower() if word and word.isalpha() and word.isascii() and len(word) < 32 else "in an unknown state"
