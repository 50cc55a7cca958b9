"""What follows when a person says what findings were: labels, patterns, judgements, trouble settled.

Every function here changes rows only, from what the rows and the entry's body say, so that ``rebuild`` calls them as the
commands do. The scopes' own arithmetic is in ``store.autonomy``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, select, update

from countersign.correlate.link import pattern_key
from countersign.model.cases import CLOSED_STILL, CloseState
from countersign.store import tables as t
from countersign.store.autonomy import InForce, Judgement
from countersign.store.sql import among, upsert, upsert_rows

RARITIES_MAX = 1_000
PATTERNS_MAX, NUMBERS_MAX = 120, 3_000
"""One answer teaches about so many patterns of its case at most, those with the most findings, and keeps so many
nonconformities: an entry is bounded."""
DAY_MS = 86_400_000
HUMAN = "human"
_MISSED = (*CLOSED_STILL, CloseState.RECALLED.value)
BLIND = "sampled-blind"


class Standing(NamedTuple):
    """What the gate says of a finding at this moment: how near a close it is (``decisions.Quiet``), its score, the upper end
    of the verdict's interval."""

    quiet: int
    pico: int
    p1_ppm: int


Ask = Callable[[Connection, Sequence[str]], Mapping[str, Standing]]


def ask_nobody(_conn: Connection, _findings: Sequence[str]) -> Mapping[str, Standing]:
    """For callers that have no gate at hand: their answers are labels, and count for no bound."""
    return {}


