"""What a lookup returned, kept whether it found something or not (OCSF enrichments)."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class LookupStatus(StrEnum):
    """``unavailable`` is not ``not_found``: a source that did not answer can never support a close."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    UNAVAILABLE = "unavailable"

    __hash__ = str.__hash__  # Enum's own is a Python function, and members are keys on the hot path


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """source: lookup name.  query: the entity key asked for.  facts: sorted (name, value) pairs.  digest: SHA-256 hex of
    the canonical facts.  weight: how it leans (+1 suspicious, -1 reassuring, 0 neutral); shown to people, never scored."""

    source: str
    query: str
    status: LookupStatus
    facts: tuple[tuple[str, str], ...] = ()
    digest: str = ""
    summary: str = ""
    weight: int = 0
