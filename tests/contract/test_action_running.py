"""What the runner does with every action, whichever it is, when its hand fails or its process is killed at any step, and
that it runs none without a lease and the approvals it needs. A new line in ``ACTIONS`` is covered without editing this file.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select, update

from countersign.actions import ACTIONS
from countersign.approvals.status import Status
from countersign.approving import Approving
from countersign.bootstrap import Site, open_site
from countersign.errors import EnvironmentFault, TargetFault
from countersign.ledger.canonical import decode
from countersign.model.entries import Kind
from countersign.model.responses import Order
from countersign.running import Runner
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from tests import acting, fakes, responding
from tests.passkey_signing import Authenticator, enrol

pytestmark = pytest.mark.slow
ADA, CYN = "Ada Lovelace", "Cyn Boyd"
NAMES = list(ACTIONS)
WAY = [Kind.ACTION_INTENDED, Kind.ACTION_STARTED, Kind.ACTION_PROBED]
FAULTS: tuple[Callable[[], BaseException], ...] = (
    lambda: TargetFault(TargetFault.TIMEOUT, "no answer", where="the target"),
    lambda: TargetFault(TargetFault.CREDENTIALS, "wrong", where="the target"),
    lambda: EnvironmentFault("something else", where="here"),
    lambda: RuntimeError("a fault of ours"),
    MemoryError,
    lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "what the target said"),
    lambda: SystemExit(3),
    asyncio.CancelledError,
    GeneratorExit,
)


@dataclass
class Stage:
    """A site on which every action is switched on, and two people. trouble: what its hands do next."""

    site: Site
    folder: Path
    ada: Authenticator
    case: str
    trouble: acting.Trouble = field(default_factory=acting.Trouble)

    @property
    def approving(self) -> Approving:
        return Approving(self.site)

    def propose(self, name: str) -> int:
        return self.approving.propose(self.case, lambda _: acting.suggestion(ACTIONS[name], self.case), CYN)

    def approve(self, number: int) -> int:
        approving = self.approving
        pressed = self.ada.press(approving.ceremony(number, ADA))
        approving.approve_by_passkey(number, ADA, pressed, "seen it")
        return number

    def run(self, step: str = "", happens: Callable[[Order], None] | None = None) -> None:
        """Go through what is due once, with trouble at a step."""
        self.trouble.step, self.trouble.happens = step, happens
        try:
            Runner(self.site).step()
        finally:
            self.trouble.happens = None

    def state(self, number: int) -> str:
        with reading(self.site.engine) as conn:
            return str(conn.execute(select(t.proposals.c.state).where(t.proposals.c.id == number)).scalar_one())

    def row(self, number: int) -> Any:
        with reading(self.site.engine) as conn:
            return conn.execute(select(t.performances).where(t.performances.c.proposal_id == number)).first()

    def effects(self, number: int) -> int:
        return effects(self.folder)[number]

    def way(self, number: int) -> list[Kind]:
        """Entries of kind ``action.*`` for it, in their order; an intent is sealed before it is started."""
        found = way(self.site, number)
        assert all(entry["sealed"] > index for index, entry in zip(*_sealed(self.site, number), strict=True))
        return found


def effects(folder: Path) -> Counter[int]:
    """How often each number's effect was brought about or taken back."""
    log = folder / "effects.log"
    return Counter(int(line) for line in log.read_text("utf-8").split()) if log.exists() else Counter()


def way(site: Site, number: int) -> list[Kind]:
    return [e.kind for e in _of(site, number)[1] if e.kind.startswith("action.")]


def _of(site: Site, number: int) -> tuple[list[int], list[Any]]:
    with reading(site.engine) as conn:
        e = t.entries.c
        rows = conn.execute(select(e.idx, e.bytes).where(e.subject == str(number)).order_by(e.idx)).all()
    return [row.idx for row in rows], [decode(row.bytes) for row in rows]


def _sealed(site: Site, number: int) -> tuple[list[int], list[Any]]:
    indices, entries = _of(site, number)
    pairs = list(zip(indices, entries, strict=True))
    intents = [index for index, entry in pairs if entry.kind is Kind.ACTION_INTENDED]
    started = [entry.body for _, entry in pairs if entry.kind is Kind.ACTION_STARTED]
    return intents[: len(started)], started


