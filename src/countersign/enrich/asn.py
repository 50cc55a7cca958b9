"""Autonomous system of public addresses, from MaxMind DB files of the site (GeoLite2-ASN, DB-IP ASN Lite, IPinfo …)."""

from __future__ import annotations

from typing import Any

from countersign.enrich import mmdb
from countersign.enrich.addresses import is_public, parse_address
from countersign.enrich.base import NotConfigured, SiteData, found, not_found, unavailable
from countersign.model.entities import Entity, EntityType
from countersign.model.evidence import Evidence


class Systems:
    """The first of the site's files that knows the address."""

    name = "asn"
    required = False
    types = frozenset({EntityType.IP})
    entries = -1

    def __init__(self, databases: mmdb.Databases) -> None:
        self._databases = databases
        self.version = databases.version or "unreadable"

    @property
    def problem(self) -> str:
        """A database that cannot be read."""
        return self._databases.problem

    def answer(self, entity: Entity) -> Evidence | None:
        """Facts ``asn`` (``AS64500``) and ``as_org``; None for what is not a public address."""
        address = parse_address(entity.value) if entity.type is EntityType.IP else None
        if address is None or not is_public(address):
            return None
        for file, record in self._databases.records(address):
            number, name = _system(record)
            if number:
                facts = {"asn": number, "as_org": name, "basis": file}
                return found(self.name, entity, facts, f"{entity.value}: {number} {name}")
        if self.problem:
            return unavailable(self.name, entity, self.problem)
        return not_found(self.name, entity, {}, f"{entity.value} is announced by nobody known")


def _system(record: dict[str, Any]) -> tuple[str, str]:
    """Number and name of a record in the shape of GeoLite2 and DB-IP, or of IPinfo."""
    number = record.get("autonomous_system_number") or record.get("asn")
    name = record.get("autonomous_system_organization") or record.get("as_name") or record.get("name")
    return (f"AS{str(number).removeprefix('AS')}", str(name or "")) if number else ("", "")


def make(site: SiteData) -> Systems | NotConfigured:
    """There as soon as the site has a file with autonomous systems."""
    databases = mmdb.open_for(site, mmdb.is_system)
    if not databases:
        todo = "put a MaxMind DB file with autonomous systems into geo/ of the data directory"
        return NotConfigured(Systems.name, todo)
    return Systems(databases)
