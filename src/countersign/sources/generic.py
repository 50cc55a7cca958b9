"""Any JSON or CSV through a mapping (see ``mapping.py``), compiled once into closures.

Everything but time, uid and message is derived from a few fields that repeat, so the derived part is remembered by
their values in a bounded cache: the 473,104 lines of a network under attack have some thousands of distinct
combinations.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

import msgspec

from countersign.errors import ConfigError, SourceError
from countersign.model.alerts import Alert, Ignored, Severity
from countersign.model.entities import Entity
from countersign.sources import mapping as m
from countersign.sources import values
from countersign.sources.attack import tactic_ids, technique_ids
from countersign.sources.paths import Values, compile_path, first, many

_TEMPLATES_MAX = 4096
_CACHED_BYTES_MAX = 4096
"""Longer messages are not remembered: a cache must not hold megabytes of an attacker's text."""
_MULTI_SEPARATORS = re.compile(r"[,;|\n]+")
_FIELD_CHARS_MAX = 4096
_LIST_CHARS_MAX = 1024
Row = Sequence[Values]


class Template(msgspec.Struct, frozen=True, gc=False):
    """All of an alert that does not change from one repeat to the next."""

    product: str
    rule: str
    title: str
    severity: Severity
    tactics: tuple[str, ...]
    techniques: tuple[str, ...]
    entities: tuple[Entity, ...]
    facets: tuple[tuple[str, str], ...]
    tainted: tuple[str, ...]
    label: str


