"""Feed files to the inbox and work it off: what ``countersign ingest`` and the demo do."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from countersign.bootstrap import Site
from countersign.errors import CountersignError
from countersign.model.alerts import Delivery
from countersign.model.decisions import Action
from countersign.model.entries import Kind
from countersign.store import inbox, ledger
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from countersign.store.gear import Report

CHUNKS_PER_COMMIT = 8
SEAL_EVERY_S = 1.0


@dataclass(slots=True)
class Summary:
    """What one feeding did: ``accepted + duplicates + ignored + quarantined + waiting == lines``. findings: made anew.
    closed, escalated: findings that it made or added to, by what their newest decision did: closed by the agent, left to
    people. waiting: accepted and on disk, but an agent without which nothing is processed is stopped. unsealed: why the last
    try to seal failed, "" when it did not."""

    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    ignored: int = 0
    findings: int = 0
    cases: int = 0
    closed: int = 0
    escalated: int = 0
    quarantined: int = 0
    waiting: int = 0
    unsealed: str = ""
    seconds: float = 0.0
    size: int = 0
    checkpoint: str = ""
    stages: dict[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The JSON document of the command's contract."""
        names = ["lines", "accepted", "duplicates", "ignored", "findings", "cases", "closed", "escalated", "quarantined"]
        names.append("waiting")
        ledger_state = {"size": self.size, "checkpoint": self.checkpoint}
        return {name: getattr(self, name) for name in names} | {"seconds": round(self.seconds, 3), "ledger": ledger_state}


class Feeder:
    """One feeding of a site. ``tick`` is told the lines handled so far."""

    def __init__(self, site: Site, tick: Callable[[int], None] | None = None) -> None:
        self._site = site
        self._tick = tick or (lambda _lines: None)
        self._run = f"file:{secrets.token_hex(6)}"
        self._triggers = {self._run}
        self._sealed = time.monotonic()
        self.summary = Summary()
        with reading(site.engine) as conn:
            self._start = ledger.size(conn)
            self._before = _counters(conn)

    def feed(self, deliveries: Iterator[Delivery], *, chain: bool = True) -> None:
        """Accept one file's deliveries (a chunk of them per commit) and process the inbox as it fills."""
        places: inbox.FileChain | None = None
        error: CountersignError | None = None
        while error is None:
            some, error = _take(deliveries)
            if not some:
                break
            if chain and places is None:
                places = inbox.FileChain(some[0].source, some[0].mapping)
            with self._timed("accept"):
                self._accept(some, places)
            self.work()
        if error is not None:
            raise error

    def _accept(self, some: list[Delivery], places: inbox.FileChain | None) -> None:
        fresh: list[Delivery] = []
        keys: list[bytes] = []
        with writing(self._site.engine) as conn:
            for delivery in map(_named, some):
                self.summary.lines += len(delivery.raws)
                rest: Delivery | None = delivery
                if places is not None:
                    rest, before, key = places.step(conn, delivery)
                    self.summary.duplicates += before
                    keys.append(key)
                if rest is not None:
                    fresh.append(rest)
            blobs = inbox.accept(conn, fresh, keys, trigger=self._run, now_ms=self._site.clock.now_ms())
        self._site.hot_path.expect({blob.digest: one for blob, one in zip(blobs, fresh, strict=True)})

    def resubmit(self, numbers: Iterable[int], *, mapping: str | None = None) -> None:
        """Send messages out of quarantine through again, also those before one that cannot be. Raises NotFoundError,
        ConflictError."""
        try:
            for number in numbers:
                self._triggers.add(str(self._site.commands.resubmit(number, mapping=mapping)))
                self.summary.lines += 1
        finally:
            self.work()

    def work(self) -> None:
        """Process what waits, sealing about once a second."""
        self._site.hot_path.drain(self._after_batch)
        self._site.hot_path.expect({})

    def _after_batch(self, report: Report) -> None:
        for stage, seconds in report.seconds.items():
            self.summary.stages[stage] = self.summary.stages.get(stage, 0.0) + seconds
        self._tick(self.summary.lines)
        if time.monotonic() - self._sealed > SEAL_EVERY_S:
            self._seal()

    def _seal(self) -> None:
        with self._timed("seal"):
            self.summary.unsealed = self._site.sealing.attempt()
        self._sealed = time.monotonic()

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        """Add the CPU time of the block to the stage."""
        start = time.process_time()
        yield
        self.summary.stages[stage] = self.summary.stages.get(stage, 0.0) + time.process_time() - start

    def finish(self) -> Summary:
        """Wait until nothing of this feeding waits, seal, and add up what the ledger says became of it."""
        while True:
            self.work()
            with reading(self._site.engine) as conn:
                waits = inbox.waiting_by_trigger(conn)
            self.summary.waiting = sum(waits.get(trigger, 0) for trigger in self._triggers)
            if not self.summary.waiting or self._site.hot_path.held_back:
                break
            time.sleep(0.05)  # another worker has the rest in hand
        self._site.hot_path.sweep()
        self._seal()
        self._count()
        return self.summary

    def _count(self) -> None:
        summary = self.summary
        with reading(self._site.engine) as conn:
            for _, entry in ledger.stream_kind(conn, Kind.ALERT_RECEIVED, self._start):
                if entry.trigger in self._triggers:
                    for name in ("accepted", "duplicates", "quarantined"):
                        setattr(summary, name, getattr(summary, name) + entry.body[name])
                    summary.ignored += sum(entry.body["ignored"].values())
            counters = _counters(conn)
            summary.cases = _open_since(conn, self._start)
            decided = _decided_since(conn, self._start)
        summary.closed = decided.pop(Action.CLOSE, 0)
        summary.escalated = sum(decided.values())
        summary.findings = counters.get("findings", 0) - self._before.get("findings", 0)
        checkpoint = None if summary.unsealed else self._site.sealer.checkpoint()
        if checkpoint is not None:
            summary.size, summary.checkpoint = checkpoint.size, checkpoint.root.hex()


