"""Where a case stands in the queue: the score of its top finding, and what only the case as a whole can say.

The parts are log-odds like the score's own, add up to the rank, and are few enough to be read out. They order the
queue and decide nothing: verdicts and the gate rest on findings. Numbers are set by people (docs/decisions/0004).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from countersign.model.alerts import Severity
from countersign.model.verdicts import PICO

_STAGES = (0, 0, 600, 1200, 1600, 2000)
_PRODUCTS = (0, 0, 400, 800)
_SEVERITIES = {Severity.MEDIUM: 200, Severity.HIGH: 500, Severity.CRITICAL: 1000, Severity.FATAL: 1000}
"""In thousandths of a logit, by number (the last holds for more) and by grade. The tools' grade weighs least: every tool
grades differently, and the score of the top finding holds its own already."""
_GRADES = tuple(_SEVERITIES.get(grade, 0) for grade in Severity)
_MILLI = PICO // 1000
CALLED_THREAT_PICO = 20 * PICO
"""Over every score there is: a person called a close in this case a threat."""
TAKEN_BACK_PICO = 5 * PICO
"""The score that once let it be closed is itself in doubt: a person, or a recall, took a close in this case back."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the rank, in words, in pico-logits."""

    words: str
    pico: int


def parts(pico: int, stages: Collection[str], products: Collection[str], severity: int, said: int = 0) -> tuple[Part, ...]:
    """What the place is made of, the top finding's score first; parts that add nothing are left out.

    pico: score of the top finding. stages: furthest tactic of each finding, each once. products: tools that reported.
    severity: highest of the findings. said: what people's word on closes of the case adds to its rank, in pico-logits.
    """
    chain, tools, grade = _milli(len(stages), len(products), severity)
    found = (
        Part("score of the strongest finding", pico),
        Part(f"{len(stages)} stages of an attack", chain * _MILLI),
        Part(f"{len(products)} tools agree", tools * _MILLI),
        Part(f"highest severity {Severity(severity).name.lower()}", grade * _MILLI),
        Part("called a threat by a person" if said >= CALLED_THREAT_PICO else "a close was taken back", said),
    )
    return (found[0], *(part for part in found[1:] if part.pico))


def rank(pico: int, stages: Collection[str], products: Collection[str], severity: int) -> int:
    """Sum of the parts that the case itself holds. What people say of its closes is added where the queue is read."""
    return pico + sum(_milli(len(stages), len(products), severity)) * _MILLI


def _milli(stages: int, products: int, severity: int) -> tuple[int, int, int]:
    """What stages, products and grade add, in thousandths of a logit."""
    chain, tools = _STAGES[min(stages, len(_STAGES) - 1)], _PRODUCTS[min(products, len(_PRODUCTS) - 1)]
    return chain, tools, _GRADES[severity]
