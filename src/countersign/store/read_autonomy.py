"""Questions behind the **Autonomy** page: every scope's state with the course of its evidence and what happened to it.

Nothing here writes or decides; the state is the one that the last batch or the last person's act left.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, func, select

from countersign.autonomy.governor import Governed
from countersign.autonomy.readiness import missing
from countersign.autonomy.scopes import DEFAULT_SCOPES
from countersign.model.entries import Kind
from countersign.store import autonomy, read_case, switches
from countersign.store import tables as t
from countersign.store.autonomy import InForce
from countersign.store.read_case import EntryView

EVENTS_MAX = 6
JUDGED_MAX = 20_000
"""Newest answers that the course of a bound is drawn from."""
EVENTS = (
    Kind.AUTONOMY_STOPPED,
    Kind.AUTONOMY_RESUMED,
    Kind.AUTONOMY_CERTIFIED,
    Kind.AUTONOMY_HALTED,
    Kind.AUTONOMY_RESTARTED,
    Kind.AUTONOMY_DEMOTED,
    Kind.AUTONOMY_PROMOTED,
    Kind.AUTONOMY_ACKNOWLEDGED,
)
_KINDS = [kind.value for kind in EVENTS]


class Judged(msgspec.Struct, frozen=True):
    """One answer that the present evidence counts."""

    at_ms: int
    case_id: str
    threat: bool


class ScopeView(msgspec.Struct, frozen=True):
    """One scope. switched: kill switches that hold it (``*`` or its own name). judged: the answers that its evidence counts,
    in time order. closes: ever; waiting: for a blind review. lacking: what stands before the next stage, in words."""

    name: str
    title: str
    governed: Governed
    switched: tuple[str, ...]
    judged: tuple[Judged, ...]
    closes: int
    waiting: int
    lacking: tuple[str, ...]
    events: tuple[EntryView, ...]

    @property
    def may_close(self) -> bool:
        """Whether the agent may close alone in this scope: its stage and its bands let it, and nobody stopped it."""
        return self.governed.state.may_close and bool(self.governed.bands) and not self.switched

    @property
    def told(self) -> bool:
        """Whether there is anything to tell of it: an answer, a close, an alarm, an event."""
        return bool(self.governed.state.reviewed or self.closes or self.governed.state.halted or self.own_events)

    @property
    def own_events(self) -> tuple[EntryView, ...]:
        """What happened to this scope, apart from what happened to all."""
        return tuple(event for event in self.events if event.subject == self.name)

    @property
    def cases(self) -> int:
        """Cases among the reviewed."""
        return len({one.case_id for one in self.judged})

    @property
    def threat_cases(self) -> int:
        """Cases among the threats."""
        return len({one.case_id for one in self.judged if one.threat})


class Prediction(msgspec.Struct, frozen=True):
    """An answer beside what the verdict had said: upper end of its interval."""

    p1_ppm: int
    threat: bool


def scopes(conn: Connection, now_ms: int) -> tuple[ScopeView, ...]:
    """Every scope, those that have a course first, in their fixed order."""
    governance = autonomy.load(conn, InForce("", ""), now_ms)
    stopped = switches.stopped(conn)
    standing, waiting = _closes(conn)
    views = [
        ScopeView(
            name=name,
            title=DEFAULT_SCOPES[name].title,
            governed=governed,
            switched=tuple(sorted(stopped & {switches.ALL, name})),
            judged=judged(conn, governed),
            closes=standing.get(name, 0),
            waiting=waiting.get(name, 0),
            lacking=missing(governed.state, now_ms),
            events=events(conn, name),
        )
        for name, governed in governance.states.items()
    ]
    return tuple(sorted(views, key=lambda view: not view.told))


def _closes(conn: Connection) -> tuple[dict[str, int], dict[str, int]]:
    """Closes ever and blind reviews that wait, by scope."""
    c = t.closes.c
    every = select(c.scope, func.count()).group_by(c.scope)
    waits = every.where(c.state == "closed", c.drawn == 1)
    return dict(conn.execute(every).all()), dict(conn.execute(waits).all())


def judged(conn: Connection, governed: Governed) -> tuple[Judged, ...]:
    """The answers that the scope's evidence counts: the newest ones on closes and would-be closes of the model and policy in
    force, as many as it says it has taken since it last began."""
    state, c = governed.state, t.judgements.c
    if not state.reviewed:
        return ()
    mine = select(c.at_ms, c.case_id, c.threat).where(
        c.scope == state.scope, c.quiet == 2, c.model == state.model, c.policy == state.policy
    )
    newest = mine.order_by(c.entry.desc(), c.finding_id.desc()).limit(min(state.reviewed, JUDGED_MAX))
    return tuple(Judged(row.at_ms, row.case_id, bool(row.threat)) for row in reversed(conn.execute(newest).all()))


def events(conn: Connection, scope: str, limit: int = EVENTS_MAX) -> tuple[EntryView, ...]:
    """What happened to a scope, newest first."""
    e = t.entries.c
    mine = select(t.entries).where(e.kind.in_(_KINDS), e.subject.in_([scope, switches.ALL]))
    return read_case.entry_views(conn, conn.execute(mine.order_by(e.idx.desc()).limit(limit)).all())


def predictions(conn: Connection, limit: int = JUDGED_MAX) -> tuple[Prediction, ...]:
    """The newest answers of all scopes beside what the verdict had said of each."""
    c = t.judgements.c
    newest = select(c.p1_ppm, c.threat).order_by(c.entry.desc(), c.finding_id).limit(limit)
    return tuple(Prediction(row.p1_ppm, bool(row.threat)) for row in conn.execute(newest))


def mark(conn: Connection) -> str:
    """Changes whenever anything on the page does."""
    e, c = t.entries.c, t.closes.c
    kinds = [*_KINDS, Kind.AUTONOMY_OBSERVED.value]
    newest: Sequence[int | None] = (
        conn.execute(select(func.max(e.idx)).where(e.kind.in_(kinds))).scalar(),
        conn.execute(select(func.max(t.judgements.c.entry))).scalar(),
        conn.execute(select(func.max(c.entry))).scalar(),
        conn.execute(select(func.count()).select_from(t.closes).where(c.state == "closed")).scalar(),
    )
    return ".".join(str(value or 0) for value in newest)
