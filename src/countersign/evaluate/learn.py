"""``countersign learn --prior``: the shipped model, from open data to a JSON file, the same bytes every time.

Leave one network out measures it; the calibration rests on those out-of-fold scores alone, network by network, and is the
envelope of them; then one fit on everything. Each attack step is capped in weight and in the calibration, because two DNS
tunnels would otherwise be 88 % of what "threat" means.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from countersign import __version__
from countersign.autonomy.threshold import grid
from countersign.errors import UsageError, VerificationError
from countersign.evaluate import metrics, trainer
from countersign.evaluate.datasets import DNS_TUNNEL, Network, Row, read_ait, touches
from countersign.model.findings import by_chance
from countersign.model.verdicts import PICO, PPM, Label
from countersign.triage.calibrate import Calibration, at_lower_rate, calibrate, envelope
from countersign.triage.expert import expert_terms
from countersign.triage.features import FEATURES
from countersign.triage.model import FORMAT, HARD_CAP_PPM, NEVER, CalibrationTable, Document, Model, label
from countersign.triage.terms import Term

STEP_FINDINGS_MAX = 150
"""Most findings that one attack step of one network may weigh."""
BASE_RATE_PPM = 10_000
"""Least share of threats among findings that the interval allows for; the networks have 0.9 % to 5 % after the cap."""
NETWORKS_MIN = 2
EQUALITY_LOGITS = 1e-9

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Learnt:
    """The model file's bytes and what was measured on the way (parts per million and counts)."""

    data: bytes
    measures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fit:
    """One fitted model: ours, and the trainer it must equal."""

    intercept: int
    terms: tuple[Term, ...]
    machine: trainer.Machine

    def scores(self, rows: Sequence[tuple[int | str, ...]]) -> list[int]:
        """Scores in pico-logits."""
        return [int(score) for score in _model(self.intercept, self.terms).score_rows(rows)[0]]


def learn_prior(folder: Path, say: Say = lambda _: None) -> Learnt:
    """Train, measure and pack the prior. Raises UsageError, ConfigError, EnvironmentFault, VerificationError."""
    networks = read_ait(folder)
    if len(networks) < NETWORKS_MIN:
        raise UsageError(f"leave-one-out needs {NETWORKS_MIN} networks", where=str(folder), todo="add another file")
    say(f"{len(networks)} networks, {sum(n.findings for n in networks)} findings")
    measured, calibration = _leave_one_out(networks, say)
    say("final fit on every network")
    final = fit(networks)
    check_equality(final, networks)
    threshold = calibration.largest_score(HARD_CAP_PPM)
    document = assemble(final, calibration, networks)
    document = msgspec.structs.replace(document, threshold=NEVER if threshold is None else threshold, metrics=measured)
    data = pack(document)
    Model.from_bytes(data)
    return Learnt(data, measured | {"model": hashlib.sha256(data).hexdigest(), "bytes": len(data)})


def fit(networks: Sequence[Network]) -> Fit:
    """Train on these networks and translate; expert terms are added as they stand."""
    rows = [row for network in networks for row in network.rows]
    values = [row.values for row in rows]
    weights = [weight for network in networks for weight in weigh(network.rows)]
    machine = trainer.train(values, [bool(row.step) for row in rows], weights)
    intercept, terms = trainer.terms_of(machine, values, weights)
    return Fit(intercept, (*terms, *expert_terms()), machine)


def assemble(fitted: Fit, calibration: Calibration, networks: Sequence[Network]) -> Document:
    """The model file of a fit on these networks: with its calibration and the edges of its score bands."""
    document = _document(fitted.intercept, fitted.terms, training={n.name: n.sha256 for n in networks})
    table = CalibrationTable(
        n=calibration.n,
        threats=calibration.threats,
        p0_edges=calibration.p0.edges,
        p0=calibration.p0.values,
        p1_edges=calibration.p1.edges,
        p1=calibration.p1.values,
    )
    return msgspec.structs.replace(document, calibration=table, edges=band_edges(fitted, calibration, networks))


def band_edges(fitted: Fit, calibration: Calibration, networks: Sequence[Network]) -> tuple[int, ...]:
    """Edges of the score bands in pico-logits: quantiles over these networks' findings that the model calls benign."""
    scores = fitted.scores([row.values for network in networks for row in network.rows if row.last])
    benign = [score for score in scores if label(*calibration.interval(score)) is Label.BENIGN]
    return grid(benign, cap=max(benign)) if benign else (min(scores, default=0),)


def weigh(rows: Sequence[Row]) -> list[float]:
    """Weight of each row: a finding counts once however many batches touched it, an attack step at most its cap."""
    counts = touches(rows)
    weights = [1 / counts[row.finding] for row in rows]
    steps: dict[str, float] = {}
    for row, weight in zip(rows, weights, strict=True):
        steps[row.step] = steps.get(row.step, 0.0) + weight
    caps = {step: min(1.0, STEP_FINDINGS_MAX / total) if step else 1.0 for step, total in steps.items()}
    return [weight * caps[row.step] for row, weight in zip(rows, weights, strict=True)]


