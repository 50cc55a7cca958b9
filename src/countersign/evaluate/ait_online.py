"""Online, cold start: one network of AIT-ADS as a new site, in time order (design: evaluation.md).

Stage ``advise`` at first; a person reads every escalated finding after four hours and labels it; a simulated person approves
a stage as soon as the governor lets him. The gate is the product's own and is asked twice: on arrival, and once more when a
person is about to take the finding from the queue, because by then labels of its neighbours are in. A close is taken back
when trouble turns up in its case or hour. No decision sees a label before it was given, nor an alert before it came.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from countersign.autonomy import review, states
from countersign.autonomy.recall import Close, recall
from countersign.autonomy.scopes import DEFAULT_SCOPES, Scope
from countersign.correlate.link import HOUR_MS
from countersign.evaluate.ait_memory import Memory
from countersign.evaluate.ait_scope import ScopeRun
from countersign.evaluate.ait_stream import Batch, Stream
from countersign.model.alerts import Severity
from countersign.model.decisions import Action, Decision, Outcome
from countersign.model.inventory import Criticality
from countersign.model.verdicts import Label
from countersign.policy.gate import GateInput, decide
from countersign.triage.calibrate import merged_ppm
from countersign.triage.model import HARD_CAP_PPM, Model, label
from countersign.triage.novelty import Novelty, assess

LABEL_MS = 4 * HOUR_MS
"""How long a finding waits for a person, and a close for its blind review."""
ONE = "site"
POLICY = "gate"
_ASIDE = frozenset({"stage", "threshold"})


@dataclass(frozen=True, slots=True)
class Choices:
    """What is compared. one_scope: the whole site is one scope, else the product's scopes. ask_again: the gate is asked again
    before a person takes a finding. thin_site, by_role: see ``Memory``. plain: the average certificate alone: score and
    threshold, no verified patterns, no case gate, no bands."""

    one_scope: bool = True
    ask_again: bool = True
    thin_site: bool = True
    by_role: bool = True
    plain: bool = False


OURS = Choices()


@dataclass(slots=True)
class Run:
    """What happened. closed: time of the close, per finding that stayed closed; read: those that a person read unasked, by
    place in the stream; taken_back: closes that the case gate reopened; recalled: those that a recall reopened. draws: in
    ``autonomous``. why: why a person saw it. decided: every answer of the gate on an arrival, in order."""

    stream: Stream
    scopes: dict[str, ScopeRun] = field(default_factory=dict)
    closed: dict[int, int] = field(default_factory=dict)
    read: set[int] = field(default_factory=set)
    labels: dict[int, bool] = field(default_factory=dict)
    taken_back: set[int] = field(default_factory=set)
    recalled: set[int] = field(default_factory=set)
    draws: list[review.Draw] = field(default_factory=list)
    why: dict[int, str] = field(default_factory=dict)
    decided: list[tuple[int, str, str]] = field(default_factory=list)

    def scope_of(self, i: int) -> ScopeRun:
        """The scope of a finding: its product's, or the one there is."""
        return self.scopes.get(ONE) or self.scopes[self.stream.found[i].scope]


def play(stream: Stream, model: Model, edges: Sequence[int], choices: Choices = OURS) -> Run:
    """Let the network go by. edges: score bands from the training networks, ascending (``autonomy.threshold.grid``)."""
    site = _Site(stream, model, tuple(edges), choices)
    for batch in stream.batches:
        site.until(batch.now_ms)
        site.batch(batch)
    site.until(None)
    site.run.labels = site.memory.labels
    return site.run


@dataclass(slots=True)
class _Site:
    stream: Stream
    model: Model
    edges: tuple[int, ...]
    choices: Choices
    run: Run = field(init=False)
    memory: Memory = field(init=False)
    queue: list[tuple[int, int, bool]] = field(default_factory=list)  # due, finding, whether it is a close's blind review
    due: dict[int, int] = field(default_factory=dict)
    would: dict[int, int] = field(default_factory=dict)  # finding → p1 at which it is closed, or would be if the stage allowed
    quiet: set[int] = field(default_factory=set)  # every condition but stage and threshold held
    must_read: set[int] = field(default_factory=set)
    scores: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.run = Run(self.stream)
        self.memory = Memory(self.stream.found, by_role=self.choices.by_role, thin_site=self.choices.thin_site)
        names = [ONE] if self.choices.one_scope else sorted({found.scope for found in self.stream.found})
        for name in names:
            self.run.scopes[name] = ScopeRun(_scope(name), states.begin(name, self.model.id, POLICY), self.edges)

    def until(self, now_ms: int | None) -> None:
        """Everything that people do up to a moment; to the end for None."""
        while self.queue and (now_ms is None or self.queue[0][0] <= now_ms):
            at_ms, i, blind = heapq.heappop(self.queue)
            if self.due.get(i) != at_ms or i in self.memory.labels or blind != (i in self.run.closed):
                continue  # moved, read or closed meanwhile
            if blind:
                self._blind(i, at_ms)
            elif self.choices.ask_again and i not in self.must_read and self._ask(i, at_ms):
                self._close(i, at_ms)
            else:
                self._read(i, at_ms)

    def batch(self, batch: Batch) -> None:
        """One micro-batch: verdicts first, then what they change for others, then the gate."""
        self.memory.merge(batch)
        troubled = [t.finding for t in batch.touches if self._verdict(t.finding, take=t)]
        for i in troubled:
            self._take_back(i, batch.now_ms)
        for touch in batch.touches:
            self._arrived(touch.finding, batch.now_ms)

    def _verdict(self, i: int, *, take: object = None) -> bool:
        """Take a finding in and score it; True when it has become trouble."""
        if take is not None:
            self.memory.take(take)  # type: ignore[arg-type]
        self.scores[i] = self.model.score(self.memory.row(i))
        return self.memory.judge(i, label(*self.model.calibration.interval(self.scores[i])))

    def _arrived(self, i: int, now_ms: int) -> None:
        new = i not in self.due
        close = (new or i in self.would) and self._ask(i, now_ms)
        if new:
            self.run.decided.append((now_ms, self.stream.found[i].id, "close" if close else self.run.why[i]))
        if new and close:
            self._close(i, now_ms)
        elif new:
            self._wait(i, now_ms)
        elif i in self.run.closed and not close:
            self._reopen(i, now_ms)

    def _ask(self, i: int, now_ms: int) -> bool:
        """Ask the gate. Also keeps whether the finding is quiet and would be closed if the stage allowed it."""
        scope, memory = self.run.scope_of(i), self.memory
        p1 = scope.p1_ppm(self.scores[i])
        if self.choices.plain:
            quiet, held = True, scope.state.may_close and p1 <= PLAIN_PPM
            within = p1 <= PLAIN_PPM
        else:
            novelty = assess(memory.record(i), memory.last[i].rarity, now_ms)
            decision = decide(self._given(i, now_ms, scope, p1, novelty))
            failed = {c.name for c in decision.conditions if c.outcome is not Outcome.HELD}
            quiet = not failed - _ASIDE and memory.verdicts[i] is Label.BENIGN
            within = scope.bands is None or p1 <= HARD_CAP_PPM
            held = decision.action is Action.CLOSE
            self.run.why[i] = _why(failed, novelty)
        (self.quiet.add if quiet else self.quiet.discard)(i)
        if quiet and within:
            self.would[i] = p1
        else:
            self.would.pop(i, None)
        return held
