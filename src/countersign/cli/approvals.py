"""``countersign propose``, ``approvals``, ``approve`` and ``deny``: actions and changes that only people may set in
motion."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from countersign.approving import Approving, by_name
from countersign.cli import signing
from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table, warn_of_ledger
from countersign.errors import ConflictError, UsageError
from countersign.impact import Impact
from countersign.model.matters import Sheet
from countersign.store.changes import Answer
from countersign.store.effects import Approved

Number = Annotated[
    int, typer.Argument(metavar="ID", min=0, max=2**53, help="Number of the proposal or change; see `approvals`.")
]
Person = Annotated[str, typer.Option(help="Your name, as you are enrolled.")]
Reason = Annotated[str, typer.Option(help="Why; goes into the ledger.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (propose, approvals, approve, deny):
        app.command()(command)


def propose(
    case: Annotated[str, typer.Argument(help="The case.")],
    action: Annotated[str, typer.Argument(help="One of its suggested responses; see `case show`.")],
    target: Annotated[str, typer.Option(help="On which target or address, when several fit.")] = "",
    person: Annotated[str, typer.Option(help="Your name, as you are enrolled; you cannot approve it then.")] = "",
    data: DataOption = None,
) -> None:
    """Put a suggested response before people; it runs nothing."""
    with opened(data) as site:
        number = Approving(site).propose(case, by_name(action, target), person or site.commands.operator)
    note(f"proposal {number}: others sign it: `countersign approve {number} --person … --reason … --sign-with KEY`")


def approvals(data: DataOption = None, json: JsonOption = False) -> None:
    """List the actions and changes that wait for people's signatures."""
    with opened(data) as site:
        approving = Approving(site)
        waits = approving.waiting()
        sheets = [approving.sheet(one.number) for one in waits] if json else []
        warn_of_ledger(site)
    if json:
        emit([_document(sheet) for sheet in sheets])
        return
    rows = [
        (
            one.number,
            one.what,
            one.about,
            one.case,
            one.asked_by,
            f"{one.approvals} of {one.people}",
            datetime.fromtimestamp(one.expires_ms / 1000, UTC).isoformat(timespec="minutes"),
            one.digest[:12],
        )
        for one in waits
    ]
    table(("number", "what", "of", "case", "asked for by", "signed", "expires", "digest"), rows)


def _document(sheet: Sheet) -> dict[str, object]:
    """The canonical document with what stands around it."""
    line = sheet.line
    return {
        "id": line.number,
        "kind": line.kind,
        **msgspec.json.decode(sheet.data),
        "digest": line.digest,
        "message": sheet.message,
        "approvals": line.approvals,
        "needed": line.people,
    }


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
    """Show an action or a change, and sign it; a change is made with the last signature that it needs."""
    with opened(data) as site:
        approving = Approving(site)
        armoured = _signature(approving, number, sign_with, signature)
        said = approving.approve(number, Answer(person, armoured, reason))
        kind = approving.sheet(number).line.kind
    by = (
        ", by `serve` or `worker`; where neither runs, by `countersign actions run`"
        if said.endswith("carried out now")
        else ""
    )
    note(f"{_NAMES[kind]} {number} {said}{by}")


def answer(
    impact: Impact, number: int, person: str, reason: str, sign_with: Path | None, signature: Path | None
) -> Approved | None:
    """Show a change first, then sign, then hand in. None while it takes more people."""
    armoured = _signature(Approving(impact.site), number, sign_with, signature)
    return impact.approve(number, Answer(person, armoured, reason))


def _signature(approving: Approving, number: int, sign_with: Path | None, signature: Path | None) -> str:
    sheet = approving.sheet(number)
    name = _NAMES[sheet.line.kind]
    if sheet.line.state != "waiting":
        raise ConflictError(f"{name} {_state(sheet)}", where=str(number), todo="have it proposed anew if it is wanted")
    signing.show(sheet)
    if (sign_with is None) == (signature is None):
        raise UsageError(
            "nothing to approve with", where=f"{name} {number}", todo="give --sign-with KEY or --signature FILE"
        )
    return signing.by_key(sheet, sign_with) if sign_with else signing.from_file(signature or Path())


def deny(number: Number, person: Person, reason: Reason, data: DataOption = None) -> None:
    """Say no to an action or a change; it would have to be proposed anew."""
    with opened(data) as site:
        approving = Approving(site)
        said = approving.deny(number, person, reason)
        kind = approving.sheet(number).line.kind
    note(f"{_NAMES[kind]} {number} {said}")


def _state(sheet: Sheet) -> str:
    return "has expired" if sheet.line.state == "expired" else f"is {sheet.line.state} already"


_NAMES = {"action": "proposal", "change": "change"}
