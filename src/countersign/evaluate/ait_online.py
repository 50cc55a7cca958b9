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

from countersign.autonomy import governor, review
from countersign.autonomy.recall import Close, recall
from countersign.autonomy.scopes import DEFAULT_SCOPES, Scope
from countersign.correlate.link import HOUR_MS
from countersign.evaluate.ait_memory import Memory
from countersign.evaluate.ait_scope import ScopeRun
from countersign.evaluate.ait_stream import Batch, Stream, Touch
from countersign.model.decisions import Action, Outcome
from countersign.model.verdicts import PPM, Label
from countersign.policy.gate import GateInput, decide
from countersign.triage.model import HARD_CAP_PPM, Model, label
from countersign.triage.novelty import Novelty, assess

LABEL_MS = 4 * HOUR_MS
"""How long a finding waits for a person, and a close for its blind review."""
ONE = "site"
POLICY = "gate"
_ASIDE = frozenset({"stage", "reviews", "threshold"})
_TOLD = ("alarm", "case", "assets", "severity", "tactic", "entities_known", "pattern", "threshold", "budget", "stage")


@dataclass(frozen=True, slots=True)
class Choices:
    """What is compared. one_scope: the whole site is one scope, else the product's. ask_again: the gate is asked again
    before a person takes a finding. postpone: he first reads the findings that hold up the rest of their case and hour.
    thin_site, by_role, chronic: see ``Memory``. graded: scopes whose tools grade what they find. plain: the average
    certificate alone: score and threshold; no verified patterns, no case gate, no bands."""

    one_scope: bool = True
    ask_again: bool = True
    postpone: bool = True
    thin_site: bool = True
    by_role: bool = True
    chronic: bool = True
    plain: bool = False
    graded: frozenset[str] = frozenset()


OURS = Choices()


