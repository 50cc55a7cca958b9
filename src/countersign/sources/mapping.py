"""The TOML mapping of the ``generic`` source: which field of a message is the time, the rule, an entity and so on.

A mapping is written by a person of the site, so every error in it is a ConfigError with file, line and key. The format
is described by example in ``docs/mappings/``. A field path is a CSV column name, or in JSON a dotted path: ``a.b``,
``a."key.with.dots"``, ``list[]`` (every element), ``list[0]``, ``list[Type=host]`` (elements whose field Type has that
value) and ``@json`` (a text that itself holds JSON): ``Entities.@json[Type=host].HostName``.
"""

from __future__ import annotations

import re
import tomllib
from datetime import tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from countersign.errors import ConfigError
from countersign.model.alerts import Severity
from countersign.model.entities import EntityType, Role

MAPPING_BYTES_MAX = 256 * 1024
EPOCH_SECONDS = "epoch_s"
EPOCH_MILLIS = "epoch_ms"
ISO = "iso"
_INSIDE = re.compile(r"\.?(?:@json|\[)")


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Pick(_Table, frozen=True):
    """Where one text comes from: the first non-empty of ``field``, or ``constant``; then ``pattern`` (its first group,
    or the whole match), then ``table`` (an absent entry gives ``default``, or without default the text itself), then
    ``prefix``."""

    field: str | list[str] = ""
    constant: str = ""
    pattern: str = ""
    table: dict[str, str] = {}
    default: str = ""
    prefix: str = ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields to look at, in order."""
        if isinstance(self.field, str):
            return (self.field,) if self.field else ()
        return tuple(self.field)


class TimePick(_Table, frozen=True):
    """``format``: ``epoch_s``, ``epoch_ms``, ``iso`` or a strptime pattern. ``zone``: where times without one were
    written."""

    field: str | list[str]
    format: str = ISO
    zone: str = "UTC"


class SeverityPick(Pick, frozen=True):
    """A text pick whose result is a severity name; ``at_least`` instead reads a number: the highest step it reaches."""

    at_least: dict[str, float] = {}


class ManyPick(_Table, frozen=True):
    """ATT&CK ids or names: from a field (a list, or a text with separators), fixed, or by ``table`` from the field's
    text."""

    field: str = ""
    constant: list[str] = []
    table: dict[str, list[str]] = {}


class EntityPick(_Table, frozen=True):
    """One entity per value of ``field``. ``replace``: text to text, in order; ``short``: a host name without its
    domain; ``pattern``: only what its first group (or the whole match) holds; ``prefix``: put before what is left."""

    type: EntityType
    field: str
    role: Role = Role.OBSERVED
    replace: dict[str, str] = {}
    short: bool = False
    pattern: str = ""
    prefix: str = ""


class ReviewPick(_Table, frozen=True):
    """What people said of an alert, for exports of closed alerts; only ``backtest`` reads it.

    label: what was found; time: when it was said; of several fields the first that is not empty. alert: fields that
    together name one alert which the export writes in several rows. group: fields that together name the tool's own
    incident. site: fields that name whose alert it is; every site is judged apart. each: JSON paths to the alerts that
    one message holds, the first that is there; the message around them may carry label, time, group and site. threat,
    benign, unjudged: label values that mean this, besides the usual ones.
    """

    label: str | list[str] = ""
    time: str | list[str] = ""
    format: str = ISO
    alert: list[str] = []
    group: list[str] = []
    site: list[str] = []
    each: list[str] = []
    threat: list[str] = []
    benign: list[str] = []
    unjudged: list[str] = []


class IgnoreRule(_Table, frozen=True):
    """A message is no alert when ``field`` has one of ``equals``, or none of ``unless``; ``missing``: when it is
    empty."""

    field: str
    reason: str
    equals: list[str] = []
    unless: list[str] = []
    missing: bool = False


class Mapping(_Table, frozen=True):
    """A whole mapping file. trusted: fields that no attacker can write; all other mapped fields count as tainted.
    optional: columns that a CSV export may lack; they are then empty."""

    format: Literal["csv", "json"]
    time: TimePick
    rule: Pick
    product: Pick
    title: Pick = Pick()
    uid: Pick = Pick()
    severity: SeverityPick = SeverityPick()
    label: Pick = Pick()
    message: list[str] = []
    tactics: ManyPick = ManyPick()
    techniques: ManyPick = ManyPick()
    facets: dict[str, str] = {}
    entity: list[EntityPick] = []
    ignore: list[IgnoreRule] = []
    trusted: list[str] = []
    delimiter: str = ","
    columns: list[str] = []
    optional: list[str] = []
    review: ReviewPick = ReviewPick()


def load_mapping(path: Path) -> str:
    """The text of a mapping file, checked. Raises ConfigError with file, line and key."""
    try:
        data = path.read_bytes()[: MAPPING_BYTES_MAX + 1]
        text = data.decode()
    except OSError as error:
        raise ConfigError(f"cannot read mapping: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 at byte {error.start}", where=str(path)) from None
    if len(data) > MAPPING_BYTES_MAX:
        raise ConfigError(f"mapping larger than {MAPPING_BYTES_MAX} bytes", where=str(path))
    parse_mapping(text, str(path))
    return text


@lru_cache(maxsize=64)
def parse_mapping(text: str, file: str = "mapping") -> Mapping:
    """Read and check a mapping. ``file`` is its name for error locations."""
    if not text.strip():
        raise ConfigError("source generic needs a mapping", where=file, todo="name one with --mapping FILE")
    try:
        mapping = msgspec.convert(tomllib.loads(text), Mapping)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", where=f"{file}:{_toml_line(error)}") from None
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        raise _error(text, file, _key(what, path), what) from None
    except RecursionError:
        raise ConfigError("TOML nested too deeply", where=file) from None
    for key, what in _problems(mapping):
        raise _error(text, file, key, what)
    return mapping


def severity_of(name: str) -> Severity | None:
    """The severity called ``name`` (any case), None if there is none."""
    return Severity.__members__.get(name.upper())


def zone_of(pick: TimePick) -> tzinfo:
    """The time zone of times that carry none."""
    return ZoneInfo(pick.zone)


def tainted_path(path: str) -> str:
    """``path`` up to where it enters text that holds JSON, or chooses elements: what names a place in the raw
    message."""
    match = _INSIDE.search(path)
    return path[: match.start()] if match else path


_STEP = re.compile(
    r"""(?P<json>@json)(?=$|[.\[])|"(?P<quoted>[^"]+)"|\[(?P<all>)\]|\[(?P<index>\d{1,4})\]"""
    r"""|\[(?P<key>[^=\]\[]+)=(?P<value>[^\]]*)\]|(?P<name>[^.\[\]"]+)"""
)
Step = tuple[str, str, str]


