"""What the runner does with every action, whichever it is, when its hand fails or its process is killed at any step, and
that it runs none without a lease and the approvals it needs. A new line in ``ACTIONS`` is covered without editing this file.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
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
from countersign.actions.hand import BaseHand, Cover
from countersign.approvals.status import Status
from countersign.approving import Approving
from countersign.authority.agents import Operation
from countersign.authority.grant import Part, alone, running
from countersign.authority.terms import LeaseRefused, Use
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

ADA, CYN = "Ada Lovelace", "Cyn Boyd"
NAMES = list(ACTIONS)
WAY = [Kind.ACTION_INTENDED, Kind.ACTION_STARTED, Kind.ACTION_PROBED]
FAULTS: tuple[BaseException, ...] = (
    TargetFault(TargetFault.TIMEOUT, "no answer", where="the target"),
    TargetFault(TargetFault.CREDENTIALS, "wrong", where="the target"),
    EnvironmentFault("something else", where="here"),
    RuntimeError("a fault of ours"),
    MemoryError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "what the target said"),
    SystemExit(3),
    asyncio.CancelledError(),
    GeneratorExit(),
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


def _stage(folder: Path) -> Stage:
    site = open_site(fakes.data_directory(folder / "data"), clock=fakes.StepClock())
    site.config = replace(site.config, actions=acting.tables(ACTIONS))
    case = responding.case(site)
    site.commands.import_inventory(acting.INVENTORY, "test")
    ada = enrol(site, ADA)
    enrol(site, CYN, roles=("analyst",))
    marks = folder / "marks"
    marks.mkdir()
    return Stage(site, marks, ada, case)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One for all; at its end its log verifies and its tables come out of its ledger."""
    made = _stage(tmp_path_factory.mktemp("stage"))
    real = dict(ACTIONS)
    ACTIONS.update(acting.stand_ins(real, made.folder, made.trouble))
    yield made
    ACTIONS.update(real)
    assert fakes.verified(made.site).ok
    fakes.assert_rebuilds(made.site)
    made.site.close()


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


@pytest.mark.parametrize("name", NAMES)
def test_whatever_its_check_raises_it_is_left_alone_and_to_a_person(stage: Stage, name: str) -> None:
    for error in FAULTS:
        number = stage.approve(stage.propose(name))
        stage.run("check", raising(error))
        assert (stage.state(number), stage.effects(number)) == (Status.PERSON.value, 0), error
        assert stage.way(number) == [Kind.ACTION_LEFT]
        assert stage.row(number).fault in (type(error).__name__, *_words(error))


@pytest.mark.parametrize("name", NAMES)
def test_whatever_its_effect_raises_the_probe_says_what_is_so(stage: Stage, name: str) -> None:
    for error in FAULTS:
        for step, done, state in (("before", 0, Status.PROBED_BAD), ("after", 1, Status.PROBED_OK)):
            number = stage.approve(stage.propose(name))
            stage.run(step, raising(error))
            assert (stage.state(number), stage.effects(number)) == (state.value, done), (step, error)
            assert stage.way(number) == WAY
            assert stage.row(number).fault in (type(error).__name__, *_words(error))


@pytest.mark.parametrize("name", NAMES)
def test_whatever_its_probe_raises_nothing_is_taken_to_hold(stage: Stage, name: str) -> None:
    for error in FAULTS:
        number = stage.approve(stage.propose(name))
        stage.run("probe", raising(error))
        assert (stage.state(number), stage.row(number).effect) == (Status.PROBED_BAD.value, "unknown"), error
        assert (stage.effects(number), stage.way(number)) == (1, WAY)


def _words(error: BaseException) -> tuple[str, ...]:
    return (error.kind,) if isinstance(error, TargetFault) else ()


@pytest.mark.parametrize("name", NAMES)
def test_a_person_who_stops_the_command_leaves_it_where_the_next_one_finds_it(stage: Stage, name: str) -> None:
    for step, done, state in (
        ("check", 1, Status.PROBED_OK),
        ("before", 0, Status.PROBED_BAD),
        ("after", 1, Status.PROBED_OK),
        ("probe", 1, Status.PROBED_OK),
    ):
        number = stage.approve(stage.propose(name))
        with pytest.raises(KeyboardInterrupt):
            stage.run(step, raising(KeyboardInterrupt()))
        stage.run()
        assert (stage.state(number), stage.effects(number), stage.way(number)) == (state.value, done, WAY), step


# --- killed -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, dict[tuple[str, str], int]]]:
    """Every action, approved once for each step, and carried out by processes that die at that step."""
    folder = tmp_path_factory.mktemp("killed")
    made = _stage(folder)
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
    made.site = open_site(folder / "data")
    yield made, numbers
    assert fakes.verified(made.site).ok
    fakes.assert_rebuilds(made.site)
    made.site.close()


@pytest.mark.slow
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
    made = _stage(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, one in acting.stand_ins(dict(ACTIONS), made.folder, made.trouble).items():
            patch.setitem(ACTIONS, name, one)
        yield made, {name: made.propose(name) for name in NAMES}
    made.site.close()


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, dict[str, int]]]:
    """Nobody approved anything; then somebody who can write the database says that they did."""
    with everything(tmp_path_factory.mktemp("made-up")) as (stage, numbers):
        stage.run()
        assert not effects(stage.folder)
        assert {stage.state(number) for number in numbers.values()} == {Status.PROPOSED.value}
        with writing(stage.site.engine) as conn:
            conn.execute(update(t.proposals).values(state=Status.APPROVED.value))
        stage.run()
        yield stage, numbers


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, dict[str, int]]]:
    """Everything is approved; then the responder is stopped, and gets no lease."""
    with everything(tmp_path_factory.mktemp("stopped")) as (stage, numbers):
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


def _hands() -> list[type[BaseHand]]:
    def below(kind: type[BaseHand]) -> list[type[BaseHand]]:
        return [one for sub in kind.__subclasses__() for one in (sub, *below(sub))]

    return [one for one in below(BaseHand) if one.__module__.startswith("countersign.")]


@pytest.mark.parametrize("kind", _hands(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("step", ["check", "do", "probe", "undo"])
def test_no_hand_moves_without_the_lease_for_this_action_and_use(kind: type[BaseHand], step: str) -> None:
    """An instance that knows nothing of any target: whatever got past the lease would fail otherwise."""
    hand = object.__new__(kind)
    hand.action = "isolate_host"
    order = Order("0" * 64, 7, "isolate_host", "C-1", (), {})
    use = Use("action-7", 1_000, "C-1")
    right, other = running("isolate_host"), running("release_host")
    own = alone(use, "responder", [Part("responder", Operation.RUN, (right,))]).of(Operation.RUN, right)
    wrong = alone(use, "responder", [Part("responder", Operation.RUN, (other,))]).of(Operation.RUN, other)
    for cover in (
        Cover(None, use),
        Cover(wrong, use),
        Cover(own, Use("action-8", 1_000, "C-1")),
        Cover(own, Use("action-7", 1_000, "C-2")),
        Cover(own, Use("action-7", 10**15, "C-1")),
    ):
        with pytest.raises(LeaseRefused):
            getattr(hand, step)(order, cover)
