"""``countersign actions``: the responses that can be planned. None can be run."""

from __future__ import annotations

import typer

from countersign.actions import ACTIONS, NOTHING_RUNS, PLANS_ONLY
from countersign.actions.playbooks import OTHERWISE, PLAYBOOKS
from countersign.cli.common import DataOption, JsonOption, emit, note, table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(actions)


def actions(data: DataOption = None, json: JsonOption = False) -> None:
    """Every response, what it is taken on, and for which ATT&CK ids it is suggested. Plans only: nothing runs."""
    del data  # the same for every site, in this version
    rows = [
        {
            "name": name,
            "title": action.title,
            "verb": action.verb,
            "takes": action.takes.value,
            "impactful": action.impactful,
            "runs": action.runs,
            "suggested_for": _suggested_for(name),
        }
        for name, action in ACTIONS.items()
    ]
    if json:
        emit(rows)
        return
    cells = [
        (name, a.verb, a.takes.value, "yes" if a.runs else f"no: {PLANS_ONLY}", " ".join(_suggested_for(name)))
        for name, a in ACTIONS.items()
    ]
    table(("action", "does", "taken on", "runs", "suggested for"), cells)
    note(NOTHING_RUNS)


def _suggested_for(name: str) -> list[str]:
    """ATT&CK ids whose line names the action."""
    found = [ident for ident, names in PLAYBOOKS.items() if name in names]
    return [*found, "otherwise"] if name in OTHERWISE else found