def steps(path: str) -> list[Step]:
    """A JSON field path as (kind, text, value) steps; kind is json, quoted, all, index, key or name. ValueError if
    malformed."""
    found: list[Step] = []
    place = 0
    while place < len(path):
        if found and path[place] == ".":
            place += 1
        match = _STEP.match(path, place)
        if match is None:
            raise ValueError(path)
        kind = "key" if match["key"] is not None else str(match.lastgroup)
        found.append(("name" if kind == "quoted" else kind, match[kind] or "", match["value"] or ""))
        place = match.end()
    if not found:
        raise ValueError(path)
    return found


def _problems(mapping: Mapping) -> list[tuple[str, str]]:
    found = [*_time_problems(mapping), *_text_problems(mapping), *_severity_problems(mapping)]
    if mapping.format == "json":
        found += [(key, f"not a field path: {path!r}") for key, path in _paths(mapping) if not _is_path(path)]
    elif len(mapping.delimiter) != 1 or not mapping.delimiter.isascii() or mapping.delimiter in '"\r\n':
        found.append(("delimiter", "must be one ASCII character"))
    elif mapping.columns:
        found += [(k, f"no column named {path!r} in columns") for k, path in _paths(mapping) if path not in mapping.columns]
    return found


def _time_problems(mapping: Mapping) -> list[tuple[str, str]]:
    time = mapping.time
    found = []
    if not time.field:
        found.append(("time.field", "must name a field"))
    for key, form in (("time.format", time.format), ("review.format", mapping.review.format)):
        if form not in (EPOCH_SECONDS, EPOCH_MILLIS, ISO) and "%" not in form:
            found.append((key, "must be epoch_s, epoch_ms, iso or a strptime pattern such as %d/%b/%Y:%H:%M:%S %z"))
    try:
        ZoneInfo(time.zone)
    except (ValueError, KeyError, OSError):
        found.append(("time.zone", f"no time zone named {time.zone!r}"))
    return found


