"""Wazuh ``alerts.json`` (Wazuh 3 to 4, from the manager's file or out of the indexer): one alert per line.

Severity follows the rule level: 0 to 3 informational, 4 to 6 low, 7 to 11 medium, 12 to 14 high, 15 and 16 critical.
Alerts of a network sensor (rule 86601 with Suricata's record in ``data``, rules 201xx with Snort's triple in
``data.id``) carry the signature in their rule id: one rule per signature, not one for all of them.
"""

from __future__ import annotations

import re
from itertools import compress
from typing import Any

import msgspec

from countersign.errors import SourceError
from countersign.model.alerts import Alert, Ignored, Severity
from countersign.model.entities import Entity, EntityType, Role
from countersign.sources import eve as suricata
from countersign.sources import values
from countersign.sources.attack import tactic_ids, technique_ids
from countersign.sources.values import maker
from countersign.sources.wazuh_data import data_entities, log_entities

_SEVERITY = (
    *(Severity.INFORMATIONAL,) * 4,
    *(Severity.LOW,) * 3,
    *(Severity.MEDIUM,) * 5,
    *(Severity.HIGH,) * 3,
    *(Severity.CRITICAL,) * 2,
)
_SHARED_NAMES = frozenset({"wazuh-client", "wazuh-agent", "localhost", "localhost.localdomain"})
"""Agent names that installers give to every machine: they tell no host from another."""
_MANAGER_AGENT = "000"
"""The manager's own agent: what it forwards comes from the host named in the syslog header."""
_SNORT_ID = re.compile(r"\d{1,10}:(\d{1,10}):\d{1,10}", re.ASCII)
_SNORT_TITLE = re.compile(r"\[\d+:\d+:\d+\] (.{1,200}?) \[\*\*\]", re.ASCII)
_TAINTED = (
    "full_log",
    "data",
    "rule.description",
    "predecoder.hostname",
    "predecoder.program_name",
    "previous_output",
    "previous_log",
    "syscheck",
)
_LINE_CHARS_MAX = 2048
_HOST_TARGET = maker(EntityType.HOST, Role.TARGET)
_HOST_SEEN = maker(EntityType.HOST, Role.OBSERVED)
_IP_TARGET = maker(EntityType.IP, Role.TARGET)
_FILE = maker(EntityType.FILE, Role.TARGET)
_OWNER = maker(EntityType.USER, Role.OBSERVED)
_HASH = maker(EntityType.HASH, Role.OBSERVED)


class Mitre(msgspec.Struct, gc=False):
    """``rule.mitre``: ids and tactic names."""

    id: tuple[str, ...] | str | None = None
    tactic: tuple[str, ...] | str | None = None


class Rule(msgspec.Struct, gc=False):
    """``rule``."""

    id: str | int
    level: int = 0
    description: str | None = None
    groups: list[str] | None = None
    mitre: Mitre | None = None


class Agent(msgspec.Struct, gc=False):
    """``agent``: the enrolled machine that sent the log."""

    id: str | None = None
    name: str | None = None
    ip: str | None = None


class Predecoder(msgspec.Struct, gc=False):
    """``predecoder``: the syslog header of the log line, written by whoever wrote the line."""

    hostname: str | None = None
    program_name: str | None = None


class Decoder(msgspec.Struct, gc=False):
    """``decoder``."""

    name: str | None = None


class Syscheck(msgspec.Struct, gc=False):
    """``syscheck``: a watched file changed."""

    path: str | None = None
    event: str | None = None
    uname_after: str | None = None
    sha256_after: str | None = None
    sha1_after: str | None = None
    md5_after: str | None = None


class WazuhAlert(msgspec.Struct, gc=False, rename={"at_timestamp": "@timestamp"}):
    """One alert."""

    rule: Rule
    id: str | None = None
    timestamp: str | None = None
    at_timestamp: str | None = None
    agent: Agent | None = None
    predecoder: Predecoder | None = None
    decoder: Decoder | None = None
    data: dict[str, Any] | None = None
    full_log: str | None = None
    previous_output: str | None = None
    previous_log: str | None = None
    syscheck: Syscheck | None = None


class WazuhSource:
    """``alerts.json`` → alert. uid: the alert's ``id``. The main host is the enrolled agent, else the syslog host
    name."""

    name = "wazuh"

    def __init__(self, *, header: bytes = b"", mapping: str = "") -> None:
        del header, mapping
        self._decoder = msgspec.json.Decoder(WazuhAlert, strict=False)

    def parse(self, raw: bytes) -> Alert | Ignored:
        """Read one alert. Raises SourceError naming the field."""
        found = values.decode_json(self._decoder, raw)
        rule = found.rule
        eve = _nested_eve(found)
        if eve is not None and eve.alert is not None:
            return self._alert(found, f"{rule.id}:{eve.alert.signature_id}", rule.description or "", eve)
        ident, title = _rule(found)
        return self._alert(found, ident, title, None)

    def _alert(self, found: WazuhAlert, ident: str, title: str, eve: suricata.Eve | None) -> Alert:
        rule = found.rule
        tactics, techniques = _attack(rule, eve)
        return Alert(
            source="wazuh",
            product="Wazuh",
            uid=(found.id or "")[: values.VALUE_CHARS_MAX],
            time_ms=_time_ms(found),
            rule=ident[: values.RULE_CHARS_MAX],
            title=(title or f"Rule {rule.id}")[: values.TITLE_CHARS_MAX],
            severity=_severity(rule.level),
            tactics=tactics,
            techniques=techniques,
            entities=values.unique(_entities(found, eve)),
            facets=_facets(found, eve),
            tainted=_tainted(found),
            message=values.message(found.full_log or (suricata.text(eve) if eve is not None else "")),
        )


