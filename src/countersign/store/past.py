"""The site's past in the database: counts of rules, of rules per anchor, and of how busy it was (``correlate.history``).

Micro-batches follow each other, and one touches mostly what the one before touched. So a worker carries the counts over
and reads only what is new to it, as long as the ledger says that nobody else has committed in between.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, bindparam, func, or_, select

from countersign.correlate.history import RARE_MS, RARE_S, RECENT_MS, SITE, Activity, Firings, History
from countersign.model.findings import Finding
from countersign.store import tables as t
from countersign.store.sql import Among, upsert_rows

PAIRS_MAX = 100_000
"""Most pairs of anchor and rule that are carried over."""
CARRIED_MS = 1_800_000
"""How far the time of alerts may go on before everything is read anew: what is recent would only grow."""


_r, _p, _a = t.rules.c, t.pairs.c, t.activity.c
_RULES = Among(select(t.rules), _r.rule_key)
_WATCHED = select(func.min(_r.first_seen_ms))
_SITE_RECENT = select(_r.rule_key, _r.last_seen_ms).where(_r.last_seen_ms >= bindparam("since"))
_PAIRS = Among(select(_p.host, _p.rule_key, _p.firings, _p.first_seen_ms, _p.last_seen_ms, _p.quiet_s), _p.key)
_RARE = and_(_p.quiet_s >= RARE_S, _p.last_seen_ms >= bindparam("rare_since"))
_RECENT = Among(
    select(_p.host, _p.rule_key, _p.last_seen_ms, _p.quiet_s).where(or_(_p.last_seen_ms >= bindparam("since"), _RARE)),
    _p.host,
)
_ACTIVITY = Among(select(t.activity).where(_a.window_ms >= bindparam("since"), _a.window_ms <= bindparam("until")), _a.host)
_NEWEST = select(func.max(_a.window_ms)).where(_a.host == SITE)


@dataclass(slots=True)
class _Read:
    """A history and what of the database it holds: every rule and pair in it as a whole; of the ``hosts``, all that was
    recent at ``since_ms`` and all activity from then on (until ``until_ms``, were it not known to be all)."""

    history: History
    since_ms: int
    until_ms: int
    hosts: set[str] = field(default_factory=set)


class Carried:
    """Counts that one worker carries from a micro-batch to the next. They are given out once: unless ``keep`` says that
    the batch was committed, the next one reads the database."""

    def __init__(self) -> None:
        self._held: _Read | None = None
        self._lent: _Read | None = None
        self._size = -1

    def lend(self, conn: Connection, findings: Sequence[Finding], size: int) -> History:
        """The history for these findings; ``size``: entries in the ledger, whose head the caller has locked."""
        held, self._held = self._held, None
        self._lent = None
        if not findings:
            return History()
        since, until = _span(findings)
        if held is None or size != self._size or not held.since_ms <= since <= held.since_ms + CARRIED_MS:
            held = _Read(History(), since, until)
        held.until_ms = max(held.until_ms, until)
        _read(conn, held, findings)
        if len(held.history.pairs) <= PAIRS_MAX and _newest(conn) <= held.until_ms:
            self._lent = held
        return held.history

    def keep(self, size: int) -> None:
        """The batch was committed, and the ledger now holds ``size`` entries."""
        self._held, self._lent, self._size = self._lent, None, size
        if self._held is not None:
            _settle(self._held.history)


def load(conn: Connection, findings: Sequence[Finding]) -> History:
    """What the database knows that findings of one batch can ask about."""
    held = _Read(History(), *_span(findings)) if findings else None
    if held is None:
        return History()
    _read(conn, held, findings)
    return held.history


def _span(findings: Sequence[Finding]) -> tuple[int, int]:
    """What is recent begins, and the last window."""
    windows = [f.window_ms for f in findings]
    return min(windows) - RECENT_MS, max(windows)


def _newest(conn: Connection) -> int:
    """The site's newest window with activity: later ones hold nothing that would have to be read."""
    return conn.execute(_NEWEST).scalar() or 0


