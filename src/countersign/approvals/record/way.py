"""The way of an action through the log: no effect without a sealed intent, no intent without approvals, each once."""

from __future__ import annotations

from countersign.approvals.proposal import Proposal
from countersign.approvals.record.matters import Asked, Matters, step
from countersign.approvals.status import Event, Status
from countersign.ledger.findings import Problem
from countersign.model.entries import Entry, Kind
from countersign.model.responses import Effect

KINDS = frozenset({Kind.ACTION_INTENDED, Kind.ACTION_STARTED, Kind.ACTION_PROBED, Kind.ACTION_LEFT})
_WORDS = {
    Status.SEALED: "was intended and has neither started nor been left yet",
    Status.RUNNING: "was started and nobody has probed yet whether it holds",
}


class Way:
    """One pass over a log."""

    def __init__(self, matters: Matters) -> None:
        self._matters = matters
        self._newest: dict[int, int] = {}
        self.checked = dict.fromkeys(("intents", "starts", "probes"), 0)

    def problem(self, index: int, entry: Entry) -> str:
        """What is wrong with an entry of an action, "" when nothing is."""
        of = self._matters.asked.get(int(entry.subject))
        if of is None or of.action == "change":
            return f"{entry.kind.value} of what was never proposed"
        if "digest" in entry.body and entry.body["digest"] != of.digest:
            return f"{entry.kind.value} under another digest than was proposed"
        steps = {
            Kind.ACTION_INTENDED: self._intended,
            Kind.ACTION_STARTED: self._started,
            Kind.ACTION_PROBED: self._probed,
            Kind.ACTION_LEFT: self._left,
        }
        why = steps[entry.kind](of, index, entry)
        self._newest[of.number] = index
        return f"{entry.kind.value}: {why}" if why else ""

    def _intended(self, of: Asked, index: int, entry: Entry) -> str:
        self.checked["intents"] += 1
        body = entry.body
        why = self._matters.holds(of, body["approvals"], entry.time)
        if body["action"] != of.action:
            why = why or f"intends {body['action']}, approved was {of.action}"
        if isinstance(of.matter, Proposal) and body["minutes"] != of.matter.parameters.get("minutes", 0):
            why = why or "for another time than was approved"
        late = step(of, Event.SEALED)
        of.intent = index if of.intent < 0 else of.intent
        return why or late

    def _started(self, of: Asked, index: int, entry: Entry) -> str:
        self.checked["starts"] += 1
        if of.intent < 0:
            return "nothing was intended before"
        why = "" if of.intent < entry.body["sealed"] <= index else "no checkpoint covered the intent before"
        if entry.time >= of.matter.expires_ms:
            why = why or "its approval had expired"
        return step(of, Event.STARTED) or why

    def _probed(self, of: Asked, _index: int, entry: Entry) -> str:
        self.checked["probes"] += 1
        effect = Effect(entry.body["effect"])
        return step(of, Event.PROBED_OK if effect is Effect.HOLDS else Event.PROBED_BAD)

    def _left(self, of: Asked, _index: int, entry: Entry) -> str:
        return step(of, Event(entry.body["event"]))

    def open(self) -> tuple[Problem, ...]:
        """Actions that were begun and whose end the log does not tell yet."""
        found = [of for of in self._matters.asked.values() if of.state in _WORDS]
        return tuple(
            Problem(self._newest[of.number], f"action {of.number} ({of.action}) {_WORDS[of.state]}") for of in found
        )
