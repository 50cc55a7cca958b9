"""Users and mail addresses against the site's own inventory of people and service accounts.

``KESTREL\\m.heron`` and ``m.heron@kestrel.example`` stand for ``m.heron`` only when that prefix or domain is the site's own,
that is, when some identity in the inventory has an alias with it: a local account of the same name is somebody else.
"""

from __future__ import annotations

from countersign.enrich.addresses import domain_of_mail, parents, registered_domain
from countersign.enrich.assets import version_of
from countersign.enrich.base import EXTERNAL, INTERNAL, SiteData, found, not_found
from countersign.model.entities import Entity, EntityType
from countersign.model.evidence import Evidence
from countersign.model.inventory import Identity

_MAIL = EntityType.MAIL


class Identities:
    """Logins and mail addresses by dictionary."""

    name = "identities"
    required = True
    problem = ""
    types = frozenset({EntityType.USER, EntityType.MAIL})

    def __init__(self, identities: tuple[Identity, ...]) -> None:
        self.version = version_of(identities)
        self.entries = len(identities)
        self._by_name: dict[str, Identity] = {}
        self._realms: set[str] = set()
        self._domains: set[str] = set()
        for identity in identities:
            for name in (identity.name, *identity.aliases):
                self._by_name.setdefault(name.lower(), identity)
                self._realms.add(_split(name.lower())[1])
                self._domains.add(domain_of_mail(name))
        self._realms.discard("")
        self._domains.discard("")

    def answer(self, entity: Entity) -> Evidence | None:
        """Identity facts when it is in the inventory, else ``not_found`` with the zone. None for other types."""
        if entity.type not in self.types:
            return None
        identity, basis = self._find(entity.value.lower())
        if identity is not None:
            return found(self.name, entity, _facts(identity, basis), _summary(identity))
        if entity.type is _MAIL and self._outside(domain_of_mail(entity.value)):
            return not_found(self.name, entity, {}, "a mail address outside the site", EXTERNAL)
        return not_found(self.name, entity, {}, entity.type + " is not in the inventory", INTERNAL)

    def _find(self, value: str) -> tuple[Identity | None, str]:
        if identity := self._by_name.get(value):
            return identity, "name" if identity.name == value else "alias"
        name, realm = _split(value)
        return (self._by_name.get(name), f"login in {realm}") if realm in self._realms else (None, "")

    def _outside(self, domain: str) -> bool:
        return bool(registered_domain(domain)) and not any(parent in self._domains for parent in parents(domain))


def _split(value: str) -> tuple[str, str]:
    """Login and realm of ``realm\\login`` or ``login@realm``; realm "" when there is none."""
    if "\\" in value:
        realm, _, login = value.rpartition("\\")
        return login, realm
    login, _, realm = value.partition("@")
    return login, realm


def _facts(identity: Identity, basis: str) -> dict[str, str]:
    return {
        "name": identity.name,
        "role": identity.role,
        "owner": identity.owner,
        "criticality": identity.criticality.name.lower(),
        "matched": basis,
    }


def _summary(identity: Identity) -> str:
    role = f"{identity.role}, " if identity.role else ""
    return f"{identity.name}: {role}criticality {identity.criticality.name.lower()}"


def make(site: SiteData) -> Identities:
    """Built from the imported inventory, also when that is empty: then every user is unknown."""
    return Identities(site.inventory.identities)
