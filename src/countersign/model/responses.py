"""A response before anybody has agreed to it: what it would touch, what it would do, how it would be taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from countersign.model.inventory import Asset, Criticality, Identity, Inventory


class TargetKind(StrEnum):
    """Which half of the inventory a target stands in."""

    ASSET = "asset"
    IDENTITY = "identity"


class Takes(StrEnum):
    """What an action is taken on. ``ADDRESS``: an outside address, at the site's firewalls, which are the targets.
    ``DOMAIN``: an outside domain, at its resolvers. ``LOGIN``: an account at a host. ``NOTHING``: no system of the site is
    touched."""

    HOST = "host"
    ACCOUNT = "account"
    ADDRESS = "address"
    DOMAIN = "domain"
    LOGIN = "login"
    NOTHING = "nothing"


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One inventory record by its name there, never by what an alert called it. criticality, owner, addresses: as they stood
    when planned; a target that has changed since is proposed anew."""

    kind: TargetKind
    name: str
    criticality: Criticality
    owner: str = ""
    addresses: tuple[str, ...] = ()


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


class Effect(StrEnum):
    """Whether what an action is for is so."""

    HOLDS = "holds"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Seen(msgspec.Struct, frozen=True):
    """What was found at the target, with words for people; they hold no secret."""

    effect: Effect
    detail: str


class Order(msgspec.Struct, frozen=True):
    """One approved action as it is carried out. id: digest of its proposal, its idempotency key. records: its targets as the
    inventory has them now, which is as they were approved. parameters: those of the proposal."""

    id: str
    number: int
    action: str
    case: str
    records: tuple[Asset | Identity, ...]
    parameters: dict[str, str | int]


def target_of(record: Asset | Identity) -> Target:
    """An inventory record as a target."""
    if isinstance(record, Asset):
        return Target(TargetKind.ASSET, record.name, record.criticality, record.owner, record.addresses)
    return Target(TargetKind.IDENTITY, record.name, record.criticality, record.owner)


def record_of(target: Target) -> Asset | Identity:
    """A target as the record it was when it was approved; what nobody approved, such as its role, is left out."""
    if target.kind is TargetKind.ASSET:
        return Asset(target.name, "", target.owner, target.criticality, target.addresses)
    return Identity(target.name, "", target.owner, target.criticality)


def aim(parameters: Mapping[str, str | int]) -> str:
    """What of outside the site an action is about, an address or a domain; "" when it is about a record alone."""
    return str(parameters.get("address", parameters.get("domain", "")))


def moved(targets: Sequence[Target], inventory: Inventory) -> tuple[str, ...]:
    """What is no longer so of targets, one line each; empty as long as the inventory says of each what it did when
    planned."""
    records: tuple[Asset | Identity, ...] = (*inventory.assets, *inventory.identities)
    now = {(one.kind, one.name): one for one in map(target_of, records)}
    return tuple(line for target in targets for line in _moved(target, now.get((target.kind, target.name))))


def _moved(was: Target, now: Target | None) -> list[str]:
    if now is None:
        return [f"{was.name} is not in the inventory any more"]
    pairs = (
        ("criticality", was.criticality.name.lower(), now.criticality.name.lower()),
        ("owner", was.owner, now.owner),
        ("addresses", ", ".join(was.addresses), ", ".join(now.addresses)),
    )
    return [f"{was.name}: {name} is {new or 'none'} now, not {old or 'none'}" for name, old, new in pairs if old != new]
