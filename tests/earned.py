"""A site that has earned closing, by living through it: alerts come in, people dispose of the cases, a person promotes.

Nothing is set by hand.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import select

from countersign.autonomy.scopes import Stage
from countersign.bootstrap import Site, open_site
from countersign.impact import Impact
from countersign.model.inventory import Asset, Criticality, Inventory
from countersign.store import tables as t
from countersign.store.engine import reading
from tests import passkey_signing
from tests.fakes import NOON_MS, StepClock, data_directory, deliver, wazuh

HOSTS = 400
SCOPE = "endpoint"
DAY_MS = 86_400_000


def host(i: int) -> str:
    """Name of a host."""
    return f"pc-{i:03}"


def noise(numbers: Sequence[int], *, at_ms: int = NOON_MS, rule: str = "5501", **more: Any) -> list[bytes]:
    """One routine alert on each of these hosts."""
    return [
        wazuh(
            f"{at_ms}.{rule}.{i}",
            host=host(i),
            rule=rule,
            level=3,
            at_ms=at_ms,
            data={},
            title="PAM: session opened",
            **more,
        )
        for i in numbers
    ]


def furnish(site: Site) -> None:
    """An inventory in which every host stands, none of high value."""
    assets = tuple(Asset(host(i), "workstation", "", Criticality.LOW) for i in range(HOSTS))
    site.commands.import_inventory(Inventory(assets, ()), "site.csv")


def open_cases(site: Site) -> list[str]:
    """Cases that wait for a person, in the order of their numbers."""
    with reading(site.engine) as conn:
        rows = conn.execute(select(t.cases.c.id).where(t.cases.c.status == "open")).scalars()
        return sorted(rows, key=lambda ident: int(ident[2:]))


def promote(site: Site, to: Stage, scope: str = SCOPE) -> None:
    """One step up, as the governor proposes it on the scope's evidence, by an approver's signature."""
    impact = Impact(site)
    number = impact.promotion(scope)
    assert impact.waiting(number).change.to == to.value
    passkey_signing.sign_for(site, number)


def live_through(site: Site, *, reviewed: int = 385) -> None:
    """Alerts and dispositions until the scope may be promoted."""
    furnish(site)
    deliver(site, noise(range(reviewed)))
    dispose_all(site)


@cache
def lived() -> tuple[bytes, int]:
    """The SQLite database of a site that lived through it, and its clock; built once per worker (group ``lived``)."""
    clock = StepClock()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "lived.sqlite"
        site = open_site(data_directory(Path(folder) / "data", f"sqlite:///{file}"), clock=clock)
        live_through(site)
        site.close()
        return file.read_bytes(), clock.at_ms


def lived_site(folder: Path) -> Site:
    """A site on a copy of it, ``site.sqlite`` in a folder, where its clock stood."""
    content, at_ms = lived()
    (folder / "site.sqlite").write_bytes(content)
    return open_site(data_directory(folder / "data", f"sqlite:///{folder / 'site.sqlite'}"), clock=StepClock(at_ms))


def dispose_all(site: Site) -> None:
    """A person finds every case benign."""
    cases = open_cases(site)
    random.Random(7).shuffle(cases)  # nobody works a queue in the order in which hosts were counted
    for case in cases:
        site.commands.dispose(case, "benign", "routine", "ada")
