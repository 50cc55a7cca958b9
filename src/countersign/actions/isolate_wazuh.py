"""Isolate a host by an active response of Wazuh: a command of the site's own, started on the host's agent."""

from __future__ import annotations

import ipaddress
import re
import socket

import msgspec

from countersign.actions.base import BaseAction
from countersign.actions.vendor_hand import StateHand, target
from countersign.actions.vendor_http import Api, Open, VendorSettings, host_name, ident, only, ready, signed_in
from countersign.actions.words import case_line, record_line
from countersign.errors import ConfigError, TargetFault
from countersign.model.inventory import Asset, Identity
from countersign.model.responses import Effect, Order, Plan, Scene, Seen, Takes
from countersign.ports import Reach

_COMMAND = re.compile(r"!?[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class WazuhSettings(VendorSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """url: of the manager's API. user, password: its API user, and a reference to the password. command, undo_command:
    names of the active responses that isolate and release. probe_port: TCP port on which every host answers this machine
    while it is not isolated; 0 leaves it unknown whether the effect holds."""

    user: str = ""
    password: str = ""
    command: str = ""
    undo_command: str = ""
    probe_port: int = 0


class IsolateWazuh(BaseAction):
    """Parameter ``minutes``: after how long its undo is proposed by itself."""

    name = "isolate_wazuh"
    title = "Isolate host (Wazuh)"
    verb = "contain device"
    takes = Takes.HOST
    inverse = "release_wazuh"
    minutes = 240
    proven = "contract-tested"
    settings = WazuhSettings

    def plan(self, scene: Scene) -> Plan:
        """One host."""
        (host,) = scene.records
        minutes = scene.parameters["minutes"]
        return Plan(
            plan=f"Have Wazuh start the site's isolating command on {host.name}.",
            undo=f"Have Wazuh start the releasing command on {host.name}; proposed by itself after {minutes} minutes.",
            blast_radius=(
                record_line(host),
                f"whoever works on {host.name}, and whatever depends on it, loses it meanwhile",
                case_line(scene, host.name),
            ),
        )

    def hand(self, settings: WazuhSettings, reach: Reach) -> WazuhHand | None:
        """None without address, user and commands."""
        if not ready(settings, self.name, "url", "user", "password", "command", "undo_command"):
            return None
        for key in ("command", "undo_command"):
            if not _COMMAND.fullmatch(getattr(settings, key)):
                where = f"countersign.toml: actions.{self.name}.{key}"
                raise ConfigError("is not the name of a command", where=where, todo="name it without arguments")
        if not 0 <= settings.probe_port <= 65_535:
            where = f"countersign.toml: actions.{self.name}.probe_port"
            raise ConfigError("is not a port", where=where, todo="use 1 to 65535, or 0 for none")
        password = reach.secret(settings.password)

        def sign_in(api: Api) -> None:
            path = ("security", "user", "authenticate")
            answer = api.read(_Signed, "POST", path, basic=(settings.user, password), sign_in=True)
            api.authorize(f"Bearer {answer.data.token}")

        return WazuhHand(settings, signed_in(settings, reach.timeout_s, sign_in))


class _Jwt(msgspec.Struct):
    token: str


class _Signed(msgspec.Struct):
    data: _Jwt


class _Agent(msgspec.Struct):
    id: str
    name: str = ""
    status: str = ""


class _Agents(msgspec.Struct):
    items: list[_Agent] = msgspec.field(name="affected_items", default_factory=list)


class _Found(msgspec.Struct):
    data: _Agents


class _Told(msgspec.Struct):
    items: list[str] = msgspec.field(name="affected_items", default_factory=list)


class _Sent(msgspec.Struct):
    data: _Told


class _Host(msgspec.Struct):
    agent: _Agent
    address: str


class WazuhHand(StateHand[Api, _Host]):
    """Wazuh keeps no state of an active response, so the probe tries the host itself: what answered on a port and does not
    any more, while its agent still reports, is isolated."""

    action = IsolateWazuh.name

    def __init__(self, settings: WazuhSettings, open_: Open) -> None:
        super().__init__(open_)
        self._command, self._undo_command, self._port = settings.command, settings.undo_command, settings.probe_port
        self.settles = bool(settings.probe_port)

    def _find(self, session: Api, record: Asset | Identity) -> _Host:
        name = host_name(record.name)
        found = session.read(_Found, "GET", ("agents",), params={"name": name}).data.items
        agent = only([one for one in found if one.name.lower() == name.lower()], name, session.where)
        return _Host(agent, _address(record))

    def _check(self, order: Order) -> Seen:
        with self._open() as session:
            found = self._find(session, target(order))
            if found.agent.status != "active":
                what = f"the agent of {found.agent.name.lower()} is not active: it would not be told"
                raise TargetFault(TargetFault.UNREACHABLE, what, where=session.where, todo="look at the agent")
            return self._look(session, found)

    def _look(self, session: Api, found: _Host) -> Seen:
        if not self._port or not found.address:
            lacks = "the inventory has no address of the host" if self._port else "no probe_port is set"
            return Seen(Effect.UNKNOWN, f"Wazuh keeps no state of an active response, and {lacks}")
        if _answers(found.address, self._port, session.deadline.left_s / 4):
            return Seen(Effect.ABSENT, f"the host answers on port {self._port}")
        query = {"agents_list": ident(found.agent.id, "an agent")}
        (now,) = session.read(_Found, "GET", ("agents",), params=query).data.items or [found.agent]
        if now.status == "active":
            return Seen(Effect.HOLDS, f"the host does not answer on port {self._port}, and its agent is active")
        return Seen(Effect.UNKNOWN, f"the host does not answer on port {self._port}, and its agent is not active either")

    def _bring(self, session: Api, found: _Host, order: Order) -> None:
        self._start(session, found, self._command)

    def _lift(self, session: Api, found: _Host, order: Order) -> None:
        self._start(session, found, self._undo_command)

    @staticmethod
    def _start(session: Api, found: _Host, command: str) -> None:
        agent = ident(found.agent.id, "an agent")  # never empty: that would mean every agent
        sent = session.read(_Sent, "PUT", ("active-response",), params={"agents_list": agent}, json={"command": command})
        if sent.data.items != [agent]:
            raise TargetFault(
                TargetFault.REFUSED, "the manager did not tell the agent", where=session.where, todo="look at it"
            )


def _address(record: Asset | Identity) -> str:
    """The record's first address that is one host's, "" without any."""
    for text in record.addresses if isinstance(record, Asset) else ():
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            continue
    return ""


def _answers(address: str, port: int, timeout_s: float) -> bool:
    try:
        with socket.create_connection((address, port), timeout=max(0.05, timeout_s)):
            return True
    except OSError:
        return False
