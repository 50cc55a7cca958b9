"""The state of every scope: loaded for a batch or a command, written back with an entry that holds the same bytes.

``autonomy.observed`` carries the whole state, so ``rebuild`` needs no arithmetic to bring it back; what happened on the way
(certified, halted, demoted …) has an entry of its own with the statistic that caused it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from countersign.autonomy import governor
from countersign.autonomy.governor import Governed
from countersign.autonomy.scopes import DEFAULT_SCOPES
from countersign.autonomy.states import Event, Happened, Observation
from countersign.model.entries import Actor, Entry, Kind
from countersign.store import tables as t
from countersign.store.sql import insert_new_rows, upsert_rows

SYSTEM = Actor("system", "governor")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Governed).decode
Edges = Sequence[int]


@dataclass(frozen=True, slots=True)
class InForce:
    """Model and policy that decide at present. edges: score bands of the model's training folds."""

    model: str
    policy: str
    edges: Edges = ()


class Judgement(msgspec.Struct, frozen=True):
    """A person's answer as the bounds count it: one for each pattern of a disposed case (its finding nearest to the
    threshold), or one blind review. closed: it speaks of a close by the agent. q_ppm: probability of the draw."""

    finding: str
    case: str
    scope: str
    pattern: str
    pico: int
    p1_ppm: int
    threat: bool
    quiet: int
    source: str
    model: str
    policy: str
    q_ppm: int = 1_000_000
    q_min_ppm: int = 1_000_000
    closed: bool = False
    blind: bool = False


@dataclass(slots=True)
class Governance:
    """Every scope's state within one transaction. ``changed`` and ``events`` become entries and rows in ``write``."""

    states: dict[str, Governed]
    now_ms: int
    changed: set[str] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)

    def take(self, scope: str, step: governor.Step) -> None:
        """Take in what a pure step made of a scope, and keep what it says happened."""
        after, events = step
        if after != self.states[scope]:
            self.states[scope] = after
            self.changed.add(scope)
        self.events.extend(events)


def stored(conn: Connection) -> dict[str, Governed]:
    """The states that have been written."""
    return {row.scope: _decode(row.state) for row in conn.execute(select(t.autonomy.c.scope, t.autonomy.c.state))}


def load(conn: Connection, force: InForce, now_ms: int, scopes: Iterable[str] = DEFAULT_SCOPES) -> Governance:
    """The state of each scope; one that has none yet begins."""
    found = stored(conn)
    return Governance({name: found.get(name) or governor.begin(name, force.model, force.policy) for name in scopes}, now_ms)


def observe(governance: Governance, force: InForce, killed: frozenset[str]) -> None:
    """Take in model, policy, kill switches and the age of labels: scopes step back by themselves."""
    for name, governed in list(governance.states.items()):
        stopped = bool(killed & {"*", name})
        state = governed.state
        age = governance.now_ms - state.newest_label_ms > state.rules.label_age_ms_max
        if (state.model, state.policy, state.stopped) == (force.model, force.policy, stopped) and not age:
            continue
        governance.take(
            name, governor.observe(governed, governance.now_ms, model=force.model, policy=force.policy, stopped=stopped)
        )


def keep(conn: Connection, judgements: Sequence[Judgement], entry: int, at_ms: int) -> None:
    """Rows of people's answers."""
    insert_new_rows(conn, t.judgements, [_row(one, entry, at_ms) for one in judgements])


Reviewed = Callable[[str], tuple[list[int], list[bool]]]
"""Of a scope: score and threat of every quiet reviewed finding of the model and policy in force."""


def judge(conn: Connection, governance: Governance, judgements: Sequence[Judgement], force: InForce) -> None:
    """Let each scope take people's answers in, which are kept already: bands anew when due, then certificate, alarm and
    change."""

    def rows(scope: str) -> tuple[list[int], list[bool]]:
        columns = t.judgements.c
        mine = (columns.scope == scope, columns.quiet > 0, columns.model == force.model, columns.policy == force.policy)
        found = conn.execute(select(columns.pico, columns.threat).where(*mine)).all()
        return [row.pico for row in found], [bool(row.threat) for row in found]

    weigh(governance, judgements, force, rows)


