"""What people do to cases: dispose, reopen, assign. Each writes its entry and its rows in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from countersign.errors import ConflictError, NotFoundError, UsageError
from countersign.model.cases import CaseStatus, Disposition
from countersign.model.entries import Actor, Entry, Kind
from countersign.store import ledger, projection
from countersign.store import tables as t
from countersign.store.sql import upsert

REASON_CHARS_MAX = 2_000
RARITIES_MAX = 1_000
THREAT = frozenset({Disposition.TRUE_POSITIVE})
BENIGN = frozenset({Disposition.BENIGN, Disposition.FALSE_POSITIVE})
"""``test`` and ``duplicate`` say nothing about the pattern."""


def person(conn: Connection, name: str) -> Actor:
    """A human actor under a pseudonym."""
    _check_text(name, "name")
    value = f"person:{name}"
    return Actor("human", ledger.pseudonyms(conn, [value])[value])


def dispose(
    conn: Connection, case_id: str, disposition: str, reason: str, who: str, version: int | None, now_ms: int
) -> None:
    """A person says what the case was. Raises ConflictError when it changed since ``version`` (an entry index)."""
    size, _ = ledger.lock_head(conn)
    verdict = _disposition(disposition)
    reason = _reason(reason)
    row = _open_case(conn, case_id, version)
    actor = person(conn, who)
    patterns, rarities = _patterns_of(conn, case_id)
    body = {
        "disposition": verdict.value,
        "reason": reason,
        "was": {"label": row["label"], "pico": row["pico"], "p_ppm": [row["p0_ppm"], row["p1_ppm"]]},
        "patterns": sorted(patterns),
        "rules": sorted({rule for rules in patterns.values() for rule in rules}),
        "rarities": rarities,
    }
    apply_disposed(conn, case_id, body, actor, size, now_ms)
    ledger.append(conn, [(Entry(Kind.CASE_DISPOSED, now_ms, actor, case_id, "console", body), case_id)])


def apply_disposed(conn: Connection, case_id: str, body: Mapping[str, Any], actor: Actor, entry: int, now_ms: int) -> None:
    """Rows of a disposition: the case closes, its links are forgotten, its patterns and rules gain a label."""
    verdict = Disposition(body["disposition"])
    values = {
        "status": CaseStatus.CLOSED_HUMAN.value,
        "disposition": verdict.value,
        "reason": body["reason"],
        "disposed_by": actor.id,
        "disposed_ms": now_ms,
        "updated_ms": now_ms,
        "entry": entry,
    }
    conn.execute(update(t.cases).where(t.cases.c.id == case_id).values(values))
    projection.forget_links(conn, case_id)
    _label(conn, body, benign=int(verdict in BENIGN), threat=int(verdict in THREAT), now_ms=now_ms)


def reopen(conn: Connection, case_id: str, reason: str, who: str, now_ms: int) -> None:
    """A person takes a closed case up again. The label that its closing gave stays until the case is disposed anew."""
    size, _ = ledger.lock_head(conn)
    reason = _reason(reason)
    row = _case(conn, case_id)
    if row["status"] not in {CaseStatus.CLOSED_HUMAN.value, CaseStatus.CLOSED_AGENT.value}:
        raise ConflictError("only a closed case can be reopened", where=case_id)
    actor = person(conn, who)
    apply_reopened(conn, case_id, size, now_ms)
    body = {"reason": reason, "was": row["disposition"]}
    ledger.append(conn, [(Entry(Kind.CASE_REOPENED, now_ms, actor, case_id, "console", body), case_id)])


def apply_reopened(conn: Connection, case_id: str, entry: int, now_ms: int) -> None:
    """Rows of a reopening."""
    values = {
        "status": CaseStatus.OPEN.value,
        "disposition": "",
        "reason": "",
        "disposed_by": "",
        "disposed_ms": 0,
        "updated_ms": now_ms,
        "entry": entry,
    }
    conn.execute(update(t.cases).where(t.cases.c.id == case_id).values(values))


def assign(conn: Connection, case_id: str, owner: str, who: str, now_ms: int) -> None:
    """Give the case to a person (by name), or to nobody with an empty name."""
    size, _ = ledger.lock_head(conn)
    _open_case(conn, case_id, None)
    actor = person(conn, who)
    holder = person(conn, owner).id if owner else ""
    apply_assigned(conn, case_id, holder, size, now_ms)
    entry = Entry(Kind.CASE_ASSIGNED, now_ms, actor, case_id, "console", {"owner": holder})
    ledger.append(conn, [(entry, case_id)])


def apply_assigned(conn: Connection, case_id: str, owner: str, entry: int, now_ms: int) -> None:
    """Rows of an assignment."""
    values = {"owner": owner, "updated_ms": now_ms, "entry": entry}
    conn.execute(update(t.cases).where(t.cases.c.id == case_id).values(values))


def _case(conn: Connection, case_id: str) -> Mapping[str, Any]:
    row = conn.execute(select(t.cases).where(t.cases.c.id == case_id)).mappings().first()
    if row is None:
        raise NotFoundError("no such case", where=case_id, todo="`countersign queue` lists the open ones")
    return dict(row)


def _open_case(conn: Connection, case_id: str, version: int | None) -> Mapping[str, Any]:
    row = _case(conn, case_id)
    if row["status"] != CaseStatus.OPEN.value:
        where_to = f" into {row['merged_into']}" if row["merged_into"] else ""
        raise ConflictError(f"case is {row['status'].replace('_', ' by ', 1)}{where_to}", where=case_id, todo="reload it")
    if version is not None and row["entry"] != version:
        raise ConflictError("case changed since you opened it", where=case_id, todo="reload it and decide again")
    return row


def _disposition(text: str) -> Disposition:
    try:
        return Disposition(text)
    except ValueError:
        known = ", ".join(d.value for d in Disposition)
        raise UsageError(f"unknown disposition {text!r}", where="disposition", todo=f"use one of {known}") from None


def _reason(text: str) -> str:
    _check_text(text, "reason")
    reason = text.strip()
    if not reason:
        raise UsageError("a reason is required", where="reason", todo="say in a few words what you found")
    if len(reason) > REASON_CHARS_MAX:
        raise UsageError(f"reason is longer than {REASON_CHARS_MAX} characters", where="reason", todo="shorten it")
    return reason


def _check_text(text: str, where: str) -> None:
    """Text from a command line may hold bytes that are no UTF-8; neither database nor ledger takes them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError("text is not valid UTF-8", where=where, todo="type it again") from None