def _named(delivery: Delivery) -> Delivery:
    """A file name may be any bytes, a ledger entry holds text: what is not UTF-8 is shown as U+FFFD."""
    origin = delivery.origin.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return delivery if origin == delivery.origin else msgspec.structs.replace(delivery, origin=origin)


def _take(deliveries: Iterator[Delivery]) -> tuple[list[Delivery], CountersignError | None]:
    """The next deliveries for one commit, and the error that ended them: what was read before it still counts."""
    some: list[Delivery] = []
    try:
        for delivery in islice(deliveries, CHUNKS_PER_COMMIT):
            some.append(delivery)  # noqa: PERF402 - what came before an error must be kept
    except CountersignError as error:
        return some, error
    return some, None


def _counters(conn: Connection) -> dict[str, int]:
    return {row.name: row.value for row in conn.execute(select(t.counters))}


def _decided_since(conn: Connection, start: int) -> dict[Action, int]:
    """Findings whose newest decision is one of entries from ``start`` on, by what it did. Where most of the ledger is older,
    they are found by those entries: looking at every finding of a large site would take longer than a small file."""
    f, e = t.findings.c, t.entries.c
    wanted = f.entry >= start
    if 2 * start > ledger.size(conn):
        wanted = f.id.in_(select(e.subject).where(e.kind == Kind.FINDING_DECIDED.value, e.idx >= start))
    newest = select(f.action, func.count()).where(wanted).group_by(f.action)
    return {Action(action): number for action, number in conn.execute(newest)}


def _open_since(conn: Connection, start: int) -> int:
    """Cases that entries from ``start`` on touched."""
    touched = select(func.count()).select_from(t.cases).where(t.cases.c.entry >= start, t.cases.c.merged_into == "")
    return int(conn.execute(touched).scalar_one())