def weigh(governance: Governance, judgements: Sequence[Judgement], force: InForce, rows: Reviewed) -> None:
    """The same from any memory of what was reviewed; a replay has the ledger's."""
    for one in judgements:
        if one.scope not in governance.states:
            continue
        if one.quiet and (one.model, one.policy) == (force.model, force.policy):
            _walk(governance, one, force, rows)
        if one.closed or one.quiet == 2:
            seen = Observation(
                one.finding, one.threat, governance.now_ms, one.blind, one.model, one.policy, one.q_ppm, one.q_min_ppm
            )
            governance.take(one.scope, governor.reviewed(governance.states[one.scope], seen))


def _walk(governance: Governance, one: Judgement, force: InForce, rows: Reviewed) -> None:
    """Score bands from every quiet reviewed finding of the model and policy in force."""
    picos, threats = rows(one.scope)
    governed = governance.states[one.scope]
    if governor.walk_due(governed, len(picos), threat=one.threat):
        governance.take(one.scope, (governor.walk(governed, picos, threats, force.edges), ()))


def _row(one: Judgement, entry: int, now_ms: int) -> tuple[Any, ...]:
    return (
        entry, one.finding, one.case, one.scope, one.pattern, one.pico, one.p1_ppm, int(one.threat), one.quiet, one.source,
        one.q_ppm, now_ms, one.model, one.policy,
    )  # fmt: skip


_KINDS: Mapping[Happened, Kind] = {
    Happened.CERTIFIED: Kind.AUTONOMY_CERTIFIED,
    Happened.HALTED: Kind.AUTONOMY_HALTED,
    Happened.RESTARTED: Kind.AUTONOMY_RESTARTED,
    Happened.DEMOTED: Kind.AUTONOMY_DEMOTED,
    Happened.PROMOTED: Kind.AUTONOMY_PROMOTED,
    Happened.ACKNOWLEDGED: Kind.AUTONOMY_ACKNOWLEDGED,
}
"""Stopping and resuming have entries of their own, written by the person's command."""


def write(conn: Connection, governance: Governance, first: int, trigger: str, actor: Actor = SYSTEM) -> list[Entry]:
    """Rows of the changed scopes, and the entries that say what happened; ``first`` is the index of the first. The caller
    appends them in this order."""
    entries = said(governance, trigger, actor)
    happened = len(entries) - len(governance.changed)
    changed = enumerate(sorted(governance.changed), first + happened)
    upsert_rows(conn, t.autonomy, [(scope, _encode(governance.states[scope]), index) for index, scope in changed])
    governance.changed.clear()
    governance.events.clear()
    return entries


def said(governance: Governance, trigger: str, actor: Actor = SYSTEM) -> list[Entry]:
    """Entries of what happened, then of each changed scope's state."""
    entries = [
        Entry(_KINDS[event.happened], event.at_ms, actor, event.scope, trigger, _event(event))
        for event in governance.events
        if event.happened in _KINDS
    ]
    for scope in sorted(governance.changed):
        governed = governance.states[scope]
        body = observed(governed, _encode(governed))
        entries.append(Entry(Kind.AUTONOMY_OBSERVED, governance.now_ms, SYSTEM, scope, trigger, body))
    return entries


def state_of(body: Mapping[str, Any]) -> Governed:
    """The state that an ``autonomy.observed`` holds."""
    return _decode(bytes.fromhex(body["state"]))


def _event(event: Event) -> dict[str, Any]:
    return {
        "before": event.before.value,
        "after": event.after.value,
        "cause": event.cause,
        "statistic": event.statistic,
        "value": event.value,
    }


def observed(governed: Governed, data: bytes) -> dict[str, Any]:
    """Body of ``autonomy.observed``: the figures for people, and the state's own bytes in hex."""
    state = governed.state
    return {
        "stage": state.stage.value,
        "halted": state.halted,
        "reviewed": state.reviewed,
        "threats": state.threats,
        "bound_ppm": governed.bound_ppm,
        "certificate_unats": state.certificate.unats,
        "strict_unats": state.strict.unats,
        "alarm_unats": state.alarm.unats,
        "change_unats": state.change.unats,
        "bands": [[b.upto, b.reviewed, b.threats, b.p_ppm] for b in governed.bands],
        "state": data.hex(),
    }


def apply_observed(conn: Connection, scope: str, body: Mapping[str, Any], entry: int) -> None:
    """Row of a scope from its entry."""
    upsert_rows(conn, t.autonomy, [(scope, bytes.fromhex(body["state"]), entry)])
