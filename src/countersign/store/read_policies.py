"""The policy set in force, as a person reads it: who put it there, what proved it, and each policy with its conditions."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select

from countersign.model.entries import Kind
from countersign.policy.conditions import probes
from countersign.policy.shipped import default_texts
from countersign.policy.texts import PolicyTexts, names_of, title_of
from countersign.store import ledger, policies
from countersign.store import tables as t

_PERSON = "person:"


class Clause(msgspec.Struct, frozen=True):
    """One condition by name, and as it is written."""

    name: str
    cedar: str


class Policy(msgspec.Struct, frozen=True):
    """One permit or forbid. where: file and line."""

    title: str
    effect: str
    where: str
    clauses: tuple[Clause, ...]


class InForce(msgspec.Struct, frozen=True):
    """entry: index of its activation, -1 on a site before policies were kept. by: who activated it, in words. why: what kept
    another set, which people chose, from deciding."""

    hash: str
    origin: str
    entry: int
    since_ms: int
    by: str
    why: str
    proof: dict[str, str | int]
    policies: tuple[Policy, ...]
    files: tuple[tuple[str, str], ...]
    earlier: tuple[tuple[int, int, str, str], ...]
    """(entry, time, hash, origin) of the activations before, the newest first."""


def in_force(conn: Connection, most: int = 20) -> InForce:
    """What decides at this moment."""
    texts, why = policies.in_force(conn, default_texts())
    index, entry = policies.newest(conn)
    body = entry.body if entry is not None else {}
    return InForce(
        hash=texts.hash,
        origin=policies.SHIPPED if texts.hash == default_texts().hash else policies.SITE,
        entry=index,
        since_ms=entry.time if entry is not None else 0,
        by=_who(conn, entry.actor.type, entry.actor.id) if entry is not None else "",
        why=why or str(body.get("why", "")),
        proof=body.get("proof", {}),
        policies=_policies(texts),
        files=tuple(sorted(texts.files.items())),
        earlier=tuple(
            (place, one.time, str(one.body.get("hash", "")), str(one.body.get("origin", "")))
            for place, one in list(ledger.stream_kind(conn, Kind.POLICY_ACTIVATED))[-most - 1 : -1][::-1]
        ),
    )


def _policies(texts: PolicyTexts) -> tuple[Policy, ...]:
    return tuple(
        Policy(
            title_of(one),
            one.effect,
            where,
            tuple(Clause(name, probe.source) for name, probe in zip(names_of(one), probes(one), strict=True)),
        )
        for where, one in texts.policies.items()
    )


def _who(conn: Connection, kind: str, ident: str) -> str:
    if kind != "human":
        return "the product, at a start"
    p = t.pseudonyms.c
    name = conn.execute(select(p.value).where(p.pseudonym == ident)).scalar()
    return f"{str(name or ident[:12]).removeprefix(_PERSON)}, the last of two who signed"
