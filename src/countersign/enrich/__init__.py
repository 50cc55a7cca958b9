"""Entity → evidence, from local sources. A new lookup is one file and one line in ``LOOKUPS``.

How: docs/how-to/add-a-lookup.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from countersign.enrich import asn, assets, geo, identities, intel, warninglists
from countersign.enrich.base import LocalLookup, NotConfigured, SiteData
from countersign.enrich.enricher import Enricher

Factory = Callable[[SiteData], LocalLookup | NotConfigured]

LOOKUPS: dict[str, Factory] = {
    "assets": assets.make,
    "identities": identities.make,
    "intel": intel.make,
    "geo": geo.make,
    "asn": asn.make,
    "warninglists": warninglists.make,
}


def plug_in(site: SiteData, registry: Mapping[str, Factory] = LOOKUPS) -> tuple[LocalLookup | NotConfigured, ...]:
    """Every lookup of the registry, built for the site, in the registry's order."""
    return tuple(factory(site) for factory in registry.values())


def make_enricher(site: SiteData) -> Enricher:
    """The enricher over every lookup that is configured."""
    return Enricher(lookup for lookup in plug_in(site) if not isinstance(lookup, NotConfigured))


__all__ = [
    "LOOKUPS",
    "Enricher",
    "Factory",
    "LocalLookup",
    "NotConfigured",
    "SiteData",
    "make_enricher",
    "plug_in",
]
