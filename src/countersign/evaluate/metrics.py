"""Figures over scores and truth, in parts per million; numpy only, checked against scikit-learn in the tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from countersign.model.verdicts import PPM


def summary(scores: Sequence[int], threats: Sequence[bool]) -> dict[str, int]:
    """Macro-F1 at a score above 0, area under the ROC curve, average precision."""
    return {
        "macro_f1": macro_f1_ppm([score > 0 for score in scores], threats),
        "auc": auc_ppm(scores, threats),
        "average_precision": average_precision_ppm(scores, threats),
    }


def macro_f1_ppm(said: Sequence[bool], truth: Sequence[bool]) -> int:
    """Mean of the F1 of both classes; a class that is neither said nor true counts 0."""
    pairs = list(zip(said, truth, strict=True))
    return round(PPM * (_f1(pairs, target=True) + _f1(pairs, target=False)) / 2)


def _f1(pairs: list[tuple[bool, bool]], *, target: bool) -> float:
    hit = sum(s == target and t == target for s, t in pairs)
    wrong = sum(s != t for s, t in pairs)
    return 2 * hit / (2 * hit + wrong) if hit else 0.0


def auc_ppm(scores: Sequence[int], threats: Sequence[bool]) -> int:
    """P(a threat scores above a benign finding), ties half; 0 when a class is empty."""
    values, truth = np.asarray(scores, dtype=np.int64), np.asarray(threats, dtype=bool)
    high, low = values[truth], np.sort(values[~truth])
    if not len(high) or not len(low):
        return 0
    below = np.searchsorted(low, high, side="left") + np.searchsorted(low, high, side="right")
    return round(PPM * float(below.sum()) / (2 * len(high) * len(low)))


def average_precision_ppm(scores: Sequence[int], threats: Sequence[bool]) -> int:
    """Precision averaged over the threats, walking down the distinct scores; 0 without a threat."""
    values, truth = np.asarray(scores, dtype=np.int64), np.asarray(threats, dtype=np.int64)
    if not truth.sum():
        return 0
    order = np.argsort(-values, kind="stable")
    hits = np.cumsum(truth[order])
    ends = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))
    steps = np.diff(np.concatenate(([0], hits[ends])))
    return round(PPM * float((steps * hits[ends] / (ends + 1)).sum()) / int(truth.sum()))


def best_ranks(scores: Sequence[int], steps: Sequence[str]) -> dict[str, int]:
    """For each attack step, how many findings stand before its best one in the queue, plus one."""
    best: dict[str, int] = {}
    for score, step in zip(scores, steps, strict=True):
        if step:
            best[step] = max(score, best.get(step, score))
    ordered = np.sort(np.asarray(scores, dtype=np.int64))
    return {step: len(scores) - int(np.searchsorted(ordered, best[step], side="right")) + 1 for step in sorted(best)}