def calibration_of(scored: Sequence[tuple[Row, int]]) -> Calibration:
    """Calibration of one network from scores of a model that never saw it: every benign finding and, of each attack step,
    at most its cap, from any time of it."""
    taken: Counter[str] = Counter()
    scores, threats = [], []
    for row, score in sorted(scored, key=lambda item: by_chance(item[0].finding)):
        taken[row.step] += 1
        if not row.step or taken[row.step] <= STEP_FINDINGS_MAX:
            scores.append(score)
            threats.append(bool(row.step))
    return at_lower_rate(calibrate(scores, threats), BASE_RATE_PPM)


def check_equality(fitted: Fit, networks: Iterable[Network]) -> None:
    """Raise VerificationError unless our learnt terms give the trainer's score on every row within 1e-9 logit."""
    rows = [row.values for network in networks for row in network.rows]
    learnt = tuple(term for term in fitted.terms if term.origin == trainer.ORIGIN)
    ours = _model(fitted.intercept, learnt).score_rows(rows)[0] / PICO
    worst = float(np.max(np.abs(ours - fitted.machine.predict(trainer.table(rows), raw_score=True))))
    if worst > EQUALITY_LOGITS:
        raise VerificationError(f"our score differs from the trainer's by {worst:.3g} logit", where="learn")


def _leave_one_out(networks: Sequence[Network], say: Say) -> tuple[dict[str, Any], Calibration]:
    measured: dict[str, Any] = {}
    calibrations: list[Calibration] = []
    pooled: list[tuple[int, bool, bool]] = []
    for network in networks:
        fitted = fit([other for other in networks if other is not network])
        rows = [row for row in network.rows if row.last]
        seen = fitted.scores([row.values for row in rows])
        measured[network.name] = _measure(seen, [row.step for row in rows])
        pooled.extend((score, bool(row.step), row.step == DNS_TUNNEL) for score, row in zip(seen, rows, strict=True))
        calibrations.append(calibration_of(list(zip(rows, seen, strict=True))))
        say(f"without {network.name}: {measured[network.name]['all']}")
    figures = {"networks": measured, "pooled": _pooled(pooled), "unit": "finding; ppm", "cut": "score > 0"}
    return figures, envelope(calibrations)


def _measure(scores: list[int], steps: list[str]) -> dict[str, Any]:
    apart = [i for i, step in enumerate(steps) if step != DNS_TUNNEL]
    ranks = metrics.best_ranks(scores, steps)
    return {
        "findings": len(scores),
        "threats": sum(map(bool, steps)),
        "all": metrics.summary(scores, [bool(step) for step in steps]),
        "without_dnsteal": metrics.summary([scores[i] for i in apart], [bool(steps[i]) for i in apart]),
        "first_rank_of_step": ranks,
    }


def _pooled(seen: list[tuple[int, bool, bool]]) -> dict[str, Any]:
    apart = [item for item in seen if not item[2]]
    return {
        "all": metrics.summary([item[0] for item in seen], [item[1] for item in seen]),
        "without_dnsteal": metrics.summary([item[0] for item in apart], [item[1] for item in apart]),
    }


def _model(intercept: int, terms: tuple[Term, ...]) -> Model:
    return Model.from_bytes(pack(_document(intercept, terms, training={})))


def _document(intercept: int, terms: tuple[Term, ...], *, training: dict[str, str]) -> Document:
    return Document(
        format=FORMAT,
        name="prior",
        code_version=__version__,
        features=FEATURES,
        intercept=intercept,
        terms=terms,
        calibration=CalibrationTable(0, 0, (), (0,), (), (PPM,)),
        threshold=NEVER,
        training=training,
        settings=trainer.SETTINGS
        | {
            "rounds": trainer.ROUNDS,
            "by": trainer.BY,
            "monotone": trainer.MONOTONE,
            "most": trainer.MOST,
            "step_findings_max": STEP_FINDINGS_MAX,
            "base_rate_ppm": BASE_RATE_PPM,
            "calibration": "envelope of Venn-Abers over the networks left out",
        },
        metrics={},
    )


def pack(document: Document) -> bytes:
    """The file: JSON with one line per key and per term, so that a change can be read in a diff. No line for what is not
    there."""
    lines = []
    for name in document.__struct_fields__:
        value = getattr(document, name)
        if value is None:
            continue
        text = _listed(value) if name == "terms" else msgspec.json.encode(value).decode()
        lines.append(f'"{name}": {text}')
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _listed(terms: tuple[Term, ...]) -> str:
    return "[\n  " + ",\n  ".join(msgspec.json.encode(term).decode() for term in terms) + "\n]"
