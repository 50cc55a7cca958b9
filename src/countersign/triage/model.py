"""The score: an additive model as plain JSON, evaluated exactly in whole pico-logits.

Design: triage.md section 1; explainable boosting machine after Lou, Caruana, Gehrke & Hooker 2013 ("Accurate intelligible
models with pairwise interactions"), trained by ``evaluate.learn``. All pairs share one feature, in whose light the others
are read: at each of its levels the model is plainly additive. The model's id is the SHA-256 of its bytes. Integers add
without rounding, so contributions sum to the score exactly and replay to the same bytes on every machine.
"""

from __future__ import annotations

import hashlib
import pkgutil
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from countersign.errors import ConfigError
from countersign.model.alerts import Severity
from countersign.model.verdicts import PPM, Contribution, Label, Verdict
from countersign.triage.calibrate import Calibration, Steps, merged_ppm
from countersign.triage.counterfactual import Level, across_levels, alone, ends_of, level_of, strongest
from countersign.triage.features import FEATURES
from countersign.triage.terms import NumericTerm, PairTerm, Picos, Term
from countersign.triage.text import Reader, TextPart, Texts

FORMAT = 1
HARD_CAP_PPM = 10_000
"""No finding whose p1 is above 1 % is ever closed, whatever a site's labels say."""
THREAT_PPM = 500_000
"""Threat: the whole interval lies from here up."""
BENIGN_PPM = 200_000
"""Benign: the whole interval lies up to here. Missing a threat costs more than a look, hence not the same border."""
BEYOND = 2**62
"""No score comes near it."""
NEVER = -BEYOND
"""Threshold when no score is safe enough."""

Row = tuple[int | str, ...]
_SEVERITY, _TI_HITS, _PATTERN_SHARE = (FEATURES.index(name) for name in ("severity", "ti_hits", "pattern_share_ppm"))


class CalibrationTable(msgspec.Struct, frozen=True):
    """``triage.calibrate.Calibration`` as it stands in the file."""

    n: int
    threats: int
    p0_edges: tuple[int, ...]
    p0: tuple[int, ...]
    p1_edges: tuple[int, ...]
    p1: tuple[int, ...]

    def unpack(self) -> Calibration:
        """The calculating form."""
        return Calibration(Steps(self.p0_edges, self.p0), Steps(self.p1_edges, self.p1), self.n, self.threats)


