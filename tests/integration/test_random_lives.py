"""Whatever happens in whatever order: the record gives every row back, and who remembers decides as who has to read."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from countersign.autonomy.scopes import Stage
from countersign.bootstrap import Site, open_site
from countersign.errors import ConflictError
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.store import erasing
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from countersign.store.erasing_who import Wanted
from tests import earned, fakes
from tests.fakes import NOON_MS, StepClock, data_directory, deliver, wazuh

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lived")]
USERS = ("ann", "ben", "cleo", "dora", "emil")
HOSTS = ("a", "b", "c", "d")
STEPS = 30
Event = tuple[Any, ...]


class Life:
    """A course of events, the same for the same seed as long as the site decides the same."""

    def __init__(self, seed: int, begin_ms: int) -> None:
        self.chance = random.Random(seed)
        self.now_ms = begin_ms
        self.alerts = 0

    def step(self, site: Site) -> None:
        """One event."""
        what = self.chance.choices((self.deliver, self.dispose, self.reopen, self.assign, self.learn, self.erase), _OFTEN)[0]
        try:
            what(site)
        except ConflictError:  # nobody is erased twice, or while they act: nothing happened, which is an event as well
            return

    def deliver(self, site: Site) -> None:
        self.now_ms += self.chance.choice((0, 0, 0, 1_000, 60_000, 300_000, 3_600_000))
        site.clock.at_ms = max(site.clock.at_ms, self.now_ms)  # type: ignore[attr-defined] - a StepClock
        deliver(site, [self.alert() for _ in range(self.chance.choice((1, 1, 2, 5, 20)))])

    def alert(self) -> bytes:
        """Repeats in the same window, severities that rise, shared users and addresses, late ones, ids that came before."""
        self.alerts += 1
        one = self.chance
        routine = one.random() < 0.5
        users = {name: one.choice(USERS) for name in ("dstuser", "srcuser") if not routine and one.random() < 0.4}
        where = {"srcip": one.choice(("203.0.113.9", "10.0.0.5", "127.0.0.1"))} if not routine and one.random() < 0.4 else {}
        return wazuh(
            f"{self.alerts if one.random() < 0.9 else one.randrange(self.alerts)}",
            rule="5501" if routine else one.choice("1234"),
            level=3 if routine else one.choice((0, 3, 7, 10, 13)),
            host=earned.host(one.randrange(200, 240)) if routine else one.choice(HOSTS),
            title="PAM: session opened" if routine else "odd",
            data=users | where,
            at_ms=self.now_ms + one.choice((0, 0, 0, 1_000, 60_000, 299_000, 301_000, -400_000)),
        )

    def one_of(self, site: Site, *where: Any) -> str:
        with reading(site.engine) as conn:
            cases = sorted(conn.execute(select(t.cases.c.id).where(*where)).scalars())
        if not cases:
            raise ConflictError("no such case")
        return str(self.chance.choice(cases))

    def dispose(self, site: Site) -> None:
        case = self.one_of(site, t.cases.c.status.in_(("open", "closed_agent")))
        site.commands.dispose(case, self.chance.choice(("benign", "benign", "true_positive", "duplicate")), "seen", "ada")

    def reopen(self, site: Site) -> None:
        site.commands.reopen(self.one_of(site, t.cases.c.status == "closed_human"), "look again", "ada")

    def assign(self, site: Site) -> None:
        site.commands.assign(self.one_of(site, t.cases.c.status == "open"), self.chance.choice(("grace", "")), "ada")

    def learn(self, site: Site) -> None:
        asset = Asset(self.chance.choice(HOSTS), "web", "", self.chance.choice(list(Criticality)))
        site.commands.import_inventory(Inventory((asset,), (Identity(self.chance.choice(USERS), "admin"),)), "x.csv")

    def erase(self, site: Site) -> None:
        with writing(site.engine) as conn:
            erasing.erase(conn, Wanted((self.chance.choice(USERS),)), "asked", "ada", self.now_ms)


_OFTEN = (60, 14, 6, 5, 4, 3)


def rows(site: Site) -> list[Sequence[Any]]:
    """What was decided and where it went, but for what is drawn by lot."""
    with reading(site.engine) as conn:
        f, c = t.findings.c, t.cases.c
        decided = select(f.id, f.case_id, f.count, f.severity, f.pico, f.p1_ppm, f.action, f.advice, f.why, f.trouble)
        cases = select(c.id, c.status, c.findings, c.alerts, c.rank, c.stages, c.top_finding, c.merged_into, c.closed)
        return [tuple(row) for wanted in (decided.order_by(f.id), cases.order_by(c.id)) for row in conn.execute(wanted)]


def young(folder: Path) -> tuple[Site, int]:
    data = data_directory(folder / "data", f"sqlite:///{folder / 'site.sqlite'}")
    return open_site(data, clock=StepClock()), NOON_MS


def grown(folder: Path) -> tuple[Site, int]:
    """One on which the agent may close."""
    site = earned.lived_site(folder)
    earned.promote(site, Stage.SUPERVISED)
    return site, NOON_MS + earned.DAY_MS


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    """New folders."""
    return iter([tmp_path / name for name in ("one", "two") if not (tmp_path / name).mkdir()])


@pytest.mark.parametrize(("begin", "seed"), [(young, 1), (young, 2), (grown, 3)])
def test_the_record_gives_a_random_life_back_and_memory_changes_nothing(
    begin: Callable[[Path], tuple[Site, int]], seed: int, folders: Iterator[Path]
) -> None:
    (one, begin_ms), (two, _) = begin(next(folders)), begin(next(folders))
    remembering, reading_all = Life(seed, begin_ms), Life(seed, begin_ms)
    for step in range(STEPS):
        remembering.step(one)
        data, at_ms = two.data, two.clock.at_ms  # type: ignore[attr-defined] - a StepClock
        two.close()
        two = open_site(data, clock=StepClock(at_ms))
        reading_all.step(two)
        if step % 10 == 9:
            fakes.assert_rebuilds(one)
    assert rows(one) == rows(two)
    telling = fakes.count(one.engine, "closes" if begin is grown else "earlier_decisions")
    assert telling > 4, "hardly anything was closed, or came again: the test shows nothing about it"
    assert begin is grown or fakes.count(one.engine, "cases", t.cases.c.merged_into != "")
    fakes.verified(one)
    one.close()
    two.close()
