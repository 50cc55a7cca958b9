"""Symbolic values: what an expression of Cedar may be, as terms of SMT-LIB (logic QF_UFLIA).

Strings and entity ids are integers: only their equality matters, and every literal has a number of its own. A set is a
predicate over them. Questions about whole sets (empty? all of?) are asked over a *universe* of named elements: every element
that the formula names, and one fresh witness for each such question. That loses nothing: leaving out of all sets every
element that is neither named nor the witness of a question changes no answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

TRUE, FALSE = "true", "false"
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Scalar:
    """kind: bool, long, str, or an entity's type name."""

    kind: str
    term: str


@dataclass(frozen=True)
class SetOf:
    """kind of the elements, and what says that a term is among them."""

    kind: str
    has: Callable[[str], str]


@dataclass(frozen=True)
class Fields:
    """A record: name → (present, value)."""

    fields: Mapping[str, tuple[str, Value]] = field(default_factory=dict)


Value: TypeAlias = "Scalar | SetOf | Fields"


@dataclass(frozen=True)
class Result:
    """What an expression evaluates to (None: never to anything), and when it errs."""

    value: Value | None
    errs: str = FALSE


WRONG = Result(None, TRUE)
"""Always an error: wrong type, unknown attribute."""


def conj(*terms: str) -> str:
    """All of them."""
    kept = [term for term in dict.fromkeys(terms) if term != TRUE]
    if FALSE in kept:
        return FALSE
    return TRUE if not kept else kept[0] if len(kept) == 1 else f"(and {' '.join(kept)})"


def disj(*terms: str) -> str:
    """Any of them."""
    kept = [term for term in dict.fromkeys(terms) if term != FALSE]
    if TRUE in kept:
        return TRUE
    return FALSE if not kept else kept[0] if len(kept) == 1 else f"(or {' '.join(kept)})"


def neg(term: str) -> str:
    """Its opposite."""
    return {TRUE: FALSE, FALSE: TRUE}.get(term) or f"(not {term})"


def imp(left: str, right: str) -> str:
    """The one only with the other."""
    return disj(neg(left), right)


def ite(condition: str, then: str, otherwise: str) -> str:
    """One or the other."""
    if condition in (TRUE, FALSE):
        return then if condition == TRUE else otherwise
    return then if then == otherwise else f"(ite {condition} {then} {otherwise})"


def number(value: int) -> str:
    """An integer literal."""
    return str(value) if value >= 0 else f"(- {-value})"


def eq(left: str, right: str) -> str:
    """Equal terms."""
    if left == right:
        return TRUE
    return FALSE if left.isdigit() and right.isdigit() else f"(= {left} {right})"
