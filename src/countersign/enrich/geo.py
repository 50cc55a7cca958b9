"""Country and autonomous system of public addresses, offline.

The country comes from ``iptocc``: allocations published by the five Regional Internet Registries, compiled into the package
(it is where a block was assigned, not where a computer stands). MaxMind DB files that a site names in its configuration or
puts into ``geo/`` of the data directory (any with country or autonomous-system records) come first and add the system.
"""

from __future__ import annotations

import ipaddress
from importlib.metadata import version as package_version
from pathlib import Path

import iptocc
import maxminddb

from countersign.enrich.addresses import Address, is_public, parse_address
from countersign.enrich.base import SiteData, found, not_found, unavailable
from countersign.model.entities import Entity, EntityType
from countersign.model.evidence import Evidence


class Geo:
    """Registry allocations, overridden by the site's own files in the order of their names."""

    name = "geo"
    required = False
    types = frozenset({EntityType.IP})
    entries = -1

    def __init__(self, readers: tuple[tuple[str, maxminddb.Reader], ...], problem: str = "") -> None:
        self._readers = readers
        self.problem = problem
        epochs = (f"{file} {reader.metadata().build_epoch}" for file, reader in readers)
        self.version = "; ".join((f"iptocc {package_version('iptocc')}", *epochs))

    def answer(self, entity: Entity) -> Evidence | None:
        """Facts ``country`` (ISO 3166-1 alpha-2), ``asn``, ``as_org``; None for what is not a public address."""
        address = parse_address(entity.value) if entity.type is EntityType.IP else None
        if address is None or not is_public(address):
            return None
        facts: dict[str, str] = {}
        problem = self.problem
        for file, reader in self._readers:
            try:
                _read(reader.get(_text(address)), file, facts)
            except (ValueError, maxminddb.InvalidDatabaseError) as error:
                problem = f"{file}: {error}"
        if "country" not in facts and (country := iptocc.country_code(_text(address))):
            facts |= {"country": country, "basis": "registry"}
        return self._say(entity, facts, problem)

    def _say(self, entity: Entity, facts: dict[str, str], problem: str) -> Evidence:
        if facts:
            return found(self.name, entity, facts, f"{entity.value}: {_summary(facts)}")
        if problem:
            return unavailable(self.name, entity, problem)
        return not_found(self.name, entity, {}, f"{entity.value} is allocated to nobody known")


def _read(record: object, file: str, facts: dict[str, str]) -> None:
    """Take country and system from a record of GeoLite2, DB-IP, IPinfo or ip-location-db shape; the first file wins."""
    if not isinstance(record, dict):
        return
    country = record.get("country") or record.get("registered_country") or record.get("country_code")
    code = country.get("iso_code") if isinstance(country, dict) else country
    if isinstance(code, str) and code and "country" not in facts:
        facts |= {"country": code, "basis": file}
    number = record.get("autonomous_system_number") or record.get("asn")
    if number and "asn" not in facts:
        organisation = record.get("autonomous_system_organization") or record.get("as_name") or record.get("name") or ""
        facts |= {"asn": f"AS{str(number).removeprefix('AS')}", "as_org": str(organisation)}


def _summary(facts: dict[str, str]) -> str:
    country = facts.get("country", "")
    registry = " by registry" if facts.get("basis") == "registry" else ""
    system = f"{facts.get('asn', '')} {facts.get('as_org', '')}".strip()
    return ", ".join(part for part in (f"{country}{registry}", system) if part)


def _text(address: Address) -> str:
    make_ip = ipaddress.IPv4Address if address.version == 4 else ipaddress.IPv6Address
    return str(make_ip(address.number))


def _open(files: list[Path]) -> tuple[tuple[tuple[str, maxminddb.Reader], ...], str]:
    readers, problems = [], []
    for file in files:
        try:
            readers.append((file.name, maxminddb.open_database(file)))
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            problems.append(f"{file.name}: {error}")
    return tuple(readers), "; ".join(problems)


def make(site: SiteData) -> Geo:
    """Always there: registry allocations need no configuration."""
    return Geo(*_open([*site.geo, *site.files("geo", ".mmdb")]))
