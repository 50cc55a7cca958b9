"""The hot path while a scope really closes: a new site lives through its warm-up first, and the clock starts after that.

Alerts of a kind that people found benign come in, every case is disposed of, the scope is promoted on that evidence, and
then new and distinct alerts of the same kinds arrive. Whether the agent closes them is left to the gate. The one short cut
is the approval: this throw-away site has no people whose keys could sign.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select

from countersign.autonomy.scopes import Stage
from countersign.autonomy.states import Approval
from countersign.bootstrap import Site, open_site
from countersign.config import FILE
from countersign.evaluate.bench_alerts import ALERT_BYTES, HOSTS, deliveries, padded
from countersign.feed import Feeder
from countersign.model.cases import CaseStatus
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.store import promoting
from countersign.store import tables as t
from countersign.store.engine import reading, writing

SCOPE = "endpoint"
KINDS, USERS = 4, 2_000
REVIEWED = 420
"""Cases of the warm-up's first part, each on a host of its own: what the certificate counts."""
SETTLED = 3_000
"""Alerts of its second part, in the rhythm of those that are measured: what they are held to be like."""
GAP_MS = 250
_DAY_MS = 86_400_000
_LIMITS = f'[scopes.{SCOPE}]\nseverity_max = "medium"\ncloses_per_hour = 1000000\n'


def configured(folder: Path, database: str) -> None:
    """A data directory whose budget of closes is no limit to what is measured."""
    folder.mkdir(parents=True)
    address = f"database = {json.dumps(database)}\n" if database else ""
    (folder / FILE).write_text(address + _LIMITS, "utf-8")


def routine(n: int, start_ms: int, seed: int = 1, *, hosts: range | None = None) -> Iterator[bytes]:
    """n Wazuh alerts of 3 KB, each new and distinct, of four kinds that a person would find benign, by people and hosts
    of the inventory. hosts: one alert on each of these, in order; None: on hosts at random."""
    draw = random.Random(seed)  # noqa: S311 - test data
    for i in range(n):
        at_ms = start_ms + i * GAP_MS
        place = hosts[i] if hosts is not None else draw.randrange(HOSTS)
        kind, user = draw.randrange(KINDS), draw.randrange(USERS)
        address = f"203.0.{draw.randrange(100)}.{draw.randrange(256)}"
        alert = {
            "rule": {"id": str(5500 + kind), "level": 3, "description": f"Session opened, kind {kind}", "groups": ["pam"]},
            "agent": {"id": f"{place:03}", "name": f"host-{place:03}"},
            "id": f"{at_ms // 1000}.{seed}.{i}",
            "decoder": {"name": "pam"},
            "data": {"srcip": address, "dstuser": f"user{user}", "srcport": str(draw.randrange(65_536))},
            "location": "/var/log/auth.log",
        }
        yield padded(alert, at_ms, f"session opened for user{user} from {address} ", draw, ALERT_BYTES)


def earn(folder: Path) -> int:
    """Let the site live until the agent may close in its scope; returns the time at which new alerts should start."""
    site = open_site(folder)
    start_ms = site.clock.now_ms() - 2 * _DAY_MS
    assets = tuple(Asset(f"host-{i:03}", "workstation", "", Criticality.LOW) for i in range(HOSTS + REVIEWED))
    people = tuple(Identity(f"user{i}", "staff", "", Criticality.LOW) for i in range(USERS))
    site.commands.import_inventory(Inventory(assets, people), "bench.csv")
    _feed(site, routine(REVIEWED, start_ms, seed=0, hosts=range(HOSTS, HOSTS + REVIEWED)))
    _dispose(site)
    _feed(site, routine(SETTLED, start_ms + _DAY_MS, seed=2))
    _dispose(site)
    with writing(site.engine) as conn:
        given = Approval("bench", SCOPE, Stage.SUPERVISED, "bench")
        promoting.promote(conn, given, site.in_force, site.clock.now_ms(), "bench")
    site.close()
    return start_ms + _DAY_MS + SETTLED * GAP_MS


def _feed(site: Site, alerts: Iterator[bytes]) -> None:
    feeder = Feeder(site)
    feeder.feed(deliveries(alerts))
    feeder.finish()


def _dispose(site: Site) -> None:
    with reading(site.engine) as conn:
        rows = conn.execute(select(t.cases.c.id).where(t.cases.c.status == CaseStatus.OPEN.value)).scalars()
        cases = sorted(rows)
    random.Random(7).shuffle(cases)  # noqa: S311 - nobody works a queue in the order of hosts
    for case in cases:
        site.commands.dispose(case, "benign", "routine", "bench")
