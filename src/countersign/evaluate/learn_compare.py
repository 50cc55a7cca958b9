"""Candidate and present model side by side on the newest labels, which the candidate never saw, with intervals.

Findings of a case are not independent, so AUC, log-loss and macro-F1 get 95 % intervals by resampling whole cases (Field &
Welsh 2007) from a seed; shares get Clopper-Pearson intervals over findings. Log-loss decides, on the difference between
the two: it is the only one of them that minds both order and calibration.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from countersign.autonomy.bounds import lower_bound_ppm, upper_bound_ppm
from countersign.evaluate.learn_labels import Example
from countersign.evaluate.metrics import auc_ppm, macro_f1_ppm
from countersign.model.verdicts import PPM
from countersign.triage.model import HARD_CAP_PPM, Model, probability_ppm

RESAMPLES = 400
TAIL_PPM = 25_000
"""On each side of a 95 % interval."""
LIKELY_PPM = 500_000
_LEAST = 1e-6

BETTER, WORSE, UNCLEAR = "better", "worse", "not told apart"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model says of the test findings: score, P(threat) and its upper end, in ppm."""

    scores: tuple[int, ...]
    chances: tuple[int, ...]
    uppers: tuple[int, ...]


def see(model: Model, tested: Sequence[Example]) -> Seen:
    """The model's verdicts on them."""
    verdicts = model.verdicts([one.row for one in tested], texts=[one.texts for one in tested])
    return Seen(
        tuple(v.pico for v in verdicts), tuple(probability_ppm(v) for v in verdicts), tuple(v.p1_ppm for v in verdicts)
    )


def compare(candidate: Model, current: Model, tested: Sequence[Example], seed: int) -> dict[str, Any]:
    """Integers and strings only: it goes into the ledger as it is. Intervals are [figure, low, high] in ppm (log-loss in
    millionths of a nat); the gain is candidate less current."""
    truth = [one.threat for one in tested]
    ours, theirs = see(candidate, tested), see(current, tested)
    draws = _draws(tested, seed)
    spread = [(_ranked(ours, truth, draw), _ranked(theirs, truth, draw)) for draw in draws]
    every = list(range(len(tested)))
    sides = {"candidate": (ours, 0), "current": (theirs, 1)}
    found: dict[str, Any] = {
        name: _interval(_ranked(seen, truth, every), [pair[side] for pair in spread]) | _shares(seen, truth)
        for name, (seen, side) in sides.items()
    }
    one, two = _ranked(ours, truth, every), _ranked(theirs, truth, every)
    gain = _interval(_minus(one, two), [_minus(a, b) for a, b in spread])
    return found | {"gain": gain, "judgement": _judge(gain["log_loss"])}


def log_loss(chances: Sequence[int], truth: Sequence[bool]) -> int:
    """Mean of -ln P(what it was), in millionths of a nat."""
    chance = np.clip(np.asarray(chances, dtype=np.float64) / PPM, _LEAST, 1 - _LEAST)
    return round(PPM * float(np.mean(-np.log(np.where(np.asarray(truth), chance, 1 - chance)))))


def _ranked(seen: Seen, truth: Sequence[bool], chosen: Sequence[int]) -> dict[str, int]:
    real = [truth[i] for i in chosen]
    chances = [seen.chances[i] for i in chosen]
    return {
        "auc": auc_ppm([seen.scores[i] for i in chosen], real),
        "log_loss": log_loss(chances, real),
        "macro_f1": macro_f1_ppm([chance >= LIKELY_PPM for chance in chances], real),
    }


def _minus(one: dict[str, int], two: dict[str, int]) -> dict[str, int]:
    return {name: one[name] - two[name] for name in one}


def _draws(tested: Sequence[Example], seed: int) -> list[list[int]]:
    """Findings of as many cases as there are, drawn with replacement: as many with a threat, and as many without."""
    members: dict[str, list[int]] = {}
    for i, one in enumerate(tested):
        members.setdefault(one.case, []).append(i)
    groups = list(members.values())
    bad = [i for i, group in enumerate(groups) if any(tested[j].threat for j in group)]
    good = [i for i in range(len(groups)) if i not in set(bad)]
    rng = np.random.default_rng(seed)
    chosen = np.concatenate([rng.choice(kind, (RESAMPLES, len(kind))) for kind in (bad, good) if kind], axis=1)
    return [[i for group in draw for i in groups[group]] for draw in chosen.tolist()]


def _interval(figures: dict[str, int], spread: Sequence[dict[str, int]]) -> dict[str, list[int]]:
    low, high = TAIL_PPM / PPM, 1 - TAIL_PPM / PPM
    found = {}
    for name, value in figures.items():
        drawn = np.array([one[name] for one in spread], dtype=np.float64)
        found[name] = [value, math.floor(np.quantile(drawn, low)), math.ceil(np.quantile(drawn, high))]
    return found


def _shares(seen: Seen, truth: Sequence[bool]) -> dict[str, Any]:
    """Calibration (said on average, against what it was), and what the hard cap would let close."""
    closable = [real for upper, real in zip(seen.uppers, truth, strict=True) if upper <= HARD_CAP_PPM]
    found: dict[str, Any] = {
        "said": sum(seen.chances) // len(truth),
        "was": _share(len(truth), sum(truth)),
        "closable": _share(len(truth), len(closable)),
        "closable_threats": sum(closable),
    }
    if closable:
        found["closable_risk_upto"] = upper_bound_ppm(len(closable), sum(closable))
    return found


def _share(of: int, hits: int) -> list[int]:
    return [hits * PPM // of, lower_bound_ppm(of, hits, TAIL_PPM), upper_bound_ppm(of, hits, TAIL_PPM)]


def _judge(loss: Sequence[int]) -> str:
    _, low, high = loss
    if high < 0:
        return BETTER
    return WORSE if low > 0 else UNCLEAR