@dataclass(slots=True)
class Run:
    """What happened; numbers are places in ``stream.found``. closed: when, of what stayed closed. read: escalated, and read
    by a person. labels: every label given. cases: case per finding. taken_back: closes that the case gate reopened;
    recalled: those that a recall did. draws: in ``autonomous``. why: why a person saw it. decided: answers on arrival.
    scores: as last asked."""

    stream: Stream
    scopes: dict[str, ScopeRun] = field(default_factory=dict)
    closed: dict[int, int] = field(default_factory=dict)
    read: set[int] = field(default_factory=set)
    labels: dict[int, bool] = field(default_factory=dict)
    cases: dict[int, str] = field(default_factory=dict)
    taken_back: set[int] = field(default_factory=set)
    recalled: set[int] = field(default_factory=set)
    draws: list[review.Draw] = field(default_factory=list)
    why: dict[int, str] = field(default_factory=dict)
    decided: list[tuple[int, str, str]] = field(default_factory=list)
    scores: dict[int, int] = field(default_factory=dict)

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
    site.run.labels, site.run.cases, site.run.scores = site.memory.labels, site.memory.cases, site.scores
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
    would: dict[int, int] = field(default_factory=dict)  # p1 of what is closed, or would be if the stage allowed
    quiet: set[int] = field(default_factory=set)  # every condition but stage and threshold held
    postponed: set[int] = field(default_factory=set)
    must_read: set[int] = field(default_factory=set)
    scores: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.run = Run(self.stream)
        self.memory = Memory(
            self.stream.found,
            by_role=self.choices.by_role,
            thin_site=self.choices.thin_site,
            chronic=self.choices.chronic,
        )
        names = [ONE] if self.choices.one_scope else sorted({found.scope for found in self.stream.found})
        for name in names:
            limits = _scope(name, graded=name in self.choices.graded)
            self.run.scopes[name] = ScopeRun(limits, governor.begin(name, self.model.id, POLICY), self.edges)

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
            elif not self._postponed(i, at_ms):
                self._read(i, at_ms)

    def _postponed(self, i: int, at_ms: int) -> bool:
        """A person reads the troubling findings of a case and hour before the rest: put the rest off, once, until then."""
        if not self.choices.postpone or i in self.postponed or i in self.must_read or self.run.why[i] != "case":
            return False
        unread = [self.due[j] for j in self.memory.troubling(i) if j not in self.memory.labels and j not in self.run.closed]
        if not unread or max(unread) < at_ms:
            return False
        self.postponed.add(i)
        self.due[i] = max(unread) + 1
        heapq.heappush(self.queue, (self.due[i], i, False))
        return True

    def batch(self, batch: Batch) -> None:
        """One micro-batch: verdicts first, then what they change for others, then the gate."""
        self.memory.merge(batch)
        troubled = [touch.finding for touch in batch.touches if self._take(touch, batch.now_ms)]
        for i in troubled:
            self._take_back(i, batch.now_ms)
        for touch in batch.touches:
            self._arrived(touch.finding, batch.now_ms)

    def _take(self, touch: Touch, now_ms: int) -> bool:
        """Take a finding in and score it; True when it has become trouble."""
        self.memory.take(touch)
        self.scores[touch.finding] = self.model.score(self.memory.row(touch.finding))
        verdict = label(*self.model.calibration.interval(self.scores[touch.finding]))
        return self.memory.judge(touch.finding, verdict, now_ms)

    def _arrived(self, i: int, now_ms: int) -> None:
        new = i not in self.due
        close = (new or i in self.would) and self._ask(i, now_ms)
        if new:
            self.run.decided.append((now_ms, self.stream.found[i].id, "close" if close else self.run.why[i]))
            self._close(i, now_ms) if close else self._wait(i, now_ms)
        elif i in self.run.closed and not close:
            self._reopen(i, now_ms, self.run.taken_back)

    def _ask(self, i: int, now_ms: int) -> bool:
        """Ask the gate. Also keeps whether the finding is quiet and whether it would be closed if the stage allowed it:
        until a first band has passed, every quiet one would, so that the certificate does not wait for the bands."""
        scope, memory = self.run.scope_of(i), self.memory
        p1 = scope.p1_ppm(self.scores[i])
        if self.choices.plain:
            quiet, within = True, p1 < PPM
            held, why = scope.state.may_close and within, "score"
        else:
            novelty = assess(memory.record(i), memory.last[i].rarity, now_ms)
            decision = decide(self._given(i, now_ms, scope, p1, novelty))
            failed = {c.name for c in decision.conditions if c.outcome is not Outcome.HELD}
            quiet = not failed - _ASIDE and memory.verdicts[i] is Label.BENIGN
            within = not scope.bands or p1 <= HARD_CAP_PPM
            held, why = decision.action is Action.CLOSE, _why(failed, memory.verdicts[i])
        self.run.why[i] = why
        (self.quiet.add if quiet else self.quiet.discard)(i)
        self.would.pop(i, None)
        if quiet and within:
            self.would[i] = p1
        return held

    def _given(self, i: int, now_ms: int, scope: ScopeRun, p1: int, novelty: Novelty) -> GateInput:
        """What the gate asks about a finding."""
        undecided, threats = self.memory.around(i)
        facts = self.memory.last[i].facts
        return GateInput(
            scope=scope.scope,
            stage=scope.state.in_force,
            stopped=scope.state.stopped,
            alarm=bool(scope.state.halted),
            reviewed=scope.state.reviewed,
            label=self.memory.verdicts[i],
            p1_ppm=p1,
            threshold_ppm=HARD_CAP_PPM,
            probability_ppm=p1,
            asset_criticality=facts.asset_criticality,
            identity_criticality=facts.identity_criticality,
            unknown_entities=facts.unknown_entities,
            pattern_known=novelty.known,
            pattern_doubt=novelty.reason,
            novelty_ppm=novelty.p_ppm,
            sources_unavailable=(),
            case_undecided=undecided,
            case_threats=threats,
            severity=facts.severity,
            tactics=facts.tactics,
            closed_this_hour=scope.hours[now_ms // HOUR_MS],
            concerns=0,
            ti_hits=0,
            sealed=True,
        )

    def _wait(self, i: int, now_ms: int, *, blind: bool = False) -> None:
        given = self.stream.found[i].label_ms
        self.due[i] = max(given, now_ms) if given else now_ms + LABEL_MS
        heapq.heappush(self.queue, (self.due[i], i, blind))

    def _close(self, i: int, now_ms: int) -> None:
        scope = self.run.scope_of(i)
        scope.hours[now_ms // HOUR_MS] += 1
        scope.risks.append(self.would[i])
        self.run.closed[i] = now_ms
        self._wait(i, now_ms, blind=True)

    def _reopen(self, i: int, now_ms: int, into: set[int]) -> None:
        """A close goes to a person after all."""
        del self.run.closed[i]
        into.add(i)
        self._wait(i, now_ms)

    def _take_back(self, i: int, now_ms: int, *, certain: bool = False) -> None:
        """Trouble: what would be or is closed in its case and hour is so no longer, and the gate is asked again before a
        person takes it. certain: a person called it a threat, and reads what came within an hour of it unasked."""
        if self.choices.plain:
            return
        for j in self.memory.touched_by(i):
            if j in self.memory.labels:
                continue
            self.would.pop(j, None)
            if certain and abs(self.stream.found[j].first_ms - self.stream.found[i].first_ms) <= HOUR_MS:
                self.must_read.add(j)
            if j in self.run.closed:
                self._reopen(j, now_ms, self.run.taken_back)

    def _read(self, i: int, at_ms: int) -> None:
        """A person reads what was escalated."""
        self.run.read.add(i)
        if self.stream.found[i].judged:
            self._answer(i, at_ms, closed=False)

    def _blind(self, i: int, at_ms: int) -> None:
        """The blind review of a close, if it is drawn, and if anybody ever said what it was."""
        if not self.stream.found[i].judged:
            return
        scope, ident = self.run.scope_of(i), self.stream.found[i].id
        drawn = scope.draw(self.stream.name, ident, self.would.get(i, 0), at_ms)
        if scope.samples:
            self.run.draws.append(drawn)
        if drawn.reviewed:
            self._answer(i, at_ms, closed=True, q_ppm=drawn.q_ppm)
        else:
            scope.passed_over(at_ms)

    def _answer(self, i: int, at_ms: int, *, closed: bool, q_ppm: int = PPM) -> None:
        """A person's label, and all that follows from it."""
        found, scope = self.stream.found[i], self.run.scope_of(i)
        threat = bool(found.step)
        if i in self.quiet:
            scope.reviewed(self.scores[i], threat, plain=self.choices.plain)
        if closed or i in self.would:
            scope.observe(found.id, threat, at_ms, blind=closed, q_ppm=q_ppm)
        if self.memory.settle(i, threat, at_ms):
            self._take_back(i, at_ms, certain=True)
        if threat and closed:
            self._recall(i, at_ms)
        scope.climb(at_ms)

    def _recall(self, i: int, at_ms: int) -> None:
        """Closes that share pattern or entities with a miss go to people."""
        found = self.stream.found
        closes = [Close(str(j), ms, found[j].pattern, entities=found[j].entities) for j, ms in self.run.closed.items()]
        missed = Close(str(i), self.run.closed[i], found[i].pattern, entities=found[i].entities)
        for shared in recall(missed, closes, at_ms):
            j = int(shared.finding)
            if j not in self.memory.labels:
                self.must_read.add(j)
                self._reopen(j, at_ms, self.run.recalled)


def _scope(name: str, *, graded: bool) -> Scope:
    """The product's limits; where the site is one scope, those of the scope that hosts and their logs are in. Where tools
    grade nothing, the site says that this is no doubt about a finding."""
    return replace(DEFAULT_SCOPES.get(name, DEFAULT_SCOPES["endpoint"]), name=name, severity_unknown=not graded)


def _why(failed: set[str], verdict: Label) -> str:
    """The first condition that failed, most telling first; nothing for a close."""
    if verdict is not Label.BENIGN:
        return f"verdict {verdict.value}"
    return next((name for name in _TOLD if name in failed), "")
