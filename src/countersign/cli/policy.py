"""``countersign policy``: check the site's policies, explain a decision, prove the promises, put a set before people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.config import data_dir
from countersign.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from countersign.policy.texts import PolicyTexts

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--policies", metavar="DIR", help="A whole set in this folder, in place of the site's.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Cedar policies: check, explain, prove, activate.", no_args_is_help=True)
    for command in (check, explain):
        group.command()(command)
    app.add_typer(group, name="policy")


def check(policies: FolderOption = None, data: DataOption = None, json: JsonOption = False) -> None:
    """Validate the shipped policies with the site's own over them (DATA/policy/*.cedar); exit 2 names file and line."""
    from countersign.policy.engine import PolicyEngine  # noqa: PLC0415 - keeps `--help` quick
    from countersign.policy.gate import Gate  # noqa: PLC0415
    from countersign.policy.texts import problems  # noqa: PLC0415

    texts = chosen(policies, data)
    found: list[Any] = list(problems(texts))
    if not found:
        try:
            Gate(PolicyEngine(texts))
        except ConfigError as error:
            found.append(error)
    if json:
        emit(
            {
                "ok": not found,
                "hash": texts.hash,
                "files": sorted(texts.files),
                "problems": [{"where": one.where, "what": one.what} for one in found],
            }
        )
    elif not found:
        note(f"{len(texts.policies)} policies in {len(texts.files)} files are valid; hash {texts.hash}")
    if found:
        for one in () if json else found:
            note(f"countersign: {one}")
        raise typer.Exit(2)


def explain(
    ident: Annotated[str, typer.Argument(metavar="ID", help="A finding, or the index of a ledger entry.")] = "",
    request: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Any request, as JSON, put to the policy in force.")
    ] = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Every condition of a decision, as held, failed or not evaluated, with the values that it read."""
    from countersign.policy.engine import Request  # noqa: PLC0415 - keeps `--help` quick
    from countersign.store import read_policy  # noqa: PLC0415
    from countersign.store.engine import reading  # noqa: PLC0415

    if bool(ident) == (request is not None):
        raise UsageError("name a finding or entry, or a request with --request", where="policy explain")
    with opened(data) as site, reading(site.engine) as conn:
        if request is None:
            found = read_policy.explain(conn, ident)
        else:
            found = read_policy.asked(site.policy, _request(request, Request))
    if json:
        emit(found)
        return
    typer.echo(f"{found.action} {found.subject}: {found.engine}  (policy {found.policy[:24]}…)")
    if found.recorded is not None:
        held = "holds the same" if found.recorded else "DIFFERS"
        typer.echo(f"entry {found.index} of the ledger {held}")
    rows = [(c.policy, c.name, c.outcome, c.have, c.need) for c in found.conditions]
    table(("policy", "condition", "outcome", "have", "need"), rows)


def chosen(policies: Path | None, data: Path | None) -> PolicyTexts:
    """The set in a folder, or the site's candidate."""
    from countersign.store import overlay  # noqa: PLC0415 - keeps `--help` quick

    return overlay.folder(policies) if policies is not None else overlay.candidate(data_dir(data))


def _request(path: Path, kind: type[Any]) -> Any:  # noqa: ANN401 - a Request
    """``{"principal": {"type", "id"}, "action", "resource": {…}, "entities": [{"uid", "attrs"}], "context"}``."""
    from countersign.policy.engine import Uid  # noqa: PLC0415

    try:
        raw = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        entities = {msgspec.convert(one["uid"], Uid): one["attrs"] for one in raw.get("entities", ())}
        principal, resource = (msgspec.convert(raw[name], Uid) for name in ("principal", "resource"))
        return kind(principal, str(raw["action"]), resource, entities, raw.get("context", {}))
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"not a request: {error}", where=str(path), todo="see docs/how-to/write-a-policy.md") from error
