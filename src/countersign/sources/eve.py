"""Suricata's EVE alert record (EVE JSON, Suricata 4 to 8): the typed part that alerts are made of.

Shared by the ``suricata`` source and by Wazuh, which carries the same record, all values as text, in ``data``.
"""

from __future__ import annotations

from itertools import compress
from typing import Any

import msgspec

from countersign.model.alerts import Severity
from countersign.model.entities import Entity, EntityType, Role
from countersign.sources import values
from countersign.sources.attack import tactic_ids, technique_ids
from countersign.sources.values import Maker, clean_ip, is_private, maker

TAINTED = ("payload_printable", "payload", "packet", "http", "dns", "tls", "smtp", "email", "fileinfo", "files", "ssh")
"""What the sender of the packets writes. A path stands for all below it."""
_SEVERITY = {1: Severity.HIGH, 2: Severity.MEDIUM, 3: Severity.LOW, 4: Severity.INFORMATIONAL}
_ACTOR_IP = maker(EntityType.IP, Role.ACTOR)
_TARGET_IP = maker(EntityType.IP, Role.TARGET)
_DOMAIN = maker(EntityType.DOMAIN, Role.OBSERVED)
_URL = maker(EntityType.URL, Role.OBSERVED)
_HASH = maker(EntityType.HASH, Role.OBSERVED)
_FILE = maker(EntityType.FILE, Role.OBSERVED)
_SENDER = maker(EntityType.MAIL, Role.ACTOR)
_RECIPIENT = maker(EntityType.MAIL, Role.TARGET)


class Side(msgspec.Struct, gc=False):
    """``alert.source`` and ``alert.target``: written when the rule has the keyword ``target``."""

    ip: str | None = None


class EveAlert(msgspec.Struct, gc=False):
    """The ``alert`` object."""

    signature_id: int
    signature: str | None = None
    gid: int | None = None
    category: str | None = None
    severity: int | None = None
    action: str | None = None
    metadata: dict[str, Any] | None = None
    target: Side | None = None


class Http(msgspec.Struct, gc=False):
    """The ``http`` object."""

    hostname: str | None = None
    url: str | None = None
    http_method: str | None = None
    http_user_agent: str | None = None


class Tls(msgspec.Struct, gc=False):
    """The ``tls`` object; fingerprint is the certificate's SHA-1."""

    sni: str | None = None
    fingerprint: str | None = None


class FileInfo(msgspec.Struct, gc=False):
    """``fileinfo`` and each of ``files``."""

    filename: str | None = None
    sha256: str | None = None
    sha1: str | None = None
    md5: str | None = None


class Mail(msgspec.Struct, gc=False, rename={"sender": "from"}):
    """``smtp`` (envelope) and ``email`` (headers)."""

    mail_from: str | None = None
    rcpt_to: list[str] | None = None
    sender: str | None = None
    to: list[str] | None = None
    url: list[str] | None = None


class Flow(msgspec.Struct, gc=False):
    """The ``flow`` object; from Suricata 7 on its src_ip is the client."""

    src_ip: str | None = None


class Eve(msgspec.Struct, gc=False):
    """One EVE record."""

    event_type: str = ""
    timestamp: str = ""
    src_ip: str | None = None
    dest_ip: str | None = None
    app_proto: str | None = None
    direction: str | None = None
    alert: EveAlert | None = None
    flow: Flow | None = None
    http: Http | None = None
    dns: Any = None
    tls: Tls | None = None
    smtp: Mail | None = None
    email: Mail | None = None
    fileinfo: FileInfo | None = None
    files: list[FileInfo] | None = None
    ssh: Any = None
    payload_printable: str | None = None
    payload: str | None = None
    packet: str | None = None


def severity(alert: EveAlert) -> Severity:
    """1 is the highest in Suricata; other numbers than 1 to 4 say nothing."""
    return _SEVERITY.get(alert.severity or 0, Severity.UNKNOWN)


def attack(alert: EveAlert) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(tactics, techniques) from the rule's ``metadata`` tags, as ET Open writes them."""
    meta = alert.metadata
    if not meta:
        return (), ()
    tactics = _texts(meta.get("mitre_tactic_id")) or _texts(meta.get("mitre_tactic_name"))
    return tactic_ids(tactics), technique_ids(_texts(meta.get("mitre_technique_id")))


def facets(eve: Eve, alert: EveAlert) -> list[tuple[str, str]]:
    """Categorical facts of the detection."""
    pairs = (("action", alert.action), ("category", alert.category), ("app_proto", eve.app_proto))
    return [(name, value[:64]) for name, value in pairs if value]


