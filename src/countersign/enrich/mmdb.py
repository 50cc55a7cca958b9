"""MaxMind DB files of a site: those named in the configuration, and those in ``geo/`` of the data directory.

What a file is for stands in its metadata (``GeoLite2-Country``, ``DBIP-ASN-Lite`` …). None is shipped: the licences of the
free ones ask for attribution and for deleting old editions, which only the site itself can promise.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

import maxminddb

from countersign.enrich.addresses import Address
from countersign.enrich.base import SiteData


def is_system(kind: str) -> bool:
    """Whether a database type or file name speaks of autonomous systems."""
    return "asn" in kind.lower() or "isp" in kind.lower()


def is_country(kind: str) -> bool:
    """Whether it speaks of countries: everything but pure lists of systems."""
    return not is_system(kind) or "country" in kind.lower()


class Databases:
    """Open files in the order in which they are asked. problem: the first that could not be read, "" when all can."""

    def __init__(self, readers: tuple[tuple[str, maxminddb.Reader], ...], problem: str) -> None:
        self._readers = readers
        self.problem = problem
        self.version = "; ".join(f"{file} {reader.metadata().build_epoch}" for file, reader in readers)

    def __bool__(self) -> bool:
        return bool(self._readers or self.problem)

    def records(self, address: Address) -> Iterator[tuple[str, dict[str, Any]]]:
        """(file name, record) of every file that knows the address; a file that breaks now becomes the problem."""
        if not self._readers:
            return
        ip = ipaddress.IPv4Address(address.number) if address.version == 4 else ipaddress.IPv6Address(address.number)
        for file, reader in self._readers:
            try:
                record = reader.get(ip)
            except (ValueError, maxminddb.InvalidDatabaseError) as error:
                if reader.metadata().ip_version == address.version:  # an IPv4 database has no place for IPv6: no fault
                    self.problem = f"{file}: {error}"
                continue
            if isinstance(record, dict):
                yield file, record


def open_for(site: SiteData, wanted: Callable[[str], bool]) -> Databases:
    """The site's databases of one kind."""
    readers, problems = [], []
    for file in (*site.geo, *site.files("geo", ".mmdb")):
        try:
            reader = maxminddb.open_database(file)
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            if wanted(file.name):
                problems.append(f"{file.name}: {error}")
            continue
        if wanted(reader.metadata().database_type):
            readers.append((file.name, reader))
        else:
            reader.close()
    return Databases(tuple(readers), "; ".join(problems))