def about(conn: Connection, findings: Sequence[str]) -> dict[str, Any]:
    """Part of an entry's body: the patterns, rules and nonconformities that a label on these findings is about."""
    f = t.findings.c
    columns = select(f.pattern, f.source, f.rule, f.rarity)
    numbers: dict[str, list[int]] = {}
    rules: dict[str, set[str]] = {}
    for row in conn.execute(among(conn, columns, f.id, findings).order_by(f.id)):
        numbers.setdefault(row.pattern, []).append(row.rarity)
        rules.setdefault(row.pattern, set()).add(f"{row.source}/{row.rule}")
    patterns = sorted(sorted(numbers, key=lambda name: (-len(numbers[name]), name))[:PATTERNS_MAX])
    most = min(RARITIES_MAX, NUMBERS_MAX // max(1, len(patterns)))
    return {
        "patterns": patterns,
        "rules": sorted({rule for name in patterns for rule in rules[name]}),
        "rarities": {name: numbers[name][-most:] for name in patterns},
    }


def of_case(conn: Connection, case_id: str, *, threat: bool | None) -> list[str]:
    """Findings of a case that a person's word is about: all of them when he calls it a threat, which overrules whatever was
    said before; else all but those that somebody reviewed blind, which have their answer."""
    f = t.findings.c
    mine = select(f.id).where(f.case_id == case_id).order_by(f.id)
    blind = select(t.labels.c.finding_id).where(t.labels.c.finding_id == f.id, t.labels.c.source == BLIND)
    return list(conn.execute(mine if threat else mine.where(~blind.exists())).scalars())


def fresh(conn: Connection, findings: Sequence[str], *, threat: bool | None) -> list[str]:
    """Those that nobody has judged yet, or that are judged otherwise now: only they tell anything new. Disposing the same
    case again and again would else count as so many reviews."""
    columns = t.labels.c
    same = select(columns.finding_id).where(columns.threat == int(bool(threat)))
    known = set(conn.execute(among(conn, same, columns.finding_id, findings)).scalars()) if threat is not None else set()
    return [ident for ident in findings if ident not in known]


def closed_by_agent(conn: Connection, findings: Sequence[str], *, threat: bool | None = False) -> list[str]:
    """Those of these findings whose close by the agent stands; when a person calls them threats, also those that he or a
    recall took back before: it was a miss all the same."""
    columns = t.closes.c
    standing = select(columns.finding_id).where(columns.state.in_(_MISSED if threat else CLOSED_STILL))
    return sorted(conn.execute(among(conn, standing, columns.finding_id, findings)).scalars())


def learn(conn: Connection, body: Mapping[str, Any], *, threat: bool, now_ms: int) -> None:
    """One human judgement counts once per pattern and rule, however many findings it covers."""
    names = list(body["patterns"])
    old = {row.pattern: row for row in conn.execute(select(t.patterns).where(t.patterns.c.pattern.in_(names)))}
    rows = [
        {
            "pattern": name,
            "benign": (old[name].benign if name in old else 0) + int(not threat),
            "threat": (old[name].threat if name in old else 0) + int(threat),
            "newest_ms": now_ms,
            "rarities": _grown(old[name].rarities if name in old else b"\x90", body["rarities"][name]),
        }
        for name in names
    ]
    upsert(conn, t.patterns, rows)
    statement = update(t.rules).where(t.rules.c.rule_key.in_(list(body["rules"])))
    conn.execute(statement.values(benign=t.rules.c.benign + int(not threat), threat=t.rules.c.threat + int(threat)))


def _grown(old: bytes, new: list[int]) -> bytes:
    """The newest nonconformities of a pattern's judged findings, bounded."""
    return msgspec.msgpack.encode([*msgspec.msgpack.decode(old, type=list[int]), *new][-RARITIES_MAX:])


def judgements(
    conn: Connection, findings: Sequence[str], asked: Mapping[str, Standing], force: InForce, *, threat: bool
) -> list[Judgement]:
    """The answer as the bounds count it. A case is one matter: whoever judges it judges each of its patterns once, and the
    finding nearest to a close stands for the pattern. asked: what the gate says of each at this moment."""
    f, c = t.findings.c, t.closes.c
    columns = select(f.id, f.case_id, f.scope, f.pattern, f.pico, f.p1_ppm, c.state, c.model, c.policy)
    rows = conn.execute(among(conn, columns.outerjoin(t.closes, c.finding_id == f.id), f.id, findings).order_by(f.id)).all()
    chosen: dict[tuple[str, bool], Judgement] = {}
    for row in rows:
        closed = row.state == CloseState.CLOSED.value or (threat and row.state in _MISSED)
        now = asked.get(row.id, Standing(2 if closed else 0, row.pico, row.p1_ppm))
        one = Judgement(
            finding=row.id,
            case=row.case_id,
            scope=row.scope,
            pattern=row.pattern,
            pico=row.pico if closed else now.pico,
            p1_ppm=row.p1_ppm if closed else now.p1_ppm,
            threat=threat,
            quiet=2 if closed else now.quiet,
            source=HUMAN,
            model=row.model if closed else force.model,
            policy=row.policy if closed else force.policy,
            closed=closed,
        )
        before = chosen.get((row.pattern, closed))
        if before is None or (one.quiet, one.pico) > (before.quiet, before.pico):
            chosen[row.pattern, closed] = one
    return list(chosen.values())


def written(judged: Sequence[Judgement]) -> list[list[str | int]]:
    """Judgements as an entry holds them; ``read`` gives them back."""
    return [[j.finding, j.scope, j.pattern, j.pico, j.p1_ppm, j.quiet, int(j.closed), j.model, j.policy] for j in judged]


def read(case_id: str, rows: Sequence[Sequence[Any]], *, threat: bool) -> list[Judgement]:
    """The judgements of a disposition from its entry."""
    return [
        Judgement(
            finding=finding,
            case=case_id,
            scope=scope,
            pattern=pattern,
            pico=pico,
            p1_ppm=p1,
            threat=threat,
            quiet=quiet,
            source=HUMAN,
            model=model,
            policy=policy,
            closed=bool(closed),
        )
        for finding, scope, pattern, pico, p1, quiet, closed, model, policy in rows
    ]


def blind(row: Row[Any], case_id: str, finding_p1_ppm: int, *, threat: bool) -> Judgement:
    """A blind review of one close (a row of ``closes``)."""
    return Judgement(
        finding=row.finding_id,
        case=case_id,
        scope=row.scope,
        pattern=row.pattern,
        pico=row.pico,
        p1_ppm=finding_p1_ppm,
        threat=threat,
        quiet=2,
        source=BLIND,
        model=row.model,
        policy=row.policy,
        q_ppm=row.q_ppm,
        q_min_ppm=row.q_min_ppm,
        closed=True,
        blind=True,
    )


def settle(
    conn: Connection, findings: Sequence[str], *, threat: bool | None, source: str, entry: int, now_ms: int
) -> list[str]:
    """Labels of these findings (none for None: a test or a duplicate), and their trouble settled. Returns those of them that
    are news: threats that people had not confirmed on the same anchor within a day."""
    f = t.findings.c
    if threat is not None:
        upsert_rows(conn, t.labels, [(ident, int(threat), source, now_ms, entry) for ident in findings])
    rows = conn.execute(among(conn, select(f.id, f.pattern, f.anchor), f.id, findings)).all() if threat else []
    keys = {row.id: pattern_key(row.pattern, row.anchor) for row in rows}
    columns = t.confirmed.c
    told = dict(conn.execute(among(conn, select(columns.key, columns.at_ms), columns.key, set(keys.values()))).all())
    news = [ident for ident, key in keys.items() if now_ms - told.get(key, -DAY_MS - 1) > DAY_MS]
    upsert(conn, t.confirmed, [{"key": key, "at_ms": now_ms} for key in sorted(set(keys.values()))])
    for level, some in ((0, [ident for ident in findings if ident not in set(news)]), (2, news)):
        _trouble(conn, some, level)
    return news


def _trouble(conn: Connection, findings: Sequence[str], level: int) -> None:
    f = t.findings.c
    for ident in findings:
        conn.execute(update(t.findings).where(f.id == ident, f.trouble != level).values(trouble=level))
