"""An export of closed alerts → alerts with what people said of them. Every message is accounted for.

Any registered source reads the alert itself; what people said is looked up beside it, by column or JSON path, because no
source knows of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from countersign.errors import SourceError, UsageError
from countersign.evaluate.backtest_labels import ONLY_CLOSED, Labels, Truth, plain
from countersign.model.alerts import ENTITIES_MAX, Alert, Delivery, Ignored
from countersign.ports import Source
from countersign.sources import make_source
from countersign.sources.frames import Tally
from countersign.sources.generic import csv_record, time_reader
from countersign.sources.mapping import Mapping, ReviewPick, TimePick, as_text, listed, parse_mapping, steps
from countersign.sources.paths import Values, compile_path, many
from countersign.sources.reader import input_files, read_deliveries

EACH = ("hits.hits[]._source", "_source")
"""Where search engines put the alert in what they export."""
NAMED_MAX = 20
"""Most places named one by one; the rest is counted."""
SITE = "site"

Body = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Judged:
    """One alert. label: as the export has it. label_ms: when it was said, 0 when the export does not say."""

    alert: Alert
    truth: Truth
    label: str
    label_ms: int = 0
    group: str = ""
    site: str = SITE


@dataclass(slots=True)
class Account:
    """Where every message went: messages = alerts + rows that belong to another row's alert + ignored + unreadable.

    labels: (value, what it was taken for) → alerts. unreadable: file, line, field and error of the first ones.
    """

    lines: int = 0
    messages: int = 0
    alerts: int = 0
    more_rows: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    unreadable_count: int = 0
    unreadable: list[str] = field(default_factory=list)
    labels: Counter[tuple[str, str]] = field(default_factory=Counter)
    only_closed: int = 0
    timed: int = 0


@dataclass(frozen=True, slots=True)
class Export:
    """Alerts in order of time, and the account of what was read."""

    alerts: tuple[Judged, ...]
    account: Account


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to read an export. column: the label's column or JSON path; without one the mapping says it."""

    source: str
    mapping: str
    column: str
    labels: Labels

    @property
    def review(self) -> ReviewPick:
        """What the mapping says of labels; nothing for sources without a mapping."""
        return self.spec.review if self.spec else ReviewPick()

    @property
    def spec(self) -> Mapping | None:
        """The mapping, if there is one."""
        return parse_mapping(self.mapping) if self.mapping else None

    @property
    def label_fields(self) -> list[str]:
        """Where the label stands, in order."""
        return [self.column] if self.column else listed(self.review.label)


def read_export(path: Path, wanted: Wanted, say: Say = lambda _: None) -> Export:
    """Read a file or a directory's files. Raises UsageError with file, line and field: no label column, values that nobody
    explained, nothing that could be read, no label at all."""
    if not wanted.label_fields:
        todo = "name the column or JSON path of the analysts' status with --label-column"
        raise UsageError(f"source {wanted.source} carries no label of its own", where=str(path), todo=todo)
    reader = _Reader(wanted, say)
    for file in input_files(path):
        reader.file(file)
    return reader.done(str(path))