class GenericSource:
    """One mapped format. ``parse`` costs a dictionary lookup when the combination of fields was seen before."""

    name = "generic"

    def __init__(self, *, header: bytes = b"", mapping: str = "") -> None:
        self._mapping = spec = m.parse_mapping(mapping)
        self._time = time_reader(spec.time)
        self._rule = _text(spec.rule, "rule")
        self._product = _text(spec.product, "product")
        self._title = _text(spec.title, "title")
        self._label = _text(spec.label, "label")
        self._uid = _text(spec.uid, "uid")
        self._severity = _severity(spec.severity)
        self._entities = [_entity(pick) for pick in spec.entity]
        trusted = frozenset(spec.trusted)
        self._fixed_fields = _fixed_fields(spec)
        self._event_fields = tuple(dict.fromkeys([*m.listed(spec.time.field), *spec.uid.fields, *spec.message]))
        self._tainted = tuple((i, m.tainted_path(f)) for i, f in enumerate(self._fixed_fields) if f not in trusted)
        self._tainted_message = tuple(f for f in spec.message if f not in trusted)
        self._templates: dict[Row, Template | Ignored] = {}
        self._read = self._csv_reader(header) if spec.format == "csv" else self._json_reader()

    def parse(self, raw: bytes) -> Alert | Ignored:
        """Read one message. Raises SourceError naming the field."""
        key, event = self._read(raw)
        template = self._templates.get(key)
        if template is None:
            template = self._template(key)
            if len(raw) <= _CACHED_BYTES_MAX:
                if len(self._templates) >= _TEMPLATES_MAX:
                    self._templates.clear()
                self._templates[key] = template
        if isinstance(template, Ignored):
            return template
        named = dict(zip(self._event_fields, event, strict=True))
        message, tainted = self._message(named, template.tainted) if self._mapping.message else ("", template.tainted)
        return Alert(
            source="generic",
            product=template.product,
            uid=self._uid(named)[: values.VALUE_CHARS_MAX],
            time_ms=self._time(named),
            rule=template.rule,
            title=template.title,
            severity=template.severity,
            tactics=template.tactics,
            techniques=template.techniques,
            entities=template.entities,
            facets=template.facets,
            tainted=tainted,
            message=message,
            label=template.label,
        )

    def _message(self, named: dict[str, Values], tainted: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        parts = [text for name in self._mapping.message for text in many(named[name]) if text]
        more = [m.tainted_path(name) for name in self._tainted_message if named[name]]
        return values.message(" · ".join(parts)), (*tainted, *[name for name in more if name not in tainted])

    def _template(self, key: Row) -> Template | Ignored:
        named = dict(zip(self._fixed_fields, key, strict=True))
        for rule in self._mapping.ignore:
            if _ignored(rule, first(named[rule.field])):
                return Ignored(rule.reason)
        spec = self._mapping
        rule_id, product = self._rule(named), self._product(named)
        if not rule_id:
            raise SourceError("empty or missing", where=" or ".join(spec.rule.fields) or "rule")
        return Template(
            product=(product or "unknown")[:128],
            rule=rule_id[: values.RULE_CHARS_MAX],
            title=(self._title(named) or rule_id)[: values.TITLE_CHARS_MAX],
            severity=self._severity(named),
            tactics=tactic_ids(_several(spec.tactics, named)),
            techniques=technique_ids(_several(spec.techniques, named)),
            entities=values.unique(entity for find in self._entities for entity in find(named)),
            facets=tuple((name, first(named[f])[:64]) for name, f in spec.facets.items() if named[f]),
            tainted=tuple(dict.fromkeys(path for i, path in self._tainted if key[i])),
            label=self._label(named)[:64],
        )

    def _csv_reader(self, header: bytes) -> Callable[[bytes], tuple[Row, Row]]:
        spec = self._mapping
        if not header and not spec.columns:
            return _no_header
        columns = spec.columns or csv_record(header.removeprefix(b"\xef\xbb\xbf"), spec.delimiter)
        width = len(columns)
        pick_fixed = _picker(self._fixed_fields, columns, spec.optional)
        pick_event = _picker(self._event_fields, columns, spec.optional)
        delimiter = spec.delimiter

        def read(raw: bytes) -> tuple[Row, Row]:
            row = csv_record(raw, delimiter)
            if len(row) != width:
                raise SourceError(f"{len(row)} fields, the header has {width}", where=f"field {min(len(row), width) + 1}")
            return pick_fixed(row), pick_event(row)

        return read

    def _json_reader(self) -> Callable[[bytes], tuple[Row, Row]]:
        fixed = [compile_path(path) for path in self._fixed_fields]
        event = [compile_path(path) for path in self._event_fields]
        decoder = msgspec.json.Decoder(dict[str, Any])

        def read(raw: bytes) -> tuple[Row, Row]:
            body = values.decode_json(decoder, raw)
            return tuple([get(body) for get in fixed]), tuple([get(body) for get in event])

        return read


def csv_record(raw: bytes, delimiter: str) -> list[str]:
    """The fields of one CSV record (RFC 4180: quotes double inside quotes). Raises SourceError."""
    text = values.text_bytes(raw).decode()
    if '"' not in text:
        return text.split(delimiter)
    try:
        rows = list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise SourceError(f"not valid CSV: {error}", todo="quote fields as RFC 4180 says") from None
    if len(rows) != 1:
        raise SourceError(f"{len(rows)} records where one was expected")
    return rows[0]


def _no_header(raw: bytes) -> tuple[Row, Row]:
    """Reader of a CSV source that was made without its header: it can be checked, but reads nothing."""
    del raw
    raise SourceError("the CSV header is not known", where="header", todo="deliver the header with the records")


def _picker(fields: Sequence[str], columns: Sequence[str], optional: Sequence[str]) -> Callable[[Sequence[str]], Row]:
    missing = [name for name in fields if name not in columns and name not in optional]
    if missing:
        raise ConfigError(
            f"the mapping names the column {missing[0]!r}, the CSV header has {', '.join(columns)[:200] or 'none'}",
            where="CSV header",
            todo="use the mapping that was made for this file",
        )
    if any(name not in columns for name in fields):
        found = [columns.index(name) if name in columns else -1 for name in fields]
        return lambda row: tuple([row[i] if i >= 0 else "" for i in found])
    places = [columns.index(name) for name in fields]
    if len(places) == 1:
        place = places[0]
        return lambda row: (row[place],)
    pick: Callable[[Sequence[str]], Row] = itemgetter(*places)
    return pick if places else lambda row: ()


def _fixed_fields(spec: m.Mapping) -> tuple[str, ...]:
    picks = (spec.rule, spec.product, spec.title, spec.severity, spec.label)
    names = [name for pick in picks for name in pick.fields]
    names += [pick.field for pick in (spec.tactics, spec.techniques) if pick.field]
    names += [*spec.facets.values(), *(pick.field for pick in spec.entity), *(rule.field for rule in spec.ignore)]
    return tuple(dict.fromkeys(names))


def time_reader(pick: m.TimePick) -> Callable[[dict[str, Values]], int]:
    """The function that reads a time in milliseconds, with repeats remembered."""
    fields, form, zone = m.listed(pick.field), pick.format, m.zone_of(pick)
    where = fields[0]

    @lru_cache(maxsize=4096)
    def read(text: str) -> int:
        try:
            if form == m.EPOCH_SECONDS:
                return _epoch_ms(text, 1000)
            if form == m.EPOCH_MILLIS:
                return _epoch_ms(text, 1)
            moment = datetime.fromisoformat(text) if form == m.ISO else datetime.strptime(text, form)  # noqa: DTZ007
            return values.datetime_ms(moment if moment.tzinfo else moment.replace(tzinfo=zone))
        except (ValueError, OverflowError):
            raise SourceError(f"not a time in format {form}: {text[:40]!r}", where=where) from None

    def of(named: dict[str, Values]) -> int:
        for name in fields:
            if text := first(named[name]):
                return values.bounded_ms(read(text[:64].strip()), name)
        raise SourceError("missing", where=where)

    return of


def _epoch_ms(text: str, factor: int) -> int:
    if text.isascii() and text.isdecimal():
        return int(text) * factor
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return round(number * factor)


def _text(pick: m.Pick, key: str) -> Callable[[dict[str, Values]], str]:
    del key
    fields, table, default, prefix = pick.fields, pick.table, pick.default, pick.prefix
    pattern = re.compile(pick.pattern) if pick.pattern else None

    def read(named: dict[str, Values]) -> str:
        text = pick.constant
        for name in fields:
            if found := first(named[name]):
                text = found
                break
        if pattern is not None:
            text = matched(pattern, text)
        if table:
            text = table.get(text, default or text)
        text = text or default
        return prefix + text if text else ""

    if not fields and pattern is None and not table:
        constant = prefix + (pick.constant or default) if pick.constant or default else ""
        return lambda named: constant
    return read


def matched(pattern: re.Pattern[str], text: str) -> str:
    """First group of the pattern's first match (the whole match if it has no groups), "" when nothing matches."""
    match = pattern.search(text[:_FIELD_CHARS_MAX])
    if match is None:
        return ""
    return (match.group(1) if pattern.groups else match.group()) or ""


def _severity(pick: m.SeverityPick) -> Callable[[dict[str, Values]], Severity]:
    if not pick.at_least:
        text = _text(pick, "severity")
        return lambda named: m.severity_of(text(named)) or Severity.UNKNOWN
    ladder = sorted(((need, m.severity_of(name) or Severity.UNKNOWN) for name, need in pick.at_least.items()), reverse=True)
    default = m.severity_of(pick.default) or Severity.UNKNOWN

    def read(named: dict[str, Values]) -> Severity:
        for name in pick.fields:
            try:
                number = float(first(named[name])[:64])
            except ValueError:
                continue
            return next((found for need, found in ladder if number >= need), default)
        return default

    return read


def _several(pick: m.ManyPick, named: dict[str, Values]) -> tuple[str, ...]:
    given = [value[:_LIST_CHARS_MAX] for value in many(named[pick.field])] if pick.field else []
    texts = [part for value in given for part in (value, *_MULTI_SEPARATORS.split(value))][:64]
    if pick.table:
        return (*pick.constant, *(ident for text in texts for ident in pick.table.get(text, ())))
    return (*pick.constant, *texts)


def _entity(pick: m.EntityPick) -> Callable[[dict[str, Values]], list[Entity | None]]:
    make = values.maker(pick.type, pick.role)
    pattern = re.compile(pick.pattern) if pick.pattern else None
    swaps = tuple(pick.replace.items())

    def tidy(text: str) -> str:
        if pattern is not None:
            text = matched(pattern, text)
        for old, new in swaps:
            text = text.replace(old, new)
        if pick.short and not values.clean_ip(text):
            text = text.partition(".")[0]
        return pick.prefix + text if text else ""

    return lambda named: [make(tidy(text[:_FIELD_CHARS_MAX])) for text in many(named[pick.field]) if text]


def _ignored(rule: m.IgnoreRule, text: str) -> bool:
    if rule.missing:
        return not text
    return text in rule.equals if rule.equals else text not in rule.unless
