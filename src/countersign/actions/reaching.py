"""Settings of every action that works at a command line, and how they lead to one."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated

import msgspec

from countersign.actions import exact
from countersign.actions.base import Settings
from countersign.actions.shells import Namespace, Shell, Ssh
from countersign.actions.vantage import Vantage
from countersign.errors import ConfigError
from countersign.model.inventory import Asset
from countersign.model.values import is_address
from countersign.ports import Reach

_VIA = rf"^(|ssh|netns:{exact.NAMESPACE})\Z"
_VANTAGE = rf"^(|local|netns:{exact.NAMESPACE}|ssh:[0-9a-f.:]+)\Z"
_PATH = rf"^(|{exact.PATH})\Z"
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Place = Annotated[str, msgspec.Meta(pattern=_VANTAGE)]
Words = tuple[Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_./=@:+-]+\Z")], ...]
Path = Annotated[str, msgspec.Meta(pattern=_PATH)]


class ShellSettings(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """via: ``ssh`` or ``netns:NAME``; empty: the action cannot be carried out. user, port, identity (``file:`` and the path
    of a private key), known_hosts (path): for ssh. sudo: commands run by ``sudo -n``. vantage: where the probe asks from."""

    via: Annotated[str, msgspec.Meta(pattern=_VIA)] = ""
    user: Annotated[str, msgspec.Meta(pattern=rf"^{exact.LOGIN}\Z")] = "root"
    port: Port = 22
    identity: Annotated[str, msgspec.Meta(pattern=rf"^(|file:{exact.PATH})\Z")] = ""
    known_hosts: Path = ""
    sudo: bool = False
    vantage: Place = ""


class Line:
    """Shells and vantages by settings. action: for messages. Raises ConfigError naming the key that is missing."""

    def __init__(self, settings: ShellSettings, reach: Reach, action: str) -> None:
        self._settings = settings
        self._timeout_s = reach.timeout_s
        self._action = action
        if settings.via == "ssh":
            self.need("identity", "known_hosts")

    @property
    def by_ssh(self) -> bool:
        """Whether targets are reached over ssh."""
        return self._settings.via == "ssh"

    def to(self, asset: Asset) -> Shell:
        """The command line of a host of the inventory, seen to be that host's. Raises TargetFault."""
        addresses = exact.addresses(asset)
        shell = self.ssh(addresses[0]) if self.by_ssh else self._namespace(self._settings.via)
        shell.stands_for(addresses)
        return shell

    def ssh(self, address: str) -> Ssh:
        """A host by its address."""
        one = self._settings
        identity = one.identity.removeprefix("file:")
        return Ssh(address, one.user, one.port, identity, one.known_hosts, self._timeout_s, one.sudo)

    def vantage(self, place: str, key: str = "vantage") -> Vantage | None:
        """Where a probe asks from; None when it is not said."""
        kind, _, name = place.partition(":")
        if kind == "ssh":
            self.need("identity", "known_hosts")
            if not is_address(name):
                raise ConfigError("not a canonical address after ssh:", where=self.key(key), todo="correct it")
            return Vantage(place, replace(self.ssh(name), sudo=False))
        return Vantage(place, self._namespace(place)) if kind == "netns" else Vantage(place) if place else None

    def key(self, name: str) -> str:
        """A setting of this action, as it is written."""
        return f"actions.{self._action}.{name}"

    def _namespace(self, place: str) -> Namespace:
        name = place.removeprefix("netns:")
        if not re.fullmatch(exact.NAMESPACE, name):
            raise ConfigError("no way to the target", where=self.key("via"), todo='say "ssh" or "netns:NAME"')
        return Namespace(name, self._timeout_s, self._settings.sudo)

    def need(self, *names: str) -> None:
        """Raises ConfigError for the first of these settings that is empty."""
        for name in names:
            if not getattr(self._settings, name):
                raise ConfigError("is not set", where=self.key(name), todo="see docs/how-to/isolate-hosts.md")
