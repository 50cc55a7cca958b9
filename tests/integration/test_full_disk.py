"""A disk that is full, and a ledger directory that takes nothing: an approved action waits where it is, nothing is lost and
nothing happens twice, and it goes on once there is room again. Real file systems of a few megabytes, so it needs root."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from countersign.actions import ACTIONS
from countersign.approvals.status import Status
from countersign.bootstrap import open_site
from countersign.errors import EnvironmentFault
from countersign.model.responses import Order
from countersign.running import Runner
from tests import acting, fakes
from tests.contract.test_action_running import WAY, Stage, set_up
from tests.namespaces import need_root_and, sh

pytestmark = [pytest.mark.root, pytest.mark.slow]
ACTION = "block_address"
MANY = 1 << 20


@contextmanager
def small_disk(at: Path, megabytes: int) -> Iterator[None]:
    need_root_and("mount", "umount")
    at.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(at)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        sh("umount", "-l", str(at))


def fill(folder: Path) -> None:
    """To the last byte."""
    file = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT, 0o600)
    size = MANY
    while size:
        try:
            os.write(file, b"x" * size)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            size //= 2
    os.close(file)


def empty(folder: Path) -> None:
    (folder / "filler").unlink(missing_ok=True)


@contextmanager
def stage_in(folder: Path, marks: Path, database: str = "") -> Iterator[Stage]:
    made = set_up(folder, database)
    made.folder = marks
    marks.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, one in acting.stand_ins(dict(ACTIONS), marks, made.trouble).items():
            patch.setitem(ACTIONS, name, one)
        yield made
    assert fakes.verified(made.site).ok
    fakes.assert_rebuilds(made.site)
    made.site.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Stage]]:
    """The whole data directory is on a small disk; the target is not."""
    mount = tmp_path / "disk"
    with small_disk(mount, 24), stage_in(mount / "site", tmp_path / "marks") as stage:
        yield mount, stage


@pytest.fixture
def log_disk(tmp_path: Path) -> Iterator[tuple[Path, Stage]]:
    """The published log alone is on one."""
    with stage_in(tmp_path / "site", tmp_path / "marks") as stage:
        stage.site.seal()
        stage.site.close()
        tlog = stage.site.data / "tlog"
        aside = tlog.with_name("aside")
        tlog.rename(aside)
        with small_disk(tlog, 4):
            shutil.copytree(aside, tlog, dirs_exist_ok=True)
            config = stage.site.config
            stage.site = open_site(stage.site.data, clock=fakes.StepClock(fakes.NOON_MS + 1_000_000))
            stage.site.config = config
            yield tlog, stage
            assert fakes.verified(stage.site).ok
            fakes.assert_rebuilds(stage.site)
            shutil.rmtree(aside)
            shutil.copytree(tlog, aside)
        tlog.rmdir()
        aside.rename(tlog)


def stuck(stage: Stage, number: int, state: Status, done: int) -> None:
    """It stays where it is however often it is tried, and whoever runs it is told why."""
    for _ in range(2):
        runner = Runner(stage.site)
        assert runner.step() == 0
        assert list(runner.troubles) == [number]
        assert isinstance(runner.troubles[number], EnvironmentFault)
        assert (stage.state(number), stage.effects(number)) == (state.value, done)


@pytest.mark.parametrize(
    ("step", "waits", "done", "ends"),
    [
        ("", Status.APPROVED, 0, Status.PROBED_OK),
        ("check", Status.APPROVED, 0, Status.PROBED_OK),
        ("before", Status.RUNNING, 1, Status.PROBED_OK),
        ("after", Status.RUNNING, 1, Status.PROBED_OK),
        ("probe", Status.RUNNING, 1, Status.PROBED_OK),
    ],
)
def test_the_disk_is_full_from_some_moment_on(
    disk: tuple[Path, Stage], step: str, waits: Status, done: int, ends: Status
) -> None:
    mount, stage = disk
    number = stage.approve(stage.propose(ACTION))
    if step:
        stage.run(step, once(lambda: fill(mount)))
    else:
        fill(mount)
    stuck(stage, number, waits, done)
    told = fakes.run("actions", "run", "--data", stage.site.data)
    in_words(told)
    empty(mount)
    stage.run()
    assert (stage.state(number), stage.effects(number), stage.way(number)) == (ends.value, 1, WAY)


def in_words(told: subprocess.CompletedProcess[bytes]) -> None:
    """A process of its own does not know these stand-ins: it ends well where nothing had to be written, else in one line."""
    last = told.stderr.splitlines()[-1]
    assert (told.returncode, last.startswith(b"countersign: ")) in ((0, False), (3, True)), told
    assert b"Traceback" not in told.stderr


def once(act: Callable[[], None]) -> Callable[[Order], None]:
    """The disk is full after the first time already."""
    left = [act]

    def happens(_: Order) -> None:
        if left:
            left.pop()()

    return happens


def test_the_log_s_disk_is_full(log_disk: tuple[Path, Stage]) -> None:
    tlog, stage = log_disk
    number = stage.approve(stage.propose(ACTION))
    fill(tlog)
    stuck(stage, number, Status.SEALED, 0)
    empty(tlog)
    stage.run()
    assert (stage.state(number), stage.effects(number), stage.way(number)) == (Status.PROBED_OK.value, 1, WAY)


def test_the_log_s_directory_is_read_only(log_disk: tuple[Path, Stage]) -> None:
    tlog, stage = log_disk
    number = stage.approve(stage.propose(ACTION))
    sh("mount", "-o", "remount,ro", str(tlog))
    stuck(stage, number, Status.SEALED, 0)
    sh("mount", "-o", "remount,rw", str(tlog))
    stage.run()
    assert (stage.state(number), stage.effects(number), stage.way(number)) == (Status.PROBED_OK.value, 1, WAY)


def test_the_log_s_disk_fills_up_while_it_is_being_done(log_disk: tuple[Path, Stage]) -> None:
    """What was found is in the database and is sealed later; nothing waits for the log but what has not begun."""
    tlog, stage = log_disk
    number = stage.approve(stage.propose(ACTION))
    stage.run("after", once(lambda: fill(tlog)))
    assert (stage.state(number), stage.effects(number)) == (Status.PROBED_OK.value, 1)
    empty(tlog)
    stage.run()
    assert (stage.state(number), stage.effects(number), stage.way(number)) == (Status.PROBED_OK.value, 1, WAY)


def test_somebody_approves_while_the_log_takes_nothing(log_disk: tuple[Path, Stage]) -> None:
    """They are told; their signature is kept, and nothing is done before it is sealed."""
    tlog, stage = log_disk
    number = stage.propose(ACTION)
    fill(tlog)
    with pytest.raises(EnvironmentFault, match="No space left"):
        stage.approve(number)
    stuck(stage, number, Status.SEALED, 0)
    empty(tlog)
    stage.run()
    assert (stage.state(number), stage.effects(number), stage.way(number)) == (Status.PROBED_OK.value, 1, WAY)
