"""``countersign approvals``, ``approve`` and ``deny``: changes that only people may make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from countersign.approvals.change import message
from countersign.cli import signing
from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.errors import UsageError
from countersign.impact import Impact
from countersign.store.changes import Answer
from countersign.store.effects import Approved

Number = Annotated[int, typer.Argument(metavar="ID", min=0, max=2**53, help="Number of the change; see `approvals`.")]
Person = Annotated[str, typer.Option(help="Your name, as you are enrolled.")]
Reason = Annotated[str, typer.Option(help="Why; goes into the ledger.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (approvals, approve, deny):
        app.command()(command)


def approvals(data: DataOption = None, json: JsonOption = False) -> None:
    """List the changes that wait for a person's signature."""
    with opened(data) as site:
        impact = Impact(site)
        waits, known = impact.pending(), impact.names()
    if json:
        emit(
            [
                {
                    "id": one.id,
                    **msgspec.to_builtins(one.change),
                    "digest": one.digest,
                    "message": message(one.digest).decode(),
                }
                for one in waits
            ]
        )
        return
    rows = [
        (
            one.id,
            one.change.change,
            known.get(one.change.subject, one.change.subject),
            one.change.was,
            one.change.to,
            known.get(one.change.requester.id, one.change.requester.id),
            one.change.people,
            one.digest[:12],
        )
        for one in waits
    ]
    table(("change", "what", "of", "from", "to", "asked for by", "people", "digest"), rows)


def approve(
    number: Number,
    person: Person,
    reason: Reason,
    sign_with: Annotated[
        Path | None, typer.Option("--sign-with", help="Your private key; `ssh-keygen -Y sign` uses it.")
    ] = None,
    signature: Annotated[Path | None, typer.Option(help="A signature made elsewhere, in place of --sign-with.")] = None,
    data: DataOption = None,
) -> None:
    """Show a change, sign it, and make it."""
    with opened(data) as site:
        done = answer(Impact(site), number, person, reason, sign_with, signature)
    note(f"change {number} approved and made" if done else f"change {number} approved; more people are needed")


def answer(
    impact: Impact, number: int, person: str, reason: str, sign_with: Path | None, signature: Path | None
) -> Approved | None:
    """Show first, then sign, then hand in."""
    held = impact.waiting(number)
    signing.show(held, impact.names())
    if (sign_with is None) == (signature is None):
        raise UsageError(
            "nothing to approve with", where=f"change {number}", todo="give --sign-with KEY or --signature FILE"
        )
    armoured = signing.by_key(held, sign_with) if sign_with else signing.from_file(signature or Path())
    return impact.approve(number, Answer(person, armoured, reason))


def deny(number: Number, person: Person, reason: Reason, data: DataOption = None) -> None:
    """End a change; it would have to be proposed anew."""
    with opened(data) as site:
        Impact(site).deny(number, person, reason)
    note(f"change {number} denied")
