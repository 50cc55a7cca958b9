"""The gate: every condition of design/triage.md section 5, by name. All hold, or a person sees the finding.

The conditions are the clauses of the one Cedar permit for ``close`` (``default/close.cedar``, or the one that a site
has activated). Each is asked of the engine by itself and remembered on the exact content of what it reads: that all of
them hold is what a satisfied permit is. A fact that could not be established is ``None`` here and left out of the
request: the condition is then *unevaluated*, which counts as failed (P4). The words beside an answer are this
project's; the answer is the engine's. Facts carry no person's identifier: only counts, classes and thresholds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

import cedarpy

from countersign.autonomy.scopes import Stage
from countersign.errors import ConfigError
from countersign.model.decisions import Action, Condition, Decision, Outcome
from countersign.model.verdicts import Label
from countersign.policy import conditions
from countersign.policy.conditions import Probe
from countersign.policy.engine import PolicyEngine, Request, Value, ask
from countersign.policy.facts import AGENT, CLOSE, FACTS, FIELDS, FINDING, SPOKEN, GateInput, request
from countersign.policy.gate_words import CHECKS, CONDITIONS, REVIEWED_MIN, why
from countersign.policy.shipped import default_engine

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

__all__ = ["CHECKS", "CONDITIONS", "REVIEWED_MIN", "Gate", "GateInput", "decide", "default_gate"]

K = TypeVar("K")
V = TypeVar("V")
MEMO_MAX = 8192
_FINEST = "novelty_ppm"
"""The field that differs most between findings: conditions that read it are asked apart."""
_OWN_STATE = frozenset({"stage", "kill_switch", "alarm", "reviews", "threshold", "budget", "ledger"})
"""Conditions about the scope or the site, not about the finding."""


class Gate:
    """One policy set's gate. Raises ConfigError, naming file and line, unless exactly one permit closes: its clauses are the
    conditions, and a forbid that speaks of closing is one more."""

    def __init__(self, engine: PolicyEngine) -> None:
        self.engine = engine
        concerned = [one for one in engine.policies.values() if conditions.concerns(one, (CLOSE,), AGENT.type)]
        permits = [one for one in concerned if one.effect == "permit"]
        if len(permits) != 1:
            where = permits[1].id if permits else "close.cedar"
            todo = 'name the action in every permit (action == Action::"…"), and let one speak of close'
            raise ConfigError(f"{len(permits)} permits close", where=where, todo=todo)
        forbids = [conditions.forbid_probe(one) for one in concerned if one.effect == "forbid"]
        asked = [_Asked(probe, _shipped(engine)) for probe in (*conditions.probes(permits[0]), *forbids)]
        self._apart = tuple((place, one) for place, one in enumerate(asked) if _FINEST in one.fields)
        self._together = _Together([one for one in asked if _FINEST not in one.fields])
        self.conditions = tuple(one.name for one in asked)
        self.probes = tuple(one.probe for one in asked)
        speaks = ask(conditions.head(permits[0]), Request(AGENT, CLOSE, FINDING, {}))
        self._others = () if speaks.decision is cedarpy.Decision.Allow else (_OTHERS,)
        asks = any("sealed" in probe.facts for probe in conditions.probes(permits[0]))
        self._found: dict[tuple[int, ...], _Found] = {}
        self._made: dict[tuple[int, str, Stage | None, str, int], Decision] = {}
        self._seal = None if asks else _Asked(_shipped_ledger(), shipped=True)
        self.decide: _lru_cache_wrapper[Decision] = lru_cache(maxsize=MEMO_MAX)(self._decide)

    def _conditions(self, given: GateInput) -> _Found:
        """The same for the same conditions, so that who writes them down can tell that they come again. By identity: what
        stands in this table stays alive."""
        most = self._together.conditions(given)
        own = [asked.condition(given) for _, asked in self._apart]
        last = self._others
        if self._seal is not None and given.sealed is not None:  # None: a record of before there was this condition
            last = (*last, self._seal.condition(given))
        key = (id(most), *map(id, own), *map(id, last))
        known = self._found.get(key)
        if known is None:
            found = list(most)
            for (place, _), condition in zip(self._apart, own, strict=True):
                found.insert(place, condition)
            known = _remember(self._found, key, _Found(most, (*found, *last)))
        return known

    def _decide(self, given: GateInput) -> Decision:
        """Close only if every condition held: that is when Cedar allows it, since a permit is satisfied when its head and
        all of its clauses are, and no forbid is. ``advice`` leaves the stage aside: what the gate would say if the scope's
        stage allowed closing; shown to people, never executed. ``why``: the most telling reason for a person, "" on a close.
        ``quiet``: nothing but the scope's own state speaks against closing."""
        found = self._conditions(given)
        failed = found.failed
        said, quiet = why(given, failed), _quiet(given, failed)
        key = (id(found.conditions), given.scope.name, given.stage, said, quiet)
        known = self._made.get(key)
        if known is None:
            decision = Decision(
                action=Action.ESCALATE if failed else Action.CLOSE,
                advice=Action.ESCALATE if failed - {"stage"} else Action.CLOSE,
                scope=given.scope.name,
                stage=(given.stage or Stage.ADVISE).value,
                conditions=found.conditions,
                why=said,
                quiet=quiet,
            )
            known = _remember(self._made, key, decision)
        return known


