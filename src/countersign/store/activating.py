"""A candidate model comes into force: proposed with what it was measured at, made by people's signed approval."""

from __future__ import annotations

from sqlalchemy import Connection

from countersign.approvals.change import Change
from countersign.errors import NotFoundError
from countersign.model.entries import Actor, Kind
from countersign.store import ledger, models
from countersign.store.effects import Approved, Effect

ACTIVATE = "model.activate"
SUBJECT = "model"


def now(conn: Connection, _change: Change) -> str:
    """The model in force."""
    return now_id(conn)


def do(conn: Connection, approved: Approved, now_ms: int) -> None:
    """In force from the next micro-batch on."""
    wanted = approved.change.to
    models.activate(conn, wanted, models.Approval(approved.by, str(approved.entry), wanted), now_ms)


EFFECT = Effect(now, do)


def proposal(conn: Connection, candidate: str, requester: Actor) -> Change:
    """The activation of a candidate, by its id or the beginning of it. Raises NotFoundError when none or several fit."""
    kinds = (Kind.MODEL_PROPOSED, Kind.MODEL_ACTIVATED)
    known = {entry.subject for kind in kinds for _, entry in ledger.stream_kind(conn, kind)}
    fitting = sorted(ident for ident in known if candidate and ident.startswith(candidate))
    if len(fitting) != 1:
        what = "several models begin so" if fitting else "no such model"
        raise NotFoundError(what, where=candidate[:16], todo="`countersign learn` names its candidate")
    digest, _ = models.stored(conn, fitting[0])
    evidence: dict[str, str | int] = {"blob": digest}
    return Change(change=ACTIVATE, subject=SUBJECT, was=now_id(conn), to=fitting[0], requester=requester, evidence=evidence)


def now_id(conn: Connection) -> str:
    """Id of the model in force."""
    newest = models.newest(conn)
    return newest.subject if newest is not None else ""