def _text_problems(mapping: Mapping) -> list[tuple[str, str]]:
    picks = {"rule": mapping.rule, "product": mapping.product}
    found = [(key, "needs a field or a constant") for key, pick in picks.items() if not pick.fields and not pick.constant]
    picks |= {"title": mapping.title, "uid": mapping.uid, "severity": mapping.severity, "label": mapping.label}
    patterns = {f"{key}.pattern": pick.pattern for key, pick in picks.items()}
    patterns |= {f"entity[{i}].pattern": entity.pattern for i, entity in enumerate(mapping.entity)}
    for key, pattern in patterns.items():
        try:
            re.compile(pattern)
        except re.error as error:
            found.append((key, f"not a regular expression: {error}"))
    for i, rule in enumerate(mapping.ignore):
        if bool(rule.equals) + bool(rule.unless) + rule.missing != 1:
            found.append((f"ignore[{i}]", "needs exactly one of equals, unless, missing"))
    return found


def _severity_problems(mapping: Mapping) -> list[tuple[str, str]]:
    pick = mapping.severity
    names = {f"severity.table.{k}": v for k, v in pick.table.items()} | {f"severity.at_least.{k}": k for k in pick.at_least}
    names |= {f"severity.{k}": v for k, v in (("constant", pick.constant), ("default", pick.default)) if v}
    known = ", ".join(name.lower() for name in Severity.__members__)
    return [(key, f"no severity {name!r}; use {known}") for key, name in names.items() if severity_of(name) is None]


def _paths(mapping: Mapping) -> list[tuple[str, str]]:
    picks: dict[str, Pick | TimePick] = {
        "time": mapping.time, "rule": mapping.rule, "product": mapping.product, "title": mapping.title,
        "uid": mapping.uid, "severity": mapping.severity, "label": mapping.label,
    }  # fmt: skip
    found = [(f"{key}.field", path) for key, pick in picks.items() for path in listed(pick.field)]
    lists = {"tactics": mapping.tactics, "techniques": mapping.techniques}
    found += [(f"{key}.field", pick.field) for key, pick in lists.items() if pick.field]
    found += [("message", path) for path in mapping.message]
    said = mapping.review
    named = {"label": listed(said.label), "time": listed(said.time), "alert": said.alert, "group": said.group}
    found += [(f"review.{key}", path) for key, paths in named.items() for path in paths]
    found += [("review.site", path) for path in said.site] + [("review.each", path) for path in said.each]
    found += [(f"facets.{name}", path) for name, path in mapping.facets.items()]
    found += [(f"entity[{i}].field", pick.field) for i, pick in enumerate(mapping.entity)]
    return found + [(f"ignore[{i}].field", rule.field) for i, rule in enumerate(mapping.ignore)]


def listed(field: str | list[str]) -> list[str]:
    """One field or several, as a list without empty names."""
    return [name for name in ([field] if isinstance(field, str) else field) if name]


def _is_path(path: str) -> bool:
    try:
        steps(path)
    except ValueError:
        return False
    return True


def _error(text: str, file: str, key: str, what: str) -> ConfigError:
    todo = "see docs/mappings/ for examples"
    return ConfigError(f"{key}: {what}" if key else what, where=f"{file}:{locate(text, key)}", todo=todo)


def _key(what: str, path: str) -> str:
    """The key that msgspec complains of; unknown and missing fields stand in its text, not in its path."""
    key = path.rstrip("`").removeprefix(".").replace("[...]", "")
    match = re.search(r"unknown field `([^`]*)`", what)
    return f"{key}.{match.group(1)}".lstrip(".") if match else key


def _toml_line(error: tomllib.TOMLDecodeError) -> int:
    match = re.search(r"line (\d+)", str(error))
    return int(match.group(1)) if match else 1


_HEADER = re.compile(r"\s*\[(\[?)\s*([^\]]+?)\s*\]")
_ASSIGN = re.compile(r"\s*(?:\"([^\"]*)\"|'([^']*)'|([\w.-]+))\s*=")


def locate(text: str, key: str) -> int:
    """Line of a dotted key (``entity[1].type``) in TOML text; the nearest table above it if the key is not there, else
    1."""
    best, best_length = 1, 0
    table = ""
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = header.group(2)
            if header.group(1):
                counts[table] = counts.get(table, -1) + 1
                table = f"{table}[{counts[table]}]"
            name = table
        elif assign := _ASSIGN.match(line):
            inner = next(part for part in assign.groups() if part is not None)
            name = f"{table}.{inner}" if table else inner
        else:
            continue
        if len(name) > best_length and (key == name or key.startswith((name + ".", name + "["))):
            best, best_length = number, len(name)
    return best


def as_text(value: object) -> str:
    """A JSON scalar as text: numbers as written by Python, true and false as in JSON; "" for null and containers."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else ""
