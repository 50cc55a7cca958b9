"""Who and what an alert speaks of: observables in a role (OCSF observables)."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class EntityType(StrEnum):
    """Kinds of observable that are correlated and looked up."""

    HOST = "host"
    USER = "user"
    IP = "ip"
    DOMAIN = "domain"
    URL = "url"
    HASH = "hash"
    PROCESS = "process"
    FILE = "file"
    MAIL = "mail"

    __hash__ = str.__hash__  # Enum's own is a Python function, and members are keys on the hot path


class Role(StrEnum):
    """What the entity does in the alert."""

    ACTOR = "actor"
    TARGET = "target"
    OBSERVED = "observed"

    __hash__ = str.__hash__  # Enum's own is a Python function, and members are keys on the hot path


class Entity(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One observable in one role. ``value`` is normalised by the source (hosts, domains, mail, hashes in lower case)."""

    type: EntityType
    value: str
    role: Role

    @property
    def key(self) -> str:
        """Identity across roles and tools, e.g. ``host:web-1``."""
        return self.type + ":" + self.value


PERSONAL = frozenset({EntityType.USER, EntityType.MAIL})
"""Types that name a person: never in clear in a ledger entry."""