def _patterns_of(conn: Connection, case_id: str) -> tuple[dict[str, set[str]], dict[str, list[int]]]:
    """Per pattern of the case: its rules, and the nonconformity of its findings."""
    rules: dict[str, set[str]] = {}
    rarities: dict[str, list[int]] = {}
    f = t.findings.c
    statement = select(f.pattern, f.source, f.rule, f.rarity).where(f.case_id == case_id).order_by(f.id)
    for pattern, source, rule, rarity in conn.execute(statement):
        rules.setdefault(pattern, set()).add(f"{source}/{rule}")
        rarities.setdefault(pattern, []).append(rarity)
    return rules, rarities


def _label(conn: Connection, body: Mapping[str, Any], *, benign: int, threat: int, now_ms: int) -> None:
    """One human judgement counts once per pattern and rule of the case, however many findings it covers."""
    if not benign and not threat:
        return
    names = list(body["patterns"])
    old = {row.pattern: row for row in conn.execute(select(t.patterns).where(t.patterns.c.pattern.in_(names)))}
    rows = [
        {
            "pattern": name,
            "benign": (old[name].benign if name in old else 0) + benign,
            "threat": (old[name].threat if name in old else 0) + threat,
            "newest_ms": now_ms,
            "rarities": _grown(old[name].rarities if name in old else b"\x90", body["rarities"][name]),
        }
        for name in names
    ]
    upsert(conn, t.patterns, rows)
    statement = update(t.rules).where(t.rules.c.rule_key.in_(list(body["rules"])))
    conn.execute(statement.values(benign=t.rules.c.benign + benign, threat=t.rules.c.threat + threat))


def _grown(old: bytes, new: list[int]) -> bytes:
    """The newest nonconformities of a pattern's judged findings, bounded."""
    return msgspec.msgpack.encode([*msgspec.msgpack.decode(old, type=list[int]), *new][-RARITIES_MAX:])
