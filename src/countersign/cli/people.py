"""``countersign people``: who may approve, with which keys."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from countersign.approvals import sshsig
from countersign.cli.approvals import answer
from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.errors import UsageError
from countersign.impact import Impact
from countersign.store import people as store
from countersign.store.engine import reading

KEY_CHARS_MAX = 16_384
Name = Annotated[str, typer.Argument(help="The person's name; it never enters the ledger.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="People who may approve, and their keys.", no_args_is_help=True)
    group.command("enrol")(enrol)
    group.command("list")(show)
    group.command("revoke")(revoke)
    app.add_typer(group, name="people")


def enrol(
    name: Name,
    key: Annotated[Path, typer.Option(help="Their public key, an OpenSSH .pub file.")],
    approved_by: Annotated[str, typer.Option("--approved-by", help="An enrolled approver who signs for them.")] = "",
    sign_with: Annotated[Path | None, typer.Option("--sign-with", help="That approver's private key.")] = None,
    reason: Annotated[str, typer.Option(help="Why; goes into the ledger.")] = "",
    data: DataOption = None,
) -> None:
    """Enrol an approver. The first is trusted at once; an enrolled approver must sign for any other."""
    public = sshsig.parse_key(_read(key))
    if bool(approved_by) != (sign_with is not None):
        raise UsageError("--approved-by and --sign-with go together", todo="give both, or neither and approve it later")
    with opened(data) as site:
        impact = Impact(site)
        number = impact.enrol(name, public)
        if number is not None and approved_by:
            answer(impact, number, approved_by, reason, sign_with, None)
    if number is None:
        note("the first person is trusted without a signature; the ledger shows it")
    if number is None or approved_by:
        note(f"{name} may approve with {public.fingerprint}")
        return
    note(f"change {number}: an approver must sign: `countersign approve {number} --person … --reason … --sign-with KEY`")


def show(data: DataOption = None, json: JsonOption = False) -> None:
    """List every key ever enrolled."""
    with opened(data) as site, reading(site.engine) as conn:
        keys, known = store.enrolled(conn), store.names(conn)
    if json:
        emit([{"name": known.get(one.person, ""), **msgspec.to_builtins(one)} for one in keys])
        return
    rows = [
        (known.get(one.person, one.person), one.entitlement, one.fingerprint, _when(one.enrolled_ms), _when(one.revoked_ms))
        for one in keys
    ]
    table(("person", "may", "key", "enrolled", "revoked"), rows)


def revoke(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; goes into the ledger.")],
    last: Annotated[bool, typer.Option("--last", help="Even though nothing could be approved any more.")] = False,
    data: DataOption = None,
) -> None:
    """Take the entitlement away, with every key; needs no signature."""
    with opened(data) as site:
        keys = Impact(site).revoke(name, reason, last=last)
    note(f"{name} may no longer approve ({keys} key{'s' * (keys != 1)} revoked)")


def _read(file: Path) -> str:
    try:
        return file.read_bytes()[:KEY_CHARS_MAX].decode("utf-8", errors="replace")
    except OSError as error:
        todo = "name a .pub file"
        raise UsageError(f"cannot be read ({error.strerror})", where=str(file), todo=todo) from error


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds") if at_ms else ""
