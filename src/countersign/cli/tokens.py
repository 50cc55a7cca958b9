"""``countersign tokens``: what programs and agents read and hand in with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from countersign.authority.roles import Scope
from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.errors import UsageError
from countersign.sources import SOURCES
from countersign.store import accounts, tokens
from countersign.store.engine import reading

SCOPES = (*Scope, *(f"intake:{source}" for source in SOURCES))


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Tokens for /api/v1 and intake.", no_args_is_help=True)
    group.command("issue")(issue)
    group.command("list")(show)
    group.command("revoke")(revoke)
    app.add_typer(group, name="tokens")


def issue(
    name: Annotated[str, typer.Argument(help="What it is for; stands in the ledger, so no person's name.")],
    scope: Annotated[list[str], typer.Option(help=f"What it may do, once or more: {', '.join(Scope)}, intake:SOURCE.")],
    person: Annotated[str, typer.Option(help="Whose it is: it may no more than they may, and falls with them.")] = "",
    agent: Annotated[str, typer.Option(help="The agent whose it is.")] = "",
    days: Annotated[int, typer.Option(min=1, max=730, help="Days until it expires.")] = 90,
    data: DataOption = None,
) -> None:
    """Issue a token; it is shown once, and only its hash is kept. No token approves, promotes or changes policy."""
    if person and agent:
        raise UsageError("a token is a person's or an agent's", where="tokens issue", todo="give --person or --agent")
    unknown = [one for one in scope if one not in SCOPES]
    if unknown:
        raise UsageError(f"unknown scope {', '.join(unknown)}", where="--scope", todo=f"use {', '.join(SCOPES)}")
    with opened(data) as site:
        typer.echo(site.commands.issue_api_token(name, scope, days, person=person, agent=agent))
        site.seal()


def show(data: DataOption = None, json: JsonOption = False) -> None:
    """List every token issued here, without its secret."""
    with opened(data) as site, reading(site.engine) as conn:
        every = tokens.every(conn)
        names = {one.holder: accounts.name_of(conn, one.holder) or one.holder for one in every}
    if json:
        emit([{**msgspec.to_builtins(one), "holder_name": names[one.holder]} for one in every])
        return
    rows = [
        (one.name, one.scopes, names[one.holder], one.hash[:12], _when(one.expires_ms), _when(one.revoked_ms))
        for one in every
    ]
    table(("token", "may", "of", "hash", "expires", "revoked"), rows)


def revoke(
    which: Annotated[str, typer.Argument(metavar="TOKEN", help="Its name, or the beginning of its hash.")],
    reason: Annotated[str, typer.Option(help="Why; goes into the ledger.")],
    data: DataOption = None,
) -> None:
    """Revoke a token from now on."""
    with opened(data) as site:
        gone = site.commands.revoke_tokens(which, reason)
        site.seal()
    note(f"{gone} token{'s' * (gone != 1)} revoked")


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds") if at_ms else ""
