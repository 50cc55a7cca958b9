"""Drop traffic with an outside address at the site's own firewalls: a set of addresses in an nftables table of our own.

Two approved blocks of one address share its place in the set, so taking back one takes back both.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import msgspec

from countersign.actions import exact, nftables
from countersign.actions.base import BaseAction
from countersign.actions.hand import BaseHand
from countersign.actions.reaching import Line, ShellSettings
from countersign.actions.vantage import Answer
from countersign.actions.words import case_line, names, record_line
from countersign.errors import ConfigError, TargetFault
from countersign.model.inventory import Asset
from countersign.model.responses import Effect, Order, Plan, Scene, Seen, Takes
from countersign.ports import Reach


class BlockSettings(ShellSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """vantage: a place behind the firewalls. probe_port: where it knocks at the address. never: addresses and networks that
    are not blocked whatever is approved."""

    probe_port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 443
    never: tuple[str, ...] = ()


class BlockAddress(BaseAction):
    """The targets are firewalls of the inventory. Parameters ``address``: an address that a lookup proved to be outside
    the site, in canonical form; ``minutes``: after how long its undo is proposed by itself."""

    name = "block_address"
    title = "Block address"
    verb = "deny ipv4_net or ipv6_net"
    takes = Takes.ADDRESS
    inverse = "unblock_address"
    minutes = 240
    settings = BlockSettings

    def plan(self, scene: Scene) -> Plan:
        """One address, at every firewall given."""
        address, minutes = scene.parameters["address"], scene.parameters["minutes"]
        where = names([record.name for record in scene.records])
        return Plan(
            plan=f"Drop all traffic from and to {address} at {where}.",
            undo=f"Take the rule for {address} out again at {where}; proposed by itself after {minutes} minutes.",
            blast_radius=(
                *(record_line(record) for record in scene.records),
                f"everything behind {where} loses {address}, whoever else is served from it",
                case_line(scene, str(address)),
            ),
        )

    def hand(self, settings: Any, reach: Reach) -> BaseHand | None:  # noqa: ANN401 - each action's own struct
        """None until ``via`` is set."""
        return Blocking(settings, reach) if settings.via else None


class Blocking(BaseHand):
    """Adds an address to the set and takes it out, at every firewall of the order."""

    action = "block_address"

    def __init__(self, settings: BlockSettings, reach: Reach) -> None:
        self._settings = settings
        self._line = Line(settings, reach, self.action)
        self._never = exact.networks(settings.never, self._line.key("never"))
        self._vantage = self._line.vantage(settings.vantage)
        if self._vantage is not None and not settings.probe_port:
            raise ConfigError("needed with a vantage", where=self._line.key("probe_port"), todo="name a port")

    def _check(self, order: Order) -> Seen:
        address = self._address(order)
        at_each(order, lambda one: self._line.to(one).must(nftables.TRY, nftables.block(address)))
        listed = self._listed(order, address)
        return Seen(Effect.HOLDS if listed else Effect.ABSENT, _listing(address, listed=listed))

    def _do(self, order: Order) -> None:
        address = self._address(order)
        at_each(order, lambda one: self._line.to(one).must(nftables.LOAD, nftables.block(address)))

    def _undo(self, order: Order) -> None:
        address = self._address(order)
        at_each(order, lambda one: self._line.to(one).must(nftables.LOAD, nftables.unblock(address)))

    def _probe(self, order: Order) -> Seen:
        """Only traffic says that it holds or does not; what a firewall lists is its own word."""
        address = self._address(order)
        answer = self._vantage.connect(address, self._settings.probe_port) if self._vantage is not None else None
        if answer in (Answer.OPEN, Answer.REFUSED):
            return Seen(Effect.ABSENT, f"{self._tried(address)} comes through ({answer.value})")
        listed = self._listed(order, address)
        words = _listing(address, listed=listed)
        if answer is Answer.SILENT and listed:
            return Seen(Effect.HOLDS, f"{self._tried(address)} gets no answer; {words}")
        if answer is None:
            return Seen(Effect.UNKNOWN, f"no traffic was tried, as {self._line.key('vantage')} is not set; {words}")
        return Seen(Effect.UNKNOWN, f"{self._tried(address)} says nothing ({answer.value}); {words}")

    def _tried(self, address: str) -> str:
        vantage = self._vantage.name if self._vantage is not None else "nowhere"
        return f"a connection from {vantage} to {address} port {self._settings.probe_port}"

    def _listed(self, order: Order, address: str) -> bool:
        """Whether every firewall lists it; each is asked over a connection of its own."""
        hosts = [one for one in order.records if isinstance(one, Asset)]
        return bool(hosts) and all(self._line.to(one).ask(nftables.listing(address)).status == 0 for one in hosts)

    def _address(self, order: Order) -> str:
        address = exact.given_address(order)
        if any(ipaddress.ip_address(address) in network for network in self._never):
            todo = f"see {self._line.key('never')}"
            raise TargetFault(TargetFault.REFUSED, "this address is never to be blocked", where=address, todo=todo)
        return address


def at_each(order: Order, step: Callable[[Asset], object]) -> None:
    """Take a step at every host of the order, also after one of them failed; raises the first fault."""
    hosts = [one for one in order.records if isinstance(one, Asset)]
    faults = list(_faults(hosts, step))
    if not hosts:
        todo = "give it a role in the inventory and propose it anew"
        raise TargetFault(TargetFault.MISSING, "the order names no host to do it at", where=order.action, todo=todo)
    if faults:
        raise faults[0]


def _faults(hosts: Iterable[Asset], step: Callable[[Asset], object]) -> Iterable[TargetFault]:
    for host in hosts:
        try:
            step(host)
        except TargetFault as fault:
            yield fault


def _listing(address: str, *, listed: bool) -> str:
    return f"every firewall of the order lists {address}" if listed else f"not every firewall of the order lists {address}"
