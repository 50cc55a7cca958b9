"""A finding: normalised alert with its repeats folded in (OCSF Detection Finding 2004)."""

from __future__ import annotations

import msgspec
from msgspec.structs import force_setattr

from countersign.model.alerts import Severity
from countersign.model.entities import Entity, EntityType, Role

FOLD_WINDOW_MS = 300_000
"""Repeats within the same five minutes fold into one finding."""


class Finding(msgspec.Struct, frozen=True, gc=False):
    """One detection on one set of entities within one window; ``count`` raw alerts stand behind it.

    id: ``F-``, its window in 8 hex digits, and 16 of its fold key's SHA-256.  window_ms: start of the folding window.
    host: value of the main host (``main_host``).  anchor: what its history is kept under (``anchor``).  labels: imported
    labels seen, sorted.  tainted: union over the folded alerts, sorted.
    """

    id: str
    source: str
    product: str
    rule: str
    title: str
    severity: Severity
    window_ms: int
    first_seen_ms: int
    last_seen_ms: int
    count: int
    tactics: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    entities: tuple[Entity, ...] = ()
    facets: tuple[tuple[str, str], ...] = ()
    tainted: tuple[str, ...] = ()
    message: str = ""
    labels: tuple[str, ...] = ()
    host: str = ""
    anchor: str = ""

    def __post_init__(self) -> None:
        """Host and anchor follow from the entities; worked out once because the hot path asks for them often."""
        if not self.host:
            force_setattr(self, "host", main_host(self.entities))
        if not self.anchor:
            force_setattr(self, "anchor", self.host or anchor(self.entities))

    @property
    def rule_key(self) -> str:
        """The rule across sources, e.g. ``wazuh/86601``."""
        return f"{self.source}/{self.rule}"


def by_chance(ident: str) -> str:
    """What to order findings by so that the first of them came at any time: ids begin with their time, and end in a hash."""
    return ident[-16:]


_HOST, _IP, _TARGET = EntityType.HOST, EntityType.IP, Role.TARGET


def main_host(entities: tuple[Entity, ...]) -> str:
    """The host (or, failing that, the target address) that an alert is about; "" when it names none."""
    best, rank = "", 9
    for entity in entities:
        kind = entity.type
        if kind is _HOST:
            if entity.role is _TARGET:
                return entity.value
            here = 1
        elif kind is _IP and entity.role is _TARGET:
            here = 2
        else:
            continue
        if here < rank:
            best, rank = entity.value, here
    return best


_ANCHORS = (EntityType.USER, EntityType.MAIL)


def anchor(entities: tuple[Entity, ...]) -> str:
    """Entity key of whom an alert without a host is about: the first target user, else mail; "" when there is none.
    Mails and sign-ins would otherwise share one history, in which every mailbox is as busy as all of them together."""
    for kind in _ANCHORS:
        for entity in entities:
            if entity.type is kind and entity.role is Role.TARGET:
                return entity.key
    return ""
