"""Another policy set comes into force: proved first, then signed for by two people (P1, P3)."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from countersign.approvals.change import Change
from countersign.errors import ConflictError, VerificationError
from countersign.model.entries import Actor
from countersign.policy.engine import PolicyEngine
from countersign.policy.gate import Gate
from countersign.policy.prove.proof import Proof
from countersign.policy.texts import PolicyTexts, problems
from countersign.store import policies, proofs
from countersign.store.effects import Approved, Effect

ACTIVATE = "policy.activate"
SUBJECT = "policy"
PEOPLE = 2
_PROVED: dict[str, Proof] = {}
"""Proofs that held in this process, by hash of set and invariants: a proof depends on nothing else."""
SETS_MAX = 16


def proved(texts: PolicyTexts) -> Proof:
    """The proof of a set, made once. Raises ConfigError where it is not valid, VerificationError where it does not keep
    P1-P3, with the first request that gets past them."""
    for wrong in problems(texts):
        raise wrong
    Gate(PolicyEngine(texts))
    if texts.hash not in _PROVED:
        proof = proofs.prove(texts)
        if not proof.holds:
            first = next(iter(proof.counterexamples), None)
            past = f"{first.environment}, by {', '.join(first.allowed_by)}" if first else "an environment"
            todo = "`countersign policy prove` shows the request that gets past"
            raise VerificationError(f"does not keep P1-P3: {past}", where="policy", todo=todo)
        if len(_PROVED) >= SETS_MAX:
            _PROVED.clear()
        _PROVED[texts.hash] = proof
    return _PROVED[texts.hash]


def proposal(conn: Connection, texts: PolicyTexts, current: str, requester: Actor) -> Change:
    """The activation of a set that has been proved; the set itself goes into the evidence store. Raises ConflictError when
    it is in force already."""
    if texts.hash == current:
        raise ConflictError(
            "this policy is in force already", where=texts.hash[:16], todo="change a file in DATA/policy first"
        )
    evidence: dict[str, str | int] = {
        "blob": policies.keep(conn, texts),
        "files": len(texts.files),
        "policies": len(texts.policies),
        **proofs.summary(proved(texts)),
    }
    return Change(
        change=ACTIVATE, subject=SUBJECT, was=current, to=texts.hash, requester=requester, evidence=evidence, people=PEOPLE
    )


def proposed(conn: Connection, change: Change) -> PolicyTexts:
    """The set that a change would put in force, as it was kept."""
    return policies.load(conn, {"hash": change.to, "blob": change.evidence.get("blob", "")})


def effect(current: Callable[[Connection], str], name: Callable[[PolicyTexts], str]) -> Effect:
    """In force from the next micro-batch on. current: hash of the set in force. name: of a set, with the scopes' limits."""

    def now(conn: Connection, change: Change) -> str:
        if change.people < PEOPLE:
            raise ConflictError(f"another policy takes {PEOPLE} people", where=ACTIVATE, todo="have it proposed anew")
        return current(conn)

    def do(conn: Connection, approved: Approved, now_ms: int) -> None:
        texts = proposed(conn, approved.change)
        proof = proved(texts)
        names = Gate(PolicyEngine(texts)).conditions
        policies.activate(conn, texts, name(texts), names, approved.by, str(approved.entry), proofs.summary(proof), now_ms)

    return Effect(now, do)