def _time_ms(found: WazuhAlert) -> int:
    if found.at_timestamp:
        return values.iso_ms(found.at_timestamp, "@timestamp")
    if found.timestamp:
        return values.iso_ms(found.timestamp, "timestamp")
    raise SourceError("missing", where="timestamp")


def _severity(level: int) -> Severity:
    if not 0 <= level < len(_SEVERITY):
        raise SourceError(f"level {str(level)[:20]} is not between 0 and 16", where="rule.level")
    return _SEVERITY[level]


def _nested_eve(found: WazuhAlert) -> suricata.Eve | None:
    """Suricata's own record, which Wazuh passes on in ``data`` with every value as text."""
    data = found.data
    if data is None or data.get("event_type") != "alert" or not isinstance(data.get("alert"), dict):
        return None
    return values.convert(data, suricata.Eve, "data")


def _rule(found: WazuhAlert) -> tuple[str, str]:
    """(rule id, title); alerts from Snort's or Suricata's one-line log get their signature into both."""
    rule = found.rule
    ident, title = str(rule.id), rule.description or ""
    if not ident:
        raise SourceError("empty", where="rule.id")
    if rule.groups and "ids" in rule.groups and found.data:
        triple = found.data.get("id")
        match = _SNORT_ID.fullmatch(triple) if isinstance(triple, str) else None
        if match:
            named = _SNORT_TITLE.search((found.full_log or "")[:_LINE_CHARS_MAX])
            return f"{ident}:{match.group(1)}", f"{title} {named.group(1)}" if named else title
    return ident, title


def _attack(rule: Rule, eve: suricata.Eve | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    tactics: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    if rule.mitre is not None:
        tactics, techniques = tactic_ids(_many(rule.mitre.tactic)), technique_ids(_many(rule.mitre.id))
    if eve is not None and eve.alert is not None and not techniques:
        named, used = suricata.attack(eve.alert)
        return named or tactics, used
    return tactics, techniques


def _many(value: tuple[str, ...] | str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def _facets(found: WazuhAlert, eve: suricata.Eve | None) -> tuple[tuple[str, str], ...]:
    if eve is not None and eve.alert is not None:
        return (("engine", "suricata"), *suricata.facets(eve, eve.alert))
    pairs: list[tuple[str, str]] = []
    if found.decoder is not None and found.decoder.name:
        pairs.append(("decoder", found.decoder.name[:64]))
    if found.predecoder is not None and found.predecoder.program_name:
        pairs.append(("program", found.predecoder.program_name[:64]))
    if found.rule.groups:
        pairs.append(("groups", ",".join(found.rule.groups[:16])[:128]))
    if found.syscheck is not None and found.syscheck.event:
        pairs.append(("event", found.syscheck.event[:64]))
    return tuple(pairs)


def _entities(found: WazuhAlert, eve: suricata.Eve | None) -> list[Entity | None]:
    intrusion = found.rule.groups is not None and "ids" in found.rule.groups
    if eve is not None and eve.alert is not None:
        seen = suricata.entities(eve, eve.alert)
    else:
        seen = data_entities(found.data, traffic=intrusion) if found.data else []
    if intrusion and _is_sensor(found, seen):
        return seen
    out = [*_machine(found), *seen]
    if found.full_log:
        out += log_entities(found.full_log, seen)
    return out + _syscheck(found.syscheck) if found.syscheck is not None else out


def _is_sensor(found: WazuhAlert, seen: list[Entity | None]) -> bool:
    """Did the agent only watch others' traffic? Then it is no party: it would tie all that it ever saw into one case."""
    address = found.agent.ip if found.agent is not None else None
    return any(entity is not None for entity in seen) and all(e is None or e.value != address for e in seen)


def _machine(found: WazuhAlert) -> list[Entity | None]:
    """The agent's machine. A host name in a log line is the line's claim, so an enrolled agent's own name comes first."""
    claimed = (found.predecoder.hostname if found.predecoder is not None else None) or ""
    agent = found.agent or Agent()
    name = agent.name if agent.name and agent.name.lower() not in _SHARED_NAMES else ""
    out: list[Entity | None] = []
    if name and (agent.id != _MANAGER_AGENT or not claimed):
        out.append(_HOST_TARGET(name))
        if claimed and claimed.lower() != name.lower():
            out.append(_HOST_SEEN(claimed))
    elif claimed:
        out.append(_HOST_TARGET(claimed))
    if agent.ip and not agent.ip.startswith("127."):
        out.append(_IP_TARGET(agent.ip))
    return out


def _syscheck(check: Syscheck) -> list[Entity | None]:
    digest = check.sha256_after or check.sha1_after or check.md5_after
    return [
        _FILE(check.path) if check.path else None,
        _OWNER(check.uname_after) if check.uname_after else None,
        _HASH(digest) if digest else None,
    ]


def _tainted(found: WazuhAlert) -> tuple[str, ...]:
    """Paths that come from the log line. The description counts, because rules put fields of the log into it."""
    header = found.predecoder
    present = (
        found.full_log, found.data, found.rule.description, header and header.hostname, header and header.program_name,
        found.previous_output, found.previous_log, found.syscheck,
    )  # fmt: skip
    return tuple(compress(_TAINTED, present))
