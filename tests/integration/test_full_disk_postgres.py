"""A disk that is full under PostgreSQL, without room for another row, or without room for the server's own log, when it goes
down: an approved action waits where it is, nothing is lost or done twice, and it goes on once there is room again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg import sql
from structlog.testing import capture_logs

from countersign.approvals.status import Status
from countersign.errors import EnvironmentFault
from countersign.model.responses import Order
from countersign.running import Performer, Runner
from countersign.store import tables as t
from countersign.store.engine import writing
from tests import fakes
from tests.contract.test_action_running import WAY, Stage
from tests.integration.test_full_disk import ACTION, empty, fill, in_words, once, small_disk, stage_in, stuck
from tests.postgresql import Postgres, postgres_in

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.postgres, pytest.mark.xdist_group("small-postgres")]
JUNK = sql.SQL("SELECT pg_logical_emit_message(true, 'test', repeat('x', 1000000))")
"""On disk once it is committed: one outside a transaction waits for the server's own writer, which then found no room."""
NEXT_SEGMENT = sql.SQL("SELECT pg_switch_wal()")
STEPS = [
    ("", Status.APPROVED, 0),
    ("check", Status.APPROVED, 0),
    ("before", Status.RUNNING, 1),
    ("after", Status.RUNNING, 1),
    ("probe", Status.RUNNING, 1),
]
"""From which moment on the disk is full, where the action waits then, and how often it was done."""


@dataclass
class Small:
    """A server on a small disk, and a site on it. Target and published log are on another disk."""

    disk: Path
    server: Postgres
    stage: Stage

    def no_room_for_rows(self) -> None:
        """It runs, and takes nothing that needs another page; here that is every row (``sparse``)."""
        self.server.run(NEXT_SEGMENT)
        self.server.run(JUNK)
        fill(self.disk)

    def no_room_for_its_log(self) -> None:
        """It writes its own log until there is no room for it, and goes down."""
        fill(self.disk)
        until = time.monotonic() + 120
        while self.server.runs():  # it may come up once, look for room, and go down again
            assert time.monotonic() < until, "it does not go down"
            with suppress(psycopg.OperationalError):
                self.server.run(JUNK)

    def room_again(self) -> None:
        empty(self.disk)
        self.server.start()


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Path, Postgres]]:
    with TemporaryDirectory(prefix="countersign-pg-") as folder:  # not below pytest's, which the server's user may not enter
        disk = Path(folder) / "disk"
        with small_disk(disk, 200), postgres_in(disk / "data") as found:
            yield disk, found


@pytest.fixture
def small(server: tuple[Path, Postgres], tmp_path: Path) -> Iterator[Small]:
    disk, postgres = server
    name, url = postgres.create()
    with stage_in(tmp_path / "site", tmp_path / "marks", url) as stage:
        sparse(stage)
        made = Small(disk, postgres, stage)
        try:
            yield made
        finally:
            made.room_again()  # whatever became of the test: the next ones use the same server
    postgres.drop(name)


def sparse(stage: Stage) -> None:
    """Pages count as full when a tenth of them is, so that what a disk has no room for does not fit into the last page."""
    with writing(stage.site.engine) as conn:
        for table in t.metadata.tables:
            conn.exec_driver_sql(f'ALTER TABLE "{table}" SET (fillfactor = 10)')


def ended(stage: Stage, number: int) -> None:
    stage.run()
    assert (stage.state(number), stage.effects(number), stage.way(number)) == (Status.PROBED_OK.value, 1, WAY)


@pytest.mark.parametrize(("step", "waits", "done"), STEPS)
def test_there_is_no_room_for_another_row(small: Small, step: str, waits: Status, done: int) -> None:
    stage = small.stage
    number = stage.approve(stage.propose(ACTION))
    if step:
        stage.run(step, once(small.no_room_for_rows))
    else:
        small.no_room_for_rows()
    stuck(stage, number, waits, done)
    told = fakes.run("actions", "run", "--data", stage.site.data)
    in_words(told)
    empty(small.disk)
    ended(stage, number)


@pytest.mark.parametrize(("step", "waits", "done"), STEPS)
def test_it_goes_down_for_want_of_room_and_comes_back(small: Small, step: str, waits: Status, done: int) -> None:
    stage = small.stage
    number = stage.approve(stage.propose(ACTION))
    if step:
        stage.run(step, once(small.no_room_for_its_log))
    else:
        small.no_room_for_its_log()
    for _ in range(2):
        with pytest.raises(EnvironmentFault, match="database cannot be"):
            Runner(stage.site).step()
    told = fakes.run("actions", "run", "--data", stage.site.data)
    assert told.returncode == 3
    assert b"Traceback" not in told.stderr
    small.room_again()
    assert (stage.state(number), stage.effects(number)) == (waits.value, done)
    ended(stage, number)


def test_a_service_that_runs_all_the_while_goes_on_by_itself(small: Small) -> None:
    stage = small.stage
    number = stage.approve(stage.propose(ACTION))
    went_down = threading.Event()

    def down(_: Order) -> None:
        stage.trouble.happens = None
        small.no_room_for_its_log()
        went_down.set()

    stage.trouble.step, stage.trouble.happens = "after", down
    performer = Performer(Runner(stage.site))
    with capture_logs() as said:
        performer.start()
        try:
            assert went_down.wait(180)
            for _ in range(20):
                performer.wake()
                performer.join(0.1)
            small.room_again()
            until = time.monotonic() + 120
            while stage.state(number) != Status.PROBED_OK.value and time.monotonic() < until:
                performer.wake()
                performer.join(0.1)
        finally:
            performer.stop()
    ended(stage, number)
    told = [one for one in said if one["log_level"] == "error" and one["event"] == "actions"]
    assert told, "it is told"
    assert all(one["error"] != another["error"] for one, another in pairwise(told)), "but not with every step"
    assert not any("exc_info" in one for one in said)
