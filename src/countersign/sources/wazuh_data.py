"""Entities in Wazuh's ``data`` (what its decoders extracted) and, where they extracted nobody, in the log line
itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from countersign.model.entities import Entity, EntityType, Role
from countersign.sources.values import Maker, is_private, maker

_A, _T, _O = Role.ACTOR, Role.TARGET, Role.OBSERVED
_USER, _IP = EntityType.USER, EntityType.IP
_ACTOR = maker(EntityType.USER, _A)
_TARGET = maker(EntityType.USER, _T)
_FROM = maker(EntityType.IP, _A)
_TO = maker(EntityType.IP, _T)
_HASH = maker(EntityType.HASH, _O)
_FILE = maker(EntityType.FILE, _O)
_PROCESS = maker(EntityType.PROCESS, _O)
_DOMAIN = maker(EntityType.DOMAIN, _O)
_URL = maker(EntityType.URL, _O)

_FLAT: dict[str, Maker] = {
    "srcip": _FROM,
    "src_ip": _FROM,
    "dstip": _TO,
    "dest_ip": _TO,
    "srcuser": _ACTOR,
    "dstuser": _TARGET,
    "user": _TARGET,
    "md5": _HASH,
    "sha1": _HASH,
    "sha256": _HASH,
    "hash": _HASH,
    "file": _FILE,
    "url": _URL,
}
_NESTED: dict[str, dict[str, Maker]] = {
    "audit": {"exe": _PROCESS},
    "aws": {"sourceIPAddress": _FROM, "source_ip_address": _FROM},
    "aws.userIdentity": {"userName": _ACTOR},
    "office365": {"UserId": _ACTOR, "ClientIP": _FROM},
    "virustotal": {"sha1": _HASH, "md5": _HASH},
    "virustotal.source": {"file": _FILE, "sha1": _HASH, "md5": _HASH},
    "win.system": {"computer": maker(EntityType.HOST, _O)},
    "win.eventdata": {
        "subjectUserName": _ACTOR,
        "targetUserName": _TARGET,
        "user": _ACTOR,
        "ipAddress": _FROM,
        "sourceIp": _FROM,
        "destinationIp": _TO,
        "image": _PROCESS,
        "parentImage": _PROCESS,
        "newProcessName": _PROCESS,
        "targetFilename": _FILE,
        "queryName": _DOMAIN,
    },
}
_ROOTS = frozenset(path.partition(".")[0] for path in _NESTED)
_LOG_CHARS_MAX = 4096
_ANGLE_USER = re.compile(r"\buser=<([^<>\s]{1,256})>")
_REMOTE = re.compile(r"\brip=([0-9A-Fa-f:.]{3,45})\b")
# Greedy on purpose: the name before the last " from ADDRESS port N" is the whole name, whatever the name itself
# contains.
_SSH = re.compile(r" for (?:invalid user )?(.{1,256}) from ([0-9A-Fa-f:.]{3,45}) port \d{1,5}\b")


def data_entities(data: dict[str, Any], *, traffic: bool = False) -> list[Entity | None]:
    """Entities of the known fields of ``data``; values that are not text are left alone. traffic: srcip and dstip are the
    two ends of a connection, of which the private one is the side to look after."""
    found: list[Entity | None] = []
    if traffic:
        source, dest = data.get("srcip"), data.get("dstip")
        if isinstance(source, str) and isinstance(dest, str) and is_private(source) and not is_private(dest):
            data = {**data, "srcip": dest, "dstip": source}
    for key, value in data.items():
        make = _FLAT.get(key)
        if make is not None:
            # A bare path or query is no observable: "/" would link every web server to every other.
            if isinstance(value, str) and (make is not _URL or "://" in value):
                found.append(make(value))
        elif key in _ROOTS and isinstance(value, dict):
            found += _nested(key, value)
    return found


def _nested(root: str, top: dict[str, Any]) -> Iterator[Entity | None]:
    for path, makers in _NESTED.items():
        head, _, rest = path.partition(".")
        inner = top.get(rest) if rest else top
        if head != root or not isinstance(inner, dict):
            continue
        for key, make in makers.items():
            value = inner.get(key)
            if isinstance(value, str):
                yield make(value)
        hashes = inner.get("hashes")
        if isinstance(hashes, str):
            yield from (_HASH(part) for part in hashes.split(",")[:8])


def log_entities(log: str, known: list[Entity | None]) -> list[Entity | None]:
    """Users and remote addresses of common log lines, only of types that the decoder did not fill."""
    have = [entity.type for entity in known if entity is not None]
    found: list[Entity | None] = []
    if _USER in have and _IP in have:
        return found
    line = log[:_LOG_CHARS_MAX]
    match = _SSH.search(line) if " from " in line else None
    if _USER not in have:
        if match:
            found.append(_TARGET(match.group(1)))
        if "user=<" in line:
            found += [_TARGET(name) for name in _ANGLE_USER.findall(line)[:4]]
    if _IP not in have:
        if match:
            found.append(_FROM(match.group(2)))
        if "rip=" in line:
            found += [_FROM(address) for address in _REMOTE.findall(line)[:1]]
    return found