@dataclass(slots=True)
class _Reader:
    wanted: Wanted
    say: Say
    account: Account = field(default_factory=Account)
    found: list[Judged] = field(default_factory=list)
    rows: dict[tuple[str, ...], int] = field(default_factory=dict)
    unknown: dict[str, tuple[int, str]] = field(default_factory=dict)
    seen_label: bool = False
    first: str = ""

    def file(self, path: Path) -> None:
        tally = Tally()
        source: Source | None = None
        fields: _Fields | None = None
        named = (path, self.wanted.source)
        for delivery in read_deliveries(
            *named, mapping=self.wanted.mapping, unwrap=not self.wanted.review.each, tally=tally
        ):
            if source is None or fields is None:
                source = make_source(delivery.source, header=delivery.header, mapping=delivery.mapping)
                fields = _Fields(self.wanted, delivery)
            for line, raw in zip(delivery.positions, delivery.raws, strict=True):
                self._message(f"{path.name}:{line}", raw, source, fields)
            if self.account.messages % 50_000 < len(delivery.raws):
                self.say(f"read {self.account.messages:,} messages")
        self.account.lines += tally.lines

    def _message(self, where: str, raw: bytes, source: Source, fields: _Fields) -> None:
        parts = list(fields.parts(raw))
        self.account.messages += max(1, len(parts))
        if not parts:
            self.account.ignored["no alert inside"] += 1
        for part, get in parts:
            try:
                parsed = source.parse(part)
                if not isinstance(parsed, Ignored):
                    self._take(where, parsed, get, fields)
                    continue
            except SourceError as error:
                self._unreadable(where, error)
                continue
            self.account.ignored[parsed.reason] += 1

    def _unreadable(self, where: str, error: SourceError) -> None:
        self.account.unreadable_count += 1
        if len(self.account.unreadable) < NAMED_MAX:
            self.account.unreadable.append(f"{where}: {error}")

    def _take(self, where: str, alert: Alert, get: Callable[[str], Values | None], fields: _Fields) -> None:
        self.first = self.first or where
        label_ms, review = fields.time(get), self.wanted.review
        value, truth = self._label(where, get)
        site = " ".join(_joined(get, review.site)) or SITE
        if review.alert and any(key := _joined(get, review.alert)):
            place = self.rows.setdefault((site, *key), len(self.found))
            if place < len(self.found):
                self._again(place, alert, value, truth)
                return
        group = _joined(get, review.group)
        self.found.append(Judged(alert, truth, value, label_ms, "/".join(filter(None, group)), site))

    def _again(self, place: int, alert: Alert, value: str, truth: Truth) -> None:
        """One more row of an alert: its entities and techniques join it; a threat in any row is a threat."""
        self.account.more_rows += 1
        old = self.found[place]
        entities = tuple(dict.fromkeys((*old.alert.entities, *alert.entities)))[:ENTITIES_MAX]
        whole = msgspec.structs.replace(
            old.alert,
            entities=entities,
            time_ms=min(old.alert.time_ms, alert.time_ms),
            severity=max(old.alert.severity, alert.severity),
            tactics=tuple(dict.fromkeys((*old.alert.tactics, *alert.tactics))),
            techniques=tuple(dict.fromkeys((*old.alert.techniques, *alert.techniques))),
        )
        stronger = _RANK[truth] > _RANK[old.truth]
        value, truth = (value, truth) if stronger else (old.label, old.truth)
        self.found[place] = Judged(whole, truth, value, old.label_ms, old.group, old.site)

    def _label(self, where: str, get: Callable[[str], Values | None]) -> tuple[str, Truth]:
        """The first field that says something. Of a list (tags) only words that are known count; a single text must be."""
        for name in self.wanted.label_fields:
            found = get(name)
            if found is None:
                continue
            self.seen_label = True
            for value in (text for text in many(found) if text.strip()):
                truth = self.wanted.labels.of(value)
                if truth is not None:
                    return value, truth
                if isinstance(found, str):
                    count, first = self.unknown.get(value, (0, where))
                    self.unknown[value] = (count + 1, first)
                    return value, Truth.UNJUDGED
        return "", Truth.UNJUDGED

    def done(self, where: str) -> Export:
        """Everything read, or the error that says why it cannot be used."""
        names = " or ".join(self.wanted.label_fields)
        if not self.found:
            why = f"; the first: {self.account.unreadable[0]}" if self.account.unreadable else ""
            raise UsageError(f"no alert could be read{why}", where=where, todo="check --source and --mapping")
        if not self.seen_label:
            todo = "name the column or JSON path of the analysts' status with --label-column"
            raise UsageError(f"no alert has the field {names!r}", where=f"{self.first}: {names}", todo=todo)
        if self.unknown:
            raise self._not_explained(names)
        self.account.alerts = len(self.found)
        for judged in self.found:
            self.account.labels[judged.label or "(none)", judged.truth.value] += 1
            self.account.only_closed += judged.truth is Truth.BENIGN and plain(judged.label) == ONLY_CLOSED
            self.account.timed += bool(judged.label_ms)
        if all(judged.truth is Truth.UNJUDGED for judged in self.found):
            values = ", ".join(f"{value} {count}" for (value, _), count in self.account.labels.most_common(NAMED_MAX))
            todo = "export alerts that people have closed, or say what the values mean with --threat and --benign"
            what = f"none of {len(self.found)} alerts is judged ({values})"
            raise UsageError(what, where=f"{where}: {names}", todo=todo)
        return Export(tuple(sorted(self.found, key=lambda one: one.alert.time_ms)), self.account)

    def _not_explained(self, names: str) -> UsageError:
        ranked = sorted(self.unknown.items(), key=lambda item: (-item[1][0], item[0]))
        shown = ", ".join(f"{value[:60]!r} ({count})" for value, (count, _) in ranked[:NAMED_MAX])
        more = f" and {len(ranked) - NAMED_MAX} more" if len(ranked) > NAMED_MAX else ""
        todo = "say what each means: --threat VALUE, --benign VALUE or --unjudged VALUE ('*' for every other value)"
        return UsageError(f"unknown label values: {shown}{more}", where=f"{ranked[0][1][1]}: {names}", todo=todo)