class Document(msgspec.Struct, frozen=True):
    """The file. training: SHA-256 per data file. metrics and settings are for people; nothing reads them. edges: of the
    score bands in which a site's reviewed findings are tested apart, ascending; empty in files older than bands. text: what
    a site's own labels taught about words; left out of the file when there is none."""

    format: int
    name: str
    code_version: str
    features: tuple[str, ...]
    intercept: int
    terms: tuple[Term, ...]
    calibration: CalibrationTable
    threshold: int
    training: dict[str, str]
    settings: dict[str, Any]
    metrics: dict[str, Any]
    edges: tuple[int, ...] = ()
    text: TextPart | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model ready to score. names, columns: feature of each term, and its place in a row. by: place in a row of the
    feature in whose light others are read (any, without pairs), with the edges of its levels. ends: ``ends_of`` them."""

    document: Document
    id: str
    calibration: Calibration
    names: tuple[str, ...]
    columns: tuple[int, ...]
    by: int
    by_edges: tuple[int, ...]
    levels: tuple[Level, ...] = field(repr=False)
    ends: Picos = field(repr=False, compare=False)
    reader: Reader | None = field(default=None, repr=False)

    @classmethod
    def load_prior(cls) -> Model:
        """The model shipped with the package: it ranks from the first minute and never closes anything."""
        data = pkgutil.get_data("countersign.triage", "prior.json")
        if data is None:  # pragma: no cover - a broken installation
            raise ConfigError("the shipped model is missing", where="triage/prior.json", todo="reinstall countersign")
        return cls.from_bytes(data, where="triage/prior.json")

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "model") -> Model:
        """Read a model file. Raises ConfigError when it is not one, or not for this version's features."""
        try:
            document = msgspec.json.decode(data, type=Document)
            _check(document)
            levels = _levels(document)
            ends = ends_of(levels)
        except (msgspec.MsgspecError, ValueError, OverflowError) as error:
            raise ConfigError(str(error), where=where, todo="make the model again with 'countersign learn'") from None
        pairs = [term for term in document.terms if isinstance(term, PairTerm)]
        return cls(
            document=document,
            id=hashlib.sha256(data).hexdigest(),
            calibration=document.calibration.unpack(),
            names=tuple(term.feature for term in document.terms),
            columns=tuple(FEATURES.index(term.feature) for term in document.terms),
            by=FEATURES.index(pairs[0].by) if pairs else 0,
            by_edges=pairs[0].by_edges if pairs else (),
            levels=levels,
            ends=ends,
            reader=Reader(document.text) if document.text is not None else None,
        )

    @property
    def reads_text(self) -> bool:
        """Whether texts must be handed in with the rows; where not, nobody needs to gather them."""
        return self.reader is not None

    @property
    def threshold(self) -> int:
        """Largest score in pico-logits whose p1 is within the hard cap."""
        return self.document.threshold

    @property
    def edges(self) -> tuple[int, ...]:
        """Upper ends of the score bands in pico-logits, ascending: quantiles of the training findings."""
        return self.document.edges

    def score_rows(self, rows: Sequence[Row]) -> tuple[Picos, Picos]:
        """Scores of n rows (n,) without text, and every term's share (n, terms), all in pico-logits."""
        totals, shares, _ = self._scored(rows)
        return totals, shares

    def _scored(self, rows: Sequence[Row]) -> tuple[Picos, Picos, NDArray[np.intp]]:
        """The same, with the level of each row."""
        terms = self.document.terms
        shares = np.empty((len(terms), len(rows)), dtype=np.int64)
        levels = np.zeros(len(rows), dtype=np.intp)
        if rows:
            values = list(zip(*rows, strict=True))
            if self.by_edges:
                levels = np.searchsorted(self.by_edges, np.array(values[self.by], dtype=np.int64), side="right")
            for i, (term, column) in enumerate(zip(terms, self.columns, strict=True)):
                given = values[column]
                shares[i] = term.column(given, levels) if isinstance(term, PairTerm) else term.column(given)
        return shares.sum(axis=0) + self.document.intercept, shares.T, levels

    def score(self, row: Row) -> int:
        """Score of one row in pico-logits, without what its text adds."""
        terms = zip(self.levels[self._level(row)].terms, self.columns, strict=True)
        return self.document.intercept + sum(term.pico(row[column]) for term, column in terms)

    def _level(self, row: Row) -> int:
        return bisect_right(self.by_edges, int(row[self.by])) if self.by_edges else 0

    def verdicts(
        self,
        rows: Sequence[Row],
        *,
        novelty_ppm: Sequence[int] = (),
        missing: Sequence[bool] = (),
        texts: Sequence[Texts] = (),
    ) -> list[Verdict]:
        """A verdict per row. novelty_ppm: conformal p-value of each row (0 when not known); missing: whether evidence
        that is required for the row was not available; texts: ``triage.text.artefacts`` of each, read only by a model that
        ``reads_text``, which then needs them. The first two may be empty."""
        totals, shares, levels = self._scored(rows)
        said = [self.reader.contributions(text) for text in texts] if self.reader else [()] * len(rows)
        if self.reader:
            totals += np.array(
                [sum(part.pico for part in parts) for _, parts in zip(rows, said, strict=True)], dtype=np.int64
            )
        order = np.argsort(-np.abs(shares), axis=1, kind="stable")
        novelty = novelty_ppm or (0,) * len(rows)
        gaps = missing or (False,) * len(rows)
        parts = zip(
            rows,
            totals.tolist(),
            shares.tolist(),
            levels.tolist(),
            *strongest(totals, shares, levels, self.ends, self.threshold),
            order.tolist(),
            said,
            self.calibration.intervals(totals),
            novelty,
            gaps,
            strict=True,
        )
        return [self._verdict(*part) for part in parts]

    def verdict(self, row: Row, *, novelty_ppm: int = 0, missing: bool = False, texts: Texts = ()) -> Verdict:
        """The same for one row."""
        return self.verdicts([row], novelty_ppm=[novelty_ppm], missing=[missing], texts=[texts])[0]

    def _verdict(
        self,
        row: Row,
        total: int,
        shares: list[int],
        level: int,
        first: int,
        slack: int,
        order: list[int],
        said: tuple[Contribution, ...],
        interval: tuple[int, int],
        novelty_ppm: int,
        missing: bool,
    ) -> Verdict:
        """One verdict. first, slack: ``counterfactual.strongest``."""
        columns, names = self.columns, self.names
        contributions = tuple([Contribution(names[i], row[columns[i]], shares[i]) for i in order if shares[i]])
        if said:
            contributions = tuple(sorted((*contributions, *said), key=lambda part: -abs(part.pico)))
        p0, p1 = interval
        reach = self.levels[level].reaches[first]
        flip = alone(total, shares[first], row[columns[first]], reach, slack, self.threshold)
        if flip is None:
            values = [row[column] for column in columns]
            flip = across_levels(total, shares, values, self.levels, level, self.threshold)
        return Verdict(
            label=label(p0, p1, missing=missing or (p1 <= BENIGN_PPM and beyond_training(row))),
            pico=total,
            intercept_pico=self.document.intercept,
            p0_ppm=p0,
            p1_ppm=p1,
            contributions=contributions,
            counterfactual=flip,
            novelty_ppm=novelty_ppm,
            model=self.id,
        )


