"""Verdict, exact contributions, counterfactual. All integers: log-odds in pico-logits, probabilities in parts per
million."""

from __future__ import annotations

from enum import StrEnum

import msgspec

PICO = 1_000_000_000_000
"""Pico-logits per logit: sums are exact and replay to the same bytes on every machine."""
PPM = 1_000_000


class Label(StrEnum):
    """What the triage model says; what a person says is a disposition."""

    THREAT = "threat"
    BENIGN = "benign"
    INSUFFICIENT = "insufficient"

    __hash__ = str.__hash__  # Enum's own is a Python function, and members are keys on the hot path


class Contribution(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One additive term: feature name, the value it had, its share of the log-odds in pico-logits."""

    feature: str
    value: int | str
    pico: int


class Change(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One feature change of a counterfactual: ``feature`` from ``old`` to any value described by ``new``."""

    feature: str
    old: int | str
    new: int | str
    pico: int


class Counterfactual(msgspec.Struct, frozen=True, gc=False):
    """Smallest set of feature changes that moves the score over the threshold; ``pico`` is the score after them.
    ``changes`` is empty and ``possible`` False when no change of features can."""

    possible: bool
    changes: tuple[Change, ...]
    pico: int


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """``pico`` is the intercept plus the contributions. p0_ppm ≤ p1_ppm: Venn–Abers interval of P(threat)."""

    label: Label
    pico: int
    intercept_pico: int
    p0_ppm: int
    p1_ppm: int
    contributions: tuple[Contribution, ...]
    counterfactual: Counterfactual
    novelty_ppm: int
    model: str
