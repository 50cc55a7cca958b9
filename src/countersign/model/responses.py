"""A response before anybody has agreed to it: what it would touch, what it would do, how it would be taken back."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from countersign.model.inventory import Asset, Criticality, Identity, Inventory


class TargetKind(StrEnum):
    """Which half of the inventory a target stands in."""

    ASSET = "asset"
    IDENTITY = "identity"


class Takes(StrEnum):
    """What an action is taken on. ``ADDRESS``: an outside address, at the site's firewalls, which are the targets.
    ``NOTHING``: no system of the site is touched."""

    HOST = "host"
    ACCOUNT = "account"
    ADDRESS = "address"
    NOTHING = "nothing"


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One inventory record by its name there, never by what an alert called it. criticality: as it stood when planned; a
    target that has changed since is proposed anew."""

    kind: TargetKind
    name: str
    criticality: Criticality


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What would be done and how it would be taken back, in words, and whom it would hit, one line each."""

    plan: str
    undo: str
    blast_radius: tuple[str, ...]


class Scene(msgspec.Struct, frozen=True):
    """What planning may know. records: the targets' inventory records. parameters: typed values, each checked where it
    was read. findings: of the case's ``read`` findings, those that name the targets (or the address). near: other inventory
    names in those, sorted."""

    case: str
    records: tuple[Asset | Identity, ...]
    parameters: dict[str, str | int]
    inventory: Inventory
    findings: int = 0
    read: int = 0
    near: tuple[str, ...] = ()


def target_of(record: Asset | Identity) -> Target:
    """An inventory record as a target."""
    kind = TargetKind.ASSET if isinstance(record, Asset) else TargetKind.IDENTITY
    return Target(kind, record.name, record.criticality)
