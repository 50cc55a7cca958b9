"""What opens a way for an agent: adding one, and lifting a kill switch. Both are changes that approvers sign."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from countersign.approvals.change import Change
from countersign.authority.agents import NAME, Agent, Operation, fingerprint
from countersign.errors import ConflictError, UsageError
from countersign.model.entries import Actor, Entry, Kind
from countersign.store import agents, ledger, words
from countersign.store.effects import Approved, Effect

ADD = "agent.add"
RESUME = "agent.resume"
ENROLLED = "enrolled"
RUNNING = "running"
PURPOSE_CHARS_MAX = 300


def addition(name: str, purpose: str, operations: Sequence[str], public_key: str, requester: Actor) -> Change:
    """The change that would add an agent; whoever asks becomes its owner. Raises UsageError."""
    if not NAME.fullmatch(name):
        todo = "use small letters, digits and hyphens, at most 40"
        raise UsageError(f"{name[:40]!r} cannot name an agent", where="agents", todo=todo)
    purpose = " ".join(purpose.split())
    if not purpose or len(purpose) > PURPOSE_CHARS_MAX:
        raise UsageError("an agent has a purpose, in one line", where=name, todo=f"at most {PURPOSE_CHARS_MAX} characters")
    evidence: dict[str, str | int] = {
        "purpose": purpose,
        "operations": " ".join(sorted(_known(one) for one in operations)),
        "public_key": public_key,
        "key": fingerprint(bytes.fromhex(public_key)),
    }
    if not evidence["operations"]:
        raise UsageError("an agent has at least one operation", where=name, todo=f"of {', '.join(Operation)}")
    return Change(change=ADD, subject=name, was="", to=ENROLLED, requester=requester, evidence=evidence)


def resumption(conn: Connection, name: str, reason: str, requester: Actor) -> Change:
    """The change that would lift an agent's kill switch. Raises ConflictError when it is not stopped."""
    held = agents.find(conn, name)
    if held.state != "stopped":
        raise ConflictError(f"agent is {held.state}", where=name, todo="see `countersign agents list`")
    evidence: dict[str, str | int] = {
        "stopped by entry": held.stopped,
        "key": held.fingerprint,
        "why": words.hidden(conn, reason),
    }
    return Change(change=RESUME, subject=name, was="stopped", to=RUNNING, requester=requester, evidence=evidence)


def _known(operation: str) -> str:
    if operation not in {one.value for one in Operation}:
        raise UsageError(f"unknown operation {operation!r}", where="agents", todo=f"use {', '.join(Operation)}")
    return operation


def _is(conn: Connection, change: Change) -> str:
    """Where the agent stands; "" while nobody is called so."""
    held = next((one for one in agents.everyone(conn) if one.name == change.subject), None)
    return held.state if held else ""


def _stands(conn: Connection, change: Change) -> str:
    """The same for a resumption, which holds for the very stop that it was asked for."""
    held = agents.find(conn, change.subject)
    return held.state if held.stopped == change.evidence.get("stopped by entry") else "stopped again"


def _add(conn: Connection, approved: Approved, now_ms: int) -> None:
    change, size = approved.change, ledger.lock_head(conn)[0]
    said = {name: str(change.evidence[name]) for name in ("purpose", "operations", "public_key")}
    held = frozenset(Operation(_known(one)) for one in said["operations"].split(" "))
    agent = Agent(change.subject, said["purpose"], held)
    body = agents.body_of(agent, change.requester.id, said["public_key"], approved.id)
    agents.apply_registered(conn, agent.name, body, size, now_ms)
    _enter(conn, Kind.AGENT_REGISTERED, approved, body, now_ms)


def _resume(conn: Connection, approved: Approved, now_ms: int) -> None:
    size, _ = ledger.lock_head(conn)
    agents.apply_resumed(conn, approved.change.subject, size)
    body = {"change": approved.id, "key": approved.change.evidence["key"]}
    _enter(conn, Kind.AGENT_RESUMED, approved, body, now_ms)


def _enter(conn: Connection, kind: Kind, approved: Approved, body: dict[str, str | int], now_ms: int) -> None:
    entry = Entry(kind, now_ms, approved.by, approved.change.subject, str(approved.entry), body)
    ledger.append(conn, [(entry, "")])


EFFECTS = {ADD: Effect(_is, _add), RESUME: Effect(_stands, _resume)}
