"""What makes a record of the inventory a good one: names once, addresses that are addresses, criticality that is known."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from countersign.errors import ConfigError
from countersign.model.inventory import Asset, Criticality, Identity, Inventory

FIELDS = ("name", "role", "owner", "criticality", "addresses", "aliases")
RECORDS_MAX = 500_000
TEXT_CHARS_MAX = 255
LIST_MAX = 1_000
_LEVELS = {name: level for level in Criticality for name in (level.name.lower(), str(int(level)))} | {
    "": Criticality.UNKNOWN
}


class Record(NamedTuple):
    """One record as it stands in the file. where: ``file:line``. kind: ``asset`` or ``identity``."""

    where: str
    kind: str
    fields: dict[str, Any]


@dataclass(slots=True)
class Builder:
    """Checks records one by one and remembers who claimed which name and address, and where."""

    assets: list[Asset] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)
    _claimed: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Take one record. Raises ConfigError that names line and field."""
        where, kind, fields = record
        for name in fields:
            if name not in FIELDS or (kind == "identity" and name == "addresses" and fields[name]):
                allowed = FIELDS if kind == "asset" else tuple(f for f in FIELDS if f != "addresses")
                raise ConfigError(f"no such field of an {kind}", where=f"{where}: {name}", todo=f"use {', '.join(allowed)}")
        if len(self.assets) + len(self.identities) >= RECORDS_MAX:
            raise ConfigError(f"more than {RECORDS_MAX} records", where=where)
        name = _text(where, "name", fields.get("name", "")).lower()
        if not name:
            raise ConfigError("is empty", where=f"{where}: name", todo=f"give the {kind} its name")
        aliases = tuple(a.lower() for a in _list(where, "aliases", fields.get("aliases", ())))
        for key in dict.fromkeys((name, *aliases)):
            self._claim(where, "name" if key == name else "aliases", kind, key, name)
        common = (
            name,
            _text(where, "role", fields.get("role", "")),
            _text(where, "owner", fields.get("owner", "")),
            _criticality(where, fields.get("criticality", "")),
        )
        if kind == "asset":
            self.assets.append(Asset(*common, self._addresses(where, name, fields.get("addresses", ())), aliases))
        else:
            self.identities.append(Identity(*common, aliases))

    def _addresses(self, where: str, name: str, value: object) -> tuple[str, ...]:
        found = tuple(_network(where, text) for text in _list(where, "addresses", value))
        for text in dict.fromkeys(found):
            self._claim(where, "addresses", "address", text, name)
        return found

    def _claim(self, where: str, field_name: str, kind: str, key: str, owner: str) -> None:
        other, there = self._claimed.setdefault((kind, key), (owner, where))
        if (other, there) != (owner, where):
            raise ConfigError(
                f"{key!r} belongs to {other!r} already ({there})", where=f"{where}: {field_name}", todo="remove one of them"
            )

    def inventory(self) -> Inventory:
        """What was read, in the order of names."""
        return Inventory(
            tuple(sorted(self.assets, key=lambda a: a.name)), tuple(sorted(self.identities, key=lambda i: i.name))
        )


def _text(where: str, name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"must be text, not {value!r:.60}", where=f"{where}: {name}")
    text = value.strip()
    if len(text) > TEXT_CHARS_MAX:
        raise ConfigError(f"longer than {TEXT_CHARS_MAX} characters", where=f"{where}: {name}")
    if not text.isprintable():
        raise ConfigError("holds a control character", where=f"{where}: {name}", todo="remove it")
    return text


def _list(where: str, name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"must be a list, not {value!r:.60}", where=f"{where}: {name}")
    if len(value) > LIST_MAX:
        raise ConfigError(f"more than {LIST_MAX} entries", where=f"{where}: {name}")
    texts = tuple(_text(where, name, item) for item in value)
    if not all(texts):
        raise ConfigError("holds an empty entry", where=f"{where}: {name}")
    return tuple(dict.fromkeys(texts))


def _criticality(where: str, value: object) -> Criticality:
    """A word (``low`` … ``critical``, ``unknown``) or the number 0 to 4."""
    word = str(value).strip().lower() if isinstance(value, str | int) and not isinstance(value, bool) else "?"
    level = _LEVELS.get(word)
    if level is None:
        todo = "use unknown, low, medium, high or critical"
        raise ConfigError(f"unknown criticality {value!r:.60}", where=f"{where}: criticality", todo=todo)
    return level


def _network(where: str, text: str) -> str:
    """An address or network in its canonical writing. Host bits in a network are a mistake that hides another one."""
    try:
        return str(ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text))
    except ValueError as error:
        todo = "write 10.0.0.5, or a network as 10.0.0.0/24"
        raise ConfigError(f"bad address: {error}", where=f"{where}: addresses", todo=todo) from None