def entities(eve: Eve, alert: EveAlert) -> list[Entity | None]:
    """Who is on which side, and what was seen on the wire. The sensor (``host``) is not an entity: it is not what
    happened."""
    found = _sides(eve, alert)
    if eve.http is not None:
        _http(eve.http, found)
    if eve.dns is not None:
        found += [_DOMAIN(name) for name in dns_names(eve.dns)]
    if eve.tls is not None:
        _each(found, _DOMAIN, eve.tls.sni)
        _each(found, _HASH, eve.tls.fingerprint)
    for file in (eve.fileinfo, *(eve.files or ())[:16]):
        if file is not None:
            _each(found, _FILE, file.filename)
            _each(found, _HASH, file.sha256 or file.sha1 or file.md5)
    for mail in (eve.smtp, eve.email):
        if mail is not None:
            _mail(mail, found)
    return found


def _sides(eve: Eve, alert: EveAlert) -> list[Entity | None]:
    source, dest = eve.src_ip or "", eve.dest_ip or ""
    if source and dest and target_is_source(eve, alert):
        source, dest = dest, source
    return [_ACTOR_IP(source), _TARGET_IP(dest)]


def target_is_source(eve: Eve, alert: EveAlert) -> bool:
    """Is the side to look after the one that sent the packet?

    In this order: what the rule says (``target``), whom the rule's author says it hits (``attack_target`` in metadata,
    with the client known from the flow), the side with a private address when the other has a public one, the receiver.
    """
    if alert.target is not None and alert.target.ip:
        return alert.target.ip == eve.src_ip
    source_is_client = _source_is_client(eve)
    if alert.metadata and source_is_client is not None:
        named = " ".join(_texts(alert.metadata.get("attack_target"))).lower()
        client, server = "client" in named, "server" in named
        if client != server:
            return client is source_is_client
    source, dest = clean_ip(eve.src_ip or ""), clean_ip(eve.dest_ip or "")
    return is_private(source) and not is_private(dest)


def _source_is_client(eve: Eve) -> bool | None:
    if eve.flow is not None and eve.flow.src_ip:
        return eve.flow.src_ip == eve.src_ip
    if eve.direction:
        return eve.direction == "to_server"
    return None


def _http(http: Http, found: list[Entity | None]) -> None:
    _each(found, _DOMAIN, http.hostname)
    if http.url and http.url[0] != "/" and "://" in http.url:
        found.append(_URL(http.url))
    elif http.url and http.hostname:
        found.append(_URL(f"http://{http.hostname[:256]}{http.url[:512]}"))


def _mail(mail: Mail, found: list[Entity | None]) -> None:
    _each(found, _SENDER, mail.mail_from)
    _each(found, _SENDER, mail.sender)
    found += [_RECIPIENT(address) for address in ((mail.rcpt_to or []) + (mail.to or []))[:16]]
    found += [_URL(url) for url in (mail.url or [])[:16]]


def _each(found: list[Entity | None], make: Maker, text: str | None) -> None:
    if text:
        found.append(make(text))


def dns_names(dns: object) -> list[str]:
    """Queried names in any of the shapes of EVE's ``dns`` (version 1 to 3), at most 16."""
    names: list[str] = []
    parts = [dns]
    if isinstance(dns, dict):
        for key in ("query", "queries", "answers"):
            inner = dns.get(key)
            parts += inner[:16] if isinstance(inner, list) else [inner]
    for part in parts:
        name = part.get("rrname") if isinstance(part, dict) else None
        if isinstance(name, str) and name:
            names.append(name)
    return names[:16]


def text(eve: Eve) -> str:
    """What was on the wire, for people: the printable payload, else the request, else the names asked for."""
    if eve.payload_printable:
        return values.message(eve.payload_printable)
    if eve.http is not None:
        http = eve.http
        parts = (http.http_method, (http.hostname or "")[:300] + (http.url or "")[:1000], http.http_user_agent)
        return values.message(" ".join(part[:1000] for part in parts if part))
    if eve.dns is not None:
        return values.message(" ".join(dns_names(eve.dns)))
    if eve.tls is not None and eve.tls.sni:
        return values.message(eve.tls.sni)
    return ""


def tainted(eve: Eve, prefix: str = "") -> list[str]:
    """Paths of what the packets' sender wrote, present in this record; each stands for all below it."""
    present = (
        eve.payload_printable, eve.payload, eve.packet, eve.http, eve.dns,
        eve.tls, eve.smtp, eve.email, eve.fileinfo, eve.files, eve.ssh,
    )  # fmt: skip
    return [prefix + name for name in compress(TAINTED, present)]


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(item for item in value[:32] if isinstance(item, str))
    return (value,) if isinstance(value, str) else ()
