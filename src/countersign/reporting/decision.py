"""One decision in plain words: what was called what, what weighed how much, what would have changed it, what the gate asked.

All of it stands in the ``finding.decided`` entry itself, so a reader needs nothing but that entry to check it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from countersign.model.verdicts import Counterfactual
from countersign.reporting.model import Cited, Claim, Line
from countersign.reporting.says import LABELS, when
from countersign.web import words

OUTCOMES = {"held": "held", "failed": "failed", "unevaluated": "could not be evaluated"}
WEIGHTS = ("what was looked at", "it was", "weight")
CONDITIONS = ("condition for closing alone", "outcome", "found", "needed")
LOOKUPS = ("source asked", "found", "not found", "no answer")
_BARS = 2
"""Column of the weights."""


def explained(one: Cited) -> tuple[Claim, ...]:
    """Everything that one decision says about itself."""
    return (*brief(one), *conditions(one), *lookups(one))


def brief(one: Cited) -> tuple[Claim, ...]:
    """What it came to, what was weighed, and what would have changed it."""
    return (verdict(one), weights(one), counterfactual(one))


def verdict(one: Cited) -> Claim:
    """What was called what, and what was done with it."""
    body = one.entry.body
    low, high = (words.percent(ppm) for ppm in body["p_ppm"])
    said = LABELS.get(body["label"], body["label"])
    head = f"Called “{said}” at {when(one.entry)}, with a probability of a threat of {low} to {high}."
    lead = f"Finding {one.entry.subject}: {body['rule']} on {body['host'] or 'no host'}"
    return Claim(f"{head} {did(body)}", (one.index,), lead=lead)


def did(body: Mapping[str, Any]) -> str:
    """What followed from it."""
    if body["action"] == "close":
        return f"The agent closed it by itself, in scope {body['scope']} at stage {body['stage']}."
    why = body["why"] or "no reason stated"
    advice = " It would have advised a close." if body["advice"] == "close" else ""
    return f"It was put before a person: {why}.{advice}"


def weights(one: Cited) -> Claim:
    """Every contribution, signed, in the order of the entry; and how they add up."""
    body = one.entry.body
    rows = [Line((words.feature(n), words.value(n, v), words.odds(pico))) for n, v, pico in body["contributions"]]
    total = Line(("starting point, before anything was looked at", "", words.odds(body["intercept"])))
    summed = f"They add up with the starting point to {words.odds(body['pico'])}"
    text = f"{len(rows)} things were weighed; a positive weight speaks for a threat, a negative one against it. {summed}."
    return Claim(text, (one.index,), columns=WEIGHTS, lines=(total, *rows), bars=_BARS)


def counterfactual(one: Cited) -> Claim:
    """What would have changed the result."""
    found = msgspec.convert(_counterfactual(one.entry.body["counterfactual"]), Counterfactual)
    return Claim(f"What would have changed the result: {words.counterfactual(found)}", (one.index,))


def _counterfactual(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"possible": bool(body["possible"]), "changes": body["changes"], "pico": body["pico"]}


def conditions(one: Cited) -> Iterator[Claim]:
    """Each condition of the gate with what it found and what it needs."""
    found: Sequence[Sequence[str]] = one.entry.body["conditions"]
    if not found:
        return
    held = sum(outcome == "held" for _, outcome, _, _ in found)
    rows = tuple(Line((words.condition(name), OUTCOMES.get(said, said), have, need)) for name, said, have, need in found)
    text = f"The agent closes a finding by itself only when every condition holds: {held} of {len(found)} did."
    yield Claim(text, (one.index,), columns=CONDITIONS, lines=rows)


def lookups(one: Cited) -> Iterator[Claim]:
    """Which sources were asked, and how many answers each gave."""
    found: Mapping[str, Sequence[int]] = one.entry.body["sources"]
    if found:
        rows = tuple(Line((name, *(f"{count:,}" for count in counts))) for name, counts in sorted(found.items()))
        yield Claim("These sources were asked about what the finding names.", (one.index,), columns=LOOKUPS, lines=rows)
