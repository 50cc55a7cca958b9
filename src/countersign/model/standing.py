"""How the ledger stands, as a process that reads it over and over found it: values only, so that a door can show them."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Standing(StrEnum):
    """``off``: nothing reads it here. ``checking``: the first reading is not through. ``unknown``: it could not be read."""

    OFF = "off"
    CHECKING = "checking"
    VERIFIED = "verified"
    BROKEN = "broken"
    UNKNOWN = "unknown"


class Verified(msgspec.Struct, frozen=True):
    """upto: entries checked, each at least once. at_ms: when something was checked last. whole_ms, whole_size: end and size
    of the last reading of everything, 0 before. done, of: entries of the reading in hand. problems: (index, words), index -1
    where it is the log as a whole; more: how many are not listed. why: of ``unknown``."""

    state: Standing = Standing.OFF
    upto: int = 0
    at_ms: int = 0
    whole_ms: int = 0
    whole_size: int = 0
    done: int = 0
    of: int = 0
    problems: tuple[tuple[int, str], ...] = ()
    more: int = 0
    why: str = ""

    @property
    def mark(self) -> str:
        """Changes whenever a page should be told."""
        return f"{self.state.value}.{self.upto}.{len(self.problems)}"
