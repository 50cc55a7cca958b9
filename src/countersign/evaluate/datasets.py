"""AIT Alert Data Set (Landauer, Skopik & Wurzenberger 2024): CSV → alerts → findings → feature rows with truth.

The rows come from the pieces that the product itself runs (folding, merging, the past), in micro-batches of the
product's size, so that a model sees in training what it will see in use. Protocol: design/evaluation.md.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from countersign.correlate.fold import fold, merge
from countersign.correlate.history import History
from countersign.errors import ConfigError, UsageError
from countersign.model.alerts import CHUNK_ALERTS_MAX, Alert, Severity
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.findings import FOLD_WINDOW_MS, Finding
from countersign.sources import streams
from countersign.triage.features import Context, features

COLUMNS = ("time", "name", "ip", "host", "short", "time_label", "event_label")
META_ALERTS = ("IDS event", "First time this IDS alert", "Multiple IDS")
"""Wazuh's own echo of Suricata's alerts, unlabelled in the data."""
ENDINGS = (".csv", ".csv.gz", ".csv.xz", ".csv.zst")
BENIGN = "-"
DNS_TUNNEL = "dnsteal"
"""Two independent channels make 88 % of the positive findings: reported and weighted apart."""
TIME_MS_END = 1 << 42
"""In 2109; beyond, it is no time in seconds."""
_HOUR_MS = 12 * FOLD_WINDOW_MS


@dataclass(frozen=True, slots=True)
class Row:
    """One finding as it stood in one micro-batch. values: in the order of FEATURES. last: the finding's last touch."""

    finding: str
    values: tuple[int | str, ...]
    step: str
    last: bool


@dataclass(frozen=True, slots=True)
class Network:
    """One network of the data set. steps: attack step per finding id, for the threats only."""

    name: str
    sha256: str
    alerts: int
    rows: tuple[Row, ...]
    steps: dict[str, str]

    @property
    def findings(self) -> int:
        """Findings after folding."""
        return sum(row.last for row in self.rows)


def read_ait(folder: Path) -> list[Network]:
    """Every network of a folder, by name. Raises what ``ait_files`` and ``read_network`` raise."""
    return [read_network(path) for path in ait_files(folder)]


def ait_files(folder: Path) -> list[Path]:
    """Every ``*.csv`` of a folder, plain or packed, by name. Raises UsageError when there is none."""
    files = sorted(path for path in folder.glob("*") if path.name.endswith(ENDINGS))
    if not files:
        raise UsageError(
            "no *.csv file here, plain, gz, xz or zst", where=str(folder), todo="name the folder of AIT-ADS files"
        )
    return files


def read_file(path: Path) -> tuple[list[Alert], list[str], str]:
    """What ``read_alerts`` gives, and the SHA-256 of the file as it lies on disk. Raises ConfigError naming the line."""
    raw = path.read_bytes()
    try:
        text = b"".join(streams.blocks(io.BytesIO(raw))).decode("utf-8")
    except (streams.BrokenStreamError, UnicodeDecodeError) as error:
        raise ConfigError(f"not readable as CSV: {error}", where=path.name, todo="fetch the file again") from None
    alerts, steps = read_alerts(text, path.name)
    if not alerts:
        raise ConfigError("no alert in it", where=path.name, todo="take the file out, or fetch it again")
    return alerts, steps, hashlib.sha256(raw).hexdigest()


def read_network(path: Path) -> Network:
    """One network's rows. Raises ConfigError naming file and line."""
    alerts, steps, digest = read_file(path)
    rows, truth = replay(alerts, steps)
    return Network(path.name.split(".")[0], digest, len(alerts), tuple(rows), truth)


def read_alerts(text: str, where: str) -> tuple[list[Alert], list[str]]:
    """Alerts in time order and the attack step of each ("" when benign), meta-alerts left out."""
    reader = csv.DictReader(io.StringIO(text), restval="")
    if reader.fieldnames is None or set(COLUMNS) - set(reader.fieldnames):
        raise ConfigError(f"the header must name {','.join(COLUMNS)}", where=f"{where}:1")
    alerts, steps = [], []
    for line, record in enumerate(reader, start=2):
        if any(words in record["name"] for words in META_ALERTS):
            continue
        alerts.append(_alert(record, f"{where}:{line}"))
        if not record["event_label"]:
            raise ConfigError("no value", where=f"{where}:{line}: event_label", todo="'-' marks a benign alert")
        steps.append("" if record["event_label"] == BENIGN else record["event_label"])
    order = sorted(range(len(alerts)), key=lambda i: alerts[i].time_ms)
    return [alerts[i] for i in order], [steps[i] for i in order]


def _alert(record: dict[str, str], where: str) -> Alert:
    try:
        time_ms = int(float(record["time"]) * 1000)
        if not 0 <= time_ms < TIME_MS_END:
            raise ValueError
    except (ValueError, OverflowError):
        raise ConfigError(f"not a time in seconds: {record['time'][:40]!r}", where=f"{where}: time") from None
    product, _, name = record["name"].partition(": ")
    return Alert(
        source="generic",
        product=product,
        uid="",
        time_ms=time_ms,
        rule=name or product,
        title=name or product,
        severity=Severity.UNKNOWN,
        entities=(
            Entity(EntityType.HOST, record["host"].lower(), Role.TARGET),
            Entity(EntityType.IP, record["ip"], Role.TARGET),
        ),
    )


def host_role(host: str) -> str:
    """Role of an AIT host: its name, and for a user's own mail host (``smith_mail``) without the user."""
    return "mail" if host.endswith("_mail") else host


@dataclass(slots=True)
class _Site:
    """One network while its alerts go by."""

    history: History = field(default_factory=History)
    findings: dict[str, Finding] = field(default_factory=dict)
    rows: list[tuple[str, tuple[int | str, ...]]] = field(default_factory=list)
    steps: dict[str, str] = field(default_factory=dict)

    def batch(self, alerts: list[Alert], steps: list[str]) -> None:
        """One micro-batch through folding, the past and the features, as on the hot path."""
        found, members = fold(alerts)
        for new, indices in zip(found, members, strict=True):
            old = self.findings.get(new.id)
            whole = new if old is None else merge(old, new)
            past = self.history.take(whole, added=len(indices), first=old is None)
            self.findings[new.id] = whole
            self.rows.append((new.id, features(whole, Context(past=past, host_role=host_role(whole.host)))))
            for label in {steps[i] for i in indices} - {""}:
                self.steps[new.id] = min(label, self.steps.get(new.id, label))


def replay(alerts: list[Alert], steps: list[str]) -> tuple[list[Row], dict[str, str]]:
    """Rows in order of scoring, one per finding and batch that touched it, and the truth per finding."""
    site = _Site()
    for at in range(0, len(alerts), CHUNK_ALERTS_MAX):
        site.batch(alerts[at : at + CHUNK_ALERTS_MAX], steps[at : at + CHUNK_ALERTS_MAX])
        _forget(site, alerts[at].time_ms)
    last = {ident: i for i, (ident, _) in enumerate(site.rows)}
    rows = [Row(ident, values, site.steps.get(ident, ""), last[ident] == i) for i, (ident, values) in enumerate(site.rows)]
    return rows, site.steps


def _forget(site: _Site, now_ms: int) -> None:
    """Drop findings whose window is long over, to keep memory flat."""
    for ident in [i for i, f in site.findings.items() if f.window_ms < now_ms - _HOUR_MS]:
        del site.findings[ident]


def touches(rows: Iterable[Row]) -> dict[str, int]:
    """How many micro-batches touched each finding."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.finding] = counts.get(row.finding, 0) + 1
    return counts
