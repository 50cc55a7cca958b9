"""The site's own list of bad indicators: addresses, networks, domains, URLs and hashes in ``intel/*.txt`` and ``*.csv``.

A ``.txt`` file holds one indicator a line, ``#`` starts a comment. A ``.csv`` file has a header with ``indicator`` and,
if wanted, ``note``. Defanged writing (``hxxp://``, ``1[.]2[.]3[.]4``) is understood. A line that is no indicator is
reported, and until it is mended a miss counts as ``unavailable``: the line could have been the hit.
"""

from __future__ import annotations

import csv
import hashlib
import io
import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from countersign.enrich.addresses import Networks, host_of_url, parents, parse_address
from countersign.enrich.base import NotConfigured, SiteData, found, not_found, unavailable
from countersign.model.entities import Entity, EntityType
from countersign.model.evidence import Evidence

INDICATORS_MAX = 5_000_000
FILE_BYTES_MAX = 512 * 1024 * 1024
SUSPICIOUS = 1

_HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128}")
_DOMAIN = re.compile(r"(?=.{4,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{2,59})")


class Indicator(NamedTuple):
    """One listed indicator. where: ``file:line``."""

    value: str
    note: str
    where: str


class Intel:
    """Exact hashes and URLs, domains with everything below them, addresses by network."""

    name = "intel"
    required = True
    types = frozenset({EntityType.IP, EntityType.DOMAIN, EntityType.URL, EntityType.HASH, EntityType.HOST})

    def __init__(self, files: list[Path]) -> None:
        self.problem = ""
        self.entries = 0
        self._exact: dict[str, Indicator] = {}
        self._domains: dict[str, Indicator] = {}
        self._networks: Networks[Indicator] = Networks()
        self.version = hashlib.sha256(b"".join(self._read(file) for file in files)).hexdigest()[:12]

    def _read(self, file: Path) -> bytes:
        """Take the indicators of one file; returns its digest."""
        try:
            data = file.read_bytes()
            if len(data) > FILE_BYTES_MAX:
                raise ValueError(f"larger than {FILE_BYTES_MAX} bytes")
            text = data.decode("utf-8-sig")
        except (OSError, ValueError) as error:
            self._complain(file.name, str(error))
            return b""
        self._take(file.name, _csv(file.name, text) if file.suffix.lower() == ".csv" else _plain(file.name, text))
        return hashlib.sha256(data).digest()

    def _take(self, file: str, indicators: Iterator[Indicator]) -> None:
        try:
            for indicator in indicators:
                if self.entries >= INDICATORS_MAX or not self._add(indicator):
                    self._complain(indicator.where, "not an address, network, domain, URL or hash")
        except (ValueError, csv.Error) as error:
            self._complain(file, str(error))

    def _complain(self, where: str, what: str) -> None:
        self.problem = self.problem or f"{where}: {what}"

    def _add(self, indicator: Indicator) -> bool:
        value = indicator.value
        if _HASH.fullmatch(value.lower()) or ("//" in value and host_of_url(value)):
            self._exact.setdefault(_normal(value), indicator)
        elif network := _network(value):
            self._networks.put(network, indicator)
        elif _DOMAIN.fullmatch(value.lower().rstrip(".")):
            self._domains.setdefault(value.lower().rstrip("."), indicator)
        else:
            return False
        self.entries += 1
        return True

    def answer(self, entity: Entity) -> Evidence | None:
        """Facts ``indicator``, ``list``, ``note`` of the hit; its weight is +1. None for other types."""
        if entity.type not in self.types:
            return None
        hit = self._find(entity)
        if hit is not None:
            note = f" ({hit.note})" if hit.note else ""
            facts = {"indicator": hit.value, "list": hit.where, "note": hit.note}
            return found(self.name, entity, facts, f"listed as bad in {hit.where}{note}", SUSPICIOUS)
        if self.problem:
            return unavailable(self.name, entity, self.problem)
        return not_found(self.name, entity, {}, "not on the site's list of bad indicators")

    def _find(self, entity: Entity) -> Indicator | None:
        if hit := self._exact.get(_normal(entity.value)):
            return hit
        value = host_of_url(entity.value) if entity.type is EntityType.URL else entity.value.lower().rstrip(".")
        if address := parse_address(value):
            return next((indicator for _, indicator in self._networks.matches(address)), None)
        return next((self._domains[name] for name in parents(value) if name in self._domains), None)


def _normal(value: str) -> str:
    """Hashes in lower case; of a URL only scheme and host, because a path is case-sensitive."""
    scheme, slashes, rest = value.partition("://")
    if not slashes:
        return value.lower()
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}".rstrip("/")


def _network(value: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(value, strict=False)
    except ValueError:
        return None


def _refang(text: str) -> str:
    text = text.strip().replace("[.]", ".").replace("(.)", ".").replace("[:]", ":")
    return f"http{text[4:]}" if text[:4].lower() == "hxxp" else text


def _plain(file: str, text: str) -> Iterator[Indicator]:
    for number, line in enumerate(text.splitlines(), 1):
        value, _, note = line.partition("#") if "//" not in line else line.partition(" #")
        if value.strip():
            yield Indicator(_refang(value), note.strip()[:200], f"{file}:{number}")


def _csv(file: str, text: str) -> Iterator[Indicator]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if "indicator" not in (reader.fieldnames or ()):
        raise ValueError("the header has no column 'indicator'")
    for row in reader:
        value = (row.get("indicator") or "").strip()
        if value:
            yield Indicator(_refang(value), (row.get("note") or "").strip()[:200], f"{file}:{reader.line_num}")


def make(site: SiteData) -> Intel | NotConfigured:
    """There as soon as ``intel/`` of the data directory holds a file."""
    files = site.files("intel", ".txt", ".csv")
    return Intel(files) if files else NotConfigured(Intel.name, "put .txt or .csv files into intel/ of the data directory")
