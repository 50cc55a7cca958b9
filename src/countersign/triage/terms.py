"""One additive term of the score: a table from a feature's value to pico-logits.

Numeric terms are steps (``edges[i-1] <= value < edges[i]``) with a score apart for -1, "never or not known". Pair terms
are such steps too, other ones for each level of a second feature, in whose light the first is read. Categorical terms are a
dictionary with a score for every other word. ``origin`` says who set the numbers: ``learnt`` from data or an
``expert``, who then gives a ``reason``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Picos = NDArray[np.int64]
MISSING = -1
MISSING_TEXT = "never or not known"
OTHER_TEXT = "any other"


class NumericTerm(msgspec.Struct, frozen=True, tag="numeric", tag_field="kind"):
    """``scores`` has one value more than ``edges``; values are integers from 0, so ``edges`` start above 0."""

    feature: str
    origin: str
    reason: str
    edges: tuple[int, ...]
    scores: tuple[int, ...]
    missing: int

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.edges) + 1 or any(a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"term {self.feature}: edges must rise and scores be one more")

    def pico(self, value: int | str) -> int:
        """Score of one value."""
        number = int(value)
        return self.missing if number <= MISSING else self.scores[bisect_right(self.edges, number)]

    def column(self, values: Sequence[int | str]) -> Picos:
        """Scores of many values."""
        numbers = np.array(values, dtype=np.int64)
        table = np.array((self.missing, *self.scores), dtype=np.int64)
        edges = np.array((0, *self.edges), dtype=np.int64)
        return table[np.searchsorted(edges, numbers, side="right")]

    def choices(self) -> tuple[tuple[int, str, int | str], ...]:
        """(score, description, one such value) of every bin."""
        bins: list[tuple[int, str, int | str]] = [(self.missing, MISSING_TEXT, MISSING)]
        starts, ends = (0, *self.edges), (*self.edges, None)
        for score, start, end in zip(self.scores, starts, ends, strict=True):
            bins.append((score, _span(start, end), start))
        return tuple(bins)


class PairTerm(msgspec.Struct, frozen=True, tag="pair", tag_field="kind"):
    """``scores``: one row for each level of ``by`` (``by_edges[i-1] <= value < by_edges[i]``), each as a numeric term's.
    What is not known is read as 0."""

    feature: str
    by: str
    origin: str
    reason: str
    by_edges: tuple[int, ...]
    edges: tuple[int, ...]
    scores: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.by_edges) + 1:
            raise ValueError(f"term {self.feature}: rows must be one more than the edges of {self.by}")
        for level in range(len(self.scores)):
            self.given(level)

    def given(self, level: int) -> NumericTerm:
        """The term as it is at one level of ``by``."""
        row = self.scores[level]
        return NumericTerm(self.feature, self.origin, self.reason, self.edges, row, row[0])

    def column(self, values: Sequence[int | str], levels: NDArray[np.intp]) -> Picos:
        """Scores of many values, each at its level."""
        table = np.array(self.scores, dtype=np.int64)
        return table[levels, np.searchsorted(self.edges, np.array(values, dtype=np.int64), side="right")]

    def choices(self, level: int = 0) -> tuple[tuple[int, str, int | str], ...]:
        """As a numeric term's, at one level; descriptions and values are the same at all."""
        return self.given(level).choices()[1:]


class CategoricalTerm(msgspec.Struct, frozen=True, tag="categorical", tag_field="kind"):
    """``scores`` by lower-case word, ``other`` for every word not in it."""

    feature: str
    origin: str
    reason: str
    scores: dict[str, int]
    other: int

    def pico(self, value: int | str) -> int:
        """Score of one value."""
        return self.scores.get(str(value), self.other)

    def column(self, values: Sequence[int | str]) -> Picos:
        """Scores of many values."""
        get, other = self.scores.get, self.other
        return np.array([get(value, other) for value in values], dtype=np.int64)  # type: ignore[arg-type]

    def choices(self) -> tuple[tuple[int, str, int | str], ...]:
        """(score, description, one such value) of every category."""
        named = [(score, word, word) for word, score in sorted(self.scores.items())]
        return (*named, (self.other, OTHER_TEXT, ""))


Plain = NumericTerm | CategoricalTerm
Term = Plain | PairTerm


def _span(start: int, end: int | None) -> str:
    if end is None:
        return f"{start} or more"
    return str(start) if end == start + 1 else f"{start} to {end - 1}"
