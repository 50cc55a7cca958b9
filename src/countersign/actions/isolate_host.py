"""Take a host off the network, for a while: an nftables table of our own on the host itself.

Whoever is root on the host can take the table out again; the probe, which asks from outside, would see it. How:
docs/how-to/isolate-hosts.md.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from countersign.actions import exact, nftables
from countersign.actions.base import BaseAction
from countersign.actions.hand import BaseHand
from countersign.actions.reaching import Line, Place, Port, ShellSettings
from countersign.actions.vantage import Answer, Vantage, own_address
from countersign.actions.words import case_line, record_line
from countersign.errors import ConfigError
from countersign.model.inventory import Asset
from countersign.model.responses import Effect, Order, Plan, Scene, Seen, Takes
from countersign.ports import Reach


class IsolateSettings(ShellSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """management: addresses and networks that the host may go on talking to. probe_port: one that the vantage can reach
    as long as the host is not isolated. management_vantage, management_port: from where, and on which port, the way stays
    open; over ssh it is this machine and the port of ssh."""

    management: tuple[str, ...] = ()
    probe_port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    management_vantage: Place = ""
    management_port: Port = 22


class IsolateHost(BaseAction):
    """Parameter ``minutes``: after how long its undo is proposed by itself."""

    name = "isolate_host"
    title = "Isolate host"
    verb = "contain device"
    takes = Takes.HOST
    inverse = "release_host"
    minutes = 240
    settings = IsolateSettings

    def plan(self, scene: Scene) -> Plan:
        """One host."""
        (host,) = scene.records
        minutes = scene.parameters["minutes"]
        addresses = f" ({', '.join(host.addresses)})" if isinstance(host, Asset) and host.addresses else ""
        return Plan(
            plan=f"Cut {host.name}{addresses} off from every other system, except the management station.",
            undo=f"Let {host.name} back onto the network; proposed by itself after {minutes} minutes.",
            blast_radius=(
                record_line(host),
                f"whoever works on {host.name}, and whatever depends on it, loses it meanwhile",
                case_line(scene, host.name),
            ),
        )

    def hand(self, settings: Any, reach: Reach) -> BaseHand | None:  # noqa: ANN401 - each action's own struct
        """None until ``via`` is set."""
        return Isolation(settings, reach) if settings.via else None


class Isolation(BaseHand):
    """Loads the table, takes it out, and knocks at the host from outside."""

    action = "isolate_host"

    def __init__(self, settings: IsolateSettings, reach: Reach) -> None:
        self._settings = settings
        self._line = Line(settings, reach, self.action)
        self._management = exact.networks(settings.management, self._line.key("management"))
        if not self._management:
            todo = "name the addresses that may go on talking to an isolated host"
            raise ConfigError("is empty", where=self._line.key("management"), todo=todo)
        self._vantage = self._line.vantage(settings.vantage)
        if self._vantage is not None and not settings.probe_port:
            raise ConfigError("needed with a vantage", where=self._line.key("probe_port"), todo="name a port of the host")
        self._manager = self._line.vantage(settings.management_vantage, "management_vantage")

    def _check(self, order: Order) -> Seen:
        """The very change, tried without making it; and what the probe says while nothing is done."""
        host = exact.one_asset(order)
        self._line.to(host).must(nftables.TRY, self._script(host))
        return self._seen(host)

    def _do(self, order: Order) -> None:
        host = exact.one_asset(order)
        self._line.to(host).must(nftables.LOAD, self._script(host))

    def _probe(self, order: Order) -> Seen:
        return self._seen(exact.one_asset(order))

    def _undo(self, order: Order) -> None:
        self._line.to(exact.one_asset(order)).must(nftables.LOAD, nftables.release())

    def _script(self, host: Asset) -> bytes:
        """Over ssh this machine stays let in at that one port, or nobody could undo it from here."""
        own = own_address(exact.addresses(host)[0]) if self._line.by_ssh else ""
        return nftables.isolation(self._management, own, self._settings.port)

    def _seen(self, host: Asset) -> Seen:
        if self._vantage is None:
            return Seen(Effect.UNKNOWN, f"nobody looked: {self._line.key('vantage')} is not set")
        port = self._settings.probe_port
        answers = self._vantage.connect_each(exact.addresses(host), port)
        reached = next((one for one, answer in answers.items() if answer in (Answer.OPEN, Answer.REFUSED)), "")
        if reached:  # a refusal is a packet that the host sent: it is not cut off
            return Seen(Effect.ABSENT, f"{reached} answers {self._vantage.name} at port {port} ({answers[reached].value})")
        if Answer.NO_WAY in answers.values():
            return Seen(Effect.UNKNOWN, f"{self._vantage.name} has no way to {host.name}: nothing can be said from there")
        silent = f"{host.name} gives {self._vantage.name} no answer at port {port}"
        if not self._managed(host):
            return Seen(Effect.UNKNOWN, f"{silent}, and the management way is closed too: it may be down")
        return Seen(Effect.HOLDS, f"{silent}, while the management way is open")

    def _managed(self, host: Asset) -> bool:
        """Whether the way by which the host is managed is open."""
        address = exact.addresses(host)[0]
        if self._manager is not None:
            return self._manager.connect(address, self._settings.management_port) is Answer.OPEN
        if self._line.by_ssh:
            return Vantage("local").connect(address, self._settings.port) is Answer.OPEN
        return self._line.to(host).ask(("true",)).status == 0