def label(p0_ppm: int, p1_ppm: int, *, missing: bool = False) -> Label:
    """Threat or benign when the whole interval says so; insufficient when it does not, or required evidence is missing."""
    if missing:
        return Label.INSUFFICIENT
    if p0_ppm >= THREAT_PPM:
        return Label.THREAT
    return Label.BENIGN if p1_ppm <= BENIGN_PPM else Label.INSUFFICIENT


def beyond_training(row: Row) -> bool:
    """Whether the prior may not call this benign: its tool calls it severe, or threat intelligence names an entity, and
    the site's people have not yet judged its pattern. The open data behind the prior carry neither severity nor
    intelligence, so its calibration says nothing about such findings."""
    severe = int(row[_SEVERITY]) >= Severity.HIGH or int(row[_TI_HITS]) > 0
    return severe and int(row[_PATTERN_SHARE]) < 0


def probability_ppm(verdict: Verdict) -> int:
    """One figure for the verdict's interval, for words and bars; the gate uses p1."""
    return merged_ppm(verdict.p0_ppm, verdict.p1_ppm)


def _check(document: Document) -> None:
    if document.format != FORMAT:
        raise ValueError(f"format {document.format}, this version reads {FORMAT}")
    if document.features != FEATURES[: len(document.features)]:
        raise ValueError("made for other features than this version computes")
    names = [term.feature for term in document.terms]
    if not names or len(set(names)) != len(names) or set(names) - set(document.features):
        raise ValueError("each term must name one of the features, once")
    table = document.calibration
    if len(table.p0) != len(table.p0_edges) + 1 or len(table.p1) != len(table.p1_edges) + 1:
        raise ValueError("the calibration table does not fit its edges")
    if not all(-BEYOND < edge < BEYOND for edge in (*table.p0_edges, *table.p1_edges)):
        raise ValueError("an edge of the calibration table is no score")
    if not all(0 <= value <= PPM for value in (*table.p0, *table.p1)):
        raise ValueError("a calibrated probability is not within 0 and 1,000,000 ppm")
    if any(low >= high for low, high in pairwise(document.edges)):
        raise ValueError("the edges of the score bands must rise")


def _levels(document: Document) -> tuple[Level, ...]:
    """The terms at each level of the feature that pairs share. Raises ValueError when they share none, or when a score
    could fall as it rises: who makes more trouble must never look safer."""
    terms = document.terms
    pairs = [term for term in terms if isinstance(term, PairTerm)]
    if not pairs:
        return (level_of(terms, 0, -1),)
    place = next((i for i, term in enumerate(terms) if term.feature == pairs[0].by), -1)
    own = terms[place]
    if place < 0 or not isinstance(own, NumericTerm) or any((p.by, p.by_edges) != (own.feature, own.edges) for p in pairs):
        raise ValueError("pairs must share one feature, with a term of its own and its edges")
    if own.missing != own.scores[0]:
        raise ValueError(f"what is not known of {own.feature} must read as 0")
    for level, least in enumerate(pairwise(zip(own.scores, *(pair.scores for pair in pairs), strict=True))):
        (own_low, *low), (own_high, *high) = least
        rise = sum(min(b - a for a, b in zip(*rows, strict=True)) for rows in zip(low, high, strict=True))
        if own_high - own_low + rise < 0:
            raise ValueError(f"the score can fall as {own.feature} rises to level {level + 1}")
    return tuple(level_of(terms, level, place) for level in range(len(own.scores)))


__all__ = ["HARD_CAP_PPM", "Document", "Model", "label", "probability_ppm"]
