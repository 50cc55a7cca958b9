"""Recorded policy requests, for another Cedar implementation to replay: one JSON document a line.

A line with ``set`` comes before the first request that was put to it: ``policies`` (id → Cedar text), ``schema`` (Cedar's
JSON form), and ``closing``: each condition of the gate as a policy of its own. Every other line is one request as Cedar
takes it, with what the ledger says: ``decision``, ``reasons`` (ids of the policies that determine it, by the engine at hand,
since the entry names none), and of a close ``conditions``, each as the entry holds it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from countersign.evaluate.replay_asked import Asked, asked
from countersign.evaluate.replay_counts import tried
from countersign.evaluate.replay_findings import Findings
from countersign.evaluate.replay_past import FAULTS, Past, worded
from countersign.ledger.canonical import decode
from countersign.model.entries import Entry, Kind
from countersign.policy import documents
from countersign.policy.engine import PolicyEngine
from countersign.policy.gate import Gate
from countersign.store import ledger
from countersign.store import tables as t

PAGE = 1_000
Line = dict[str, Any]


class Requests:
    """``lines`` gives them. By reason, how many entries' requests cannot be put together again: ``lacking`` of what they
    rest on, or ``faulty``."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._findings = Findings(conn)
        self._past = Past(conn)
        self._told: set[str] = set()
        self.lacking: Counter[str] = Counter()
        self.faulty: Counter[str] = Counter()

    def lines(self, since: int = 0, limit: int = 0, until: int | None = None) -> Iterator[Line]:
        """Requests of the entries from index ``since`` on, at most ``limit`` (0: all)."""
        given = 0
        for index, entry in self._entries(since, ledger.size(self._conn) if until is None else until):
            for line in self._of(index, entry, told=index >= since):
                yield line
                given += "set" not in line
                if limit and given >= limit:
                    return

    def _entries(self, since: int, size: int) -> Iterator[tuple[int, Entry]]:
        """Everything, since what had been said before matters; decisions before ``since`` do not."""
        e = t.entries.c
        for start in range(0, size, PAGE):
            rows = select(e.idx, e.bytes).where(e.idx >= start, e.idx < min(start + PAGE, size))
            needed = (e.idx >= since) | (e.kind != Kind.FINDING_DECIDED.value)
            for row in self._conn.execute(rows.where(needed).order_by(e.idx)):
                try:
                    entry = decode(row.bytes)
                except FAULTS as error:
                    self._note(worded(error), "")
                else:
                    yield row.idx, entry

    def _of(self, index: int, entry: Entry, *, told: bool) -> Iterator[Line]:
        if entry.kind is Kind.FINDING_DECIDED:
            yield from self._decision(index, entry)
            return
        if told:
            found: list[Asked] = []
            self._note(*tried(lambda: _fill(found, asked(self._past, index, entry))))
            for one in found:
                yield from self._line(one, entry, self._past.policy[1])
        self._note(*tried(lambda: _taken(self._past, index, entry)))

    def _decision(self, index: int, entry: Entry) -> Iterator[Line]:
        found: list[Asked] = []
        self._note(*tried(lambda: _fill(found, [self._findings.asked(index, entry)])))
        for one in found:
            gate = self._findings.gate(one.policy)
            conditions = {name: outcome for name, outcome, _, _ in entry.body["conditions"]}
            for line in self._line(one, entry, gate.engine, gate):
                yield line if "set" in line else line | {"conditions": conditions}

    def _line(self, one: Asked, entry: Entry, engine: PolicyEngine, gate: Gate | None = None) -> Iterator[Line]:
        if one.hash not in self._told:
            self._told.add(one.hash)
            yield _set(engine, gate or Gate(engine))
        raw = documents.document(one.request)
        yield {
            "entry": one.index,
            "kind": entry.kind.value,
            "subject": one.subject,
            "policy": one.hash,
            **raw,
            "action": {"type": "Action", "id": raw["action"]},
            "entities": [entity | {"parents": []} for entity in raw["entities"]],
            "decision": "allow" if one.allowed else "deny",
            "reasons": sorted(engine.determining(one.request)),
        }

    def _note(self, what: str, lacks: str) -> None:
        self.faulty.update([what] if what else ())
        self.lacking.update([lacks] if lacks else ())


def _taken(past: Past, index: int, entry: Entry) -> str:
    past.take(index, entry)
    return ""


def _fill(found: list[Asked], new: list[Asked]) -> str:
    found += new
    return ""


def _set(engine: PolicyEngine, gate: Gate) -> Line:
    """A policy set whole, and the conditions of closing."""
    closing = {
        probe.name: {"policy": str(probe.handle), "forbids": probe.forbids, "optional": sorted(probe.optional)}
        for probe in gate.probes
    }
    texts = dict(engine.texts.statements)
    return {"set": engine.hash, "policies": texts, "schema": json.loads(engine.texts.schema), "closing": closing}