_RANK = {Truth.UNJUDGED: 0, Truth.BENIGN: 1, Truth.THREAT: 2}


class _Fields:
    """How to look a field up in one message: by column, or by JSON path in the alert and in what is around it."""

    def __init__(self, wanted: Wanted, delivery: Delivery) -> None:
        self._spec = spec = wanted.spec
        self._each = wanted.review.each or ([] if spec else list(EACH))
        self._delimiter = spec.delimiter if spec else ","
        self._columns = self._csv_columns(delivery)
        self._paths: dict[str, Callable[[Body], Values]] = {}
        self._times = listed(wanted.review.time)
        form, zone = wanted.review.format, spec.time.zone if spec else "UTC"
        self._read_time = time_reader(TimePick(self._times, form, zone)) if self._times else None
        self._check(wanted, delivery)

    def _csv_columns(self, delivery: Delivery) -> list[str] | None:
        if self._spec is None or self._spec.format != "csv":
            return None
        return self._spec.columns or csv_record(delivery.header.removeprefix(b"\xef\xbb\xbf"), self._delimiter)

    def _check(self, wanted: Wanted, delivery: Delivery) -> None:
        if self._columns is None:
            for name in wanted.label_fields:
                _steps(name)
        elif not set(wanted.label_fields) & set(self._columns):
            names = " or ".join(wanted.label_fields)
            what = f"no column {names!r}; there are {', '.join(self._columns)[:300]}"
            raise UsageError(what, where=f"{delivery.origin}:1: {names}", todo="name the label's with --label-column")

    def parts(self, raw: bytes) -> Iterator[tuple[bytes, Callable[[str], Values | None]]]:
        """The alerts of a message, each with the function that looks a field up (None: it is not there)."""
        if self._columns is not None:
            yield raw, self._of_row(raw, self._columns)
            return
        try:
            body = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            body = None  # the source will say what is wrong with it
        if not isinstance(body, dict):
            yield raw, lambda _: None
            return
        inner = next((found for path in self._each if (found := objects(body, path)) is not None), None)
        if inner is None:
            yield raw, self._of_body(body, {})
            return
        for one in inner:
            yield msgspec.json.encode(one), self._of_body(one if isinstance(one, dict) else {}, body)

    def _of_row(self, raw: bytes, columns: Sequence[str]) -> Callable[[str], Values | None]:
        try:
            row = dict(zip(columns, csv_record(raw, self._delimiter), strict=True))
        except (SourceError, ValueError):
            row = {}
        return row.get

    def _of_body(self, inner: Body, outer: Body) -> Callable[[str], Values | None]:
        def get(name: str) -> Values | None:
            for body in (inner, outer):
                if name in body and not isinstance(body[name], dict):  # also where dots are part of the key
                    value = body[name]
                    return tuple(map(as_text, value)) if isinstance(value, list) else as_text(value)
                read = self._paths.get(name) or self._paths.setdefault(name, compile_path(name))
                if (found := read(body)) not in {"", ()}:
                    return found
                if objects(body, name) is not None:  # there, and empty
                    return ""
            return None

        return get

    def time(self, get: Callable[[str], Values | None]) -> int:
        """When the label was given, 0 when that is not said. Raises SourceError for what is no time."""
        if self._read_time is None:
            return 0
        named = {name: get(name) or "" for name in self._times}
        return self._read_time(named) if any(named.values()) else 0


def objects(body: Body, path: str) -> list[Any] | None:
    """What a path leads to, lists taken apart, without bound; None when it leads nowhere, [] when to an empty list."""
    nodes: list[Any] = [body]
    for kind, text, _ in _steps(path):
        if kind == "all":
            nodes = [item for node in nodes if isinstance(node, list) for item in node]
        elif any(isinstance(node, dict) and text in node for node in nodes):  # others stay: a source will refuse them
            nodes = [node[text] if isinstance(node, dict) and text in node else node for node in nodes]
        else:
            return None
        if not nodes:
            return None
    return [item for node in nodes for item in (node if isinstance(node, list) else [node])]


def _steps(path: str) -> list[tuple[str, str, str]]:
    try:
        return steps(path)
    except ValueError:
        raise UsageError(f"not a field path: {path!r}", where="--label-column", todo="write it as a.b.c") from None


def _joined(get: Callable[[str], Values | None], names: Sequence[str]) -> list[str]:
    return [next((text for text in many(get(name) or "") if text), "") for name in names]
