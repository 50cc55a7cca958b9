"""Small real things for tests: a clock, alerts, ways to hand them in, and commands run as a stranger runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Engine, func, select

from countersign.actions.suggest import Suggestion, suggest
from countersign.approvals.record.judge import Approvals
from countersign.authority.agents import Operation
from countersign.authority.grant import Grant, Part, alone, case
from countersign.authority.terms import Use
from countersign.bootstrap import Site
from countersign.config import FILE
from countersign.feed import Feeder, Summary
from countersign.investigate.summary import Sentence, summarise
from countersign.ledger.verify import Report, verify
from countersign.model.alerts import Delivery
from countersign.model.entries import Entry, Kind
from countersign.model.inventory import Inventory
from countersign.model.records import FindingRecord
from countersign.store import ledger, rebuild
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from countersign.store.ledger_rows import LedgerRows
from tests import forking
from tests.forking import environment

ROOT = Path(__file__).resolve().parents[1]
NOON_MS = 1_790_000_100_000 - 1_790_000_100_000 % 300_000
"""Start of a folding window."""


@dataclass
class StepClock:
    """Time that moves one millisecond with every look at it."""

    at_ms: int = NOON_MS

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        self.at_ms += 1
        return self.at_ms


def draft_grant(ident: str, now_ms: int = 1) -> Grant:
    """What the investigator needs to draft about a case."""
    parts = [Part("investigator", one, (case(ident),)) for one in (Operation.SUMMARISE, Operation.PROPOSE)]
    return alone(Use(f"draft-{ident}", now_ms, ident), "investigator", parts)


def summary(records: Sequence[FindingRecord], *, now_ms: int) -> tuple[Sentence, ...]:
    """The draft of a case, under a lease for it."""
    found = draft_grant("C-1", now_ms)
    return summarise("C-1", records, found.of(Operation.SUMMARISE, case("C-1")), found.use)


def responses(ident: str, records: Sequence[FindingRecord], known: Inventory) -> tuple[Suggestion, ...]:
    """Suggested responses to a case, under a lease for it."""
    found = draft_grant(ident)
    return suggest(ident, records, known, found.of(Operation.PROPOSE, case(ident)), found.use)


def stamp(at_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return moment.isoformat(timespec="milliseconds")


def wazuh(
    ident: str,
    *,
    host: str = "web-1",
    rule: str = "5710",
    level: int = 5,
    at_ms: int = NOON_MS,
    title: str = "sshd: attempt to login using a non-existent user",
    data: dict[str, Any] | None = None,
    mitre: dict[str, list[str]] | None = None,
    **more: Any,
) -> bytes:
    """One Wazuh alert as a line of ``alerts.json``; without its own id when ``ident`` is empty."""
    alert: dict[str, Any] = {
        "timestamp": stamp(at_ms),
        "rule": {"id": rule, "level": level, "description": title, "groups": ["sshd"], "mitre": mitre or {}},
        "agent": {"id": "004", "name": host},
        "manager": {"name": "manager"},
        "decoder": {"name": "sshd"},
        "data": data if data is not None else {"srcip": "203.0.113.9"},
        "location": "/var/log/auth.log",
    }
    if ident:
        alert["id"] = ident
    return json.dumps(alert | more).encode()


def data_directory(folder: Path, database: str = "") -> Path:
    """A new data directory whose configuration names a database."""
    folder.mkdir(mode=0o700)
    (folder / FILE).write_text(f"database = {json.dumps(database)}\n", "utf-8")
    return folder


def deliver(site: Site, raws: Sequence[bytes], source: str = "wazuh", *, mapping: str = "", header: bytes = b"") -> Summary:
    """Hand raw messages in as one delivery without a place in a file, and process them."""
    feeder = Feeder(site)
    one = Delivery(source, "test", tuple(range(1, len(raws) + 1)), tuple(raws), header, mapping)
    feeder.feed(iter([one]), chain=False)
    return accounted(feeder.finish())


def accounted(summary: Summary) -> Summary:
    """The summary, after seeing that every line is in it."""
    total = summary.accepted + summary.duplicates + summary.ignored + summary.quarantined
    assert total == summary.lines, summary
    return summary


def count(engine: Engine, table: str, *where: Any) -> int:
    """Rows of a table."""
    with reading(engine) as conn:
        return int(conn.execute(select(func.count()).select_from(t.metadata.tables[table]).where(*where)).scalar_one())


def alerts_in_findings(engine: Engine) -> int:
    """Raw alerts that stand behind all findings."""
    with reading(engine) as conn:
        return int(conn.execute(select(func.coalesce(func.sum(t.findings.c.count), 0))).scalar_one())


def entries(engine: Engine, kind: Kind | None = None) -> list[Entry]:
    """Committed entries, of one kind if given."""
    with reading(engine) as conn:
        found = ledger.stream(conn) if kind is None else ledger.stream_kind(conn, kind)
        return [entry for _, entry in found]


def spoken(data: bytes) -> str:
    """What bytes say but for keys, signatures and digests, in which any name of a few letters stands now and then."""
    return re.sub(rb"[\w+/=-]{20,}", b" ", data).decode("utf-8", "replace")


def assert_rebuilds(site: Site) -> None:
    """Every projection comes out of the ledger as it stands; nothing is changed."""
    with writing(site.engine) as conn:
        before = rebuild.digests(conn)
        rebuild.rebuild(conn)
        after = rebuild.digests(conn)
        conn.get_transaction().rollback()  # type: ignore[union-attr]
    differing = [name for name in before if before[name] != after[name]]
    assert not differing, f"a rebuild gives other rows in {', '.join(differing)}"


def judged(site: Site) -> Report:
    """Seal; what ``countersign verify`` finds then in the log, the approvals in it, and the database beside it."""
    site.seal()
    record = LedgerRows(site.engine)
    return verify(site.tiles, [site.log_key.vkey], record=record, judges=[Approvals(record.matter)])


def verified(site: Site) -> Report:
    """The same, and that it holds."""
    report = judged(site)
    assert report.ok, report.problems
    return report


def command(*args: str | Path) -> list[str]:
    """``countersign ARGS`` as an argument list."""
    return [sys.executable, "-m", "countersign", *map(str, args)]


def run(*args: str | Path, stdin: bytes = b"", timeout_s: float = 120, **more: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end. more: what its environment holds besides."""
    order = forking.Order("countersign", tuple(map(str, args)), environment(**more), "/")
    return forking.run(order, stdin, timeout_s)


def start(*args: str | Path, stdout: IO[bytes], stderr: IO[bytes], module: str = "countersign") -> forking.Process:
    """Start a command, or a module of the tests, that is killed or watched while it runs."""
    order = forking.Order(module, tuple(map(str, args)), environment(), "/" if module == "countersign" else str(ROOT))
    with open(os.devnull, "rb") as nothing:
        return forking.start(order, nothing, stdout, stderr)


def run_json(*args: str | Path, stdin: bytes = b"") -> Any:
    """The JSON document that a command prints; it must end with 0."""
    done = run(*args, "--json", stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)
