"""A candidate model comes into force: proposed with what it was measured at, made by people's signed approval."""

from __future__ import annotations

from sqlalchemy import Connection

from countersign.approvals.change import Change
from countersign.errors import ConflictError, NotFoundError
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
    """The activation of a candidate, by its id or the beginning of it. Raises NotFoundError when none or several fit,
    ConflictError when it is in force already."""
    kinds = (Kind.MODEL_PROPOSED, Kind.MODEL_ACTIVATED)
    known = {entry.subject for kind in kinds for _, entry in ledger.stream_kind(conn, kind)}
    fitting = sorted(ident for ident in known if candidate and ident.startswith(candidate))
    if len(fitting) != 1:
        what = "several models begin so" if fitting else "no such model"
        raise NotFoundError(what, where=candidate[:16], todo="`countersign learn` names its candidate")
    if fitting[0] == now_id(conn):
        raise ConflictError("this model is in force already", where=candidate[:16])
    digest, _ = models.stored(conn, fitting[0])
    evidence: dict[str, str | int] = {"blob": digest, **_measured(conn, fitting[0])}
    return Change(change=ACTIVATE, subject=SUBJECT, was=now_id(conn), to=fitting[0], requester=requester, evidence=evidence)


def _measured(conn: Connection, ident: str) -> dict[str, str | int]:
    """What whoever signs should see of the newest proposal: log-loss and AUC of both sides on the newest labels; nothing for
    a model that was never proposed."""
    found: dict[str, str | int] = {}
    for index, entry in ledger.stream_kind(conn, Kind.MODEL_PROPOSED):
        metrics = entry.body.get("metrics")
        if entry.subject == ident and metrics:
            found = {"proposed": index, "tested": entry.body["tested"], "judgement": metrics["judgement"]}
            for side in ("candidate", "current"):
                found[f"{side}_log_loss_ppm"] = metrics[side]["log_loss"][0]
                found[f"{side}_auc_ppm"] = metrics[side]["auc"][0]
    return found


def now_id(conn: Connection) -> str:
    """Id of the model in force."""
    newest = models.newest(conn)
    return newest.subject if newest is not None else ""
