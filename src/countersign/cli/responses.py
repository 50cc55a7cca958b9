"""``countersign actions``: the responses there are, which of them this site carries out, and what became of them."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from countersign.actions import ACTIONS, ocsf_remediation, openc2, standing, switched_on
from countersign.actions.playbooks import OTHERWISE, PLAYBOOKS
from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.config import data_dir, load
from countersign.errors import UsageError
from countersign.ports import ActionPlan


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Responses: what there is, what became of it.", invoke_without_command=True)
    group.callback()(actions)
    group.command()(show)
    group.command()(undo)
    group.command()(run)
    group.command()(export)
    app.add_typer(group, name="actions")


def actions(context: typer.Context, data: DataOption = None, json: JsonOption = False) -> None:
    """Every response, what it is taken on, for which ATT&CK ids it is suggested, and whether this site carries it out."""
    if context.invoked_subcommand is not None:
        return
    on = switched_on(load(data_dir(data)).actions)
    rows = [
        {
            "name": name,
            "title": action.title,
            "verb": action.verb,
            "takes": action.takes.value,
            "impactful": action.impactful,
            "runs": name in on,
            "proven": action.proven,
            "suggested_for": _suggested_for(name),
        }
        for name, action in ACTIONS.items()
    ]
    if json:
        emit(rows)
        return
    cells = [
        (name, a.verb, a.takes.value, _state(a, name in on), " ".join(_suggested_for(name))) for name, a in ACTIONS.items()
    ]
    table(("action", "does", "taken on", "runs", "suggested for"), cells)
    note(f"{standing(on)}.")


def show(number: Annotated[int, typer.Argument(metavar="ID")], data: DataOption = None, json: JsonOption = False) -> None:
    """The way of one proposed action, step by step, with the time that each took."""
    from countersign.approving import Approving  # noqa: PLC0415 - keeps `--help` quick

    with opened(data) as site:
        sheet = Approving(site).sheet(number)
    if json:
        emit(sheet)
        return
    note(f"{sheet.line.what} on {sheet.line.about}, {sheet.line.case}: {sheet.line.state}. {sheet.note}")
    rows = [
        (datetime.fromtimestamp(s.at_ms / 1000, UTC).isoformat(timespec="milliseconds"), s.what, s.text, s.entry)
        for s in sheet.steps
    ]
    table(("when", "step", "what came of it", "entry"), rows)


def undo(
    number: Annotated[int, typer.Argument(metavar="ID")],
    person: Annotated[str, typer.Option(help="Who asks, and can therefore not approve it.")] = "",
    data: DataOption = None,
) -> None:
    """Put the undo of an action that was carried out before people."""
    from countersign.approving import Approving  # noqa: PLC0415

    with opened(data) as site:
        undone = Approving(site).propose_undo(number, person or site.commands.operator)
    note(f"proposal {undone}: it waits for approval by others (`countersign approvals`)")


def run(data: DataOption = None) -> None:
    """Carry out now what is approved and switched on, as `serve` and `worker` do by themselves; exit 3 when one could not be
    taken further, which is tried again the next time."""
    from countersign.running import Runner  # noqa: PLC0415

    with opened(data) as site:
        runner = Runner(site)
        taken = runner.step()
    why = f"; no action starts: {runner.held}" if runner.held else ""
    note(f"{taken} taken further" + ("; another process has the actions in hand" if runner.elsewhere else why))
    for error in runner.troubles.values():
        raise error


class Format(StrEnum):
    """What an action is written as."""

    OPENC2 = "openc2"
    OCSF = "ocsf"


def export(
    number: Annotated[int, typer.Argument(metavar="ID")],
    form: Annotated[Format, typer.Option("--format", help="openc2: commands; ocsf: what was done, as class 7001.")],
    data: DataOption = None,
) -> None:
    """Write a proposed action as OpenC2 commands, or one that was carried out as an OCSF Remediation Activity."""
    from countersign.store import proposals, read_performed  # noqa: PLC0415 - keeps `--help` quick
    from countersign.store.engine import reading  # noqa: PLC0415

    with opened(data) as site, reading(site.engine) as conn:
        held = proposals.held(conn, number)
        done = read_performed.performed(conn, number)
    action = ACTIONS.get(held.proposal.action)
    if action is None:
        raise UsageError(f"no action is called {held.proposal.action!r} here", where=str(number), todo="update Countersign")
    if form is Format.OPENC2:
        emit(openc2.commands(action, held.proposal))
    elif done is None:
        raise UsageError("it was not carried out, so there is no activity", where=str(number), todo="use --format openc2")
    else:
        emit(ocsf_remediation.event(action, held.proposal, number, held.state, done.seen, done.started_ms, done.probed_ms))


def _state(action: ActionPlan, on: bool) -> str:
    """Whether it runs here, and how far it was tried."""
    return ("on" if on else "off: a plan") + (f" ({action.proven})" if action.proven else "")


def _suggested_for(name: str) -> list[str]:
    """ATT&CK ids whose line names the action."""
    found = [ident for ident, names in PLAYBOOKS.items() if name in names]
    return [*found, "otherwise"] if name in OTHERWISE else found
