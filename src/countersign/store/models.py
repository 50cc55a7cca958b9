"""Which model scores: candidates that ``learn`` proposes, the one that a person put in force, and the one at the start.

Every model that was ever proposed or in force lies whole in the evidence store, named by its ledger entry, so that its
verdicts replay and a file that was changed on the way changes nothing. Nothing here activates a model by itself but the
shipped one, on a site where no person has chosen yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from countersign.errors import ConflictError, CountersignError, NotFoundError
from countersign.ledger.canonical import decode
from countersign.model.entries import Actor, Entry, Kind
from countersign.store import evidence, ledger
from countersign.store import tables as t
from countersign.triage.model import Model

HUMAN = "human"
SYSTEM = Actor("system", "countersign")


class Approval(msgspec.Struct, frozen=True):
    """A person's approval of one activation, whose signature has been checked. by: the person, under a pseudonym. reference:
    where it can be found again (its entry or digest). model: the id that it speaks of."""

    by: Actor
    reference: str
    model: str


def propose(conn: Connection, data: bytes, measured: Mapping[str, Any], by: Actor, now_ms: int) -> str:
    """Keep a candidate and record what it was measured at; returns its id. It is not in force. ``measured``: integers and
    strings (``evaluate.learn_site``). Raises ConfigError when the bytes are no model."""
    ledger.lock_head(conn)
    model = Model.from_bytes(data, where="candidate")
    blob = evidence.pack("model", data)
    evidence.put(conn, [blob])
    body = {"model": model.id, "blob": blob.digest, **measured}
    ledger.append(conn, [(Entry(Kind.MODEL_PROPOSED, now_ms, by, model.id, "command", body), "")])
    return model.id


def activate(conn: Connection, candidate: str, approval: Approval, now_ms: int) -> Model:
    """Put a model in force that was proposed here or was in force before, from the next micro-batch on.

    Raises NotFoundError when no entry names it, ConflictError when it is in force already or the approval is not a person's
    for this very model, and ConfigError when this version cannot read it."""
    ledger.lock_head(conn)
    if approval.by.type != HUMAN or not approval.by.id or not approval.reference or approval.model != candidate:
        raise ConflictError(
            "the approval does not cover this model", where=candidate[:16], todo="ask a named person to sign for it"
        )
    current = newest(conn)
    if current is not None and current.subject == candidate:
        raise ConflictError("this model is in force already", where=candidate[:16])
    digest, model = stored(conn, candidate)
    body = {
        "model": candidate,
        "blob": digest,
        "was": current.subject if current is not None else "",
        "approval": approval.reference,
    }
    entry = Entry(Kind.MODEL_ACTIVATED, now_ms, approval.by, candidate, "approval", body)
    ledger.append(conn, [(entry, "")])
    return model


def in_force(conn: Connection, shipped: bytes, now_ms: int) -> Model:
    """The model to score with: the one that a person activated last, else the shipped one, whose activation is recorded when
    another was recorded before. A person's choice that cannot be read any more gives way to the shipped model, with the
    reason in the entry: a site that scores with the prior is slower, one that does not start is blind."""
    current = newest(conn)
    why = ""
    if current is not None and current.actor.type == HUMAN:
        try:
            return load(conn, current)
        except CountersignError as error:
            why = str(error)
    model = Model.from_bytes(shipped, where="triage/prior.json")
    if current is None or current.subject != model.id:
        blob = evidence.pack("model", shipped)
        evidence.put(conn, [blob])
        body = {"model": model.id, "blob": blob.digest} | ({"why": why} if why else {})
        ledger.append(conn, [(Entry(Kind.MODEL_ACTIVATED, now_ms, SYSTEM, model.id, "start", body), "")])
    return model


def newest(conn: Connection) -> Entry | None:
    """The last ``model.activated``, None before the first."""
    index = ledger.last_index(conn, Kind.MODEL_ACTIVATED)
    if index < 0:
        return None
    return decode(conn.execute(t.entries.select().where(t.entries.c.idx == index)).one().bytes)


def load(conn: Connection, entry: Entry) -> Model:
    """The model that an entry names, checked against commitment and id. Raises NotFoundError, VerificationError or
    ConfigError."""
    model = Model.from_bytes(evidence.get(conn, entry.body["blob"], bytes), where=f"model {entry.subject[:16]}")
    if model.id != entry.subject:
        raise ConflictError("the evidence holds another model than its entry names", where=entry.subject[:16])
    return model


def stored(conn: Connection, ident: str) -> tuple[str, Model]:
    """(evidence digest, model) of a model by its id. Raises NotFoundError when no entry names it."""
    for kind in (Kind.MODEL_PROPOSED, Kind.MODEL_ACTIVATED):
        for _, entry in ledger.stream_kind(conn, kind):
            if entry.subject == ident:
                return entry.body["blob"], load(conn, entry)
    raise NotFoundError("no such model", where=ident[:16], todo="`countersign learn` proposes one")
