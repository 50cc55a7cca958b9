"""Lines of a blast radius: what the inventory says of a target, and what the case has seen it with."""

from __future__ import annotations

from collections.abc import Sequence

from countersign.model.inventory import Asset, Identity, Inventory
from countersign.model.responses import Scene

NAMES_MAX = 6


def record_line(record: Asset | Identity) -> str:
    """``file-01: fileserver, criticality high, owner k.curlew``; what is not known is said or left out."""
    parts = [record.role or "role not known", f"criticality {record.criticality.name.lower()}"]
    if record.owner:
        parts.append(f"owner {record.owner}")
    return f"{record.name}: {', '.join(parts)}"


def case_line(scene: Scene, what: str) -> str:
    """How much of the case is about it: ``is named in 3 of 5 findings read, with dc-01 and m.heron``. Where no finding was
    read, as for what takes an action back, that is all that is said."""
    if not scene.read:
        return f"{what} is taken back from {scene.case}, whose findings were not read for it"
    findings = f"{scene.findings} of {scene.read} finding{'' if scene.read == 1 else 's'} read"
    near = f", with {names(scene.near)}" if scene.near else ", with nothing else of the inventory"
    return f"{what} is named in {findings}{near}"


def owned(inventory: Inventory, name: str) -> tuple[str, ...]:
    """Assets whose owner this is, by name."""
    return tuple(sorted(asset.name for asset in inventory.assets if asset.owner == name))


def names(found: Sequence[str]) -> str:
    """``a, b and 3 more``."""
    shown, more = list(found[:NAMES_MAX]), len(found) - NAMES_MAX
    if more > 0:
        return f"{', '.join(shown)} and {more} more"
    return " and ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part) if shown else ""