_OTHERS = Condition("policy", Outcome.FAILED, "the permit speaks of others", "it speaks of the agent and its findings")


class _Asked:
    """One condition, asked of the engine once for each content of what it reads, and put in words for each value."""

    def __init__(self, probe: Probe, shipped: bool) -> None:
        self.name, self.probe = probe.name, probe
        self._words = CHECKS.get(probe.name) if shipped or _same(probe) else None
        fields = dict.fromkeys(path for fact in probe.facts for path in FIELDS.get(fact, ()))
        fields |= dict.fromkeys(SPOKEN.get(probe.name, ()))
        if probe.forbids or "principal" in probe.source:
            fields |= {"stopped": None}
        if probe.whole:
            fields = dict.fromkeys(GateInput.__struct_fields__)
        self.fields = tuple(fields)
        self._key = _reading(self.fields)
        self._remembered: dict[Any, Condition] = {}
        self._same: dict[Condition, Condition] = {}
        self._read = tuple((FACTS[name], probe.cuts.get(name)) for name in probe.facts if name in FACTS)
        self._said: dict[Any, Outcome] = {}

    def condition(self, given: GateInput) -> Condition:
        """By the engine, in words. Those that say the same are the same."""
        key = self._key(given)
        known = self._remembered.get(key)
        if known is None:
            made = self._ask(given)
            known = _remember(self._remembered, key, _remember(self._same, made, made))
        return known

    def _ask(self, given: GateInput) -> Condition:
        content = (given,) if self.probe.whole else (given.stopped, *[_cell(take(given), cuts) for take, cuts in self._read])
        outcome = self._said.get(content)
        if outcome is None:
            outcome = _remember(self._said, content, self._put(given))
        if self._words is None:
            return Condition(self.name, outcome, conditions.have(self.probe, request(given)), self.probe.source)
        have, need = self._words(given, outcome)
        return Condition(self.name, outcome, "not known" if outcome is Outcome.UNEVALUATED else have, need)

    def _put(self, given: GateInput) -> Outcome:
        asked = request(given)
        said = conditions.outcome(self.probe, asked)
        if said == "held":
            return Outcome.HELD
        unknown = said == "error" or any(fact not in asked.context for fact in self.probe.optional)
        return Outcome.UNEVALUATED if unknown else Outcome.FAILED


class _Together:
    """Several conditions, remembered as one list on the exact content of what they read: a finding that differs in nothing
    of it costs one look."""

    def __init__(self, asked: Sequence[_Asked]) -> None:
        self._asked = asked
        self._key = _reading(dict.fromkeys(field for one in asked for field in one.fields))
        self._remembered: dict[Any, tuple[Condition, ...]] = {}

    def conditions(self, given: GateInput) -> tuple[Condition, ...]:
        """In the order in which they were handed in."""
        key = self._key(given)
        known = self._remembered.get(key)
        if known is None:
            known = _remember(self._remembered, key, tuple([one.condition(given) for one in self._asked]))
        return known


class _Found:
    """The conditions of a decision and the names of those that failed. most: the list that came from ``_Together``."""

    def __init__(self, most: tuple[Condition, ...], found: tuple[Condition, ...]) -> None:
        self.most, self.conditions = most, found
        self.failed = frozenset([c.name for c in found if c.outcome is not Outcome.HELD])


def _remember(table: dict[K, V], key: K, value: V) -> V:
    """The value, or the one that stands there."""
    if len(table) >= MEMO_MAX:
        table.clear()
    return table.setdefault(key, value)


def _reading(fields: Iterable[str]) -> Callable[[GateInput], Any]:
    """Takes these fields from an input."""
    names = tuple(fields)
    return attrgetter(*names) if names else lambda _given: None


def _cell(value: Value | None, cuts: tuple[int, ...] | None) -> Value | None:
    """A number as its place among those that it is compared with, anything else as it is."""
    if cuts is None or not isinstance(value, int):
        return value
    return bisect_left(cuts, value) + bisect_right(cuts, value)


@cache
def default_gate() -> Gate:
    """The gate of the default set."""
    return Gate(default_engine())


def _shipped_ledger() -> Probe:
    """The clause that asks for the seal, for sets of a site that were activated before it: no set goes round it."""
    found = [one for one in default_engine().policies.values() if conditions.concerns(one, (CLOSE,), AGENT.type)]
    return next(probe for one in found for probe in conditions.probes(one) if probe.name == "ledger")


def _shipped(engine: PolicyEngine) -> bool:
    return engine is default_engine()


def _same(probe: Probe) -> bool:
    """Whether the clause is the one that ships under this name, so that its words are true of it."""
    return any(one.clause == probe.clause for one in default_gate().probes if one.name == probe.name)


def _quiet(given: GateInput, failed: frozenset[str]) -> int:
    if given.label is not Label.BENIGN or failed - _OWN_STATE:
        return 0
    return 1 if "threshold" in failed and given.p1_ppm is not None else 2


decide = default_gate().decide
"""What the default set's gate says, remembered on the exact content of the request."""
