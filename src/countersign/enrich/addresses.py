"""Addresses, networks, names: what belongs to whom, without asking the network.

Special-purpose ranges are those of RFC 6890 and its registry, without the documentation ranges (RFC 5737, RFC 3849), which
belong to nobody's inside.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from socket import inet_aton
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")


class Address(NamedTuple):
    """An IP address as a number. version: 4 or 6."""

    version: int
    number: int

    @property
    def bits(self) -> int:
        """32 or 128."""
        return 32 if self.version == 4 else 128


_PLAIN_IPV4 = re.compile(
    r"(?:25[0-5]|2[0-4]\d|1?[1-9]\d|1\d\d|\d)(?:\.(?:25[0-5]|2[0-4]\d|1?[1-9]\d|1\d\d|\d)){3}", re.ASCII
)


@lru_cache(maxsize=65_536)
def parse_address(text: str) -> Address | None:
    """``10.0.0.1``, ``fe80::1%eth0``, ``::ffff:10.0.0.1`` (which is an IPv4 address) → number; None for anything else."""
    if len(text) <= 15 and text.count(".") == 3 and _PLAIN_IPV4.fullmatch(text):  # nearly all of them: ten times as fast
        return Address(4, int.from_bytes(inet_aton(text), "big"))
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return Address(4, int(mapped)) if mapped is not None else Address(ip.version, int(ip))


class Networks(Generic[T]):
    """Networks and what they stand for. Lookup costs one dictionary access per prefix length in use near an address."""

    def __init__(self) -> None:
        self._tables: dict[int, dict[int, dict[int, T]]] = {4: {}, 6: {}}
        self._near: dict[int, dict[int, tuple[int, ...]]] = {}

    def table(self, version: int, length: int) -> dict[int, T]:
        """Values of one prefix length, by the network's leading ``length`` bits; may be added to until the next call of
        another method."""
        self._near.clear()
        return self._tables[version].setdefault(length, {})

    def put(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network, value: T) -> T:
        """Add a network; returns the value that stands there, which is the older one when the network is taken."""
        key = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
        return self.table(network.version, network.prefixlen).setdefault(key, value)

    def matches(self, address: Address) -> list[tuple[int, T]]:
        """(prefix length, value) of every network that holds the address, the narrowest first."""
        version, number = address
        bits = 32 if version == 4 else 128
        near = self._near.get(version)
        if near is None:
            near = self._near[version] = _lengths_near(self._tables[version])
        lengths = near.get(number >> (bits - _NEAR_BITS))
        if lengths is None:
            return []
        tables = self._tables[version]
        return [(n, table[key]) for n in lengths if (key := number >> (bits - n)) in (table := tables[n])]

    def __len__(self) -> int:
        return sum(len(table) for tables in self._tables.values() for table in tables.values())


_NEAR_BITS = 16


def _lengths_near(tables: Mapping[int, Mapping[int, object]]) -> dict[int, tuple[int, ...]]:
    """Prefix lengths of the networks that share their first 16 bits with an address, the longest first."""
    near: dict[int, list[int]] = {}
    for length in sorted(tables, reverse=True):
        wider = _NEAR_BITS - length
        if wider > 0:
            starts = {start for key in tables[length] for start in range(key << wider, (key + 1) << wider)}
        else:
            starts = {key >> -wider for key in tables[length]}
        for start in starts:
            near.setdefault(start, []).append(length)
    shared: dict[tuple[int, ...], tuple[int, ...]] = {}
    return {start: shared.setdefault(tuple(lengths), tuple(lengths)) for start, lengths in near.items()}


_INSIDE = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
    "::/127", "64:ff9b:1::/48", "100::/64", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)  # fmt: skip
_INSIDE_NETWORKS: Networks[bool] = Networks()
_MIXED: set[int] = set()
"""First octets of which a part, or all, is inside: every other IPv4 address needs no look at the networks."""
for _text in _INSIDE:
    _network = ipaddress.ip_network(_text)
    _INSIDE_NETWORKS.put(_network, True)
    if _network.version == 4:
        _first, _last = (int(end) >> 24 for end in (_network.network_address, _network.broadcast_address))
        _MIXED.update(range(_first, _last + 1))


def is_public(address: Address) -> bool:
    """True for an address that can only be outside: not private, link-local, shared, multicast, reserved or loopback."""
    if address[0] == 4 and address[1] >> 24 not in _MIXED:
        return True
    return not _INSIDE_NETWORKS.matches(address)


def host_of_url(url: str) -> str:
    """Host of a URL, lower case, without port and user; "" when it has none or is not a URL."""
    try:
        return (urlsplit(url if "//" in url[:64] else f"//{url}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def domain_of_mail(mail: str) -> str:
    """Domain of a mail address, lower case; "" when there is none."""
    return mail.rpartition("@")[2].strip(" >").rstrip(".").lower() if "@" in mail else ""


@lru_cache(maxsize=65_536)
def registered_domain(name: str) -> str:
    """``www.foo.co.uk`` → ``foo.co.uk`` by the public suffix list; "" for an address or a name without a public suffix."""
    if "." not in name or len(name) > 253:
        return ""
    return _suffixes()(name)


class _Suffixes:
    """The snapshot of the public suffix list that ``tldextract`` carries: no download, no cache file."""

    def __init__(self) -> None:
        import tldextract  # noqa: PLC0415 - takes 0.2 s, and many sites never see a domain

        self._extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    def __call__(self, name: str) -> str:
        return str(self._extract(name).top_domain_under_public_suffix)


@cache
def _suffixes() -> _Suffixes:
    return _Suffixes()


def parents(name: str) -> Iterator[str]:
    """``a.b.c`` → ``a.b.c``, ``b.c``, ``c``."""
    while name:
        yield name
        name = name.partition(".")[2]
