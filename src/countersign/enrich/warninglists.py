"""Well-known infrastructure: is this address, domain or hash on a list of https://github.com/MISP/misp-warninglists?

A hit is context for people, never a reason to trust: clouds, resolvers and popular sites serve attackers too. Only lists
that help a reader are loaded, those of a kind when the first entity of that kind comes, because loading all of them takes
a second and hundreds of megabytes (two hold a million domains each).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import cached_property
from importlib import resources
from importlib.metadata import version as package_version

import msgspec

from countersign.enrich.addresses import Address, Networks, host_of_url, is_public, parents, parse_address
from countersign.enrich.base import SiteData, found, not_found, unavailable
from countersign.model.entities import Entity, EntityType
from countersign.model.evidence import Evidence

ADDRESS_LISTS = (
    "akamai", "amazon-aws", "apple", "check-host-net", "cloudflare", "fastly", "github", "google-gcp",
    "google-gmail-sending-ips", "googlebot", "microsoft-azure", "microsoft-azure-china", "microsoft-azure-germany",
    "microsoft-azure-us-gov", "microsoft-office365-ip", "openai-gptbot", "ovh-cluster", "stackpath", "wikimedia",
    "zscaler", "public-dns-v4", "public-dns-v6", "smtp-receiving-ips", "smtp-sending-ips", "vpn-ipv4", "vpn-ipv6",
    "sinkholes", "parking-domain", "umbrella-blockpage-v4", "umbrella-blockpage-v6", "alphastrike-scanning",
    "censys-scanning", "internet-census-nt-scanning", "modat-scanner", "netsecscan-scanning", "onyphe-scanner",
    "rapid7-nt-scanning", "shadowforce-scanning", "shadowserver", "shodan-scanning", "tenable-cloud-ipv4",
    "tenable-cloud-ipv6",
)  # fmt: skip
DOMAIN_LISTS = (
    "bank-website", "captive-portals", "disposable-email", "dynamic-dns", "findip-host", "google", "link-in-bio",
    "lots-project", "microsoft", "microsoft-office365", "microsoft-win10-connection-endpoints", "moz-top500",
    "parking-domain-ns", "public-ipfs-gateways", "security-provider-blogpost", "tranco10k",
    "umbrella-blockpage-hostname", "url-shortener", "whats-my-ip",
)  # fmt: skip
HASH_LISTS = ("common-ioc-false-positive", "eicar.com", "empty-hashes", "ti-falsepositives", "mozilla-CA")
LISTS_SHOWN_MAX = 5
_HASH, _IP, _URL = EntityType.HASH, EntityType.IP, EntityType.URL


class _List(msgspec.Struct):
    name: str
    type: str
    entries: list[str] = msgspec.field(name="list")


class WarningLists:
    """Names of the lists that an entity is on. Bit masks keep 170,000 entries in some 20 MB."""

    name = "warninglists"
    required = False
    types = frozenset({EntityType.IP, EntityType.DOMAIN, EntityType.URL, EntityType.HASH})

    def __init__(self) -> None:
        self.version = package_version("pymispwarninglists")
        self.problem = ""
        self._titles: list[str] = []

    @property
    def entries(self) -> int:
        """Entries of the lists in use; loads them all."""
        return len(self._networks) + len(self._domains) + len(self._hashes)

    def answer(self, entity: Entity) -> Evidence | None:
        """Fact ``lists``: names of the lists. None for types without lists and for inside addresses."""
        if entity.type not in self.types:
            return None
        mask = self._mask(entity)
        if mask is None:
            return None
        if self.problem and not mask:
            return unavailable(self.name, entity, self.problem)
        if not mask:
            return not_found(self.name, entity, {}, "on no warning list")
        titles = sorted(title for bit, title in enumerate(self._titles) if mask >> bit & 1)
        shown = ", ".join(titles[:LISTS_SHOWN_MAX])
        return found(self.name, entity, {"lists": "; ".join(titles)}, f"well-known infrastructure: {shown}")

    def _mask(self, entity: Entity) -> int | None:
        """Bits of the lists the entity is on; None when it is nothing that the lists speak of."""
        kind = entity.type
        if kind is _HASH:
            return self._hashes.get(entity.value.lower(), 0)
        value = host_of_url(entity.value) if kind is _URL else entity.value
        if address := parse_address(value):
            return self._of_address(address) if is_public(address) else None
        return self._of_domain(value.lower().rstrip(".")) if kind is not _IP else None

    def _of_address(self, address: Address) -> int:
        mask = 0
        for _, bits in self._networks.matches(address):
            mask |= bits
        return mask

    def _of_domain(self, name: str) -> int:
        mask = self._domains.get(name, 0)
        for parent in parents(name):
            mask |= self._domains.get(f".{parent}", 0)
        return mask

    @cached_property
    def _networks(self) -> Networks[int]:
        networks: Networks[int] = Networks()
        for bit, one in self._load(ADDRESS_LISTS):
            for text in one.entries:
                _put(networks, text, bit)
        return networks

    @cached_property
    def _domains(self) -> dict[str, int]:
        """Exact names, and names with a leading dot that stand for everything below them."""
        masks: dict[str, int] = {}
        for bit, one in self._load(DOMAIN_LISTS):
            for text in one.entries:
                name = text.lower()
                if one.type in {"hostname", "substring"} and not name.startswith("."):
                    name = f".{name}"
                masks[name] = masks.get(name, 0) | bit
        return masks

    @cached_property
    def _hashes(self) -> dict[str, int]:
        masks: dict[str, int] = {}
        for bit, one in self._load(HASH_LISTS):
            for text in one.entries:
                masks[text.lower()] = masks.get(text.lower(), 0) | bit
        return masks

    def _load(self, names: tuple[str, ...]) -> Iterator[tuple[int, _List]]:
        folder = resources.files("pymispwarninglists") / "data" / "misp-warninglists" / "lists"
        for name in names:
            try:
                one = msgspec.json.decode((folder / name / "list.json").read_bytes(), type=_List)
            except (OSError, msgspec.MsgspecError) as error:
                self.problem = f"list {name}: {error}"
                continue
            self._titles.append(one.name.removeprefix("List of known "))
            yield 1 << (len(self._titles) - 1), one


def _put(networks: Networks[int], text: str, bit: int) -> None:
    """Add one network. Plain IPv4, nearly all of them, is read without ``ipaddress``, which takes ten times as long."""
    host, slash, length = text.partition("/")
    parts = host.split(".")
    if len(parts) == 4 and ":" not in host:
        a, b, c, d = map(int, parts)
        bits = int(length) if slash else 32
        table, key = networks.table(4, bits), (a << 24 | b << 16 | c << 8 | d) >> (32 - bits)
    else:
        network = ipaddress.ip_network(text, strict=False)
        bits = network.prefixlen
        key = int(network.network_address) >> (network.max_prefixlen - bits)
        table = networks.table(network.version, bits)
    table[key] = table.get(key, 0) | bit


def make(_: SiteData) -> WarningLists:
    """Always there: the lists come with the package ``pymispwarninglists``."""
    return WarningLists()
