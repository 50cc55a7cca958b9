"""The course of every scope, gone again: whatever moved one is in the ledger, so its state comes out the same bytes.

Entries of one transaction name its first entry as their trigger. What that transaction had taken in (answers of people,
closes that the draw passed over, switches, another model or policy, an approval) is given once more to the state that the
scope's last ``autonomy.observed`` holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast

import msgspec
from sqlalchemy import Connection, Row

from countersign.autonomy import governor, promotion
from countersign.autonomy.governor import Governed
from countersign.autonomy.readiness import following
from countersign.autonomy.scopes import DEFAULT_SCOPES
from countersign.autonomy.states import Approval
from countersign.errors import VerificationError
from countersign.evaluate.replay_past import FAULTS, Unrecorded, worded
from countersign.ledger.canonical import encode
from countersign.model.entries import Entry, Kind
from countersign.model.verdicts import PPM
from countersign.store import autonomy, evidence, labelling
from countersign.store.autonomy import Governance, InForce, Judgement
from countersign.store.promoting import PROMOTE, RISKS_MAX
from countersign.triage.model import Model

Numbered = tuple[int, Entry]
Told = tuple[int, Kind, str, str]
"""Index and kind of an entry, what differs, and why it cannot be said."""
_ANSWERS = frozenset({Kind.CASE_DISPOSED, Kind.CASE_REOPENED, Kind.REVIEW_ANSWERED})
_SWITCHES = frozenset({Kind.AUTONOMY_STOPPED, Kind.AUTONOMY_RESUMED})
_LABELS = {"benign": False, "false_positive": False, "true_positive": True}


class Close(msgspec.Struct, frozen=True):
    """A close as it stood in its decision; what a blind review of it is weighed by."""

    finding_id: str
    scope: str
    pattern: str
    pico: int
    model: str
    policy: str
    q_ppm: int
    q_min_ppm: int
    p1_ppm: int
    closed_ms: int


class Course:
    """Entries are taken in order, decisions but closes left out; what ended says what came of a transaction."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._states: dict[str, Governed] = {}
        self._force = InForce("", "")
        self._blob = ""
        self._killed: set[str] = set()
        self._judged: list[Judgement] = []
        self._closes: dict[str, Close] = {}
        self._taken: list[Numbered] = []
        self._group: list[Numbered] = []

    def ended(self, entry: Entry) -> Iterator[Told]:
        """What came of the transaction that this entry, the next one, shows to be over."""
        if self._group and not (_is_governors(entry) and entry.trigger == self._group[0][1].trigger):
            yield from self.end()

    def draw(self, entry: Entry) -> str:
        """What is wrong with the terms of a close's draw, "" when they follow from the scope's state. Nothing within one
        transaction moves them: a scope that steps back closes no more."""
        governed = self._states.get(entry.body["scope"])
        if governed is None:
            return "draw: its scope has no state that closes"
        _, q_ppm, q_min_ppm, _, p1_ppm = entry.body["draw"]
        p1 = governed.p1_ppm(entry.body["pico"])
        held = PPM if p1 is None else p1
        same = (q_ppm, q_min_ppm, p1_ppm) == (governed.q_ppm(held), governed.q_min_ppm, held)
        return "" if same else "draw: its probability does not follow from the scope's state"

    def take(self, index: int, entry: Entry) -> None:
        """An entry is past from here on; ``ended`` was asked before."""
        if _is_governors(entry):
            self._group.append((index, entry))
        else:
            self._remember(index, entry)

    def end(self) -> Iterator[Told]:
        """The same of the transaction at the end of the ledger."""
        group, self._group = self._group, []
        if not group:
            return
        what, lacks = _tried(lambda: self._differs(group))
        for index, entry in group:
            if entry.kind is Kind.AUTONOMY_OBSERVED:
                self._observed(entry)
            differs = what.get(index, what.get(-1, ""))
            yield index, entry.kind, differs, "" if differs else lacks
        self._taken.clear()

    def _observed(self, entry: Entry) -> None:
        with suppress(*FAULTS):  # then the state of before goes on, and the entry has been named
            self._states[entry.subject] = autonomy.state_of(entry.body)

    # --- what moves a scope ---------------------------------------------------------------------------------------

    def _remember(self, index: int, entry: Entry) -> None:
        if entry.kind is Kind.FINDING_DECIDED:
            if entry.body.get("draw"):
                self._closed(index, entry)
        elif entry.kind is Kind.MODEL_ACTIVATED:
            self._blob = entry.body["blob"]
            self._force = InForce(entry.subject, self._force.policy)
        elif entry.kind is Kind.POLICY_ACTIVATED:
            self._force = InForce(self._force.model, entry.subject, self._force.edges)
        elif entry.kind in _SWITCHES:
            (self._killed.add if entry.kind is Kind.AUTONOMY_STOPPED else self._killed.discard)(entry.subject)
            self._taken.append((index, entry))
        elif entry.kind in (Kind.AUTONOMY_DEMOTED, Kind.AUTONOMY_ACKNOWLEDGED, Kind.CHANGE_APPROVED, *_ANSWERS):
            self._judged += self._answer(entry)
            self._taken.append((index, entry))

    def _closed(self, index: int, entry: Entry) -> None:
        body, (_, q_ppm, q_min_ppm, drawn, p1_ppm) = entry.body, entry.body["draw"]
        if not drawn and entry.subject not in self._closes:
            self._taken.append((index, entry))
        self._closes[entry.subject] = Close(
            finding_id=entry.subject,
            scope=body["scope"],
            pattern=body["pattern"],
            pico=body["pico"],
            model=body["model"],
            policy=body["policy"],
            q_ppm=q_ppm,
            q_min_ppm=q_min_ppm,
            p1_ppm=p1_ppm,
            closed_ms=entry.time,
        )

    def _answer(self, entry: Entry) -> list[Judgement]:
        """A person's answer as the bounds count it."""
        body = entry.body
        if entry.kind is Kind.REVIEW_ANSWERED:
            close = self._closes.get(entry.subject)
            if close is None:
                raise VerificationError("a review of what was never closed", where=entry.subject)
            row = cast("Row[Any]", close)  # read by the same names
            return [labelling.blind(row, body["case"], 0, threat=body["answer"] == "threat")]
        threat = True if body.get("threat") else _LABELS.get(body.get("disposition", ""))
        return labelling.read(entry.subject, body.get("judged", ()), threat=threat) if threat is not None else []

    # --- the same again -------------------------------------------------------------------------------------------

    def _differs(self, group: list[Numbered]) -> dict[int, str]:
        """What differs, by index; -1 stands for all of them."""
        trigger, now_ms = group[0][1].trigger, group[0][1].time
        first = int(trigger) if trigger.isdecimal() else group[0][0]
        taken = [(index, entry) for index, entry in self._taken if index >= first]
        force = InForce(self._force.model, self._force.policy, self._edges())
        states = {name: self._states.get(name) or governor.begin(name, force.model, force.policy) for name in DEFAULT_SCOPES}
        governance = Governance(states, now_ms)
        self._move(governance, force, taken, group)
        made = autonomy.said(governance, trigger)
        if len(made) != len(group):
            return {-1: f"{len(made)} entries come out, not {len(group)}"}
        pairs = zip(group, made, strict=True)
        return {index: _fields(entry, again) for (index, entry), again in pairs if encode(entry) != encode(again)}

    def _move(self, governance: Governance, force: InForce, taken: list[Numbered], group: list[Numbered]) -> None:
        kinds = {entry.kind for _, entry in taken}
        if kinds & _ANSWERS:
            for _, entry in taken:
                autonomy.weigh(governance, self._answer(entry), force, lambda scope: self._reviewed(scope, force))
        elif Kind.AUTONOMY_ACKNOWLEDGED in kinds:
            for _, entry in taken:
                noted = governor.acknowledge(governance.states[entry.subject], entry.time, entry.actor.id)
                governance.take(entry.subject, (noted[0], ()))
        else:
            autonomy.observe(governance, force, frozenset(self._killed))
            self._after(governance, taken, group)

    def _after(self, governance: Governance, taken: list[Numbered], group: list[Numbered]) -> None:
        """What moves a scope once it has seen what changed around it."""
        promoted = [entry for _, entry in group if entry.kind is Kind.AUTONOMY_PROMOTED]
        for entry in promoted:
            self._promote(governance, entry, {number for number, one in taken if one.kind is Kind.CHANGE_APPROVED})
        for _, entry in taken:
            if entry.kind is Kind.AUTONOMY_DEMOTED:
                before = governance.states[entry.subject].state.stage.value
                lowered, _ = governor.step_down(governance.states[entry.subject], entry.time)
                if (entry.body["before"], entry.body["after"]) != (before, lowered.state.stage.value):
                    raise VerificationError("a person's step down speaks of other stages", where=entry.subject)
                governance.take(entry.subject, (lowered, ()))
        for (_, scope), number in _passed(taken).items():
            governance.take(scope, governor.undrawn(governance.states[scope], number, governance.now_ms))

    def _promote(self, governance: Governance, entry: Entry, approved: set[int]) -> None:
        scope = entry.subject
        if not (entry.trigger.isdecimal() and int(entry.trigger) in approved):
            raise Unrecorded(f"its trigger names no approval of {PROMOTE}")
        governed = governance.states[scope]
        given = Approval("approved", scope, following(governed.state), entry.trigger)
        state, events = promotion.promote(governed.state, governance.now_ms, by_person_approval=given)
        latest = sorted((one for one in self._closes.values() if one.scope == scope), key=lambda one: -one.closed_ms)
        risks = [one.p1_ppm for one in latest[:RISKS_MAX]]
        governance.take(scope, (governor.promoted(governed, state, risks), events))

    def _reviewed(self, scope: str, force: InForce) -> tuple[list[int], list[bool]]:
        mine = [
            one
            for one in self._judged
            if one.scope == scope and one.quiet and (one.model, one.policy) == (force.model, force.policy)
        ]
        return [one.pico for one in mine], [one.threat for one in mine]

    def _edges(self) -> autonomy.Edges:
        """Score bands of the model in force, read when they are first needed."""
        if not self._force.edges and self._blob:
            model = Model.from_bytes(evidence.get(self._conn, self._blob, bytes))
            self._force = InForce(self._force.model, self._force.policy, model.edges)
        return self._force.edges


def _tried(differs: Callable[[], dict[int, str]]) -> tuple[dict[int, str], str]:
    """(what differs, why it cannot be said)."""
    try:
        return differs(), ""
    except Unrecorded as lacking:
        return {}, str(lacking)
    except FAULTS as error:
        return {-1: worded(error)}, ""


def _is_governors(entry: Entry) -> bool:
    return entry.kind.value.startswith("autonomy.") and entry.actor == autonomy.SYSTEM


def _passed(taken: list[Numbered]) -> dict[tuple[str, str], int]:
    """(decisions that were written together, scope) → closes that the draw passed over for the first time."""
    found: dict[tuple[str, str], int] = {}
    for _, entry in taken:
        if entry.kind is Kind.FINDING_DECIDED:
            key = (entry.body["record"]["blob"], entry.body["scope"])
            found[key] = found.get(key, 0) + 1
    return found


def _fields(entry: Entry, again: Entry) -> str:
    names = [name for name in entry.body if entry.body[name] != again.body.get(name)]
    return ", ".join(names) or "envelope"
