"""Carries approved actions out, one at a time: look over, check, intent, seal, start, do, probe.

It stands beside ``approving`` and is handed to nobody of the agent's code: ``serve``, ``worker`` and ``actions run`` start
it. Only an action that the site turned on runs, only once, only while everything that its approval rests on is still so, and
only after a checkpoint covers its intent, cosigned by the quorum of witnesses where one is configured. What a crash
interrupted is probed, never done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from sqlalchemy import Connection

from countersign.actions import ACTIONS, switched_on
from countersign.actions.hand import BaseHand, Cover
from countersign.approvals.status import Event, Status
from countersign.approving import propose_undo
from countersign.authority.agents import Operation
from countersign.authority.grant import running
from countersign.authority.terms import LeaseRefused, Use
from countersign.bootstrap import Site
from countersign.config import secret
from countersign.errors import ConfigError, CountersignError, EnvironmentFault, TargetFault
from countersign.ledger.note import Checkpoint
from countersign.model.entries import Actor
from countersign.model.responses import Effect, Seen
from countersign.rounds import Rounds
from countersign.store import performing, undoing
from countersign.store.engine import reading, writing
from countersign.store.performing import Prepared, Refused, Rules
from countersign.store.sealing import said
from countersign.store.solo import alone
from countersign.witnessing import Witnesses

log = structlog.get_logger()
IDLE_S = 0.3
STEP_S = 10.0
SYSTEM = Actor("system", "actions")


@dataclass(frozen=True, slots=True)
class SiteReach:
    """How hands reach out from this site."""

    where: str
    timeout_s: float = STEP_S

    def secret(self, reference: str) -> str:
        """What a reference names. Raises ConfigError."""
        return secret(reference, self.where)


class Hands:
    """The hands of the actions that the site turned on, each made when it is first needed. Raises ConfigError where a table
    of the configuration does not fit its action."""

    def __init__(self, site: Site) -> None:
        self._tables = site.config.actions
        self._made: dict[str, BaseHand] = {}
        known = {one.configured for one in ACTIONS.values()}
        if unknown := sorted(self._tables.keys() - known):
            todo = f"use one of {', '.join(sorted(known))}"
            raise ConfigError(f"no action is called {unknown[0]!r}", where="countersign.toml: actions", todo=todo)
        self.on = switched_on(self._tables)
        for name, action in ACTIONS.items():
            if action.configured in self._tables:
                self._settings(name)

    def of(self, name: str) -> BaseHand:
        """The hand of an action. Raises ConfigError when nothing can carry it out with these settings."""
        if name not in self._made:
            where = f"countersign.toml: actions.{ACTIONS[name].configured}"
            hand = ACTIONS[name].hand(self._settings(name), SiteReach(where))
            if not isinstance(hand, BaseHand):
                raise ConfigError("nothing here can carry it out", where=where, todo="see the how-to of this action")
            self._made[name] = hand
        return self._made[name]

    def troubles(self) -> tuple[str, ...]:
        """Why actions that are switched on cannot be carried out as they are configured. Touches no target."""
        found: dict[str, None] = {}
        for name in self.on:
            try:
                self.of(name)
            except CountersignError as error:  # of an action and of what takes it back it is the same
                found[str(error)] = None
        return tuple(found)

    def _settings(self, name: str) -> Any:  # noqa: ANN401 - each action's own struct
        action = ACTIONS[name]
        try:
            return msgspec.convert(self._tables.get(action.configured, {}), action.settings)
        except msgspec.ValidationError as error:
            what, _, place = str(error).partition(" - at `$")
            where = f"countersign.toml: actions.{action.configured}{place.rstrip('`')}"
            raise ConfigError(what, where=where, todo="see docs/reference/configuration.md") from error


@dataclass(slots=True)
class _Times:
    """Milliseconds of each step, by a clock that only goes forward."""

    _since: float = field(default_factory=time.perf_counter)
    steps: dict[str, int] = field(default_factory=dict)

    def lap(self, step: str) -> None:
        """The step since the last lap ends."""
        now = time.perf_counter()
        self.steps[step] = round((now - self._since) * 1000)
        self._since = now


class _Waits(Exception):
    """An action waits for the quorum of witnesses; it is tried again with the next step."""


class Runner:
    """``step`` carries out whatever is due; one process at a time does. troubles: why actions could not be taken further in
    the last step, by number; they are tried again with the next."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._witnesses = Witnesses(site)
        self.hands = Hands(site)
        self.held = ""
        """Why nothing is started at present, "" when something could be."""
        self.elsewhere = False
        """Whether another process had the actions of this site in hand at the last step."""
        self.troubles: dict[int, CountersignError] = {}
        self._before: dict[int, str] = {}
        self._still: Callable[[], None] = lambda: None

    def step(self) -> int:
        """Go through everything once; returns how many actions were taken further. Whatever fails by itself is logged and
        stays where it is: it is tried again with the next step, or ends when its approval does. While the ledger is not
        sealed in time nothing is started; what a crash interrupted is probed all the same."""
        self._before, self.troubles = {number: str(error) for number, error in self.troubles.items()}, {}
        if not self._due():
            return 0
        self._hold()
        taken = 0
        with alone(self._site.engine, self._site.data, "actions") as mine:
            self.elsewhere = not mine
            if not mine:
                return 0
            self._still = mine.still
            with reading(self._site.engine) as conn:
                found = performing.waiting(conn, self.hands.on)
                late = undoing.due(conn, self._site.clock.now_ms())
            for number, state, action in found:
                if self.held and state is not Status.RUNNING:
                    continue
                taken += self._guarded(number, lambda n=number, s=state, a=action: self._take(n, s, a))  # type: ignore[misc]
            for number in late:
                taken += self._guarded(number, lambda n=number: self._propose_undo(n))  # type: ignore[misc]
        return taken

    def _hold(self) -> None:
        state = self._site.sealing.keep()
        held = "" if state.in_time else said(state, self._site.clock.now_ms())
        if bool(held) != bool(self.held):
            log.warning("actions", held=held or "no more")
        self.held = held

    def _due(self) -> bool:
        with reading(self._site.engine) as conn:
            return bool(performing.waiting(conn, self.hands.on) or undoing.due(conn, self._site.clock.now_ms()))

    def _guarded(self, number: int, act: Callable[[], object]) -> int:
        try:
            act()
        except _Waits:
            return 0
        except CountersignError as error:
            self.troubles[number] = error
            if self._before.get(number) != str(error):  # a full disk is not told again with every step
                log.error("action", number=number, error=str(error))
            return 0
        except Exception as error:  # a fault of ours with one action holds no other up
            what = f"a fault of ours ({type(error).__name__}); the log has it whole"
            self.troubles[number] = EnvironmentFault(what, where=f"action {number}", todo="report it as a defect")
            if self._before.get(number) != str(self.troubles[number]):
                log.exception("action", number=number)
            return 0
        return 1

    # --- one action -----------------------------------------------------------------------------------------------

    def _take(self, number: int, state: Status, action: str) -> None:
        if action not in ACTIONS or (state is Status.SEALED and action not in self.hands.on):
            self._leave(number, Refused(Event.FAILED, "it was begun, and is not switched on here any more"), "refused")
        elif state is Status.RUNNING:  # a crash interrupted it: what is so decides, and it is not done again
            self._probe(number, action, _Times(), performing.INTERRUPTED)
        elif state is Status.SEALED:
            self._begin(number, action, _Times())
        else:
            self._intend(number, action)

    def _intend(self, number: int, action: str) -> None:
        times = _Times()
        ready = self._looked_over(number, action)
        if ready is None:
            return
        before = self._checked(ready, action)
        if isinstance(before, tuple):
            self._leave(number, Refused(Event.FAILED, before[0]), before[1])
            return
        times.lap("check")
        with writing(self._site.engine) as conn:
            again, now_ms = self._last_look(conn, number, action)
            if isinstance(again, Prepared):
                performing.intend(conn, again, self._site.leases, before, now_ms)
        if isinstance(again, Refused):
            self._leave(number, again, "refused")
        else:
            self._begin(number, action, times)

    def _checked(self, ready: Prepared, action: str) -> tuple[str, str] | Effect:
        """What is so before, or (words, fault) of why it cannot be done now. Whatever went wrong, nothing was touched."""
        try:
            return self.hands.of(action).check(ready.order, self._cover(ready)).effect
        except TargetFault as error:
            return str(error), error.kind
        except (LeaseRefused, ConfigError) as error:
            return str(error), error.code
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            log.exception("action", number=ready.held.id)
            return f"the check failed ({type(error).__name__})", type(error).__name__

    def _begin(self, number: int, action: str, times: _Times) -> None:
        """The intent is committed. Seal it, look everything over once more, and only then touch the target."""
        checkpoint = self._site.sealer.seal()
        times.lap("seal")
        ready = self._looked_over(number, action)
        if ready is None:
            return
        if self._site.config.ledger.quorum:
            checkpoint = self._cosigned(number, ready)
            times.lap("quorum")
        self._still()
        with writing(self._site.engine) as conn:
            again, now_ms = self._last_look(conn, number, action)
            intent = performing.intent(conn, number)
            if checkpoint.size <= intent:
                raise EnvironmentFault("the intent is not sealed", where=f"action {number}", todo="see `countersign verify`")
            if isinstance(again, Prepared):
                performing.start(conn, again, self._site.leases, checkpoint.size, now_ms)
        if isinstance(again, Refused):
            self._leave(number, again, "refused")
            return
        times.lap("start")
        self._probe(number, action, times, self._do(again, action), again)

    def _cosigned(self, number: int, ready: Prepared) -> Checkpoint:
        """The quorum's checkpoint over the intent. Raises _Waits, after it was entered that the action waits."""
        with reading(self._site.engine) as conn:
            intent = performing.intent(conn, number)
        found = self._witnesses.covered()
        if found is None or found.size <= intent:
            self._witnesses.ask()
            found = self._witnesses.covered()
        if found is not None and found.size > intent:
            return found
        with writing(self._site.engine) as conn:
            size, quorum = found.size if found else 0, self._site.config.ledger.quorum
            performing.wait(conn, ready, quorum, size, self._site.clock.now_ms())
        raise _Waits

    def _do(self, ready: Prepared, action: str) -> str:
        """The fault that it met, "" for none. Whatever it was, the probe says what is so."""
        try:
            self.hands.of(action).do(ready.order, self._cover(ready))
        except TargetFault as error:
            log.error("action", number=ready.held.id, error=str(error))
            return error.kind
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # ours, or one that would end the thread: what is so must be found out all the same
            log.exception("action", number=ready.held.id)
            return type(error).__name__
        return ""

    def _probe(self, number: int, action: str, times: _Times, fault: str, ready: Prepared | None = None) -> None:
        times.lap("do")
        with reading(self._site.engine) as conn:
            ready = performing.probing(conn, number, ready, self._rules(action), self._site.clock.now_ms())
        seen = self._seen(ready, action) if ready else Seen(Effect.UNKNOWN, "it could not be probed: look at the target")
        times.lap("probe")
        with writing(self._site.engine) as conn:
            now_ms = self._site.clock.now_ms()
            performing.probed(conn, number, ready, self._site.leases, performing.Found(seen, fault, times.steps), now_ms)
        self._site.seal()

    def _seen(self, ready: Prepared, action: str) -> Seen:
        try:
            return self.hands.of(action).probe(ready.order, self._cover(ready))
        except CountersignError as error:
            return Seen(Effect.UNKNOWN, f"the probe failed: {error}")
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            log.exception("action", number=ready.held.id)
            return Seen(Effect.UNKNOWN, f"the probe failed ({type(error).__name__})")

    def _looked_over(self, number: int, action: str) -> Prepared | None:
        with reading(self._site.engine) as conn:
            self._site.follow(conn)
            found = performing.look_over(conn, number, self._rules(action), self._site.clock.now_ms())
        if isinstance(found, Prepared):
            return found
        self._leave(number, found, "refused")
        return None

    def _last_look(self, conn: Connection, number: int, action: str) -> tuple[Prepared | Refused, int]:
        """By whatever is in force in the moment in which it is written that it goes on; with the time of that."""
        performing.last_look(conn)
        self._site.follow(conn)
        now_ms = self._site.clock.now_ms()
        return performing.look_over(conn, number, self._rules(action), now_ms), now_ms

    def _leave(self, number: int, refused: Refused, fault: str) -> None:
        with writing(self._site.engine) as conn:
            performing.leave(conn, number, refused, fault, self._site.clock.now_ms())
        self._site.seal()

    def _rules(self, action: str) -> Rules:
        return Rules(self._site.policy, self._site.leases, ACTIONS[action].impactful)

    def _cover(self, ready: Prepared) -> Cover:
        use = Use(ready.granted.use.task, self._site.clock.now_ms(), ready.granted.use.case)
        return Cover(ready.granted.of(Operation.RUN, running(ready.order.action)), use)

    # --- undo -----------------------------------------------------------------------------------------------------

    def _propose_undo(self, number: int) -> None:
        propose_undo(self._site, number, SYSTEM, "the time that it was approved for is over")


class Performer(Rounds):
    """Runs a ``Runner`` beside a service, so that a target which does not answer holds no alert up."""

    def __init__(self, runner: Runner) -> None:
        super().__init__("actions", IDLE_S)
        self._runner = runner

    def once(self) -> None:
        """Carry out whatever is due."""
        self._runner.step()


__all__ = ["Hands", "Performer", "Runner"]