def _settle(history: History) -> None:
    """What is left once everything is written: nothing has changed, and rare is what its row says is rare."""
    if rare := history.recent_rare:  # nearly always of few hosts
        for pair in history.changed_pairs:
            if pair[0] in rare and history.pairs[pair].quiet_s < RARE_S:
                rare[pair[0]].pop(pair[1], None)
    for changed in (history.changed_rules, history.changed_pairs, history.changed_activity):
        changed.clear()


def _read(conn: Connection, held: _Read, findings: Sequence[Finding]) -> None:
    """Add what the findings can ask about and the history does not hold."""
    history = held.history
    pairs = {(f.anchor, f.rule_key) for f in findings}
    hosts = {host for host, _ in pairs} - held.hosts
    _load_rules(conn, history, {key for _, key in pairs if key not in history.rules})
    _load_pairs(conn, history, [pair for pair in pairs if pair not in history.pairs])
    if not held.hosts:
        _load_site(conn, history, held.since_ms)
        hosts.add(SITE)
    if hosts:
        _load_recent(conn, history, hosts - {SITE}, held.since_ms)
        _load_activity(conn, history, hosts, held)
    held.hosts |= hosts


def _load_rules(conn: Connection, history: History, keys: Collection[str]) -> None:
    if not keys:
        return
    for row in _RULES.rows(conn, keys):
        history.rules[row.rule_key] = Firings(
            row.firings, row.first_seen_ms, row.last_seen_ms, row.quiet_s, row.hosts, row.benign, row.threat
        )


def _load_site(conn: Connection, history: History, since_ms: int) -> None:
    """Since when the site is watched, and the rules seen of late."""
    history.watched_since_ms = conn.execute(_WATCHED).scalar() or 0
    history.recent_rules[SITE] = {row.rule_key: row.last_seen_ms for row in conn.execute(_SITE_RECENT, {"since": since_ms})}


def _load_pairs(conn: Connection, history: History, pairs: Collection[tuple[str, str]]) -> None:
    if not pairs:
        return
    keys = [pair_key(host, rule_key) for host, rule_key in pairs]
    for host, key, firings, first, last, before in _PAIRS.rows(conn, keys):
        history.pairs[host, key] = Firings(firings, first, last, before)


def _load_recent(conn: Connection, history: History, hosts: Collection[str], since_ms: int) -> None:
    rows = _RECENT.rows(conn, hosts, since=since_ms, rare_since=since_ms + RECENT_MS - RARE_MS)
    for host, key, seen, quiet_s in rows:
        history.recent_rules.setdefault(host, {})[key] = seen
        if quiet_s >= RARE_S:
            history.recent_rare.setdefault(host, {})[key] = seen


def _load_activity(conn: Connection, history: History, hosts: Collection[str], held: _Read) -> None:
    for host, window, alerts, findings in _ACTIVITY.rows(conn, hosts, since=held.since_ms, until=held.until_ms):
        history.activity[host, window] = Activity(alerts, findings)


def save(conn: Connection, history: History) -> None:
    """Write the counts that changed, each row in the order of its table's columns."""
    rules = [(key, history.rules[key]) for key in sorted(history.changed_rules)]
    upsert_rows(
        conn,
        t.rules,
        [(k, r.firings, r.hosts, r.first_seen_ms, r.last_seen_ms, r.quiet_s, r.benign, r.threat) for k, r in rules],
    )
    pairs = [(key, history.pairs[key]) for key in sorted(history.changed_pairs)]
    upsert_rows(
        conn,
        t.pairs,
        [(pair_key(h, k), h, k, r.firings, r.first_seen_ms, r.last_seen_ms, r.quiet_s) for (h, k), r in pairs],
    )
    cells = [(key, history.activity[key]) for key in sorted(history.changed_activity)]
    upsert_rows(conn, t.activity, [(host, window, cell.alerts, cell.findings) for (host, window), cell in cells])


def pair_key(host: str, rule_key: str) -> str:
    """Primary key of ``pairs``: one column, so that a batch's pairs are one list."""
    return f"{host}\x1f{rule_key}"
