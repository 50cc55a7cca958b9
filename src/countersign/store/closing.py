"""What the agent closed: one row a close, the draw that decides on its blind review, and the seeds behind the draws.

A week's seed is drawn by chance before the week begins, its commitment goes into the ledger at once and the seed itself when
the week is over, so that anybody can replay the draws and nobody could foresee them. Until then it is a secret of the
site, beside the log's key.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select, update

from countersign.autonomy import review
from countersign.autonomy.governor import Governed
from countersign.model.cases import CLOSED_STILL, CloseState
from countersign.model.decisions import Action
from countersign.model.entries import Actor, Entry, Kind
from countersign.model.evidence import Evidence, LookupStatus
from countersign.store import tables as t
from countersign.store.projection import Decided
from countersign.store.sql import among, insert_new, upsert_rows

HOUR_MS = 3_600_000
WEEK_MS = 7 * 24 * HOUR_MS
SYSTEM = Actor("system", "governor")
Draw = tuple[str, int, int, int, int]
"""Week, probability in ppm, lowest probability of the design, whether drawn, p1 by the site's own reviews."""
Shared = tuple[tuple[str, ...], tuple[str, ...]]
_encode = msgspec.msgpack.Encoder().encode
shared_of = msgspec.msgpack.Decoder(Shared).decode


def commit_seeds(conn: Connection, now_ms: int, first: int) -> tuple[dict[str, bytes], list[Entry]]:
    """Seeds of this week and the next, made where they are missing, with the entries that commit to them and those that open
    the seeds of weeks gone by; ``first``: index of the first of these entries. The caller appends them."""
    weeks = [review.week_of(now_ms), review.week_of(now_ms + WEEK_MS)]
    rows = {row.week: row for row in conn.execute(select(t.seeds).where(t.seeds.c.opened < 0))}
    seeds = {week: bytes(rows[week].seed) for week in weeks if week in rows}
    entries: list[Entry] = []
    for week in weeks:
        if week in seeds:
            continue
        seeds[week] = secrets.token_bytes(review.SEED_BYTES)
        insert_new(conn, t.seeds, [{"week": week, "seed": seeds[week], "entry": first + len(entries), "opened": -1}])
        body = {"commitment": review.commitment(seeds[week], week)}
        entries.append(Entry(Kind.REVIEW_COMMITTED, now_ms, SYSTEM, week, "week", body))
    for week in sorted(week for week in rows if week < weeks[0]):
        conn.execute(update(t.seeds).where(t.seeds.c.week == week).values(opened=first + len(entries)))
        about = {"seed": bytes(rows[week].seed).hex()}
        entries.append(Entry(Kind.REVIEW_OPENED, now_ms, SYSTEM, week, str(rows[week].entry), about))
    return seeds, entries


def draw(governed: Governed, finding: str, p1_ppm: int, week: str, seed: bytes) -> Draw:
    """Whether a close is reviewed blind."""
    q_ppm = governed.q_ppm(p1_ppm)
    drawn = review.draw(seed, week, finding, q_ppm)
    return (week, q_ppm, governed.q_min_ppm, int(drawn.reviewed), p1_ppm)


def write(conn: Connection, several: Sequence[Decided]) -> None:
    """Rows of the closes among these decisions; a close that is decided otherwise now is marked as taken back."""
    upsert_rows(conn, t.closes, [_row(one) for one in several if one.draw])
    gone = [one.record.finding.id for one in several if not one.draw and not one.record.first]
    take_back(conn, gone, CloseState.REOPENED, (CloseState.CLOSED.value,))  # what a person confirmed stays confirmed


def _row(one: Decided) -> tuple[Any, ...]:
    assert one.draw  # noqa: S101 - the caller asks for closes only
    record, (week, q_ppm, q_min_ppm, drawn, p1_ppm) = one.record, one.draw
    finding = record.finding
    return (
        finding.id,
        record.decision.scope,
        record.pattern,
        finding.anchor,
        finding.first_seen_ms,
        one.time_ms,
        record.verdict.pico,
        p1_ppm,
        week,
        q_ppm,
        q_min_ppm,
        drawn,
        CloseState.CLOSED.value,
        record.verdict.model,
        one.policy,
        _encode((sorted({e.key for e in finding.entities}), deciding(record.evidence))),
        one.entry,
    )


def deciding(evidence: Sequence[Evidence]) -> list[str]:
    """Identifiers of the evidence that spoke for closing: what a lookup found (an inventory record, a warning list)."""
    return sorted({f"{e.source}:{e.digest}" for e in evidence if e.status is LookupStatus.FOUND})


def take_back(
    conn: Connection, findings: Collection[str], state: CloseState, standing: Sequence[str] = CLOSED_STILL
) -> None:
    """Closes of these findings that still stood do so no longer."""
    if not findings:
        return
    columns = t.closes.c
    wanted = among(conn, select(columns.finding_id), columns.finding_id, findings)
    ids = list(conn.execute(wanted.where(columns.state.in_(standing))).scalars())
    for ident in ids:
        conn.execute(update(t.closes).where(columns.finding_id == ident).values(state=state.value))


def settle(conn: Connection, findings: Collection[str], state: CloseState) -> None:
    """A person's word about these closes, whatever became of them before."""
    for ident in sorted(findings):
        conn.execute(update(t.closes).where(t.closes.c.finding_id == ident).values(state=state.value))


def earlier(conn: Connection, findings: Collection[str]) -> set[str]:
    """Findings among these that were closed before, whatever became of it: their draw was an observation already."""
    columns = t.closes.c
    return set(conn.execute(among(conn, select(columns.finding_id), columns.finding_id, findings)).scalars())


def this_hour(conn: Connection, now_ms: int) -> dict[str, int]:
    """Closes per scope since the hour began."""
    columns = t.closes.c
    since = now_ms - now_ms % HOUR_MS
    statement = select(columns.scope, func.count()).where(columns.closed_ms >= since).group_by(columns.scope)
    return dict(conn.execute(statement).all())


def standing_near(conn: Connection, cases: Collection[str], low_ms: int, high_ms: int) -> list[str]:
    """Closes not reviewed yet whose case or hour has changed: of these cases, or seen in this span. The gate is asked about
    each again, and says for itself which of them it minds."""
    columns = t.closes.c
    standing = select(columns.finding_id).where(columns.state == CloseState.CLOSED.value)
    found = set(conn.execute(standing.where(columns.seen_ms >= low_ms, columns.seen_ms <= high_ms)).scalars())
    f = t.findings.c
    inside = among(conn, select(f.id).where(f.action == Action.CLOSE.value), f.case_id, cases)
    found |= set(conn.execute(standing.where(columns.finding_id.in_(inside))).scalars())
    return sorted(found)


__all__ = [
    "Draw",
    "commit_seeds",
    "deciding",
    "draw",
    "earlier",
    "shared_of",
    "standing_near",
    "take_back",
    "this_hour",
    "write",
]
