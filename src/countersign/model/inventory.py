"""What the site owns and who works there: the ground for criticality and for naming targets of actions."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Criticality(IntEnum):
    """How much a compromise would hurt. HIGH and CRITICAL are "high-value": the gate never closes on them."""

    UNKNOWN = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


class Asset(msgspec.Struct, frozen=True):
    """A host or service. name: lower case. role: what it does (``mail``, ``webserver``, ``workstation`` …).
    addresses: IPs and CIDR networks. aliases: other names it appears under."""

    name: str
    role: str = ""
    owner: str = ""
    criticality: Criticality = Criticality.UNKNOWN
    addresses: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


class Identity(msgspec.Struct, frozen=True):
    """A person or service account. name: login, lower case. aliases: mail addresses and other logins."""

    name: str
    role: str = ""
    owner: str = ""
    criticality: Criticality = Criticality.UNKNOWN
    aliases: tuple[str, ...] = ()


class Inventory(msgspec.Struct, frozen=True):
    """Everything imported, each name once."""

    assets: tuple[Asset, ...] = ()
    identities: tuple[Identity, ...] = ()
