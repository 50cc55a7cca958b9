"""OCSF Detection Finding (class 2004, OCSF 1.0 to 1.8) as JSON; events of other classes are ignored with their class.

Roles: actor and source endpoints act, device, resources and destination endpoints are targets, bare observables keep
the role that their ``name`` (the path they were taken from) tells, else they were observed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from countersign.errors import SourceError
from countersign.model.alerts import Alert, Ignored, Severity
from countersign.model.entities import Entity, EntityType, Role
from countersign.sources import values
from countersign.sources.attack import tactic_ids, technique_ids
from countersign.sources.values import Maker, maker

CLASS_UID = 2004
_MOST = 64
"""Most items read of any list."""
_Inner = TypeVar("_Inner")
_A, _T, _O = Role.ACTOR, Role.TARGET, Role.OBSERVED
_TAINTED = (
    "message",
    "evidences",
    "observables",
    "raw_data",
    "unmapped",
    "finding_info.title",
    "finding_info.desc",
    "resources",
    "actor",
)
_TYPES: dict[int, EntityType] = {
    1: EntityType.HOST,
    2: EntityType.IP,
    4: EntityType.USER,
    5: EntityType.MAIL,
    6: EntityType.URL,
    7: EntityType.FILE,
    8: EntityType.HASH,
    9: EntityType.PROCESS,
}
"""OCSF ``observable.type_id`` of scalar observables."""
_INDEX = re.compile(r"\[\d*\]")
_DOMAIN_NAMES = ("domain", "query.hostname", "url.hostname")


class Uid(msgspec.Struct, gc=False):
    """Any object of which only uid and name count: tactic, technique, analytic."""

    uid: str | None = None
    name: str | None = None


class Attack(msgspec.Struct, gc=False):
    """One of ``finding_info.attacks``."""

    tactic: Uid | None = None
    tactics: list[Uid] | None = None
    technique: Uid | None = None
    sub_technique: Uid | None = None


class FindingInfo(msgspec.Struct, gc=False):
    """``finding_info``."""

    uid: str
    title: str | None = None
    desc: str | None = None
    analytic: Uid | None = None
    attacks: list[Attack] | None = None
    types: list[str] | None = None


class Product(msgspec.Struct, gc=False):
    """``metadata.product``."""

    name: str | None = None
    vendor_name: str | None = None


class Metadata(msgspec.Struct, gc=False):
    """``metadata``; uid is the event's own id."""

    product: Product | None = None
    uid: str | None = None


class Event(msgspec.Struct, gc=False):
    """One OCSF event, before anything depends on its class."""

    class_uid: int
    finding_info: msgspec.Raw = msgspec.Raw(b"")
    metadata: msgspec.Raw = msgspec.Raw(b"")
    time: int | None = None
    severity_id: int = 0
    message: str | None = None
    device: Any = None
    actor: Any = None
    resources: Any = None
    evidences: Any = None
    observables: Any = None
    raw_data: Any = None
    unmapped: Any = None


class OcsfSource:
    """OCSF 2004 → alert. rule: ``analytic.uid``, else its name, else the finding's title."""

    name = "ocsf"

    def __init__(self, *, header: bytes = b"", mapping: str = "") -> None:
        del header, mapping
        self._event = msgspec.json.Decoder(Event)
        self._info = msgspec.json.Decoder(FindingInfo)
        self._metadata = msgspec.json.Decoder(Metadata)

    def parse(self, raw: bytes) -> Alert | Ignored:
        """Read one event. Raises SourceError naming the field."""
        event = values.decode_json(self._event, raw)
        if event.class_uid != CLASS_UID:
            return Ignored(f"class_uid={str(event.class_uid)[:20]}")
        if event.time is None:
            raise SourceError("missing", where="time")
        info = _inner(self._info, event.finding_info, "finding_info")
        meta = _inner(self._metadata, event.metadata, "metadata")
        tactics, techniques = _attacks(info)
        product = meta.product or Product()
        return Alert(
            source="ocsf",
            product=(product.name or product.vendor_name or "OCSF")[:128],
            uid=(meta.uid or info.uid)[: values.VALUE_CHARS_MAX],
            time_ms=values.bounded_ms(event.time, "time"),
            rule=_rule(info),
            title=(info.title or info.desc or "Finding")[: values.TITLE_CHARS_MAX],
            severity=Severity(event.severity_id) if 0 <= event.severity_id <= Severity.FATAL else Severity.UNKNOWN,
            tactics=tactics,
            techniques=techniques,
            entities=values.unique(_entities(event)),
            facets=(("types", ",".join(info.types[:8])[:128]),) if info.types else (),
            tainted=_tainted(event, info),
            message=values.message(event.message or info.desc or ""),
        )


def _inner(decoder: msgspec.json.Decoder[_Inner], raw: msgspec.Raw, where: str) -> _Inner:
    if not raw:
        raise SourceError("missing", where=where)
    try:
        return values.decode_json(decoder, bytes(raw))
    except SourceError as error:
        raise SourceError(error.what, where=f"{where}.{error.where}".rstrip("."), todo=error.todo) from None


def _rule(info: FindingInfo) -> str:
    analytic = info.analytic or Uid()
    rule = analytic.uid or analytic.name or info.title
    if not rule:
        raise SourceError("missing", where="finding_info.analytic.uid", todo="name the rule or give the finding a title")
    return rule[: values.RULE_CHARS_MAX]


