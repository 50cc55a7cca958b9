"""Hosts, addresses and domains against the site's own inventory; what is not in it is either provably outside or unknown.

A name that an attacker can choose must not pass for a known asset (that could lower priority), so ``dc-1.evil.example``
is not ``dc-1``: a qualified name stands for a bare one only inside the site's own domains.
"""

from __future__ import annotations

import hashlib
import ipaddress

import msgspec

from countersign.enrich.addresses import (
    Address,
    Networks,
    host_of_url,
    is_public,
    parents,
    parse_address,
    registered_domain,
)
from countersign.enrich.base import EXTERNAL, INTERNAL, ZONE, SiteData, found, not_found
from countersign.model.entities import Entity, EntityType
from countersign.model.evidence import Evidence
from countersign.model.inventory import Asset

_HOST, _URL = EntityType.HOST, EntityType.URL
_AMBIGUOUS = Asset("")


class Assets:
    """Names by dictionary, addresses by the narrowest network."""

    name = "assets"
    required = True
    problem = ""
    types = frozenset({EntityType.HOST, EntityType.IP, EntityType.DOMAIN, EntityType.URL})

    def __init__(self, assets: tuple[Asset, ...]) -> None:
        self.version = version_of(assets)
        self.entries = len(assets)
        self._by_name: dict[str, Asset] = {}
        self._by_label: dict[str, Asset] = {}
        self._networks: Networks[Asset] = Networks()
        self._suffixes: set[str] = set()
        self._domains: set[str] = set()
        for asset in assets:
            self._add(asset)

    def _add(self, asset: Asset) -> None:
        for name in (asset.name, *asset.aliases):
            self._by_name.setdefault(name.lower(), asset)
            label, dot, suffix = name.lower().partition(".")
            if dot and parse_address(name) is None:
                known = self._by_label.setdefault(label, asset)
                if known is not asset:
                    self._by_label[label] = _AMBIGUOUS
                self._suffixes.add(suffix)
                self._domains.add(registered_domain(name.lower()) or suffix)
        for text in asset.addresses:
            self._networks.put(ipaddress.ip_network(text, strict=False), asset)

    def answer(self, entity: Entity) -> Evidence | None:
        """Asset facts when it is in the inventory; else ``not_found`` with the zone. None for other types."""
        kind = entity.type
        if kind not in self.types:
            return None
        value = host_of_url(entity.value) if kind is _URL else entity.value.lower().rstrip(".")
        address = parse_address(value)
        extra = {"host": value} if kind is _URL else {}
        asset, basis = self._by_address(address) if address else self._by_any_name(value)
        if asset is not None:
            return found(self.name, entity, extra | _facts(asset, basis), _summary(asset))
        external = is_public(address) if address else kind is not _HOST and self._outside(value)
        return _unknown(entity, value, extra, external=external)

    def _by_address(self, address: Address) -> tuple[Asset | None, str]:
        for length, asset in self._networks.matches(address):
            return asset, "address" if length == address.bits else f"network /{length}"
        return None, ""

    def _by_any_name(self, name: str) -> tuple[Asset | None, str]:
        if asset := self._by_name.get(name):
            return asset, "name" if asset.name == name else "alias"
        label, dot, suffix = name.partition(".")
        if not dot:
            asset = self._by_label.get(label)
            return (None, "") if asset is _AMBIGUOUS else (asset, "host label")
        return (self._by_name.get(label), "host label") if suffix in self._suffixes else (None, "")

    def _outside(self, name: str) -> bool:
        """A registered domain that is not the site's own."""
        return bool(registered_domain(name)) and not any(parent in self._domains for parent in parents(name))


def _facts(asset: Asset, basis: str) -> dict[str, str]:
    return {
        "name": asset.name,
        "role": asset.role,
        "owner": asset.owner,
        "criticality": asset.criticality.name.lower(),
        "matched": basis,
        ZONE: INTERNAL,
    }


def _summary(asset: Asset) -> str:
    role = f"{asset.role}, " if asset.role else ""
    owner = f", owner {asset.owner}" if asset.owner else ""
    return f"{asset.name}: {role}criticality {asset.criticality.name.lower()}{owner}"


def _unknown(entity: Entity, value: str, extra: dict[str, str], *, external: bool) -> Evidence:
    if external:
        return not_found(Assets.name, entity, extra, f"{value} is outside the site", EXTERNAL)
    return not_found(Assets.name, entity, extra, f"{value} is not in the inventory", INTERNAL)


def version_of(records: object) -> str:
    """Short digest of inventory records: evidence from another inventory is another version."""
    return hashlib.sha256(msgspec.json.encode(records)).hexdigest()[:12]


def make(site: SiteData) -> Assets:
    """Built from the imported inventory, also when that is empty: then every inside host is unknown."""
    return Assets(site.inventory.assets)
