"""Benchmarks: CPU time and ratios taken in one run, because machines are shared and noisy.

``hot_path`` sends alerts the whole way (inbox, hot path, ledger, tiles, signed checkpoints; every commit durable) into a
fresh data directory and reports alerts per CPU-second by stage. The yardstick beside it is plain ``json.loads`` of the
same bytes on the same machine in the same run.
"""

from __future__ import annotations

import gc
import json
import resource
import time
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from countersign.bootstrap import Site, open_site
from countersign.config import FILE
from countersign.evaluate import bench_alerts, bench_closing, bench_postgres
from countersign.feed import Feeder, Summary
from countersign.model.alerts import CHUNK_ALERTS_MAX, Delivery
from countersign.model.decisions import Decision
from countersign.policy.engine import PolicyEngine
from countersign.policy.gate import Gate, GateInput
from countersign.sources.reader import read_deliveries

YARDSTICK_MAX = 20_000
TIMED_EVERY = 16
"""Decisions of the gate of which one is timed: looking at the clock costs as much as some of them."""
OWN_SERVER = "postgres"
"""In place of a database address: start a PostgreSQL server for the run."""


def hot_path(
    folder: Path, source: Iterator[Delivery], *, database: str = "", begin: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Send deliveries the whole way in a new site under ``folder``; returns figures in CPU seconds.

    database: "" for SQLite, ``postgres`` for a server started and stopped here, else the address of an empty database.
    begin: called when everything is warm and the clock starts.
    """
    return _on(database, lambda address, cpu: _hot_path(folder, lambda: source, address, cpu, begin))


def closing(folder: Path, alerts: int, *, database: str = "") -> dict[str, Any]:
    """The same with new and distinct alerts of kinds that the agent may close at this site (``bench_closing``)."""

    def source() -> Iterator[Delivery]:
        return bench_alerts.deliveries(bench_closing.routine(alerts, bench_closing.earn(folder)))

    def run(address: str, cpu: _ServerCpu) -> dict[str, Any]:
        bench_closing.configured(folder, address)
        return _hot_path(folder, source, address, cpu)

    return _on(database, run)


_ServerCpu = Callable[[], float] | None


def _on(database: str, run: Callable[[str, _ServerCpu], dict[str, Any]]) -> dict[str, Any]:
    if database != OWN_SERVER:
        return run(database, None)
    with bench_postgres.own_server() as server:
        return run(server.url, server.cpu_seconds)


def _hot_path(
    folder: Path,
    supplied: Callable[[], Iterator[Delivery]],
    database: str,
    server_cpu: _ServerCpu,
    begin: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / FILE).write_text(f"database = {json.dumps(database)}\n" if database else "", "utf-8")
    source = supplied()
    site = open_site(folder)
    site.gate = timed = _TimedGate(site.policy)
    sample = _sample(source)
    yardstick = _yardstick(sample)
    supply = _Supply(chain(_consumed(sample), source))
    _warm_up(site)
    feeder = Feeder(site)
    served = server_cpu() if server_cpu else 0.0
    timed.cpu_seconds = 0.0
    gc.collect()  # what a warm-up leaves behind is no cost of what comes after it
    begin()
    wall, cpu = time.perf_counter(), time.process_time()
    feeder.feed(iter(supply))
    summary = feeder.finish()
    cpu, wall = time.process_time() - cpu - supply.cpu_seconds, time.perf_counter() - wall - supply.wall_seconds
    figures = _figures(summary, supply, cpu, wall) | {
        "database": database.partition(":")[0].partition("+")[0] or "sqlite",
        "json_loads_per_cpu_second": round(yardstick),
        "ratio_to_json_loads": round(supply.alerts / cpu / yardstick, 4),
        "policy_cpu_seconds": round(timed.cpu_seconds, 3),
        "policy_share": round(timed.cpu_seconds / cpu, 4),
    }
    if server_cpu:
        served = server_cpu() - served
        figures["server_cpu_seconds"] = round(served, 3)
        figures["alerts_per_cpu_second_with_server"] = round(supply.alerts / (cpu + served))
    site.close()
    return figures


class _TimedGate(Gate):
    """The gate of the set in force, with what its decisions cost by every sixteenth; looking at the clock counts as part of
    that."""

    def __init__(self, engine: PolicyEngine) -> None:
        super().__init__(engine)
        self.cpu_seconds = 0.0
        self._seen = 0
        self._remembering, self.decide = self.decide, self._timed  # type: ignore[assignment]  # asked, never cleared

    def _timed(self, given: GateInput) -> Decision:
        self._seen += 1
        if self._seen % TIMED_EVERY:
            return self._remembering(given)
        start = time.process_time()
        decision = self._remembering(given)
        self.cpu_seconds += (time.process_time() - start) * TIMED_EVERY
        return decision


class _Supply:
    """Hands deliveries on and counts them; what making or reading them costs is no cost of the hot path."""

    def __init__(self, source: Iterator[Delivery]) -> None:
        self._source = source
        self.alerts = self.size = 0
        self.cpu_seconds = self.wall_seconds = 0.0

    def __iter__(self) -> Iterator[Delivery]:
        while True:
            wall, cpu = time.perf_counter(), time.process_time()
            delivery = next(self._source, None)
            self.cpu_seconds += time.process_time() - cpu
            self.wall_seconds += time.perf_counter() - wall
            if delivery is None:
                return
            self.alerts += len(delivery.raws)
            self.size += sum(map(len, delivery.raws))
            yield delivery


def _sample(source: Iterator[Delivery]) -> list[Delivery]:
    """The first deliveries, for the yardstick; the rest is never held in memory as a whole."""
    held: list[Delivery] = []
    count = 0
    while count < YARDSTICK_MAX and (delivery := next(source, None)) is not None:
        held.append(delivery)
        count += len(delivery.raws)
    return held


def _consumed(held: list[Delivery]) -> Iterator[Delivery]:
    """The deliveries in order, each let go of as it is handed on."""
    held.reverse()
    while held:
        yield held.pop()


def _warm_up(site: Site) -> None:
    """Load lists and compile statements before the clock starts: a service does this once, not per alert."""
    feeder = Feeder(site)
    feeder.feed(bench_alerts.deliveries(bench_alerts.distinct_alerts(CHUNK_ALERTS_MAX, seed=0)))
    feeder.finish()


def _figures(summary: Summary, supply: _Supply, cpu: float, wall: float) -> dict[str, Any]:
    alerts = supply.alerts
    stages = dict(summary.stages)
    stages["the rest"] = cpu - sum(stages.values())
    return {
        "alerts": alerts,
        "bytes_per_alert": round(supply.size / max(1, alerts)),
        "findings": summary.findings,
        "closed": summary.closed,
        "entries": summary.size,
        "cpu_seconds": round(cpu, 3),
        "wall_seconds": round(wall, 3),
        "alerts_per_cpu_second": round(alerts / cpu),
        "stages": {
            name: {"cpu_seconds": round(s, 3), "alerts_per_cpu_second": round(alerts / s) if s > 0 else 0}
            for name, s in stages.items()
        },
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _yardstick(held: list[Delivery]) -> float:
    """Plain json.loads of the same messages per CPU-second (CSV records are wrapped as JSON strings)."""
    raws = list(islice((raw for d in held for raw in d.raws), YARDSTICK_MAX))
    texts = [raw if raw[:1] == b"{" else json.dumps(raw.decode()).encode() for raw in raws]
    start = time.process_time()
    for text in texts:
        json.loads(text)
    return len(texts) / max(time.process_time() - start, 1e-9)


def file_deliveries(path: Path, source: str, mapping: str) -> Iterator[Delivery]:
    """Deliveries of a real file."""
    return read_deliveries(path, source, mapping=mapping)