def set_up(folder: Path, database: str = "") -> Stage:
    """Everything in a new folder; the registry is left as it is."""
    folder.mkdir()
    site = open_site(fakes.data_directory(folder / "data", database), clock=fakes.StepClock())
    site.config = replace(site.config, actions=acting.tables(ACTIONS))
    case = responding.case(site)
    site.commands.import_inventory(acting.INVENTORY, "test")
    ada = enrol(site, ADA)
    enrol(site, CYN, roles=("analyst",))
    marks = folder / "marks"
    marks.mkdir()
    return Stage(site, marks, ada, case)


@pytest.fixture(scope="module")
def stage(memory: Path) -> Iterator[Stage]:
    """One for all; at its end its log verifies and its tables come out of its ledger."""
    made = set_up(memory / "stage")
    real = dict(ACTIONS)
    ACTIONS.update(acting.stand_ins(real, made.folder, made.trouble))
    yield made
    ACTIONS.update(real)
    assert fakes.verified(made.site).ok
    fakes.assert_rebuilds(made.site)
    made.site.close()


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: that a disk keeps what it is given is tested elsewhere, and takes its time."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Path(folder)


def raising(error: BaseException) -> Callable[[Order], None]:
    def happens(_: Order) -> None:
        raise error

    return happens


@pytest.mark.parametrize("name", NAMES)
def test_it_is_sealed_done_once_and_probed(stage: Stage, name: str) -> None:
    number = stage.approve(stage.propose(name))
    stage.run()
    assert (stage.state(number), stage.effects(number), stage.way(number)) == (Status.PROBED_OK.value, 1, WAY)
    stage.run()
    assert stage.effects(number) == 1
    if ACTIONS[name].inverse:
        undo = stage.approve(stage.approving.propose_undo(number, CYN))
        stage.run()
        assert (stage.state(number), stage.state(undo)) == (Status.UNDO_PROPOSED.value, Status.PROBED_OK.value)
        assert (stage.effects(undo), stage.way(undo)) == (1, WAY)


OUTCOMES: dict[str, tuple[Status, int, list[Kind]]] = {
    "check": (Status.PERSON, 0, [Kind.ACTION_LEFT]),
    "before": (Status.PROBED_BAD, 0, WAY),
    "after": (Status.PROBED_OK, 1, WAY),
    "probe": (Status.PROBED_BAD, 1, WAY),
}
"""What becomes of it when a step raises: state, effects, entries."""


def fails(stage: Stage, name: str, step: str, error: BaseException) -> None:
    number = stage.approve(stage.propose(name))
    stage.run(step, raising(error))
    state, done, entries = OUTCOMES[step]
    assert (stage.state(number), stage.effects(number), stage.way(number)) == (state.value, done, entries), (step, error)
    fault = error.kind if isinstance(error, TargetFault) else type(error).__name__
    row = stage.row(number)
    assert (row.fault, row.effect) == (("", "unknown") if step == "probe" else (fault, row.effect))
    assert row.effect != "holds" or done


@pytest.mark.parametrize("step", acting.STEPS)
@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_step_raises_the_probe_or_a_person_says_what_is_so(stage: Stage, name: str, step: str) -> None:
    """Faults go round, so that every step of the registry meets every kind."""
    fails(stage, name, step, FAULTS[(NAMES.index(name) + acting.STEPS.index(step)) % len(FAULTS)]())


@pytest.mark.parametrize("make", FAULTS, ids=lambda make: type(make()).__name__)
def test_every_fault_at_every_step(stage: Stage, make: Callable[[], BaseException]) -> None:
    for step in acting.STEPS:
        fails(stage, NAMES[0], step, make())


@pytest.mark.parametrize("name", NAMES)
def test_a_person_who_stops_the_command_leaves_it_where_the_next_one_finds_it(stage: Stage, name: str) -> None:
    step = acting.STEPS[NAMES.index(name) % len(acting.STEPS)]
    number = stage.approve(stage.propose(name))
    with pytest.raises(KeyboardInterrupt):
        stage.run(step, raising(KeyboardInterrupt()))
    stage.run()
    state, done = (Status.PROBED_BAD, 0) if step == "before" else (Status.PROBED_OK, 1)
    assert (stage.state(number), stage.effects(number), stage.way(number)) == (state.value, done, WAY)


