"""``countersign actions``: the responses there are, and which of them this site carries out."""

from __future__ import annotations

import typer

from countersign.actions import ACTIONS, standing, switched_on
from countersign.actions.playbooks import OTHERWISE, PLAYBOOKS
from countersign.cli.common import DataOption, JsonOption, emit, note, table
from countersign.config import data_dir, load
from countersign.ports import ActionPlan


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(actions)


def actions(data: DataOption = None, json: JsonOption = False) -> None:
    """Every response, what it is taken on, for which ATT&CK ids it is suggested, and whether this site carries it out."""
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


def _state(action: ActionPlan, on: bool) -> str:
    """Whether it runs here, and how far it was tried."""
    return ("on" if on else "off: a plan") + (f" ({action.proven})" if action.proven else "")


def _suggested_for(name: str) -> list[str]:
    """ATT&CK ids whose line names the action."""
    found = [ident for ident, names in PLAYBOOKS.items() if name in names]
    return [*found, "otherwise"] if name in OTHERWISE else found