def _attacks(info: FindingInfo) -> tuple[tuple[str, ...], tuple[str, ...]]:
    tactics: list[str] = []
    techniques: list[str] = []
    for attack in (info.attacks or [])[:_MOST]:
        named = (attack.tactic, *(attack.tactics or []))
        tactics += [tactic.uid or tactic.name or "" for tactic in named if tactic is not None]
        technique = attack.sub_technique or attack.technique
        if technique is not None and technique.uid:
            techniques.append(technique.uid)
    return tactic_ids(tuple(tactics)), technique_ids(tuple(techniques))


def _tainted(event: Event, info: FindingInfo) -> tuple[str, ...]:
    present = (
        event.message, event.evidences, event.observables, event.raw_data, event.unmapped, info.title, info.desc,
        event.resources, event.actor,
    )  # fmt: skip
    return tuple([name for name, value in zip(_TAINTED, present, strict=True) if value])


def _entities(event: Event) -> list[Entity | None]:
    """Entities of the event's objects, then observables that none of them holds."""
    found = list(_objects(event))
    known = {entity.key for entity in found if entity is not None}
    bare = [_observable(item) for item in _dicts(event.observables)]
    return found + [entity for entity in bare if entity is not None and entity.key not in known]


def _objects(event: Event) -> Iterator[Entity | None]:
    yield from _endpoint(event.device, _T)
    for item in _dicts(event.resources):
        yield from _endpoint(item, _T)
        yield from _user(item.get("owner"), _T)
    yield from _actor(event.actor)
    for item in _dicts(event.evidences):
        yield from _evidence(item)


def _evidence(item: dict[str, Any]) -> Iterator[Entity | None]:
    yield from _endpoint(item.get("src_endpoint"), _A)
    yield from _endpoint(item.get("dst_endpoint"), _T)
    yield from _endpoint(item.get("device"), _T)
    yield from _actor(item.get("actor"))
    yield from _user(item.get("user"), _T)
    yield from _process(item.get("process"))
    yield from _file(item.get("file"))
    yield from _texts(item.get("url"), url_string=maker(EntityType.URL, _O), hostname=maker(EntityType.DOMAIN, _O))
    yield from _texts(item.get("query"), hostname=maker(EntityType.DOMAIN, _O))
    yield from _texts(item.get("email"), **{"from": maker(EntityType.MAIL, _A), "smtp_from": maker(EntityType.MAIL, _A)})
    mail = item.get("email")
    for address in mail.get("to") or () if isinstance(mail, dict) and isinstance(mail.get("to"), list) else ():
        if isinstance(address, str):
            yield maker(EntityType.MAIL, _T)(address)


def _endpoint(item: object, role: Role) -> Iterator[Entity | None]:
    host = maker(EntityType.HOST, role)
    if isinstance(item, dict):
        named = "hostname" if item.get("hostname") else "name"
        is_host = named == "hostname" or item.get("type_id") is not None or item.get("ip")
        yield from _texts(item, **({named: host} if is_host else {}), ip=maker(EntityType.IP, role))


def _actor(item: object) -> Iterator[Entity | None]:
    if isinstance(item, dict):
        yield from _user(item.get("user"), _A)
        yield from _process(item.get("process"))


def _user(item: object, role: Role) -> Iterator[Entity | None]:
    yield from _texts(item, name=maker(EntityType.USER, role), email_addr=maker(EntityType.MAIL, role))


def _process(item: object) -> Iterator[Entity | None]:
    if isinstance(item, dict):
        file = item.get("file")
        path = file.get("path") if isinstance(file, dict) else None
        name = path or item.get("path") or item.get("name")
        if isinstance(name, str):
            yield maker(EntityType.PROCESS, _O)(name)
        yield from _file(file, named=False)


def _file(item: object, *, named: bool = True) -> Iterator[Entity | None]:
    if isinstance(item, dict):
        name = item.get("path") or item.get("name")
        if named and isinstance(name, str):
            yield maker(EntityType.FILE, _O)(name)
        for digest in _dicts(item.get("hashes")):
            yield from _texts(digest, value=maker(EntityType.HASH, _O))


def _observable(item: dict[str, Any]) -> Entity | None:
    type_id, value, name = item.get("type_id"), item.get("value"), item.get("name")
    kind = _TYPES.get(type_id) if isinstance(type_id, int) else None
    if kind is None or not isinstance(value, str):
        return None
    path = name.lower() if isinstance(name, str) else ""
    if kind is EntityType.HOST and path.endswith(_DOMAIN_NAMES):
        kind = EntityType.DOMAIN
    return maker(kind, _role(path))(value)


def _role(path: str) -> Role:
    place = _INDEX.sub("", path)
    if "src_endpoint" in place or place.startswith("actor.") or ".actor." in place or place.endswith("email.from"):
        return _A
    if place.startswith(("device.", "resources.")) or any(word in place for word in ("dst_endpoint", ".device.", ".user.")):
        return _T
    return _T if place.endswith("email.to") else _O


def _texts(item: object, **makers: Maker) -> Iterator[Entity | None]:
    if isinstance(item, dict):
        for key, make in makers.items():
            value = item.get(key)
            if isinstance(value, str):
                yield make(value)


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value[:_MOST] if isinstance(item, dict)] if isinstance(value, list) else []
