"""``countersign people``: who may do what, with which passkeys and keys."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from countersign.approvals import sshsig
from countersign.authority.roles import GRANTABLE
from countersign.cli.approvals import answer
from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.errors import UsageError
from countersign.impact import Impact
from countersign.store import accounts, passkeys
from countersign.store import people as store
from countersign.store.act import required_reason
from countersign.store.engine import reading

KEY_CHARS_MAX = 16_384
Name = Annotated[str, typer.Argument(help="The person's name; it never enters the ledger.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="People: roles, passkeys, and keys to approve with.", no_args_is_help=True)
    group.command("enrol")(enrol)
    group.command("invite")(invite)
    group.command("role")(role)
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


def invite(
    name: Name,
    role: Annotated[str, typer.Option(help=f"What they are here: {', '.join(GRANTABLE)}.")] = "viewer",
    data: DataOption = None,
) -> None:
    """Print a one-time link with which a person registers a passkey. Whoever holds a role that approvers sign for gets one
    that works once they signed for it as well."""
    with opened(data) as site:
        token, number = Impact(site).invite(name, role)
        base = site.config.server.url or f"http://localhost:{site.config.server.port}"
    typer.echo(f"{base}/enrol?t={token}")
    if number is None:
        note("works once, within an hour for the first approver and three days for anybody else")
    else:
        note(f"works once, after change {number} is approved: `countersign approve {number} --person … --sign-with KEY`")


def role(
    name: Name,
    grant: Annotated[str, typer.Option(help=f"Role to give: {', '.join(GRANTABLE)}.")] = "",
    take: Annotated[str, typer.Option(help="Role to take away; needs no signature.")] = "",
    reason: Annotated[str, typer.Option(help="Why; goes into the ledger.")] = "",
    last: Annotated[bool, typer.Option("--last", help="Even though nothing could be approved any more.")] = False,
    data: DataOption = None,
) -> None:
    """Give or take a role. Lead, admin and approver are changes that an approver signs, once anybody is enrolled."""
    if bool(grant) == bool(take):
        raise UsageError("give either --grant or --take", where="people role", todo=f"roles are {', '.join(GRANTABLE)}")
    with opened(data) as site:
        if take:
            Impact(site).take(name, take, required_reason(reason), last=last)
            return note(f"{name} is no {take} any more")
        number = Impact(site).grant(name, grant)
    if number is None:
        return note(f"{name} is {grant}")
    return note(f"change {number}: an approver must sign: `countersign approve {number} --person … --sign-with KEY`")


def show(data: DataOption = None, json: JsonOption = False) -> None:
    """List everybody with roles and passkeys, and every SSH key ever enrolled."""
    with opened(data) as site, reading(site.engine) as conn:
        everybody = accounts.accounts(conn)
        keys, known = store.enrolled(conn), store.names(conn)
        held = {one.person: len(passkeys.active(conn, one.person)) for one in everybody}
    if json:
        listed = [{**msgspec.to_builtins(one), "passkeys": held[one.person]} for one in everybody]
        emit({"people": listed, "keys": [{"name": known.get(one.person, ""), **msgspec.to_builtins(one)} for one in keys]})
        return
    rows = [(one.name or one.person, one.state, ", ".join(one.roles), held[one.person]) for one in everybody]
    table(("person", "account", "roles", "passkeys"), rows)
    if keys:
        lines = [
            (known.get(k.person, k.person), k.entitlement, k.fingerprint, _when(k.enrolled_ms), _when(k.revoked_ms))
            for k in keys
        ]
        table(("person", "may", "key", "enrolled", "revoked"), lines)


def revoke(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; goes into the ledger.")],
    last: Annotated[bool, typer.Option("--last", help="Even though nothing could be approved any more.")] = False,
    data: DataOption = None,
) -> None:
    """Take everything away: keys, roles, passkeys, sessions and tokens; needs no signature."""
    with opened(data) as site:
        keys = Impact(site).revoke(name, reason, last=last)
    note(f"{name} may do nothing here any more ({keys} key{'s' * (keys != 1)} revoked)")


def _read(file: Path) -> str:
    try:
        return file.read_bytes()[:KEY_CHARS_MAX].decode("utf-8", errors="replace")
    except OSError as error:
        todo = "name a .pub file"
        raise UsageError(f"cannot be read ({error.strerror})", where=str(file), todo=todo) from error


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds") if at_ms else ""
