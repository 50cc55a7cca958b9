"""An action taken back, drafted as an action of its own: at the same targets, as the inventory has them by now.

Whatever became of a target since must not keep an effect in place, so it is no reason to refuse; people are told of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from countersign.actions import ACTIONS
from countersign.approvals.proposal import Proposal
from countersign.errors import ConflictError
from countersign.model.inventory import Asset, Identity, Inventory
from countersign.model.responses import Scene, Target, moved, target_of


def draft(of: Proposal, number: int, known: Inventory, told: Sequence[str] = ()) -> Proposal:
    """What takes proposal ``number`` back. told: more lines for whoever approves it. Raises ConflictError when nothing takes
    it back, or a target is not in the inventory any more."""
    action = ACTIONS.get(of.action)
    inverse = ACTIONS.get(action.inverse) if action is not None else None
    if inverse is None:
        raise ConflictError("no action takes it back", where=of.action, todo="undo it by hand")
    records = _records(of.targets, known)
    parameters = {name: value for name, value in of.parameters.items() if name != "minutes"} | {"undoes": number}
    if inverse.minutes:  # what takes a release back lasts as long as it does when it is proposed by itself
        parameters["minutes"] = inverse.minutes
    plan = inverse.plan(Scene(of.case, records, parameters, known))
    lines = (*plan.blast_radius, *(f"since then {line}" for line in moved(of.targets, known)), *told)
    return Proposal(inverse.name, parameters, tuple(map(target_of, records)), of.case, plan.plan, plan.undo, lines)


def _records(targets: Sequence[Target], known: Inventory) -> tuple[Asset | Identity, ...]:
    everything: tuple[Asset | Identity, ...] = (*known.assets, *known.identities)
    by_name = {(one.kind, one.name): record for record in everything for one in (target_of(record),)}
    found = {target: by_name.get((target.kind, target.name)) for target in targets}
    for target, record in found.items():
        if record is None:
            todo = "put it back into the inventory, or undo it by hand"
            raise ConflictError(f"{target.name} is not in the inventory any more", where="undo", todo=todo)
    return tuple(record for record in found.values() if record is not None)


__all__ = ["draft"]