# --- killed -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(memory: Path) -> Iterator[tuple[Stage, dict[tuple[str, str], int]]]:
    """Every action, approved once for each step, and carried out by processes that die at that step."""
    folder = memory / "killed"
    made = set_up(folder)
    numbers = {}
    for step in acting.STEPS:
        for name in NAMES:
            numbers[name, step] = made.propose(name)
            made.approve(numbers[name, step])
    made.site.close()
    steps = {str(number): step for (_, step), number in numbers.items()}
    (made.folder / "die.json").write_text(json.dumps(steps), "utf-8")
    argv = [sys.executable, "-m", "tests.contract.carry_out", str(folder / "data"), str(made.folder)]
    done = subprocess.run(argv, env=fakes.environment(), cwd=fakes.ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()[-1:]) == (0, [str(len(numbers))]), done.stderr
    made.site = open_site(folder / "data", clock=fakes.StepClock(fakes.NOON_MS + 2_000_000))
    yield made, numbers
    assert fakes.verified(made.site).ok
    fakes.assert_rebuilds(made.site)
    made.site.close()


@pytest.mark.crash
@pytest.mark.parametrize("name", NAMES)
def test_killed_at_a_step_it_is_probed_and_never_done_twice(
    killed: tuple[Stage, dict[tuple[str, str], int]], name: str
) -> None:
    stage, numbers = killed
    expected = {
        "check": (Status.PROBED_OK, 1, ""),
        "before": (Status.PROBED_BAD, 0, "interrupted"),
        "after": (Status.PROBED_OK, 1, "interrupted"),
        "probe": (Status.PROBED_OK, 1, "interrupted"),
    }
    for step, (state, done, fault) in expected.items():
        number = numbers[name, step]
        seen = (stage.state(number), stage.effects(number), stage.row(number).fault, stage.way(number))
        assert seen == (state.value, done, fault, WAY), step


# --- refused ----------------------------------------------------------------------------------------------------------


@contextmanager
def everything(folder: Path) -> Iterator[tuple[Stage, dict[str, int]]]:
    """A site of its own, with every action proposed on it."""
    made = set_up(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, one in acting.stand_ins(dict(ACTIONS), made.folder, made.trouble).items():
            patch.setitem(ACTIONS, name, one)
        yield made, {name: made.propose(name) for name in NAMES}
    made.site.close()


@pytest.fixture(scope="module")
def made_up(memory: Path) -> Iterator[tuple[Stage, dict[str, int]]]:
    """Nobody approved anything; then somebody who can write the database says that they did."""
    with everything(memory / "made-up") as (stage, numbers):
        stage.run()
        assert not effects(stage.folder)
        assert {stage.state(number) for number in numbers.values()} == {Status.PROPOSED.value}
        with writing(stage.site.engine) as conn:
            conn.execute(update(t.proposals).values(state=Status.APPROVED.value))
        stage.run()
        yield stage, numbers


@pytest.fixture(scope="module")
def stopped(memory: Path) -> Iterator[tuple[Stage, dict[str, int]]]:
    """Everything is approved; then the responder is stopped, and gets no lease."""
    with everything(memory / "stopped") as (stage, numbers):
        for number in numbers.values():
            stage.approve(number)
        stage.site.commands.stop_agent("responder", "drill", CYN)
        stage.run()
        yield stage, numbers


@pytest.mark.parametrize("kept_from", ["made_up", "stopped"])
@pytest.mark.parametrize("name", NAMES)
def test_it_does_not_run_without_approval_or_lease(kept_from: str, name: str, request: pytest.FixtureRequest) -> None:
    stage, numbers = request.getfixturevalue(kept_from)
    number = numbers[name]
    assert (stage.state(number), stage.effects(number), stage.way(number)) == (Status.PERSON.value, 0, [Kind.ACTION_LEFT])
