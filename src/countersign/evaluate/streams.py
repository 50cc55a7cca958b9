"""Simulated streams of reviews: how often the alarm and the certificate err, and how soon they speak.

Streams are independent draws of whether a closed finding was a threat. In sampled streams the risk differs between
findings (exponential, mean alpha) and each is reviewed with the probability that ``autonomy.review`` gives it.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from countersign.autonomy import alarm, change, evidence
from countersign.autonomy.bounds import ALPHA_PPM, DELTA_PPM, lower_bound_ppm, upper_bound_ppm
from countersign.autonomy.review import Q_MIN_PPM
from countersign.model.verdicts import PPM

Floats = npt.NDArray[np.float64]

REVIEWS = 6_000
BEFORE, AFTER = 1_000, 2_000
LOW, HIGH = 0.002, 0.05
"""The jump: share missed before and after."""
CHUNK = 250
LONG, LONG_RUNS = 40_000, 200

_BAR = math.log(PPM / DELTA_PPM)


def measure(runs: int, seed: int) -> dict[str, Any]:
    """All figures; rates with 95 % intervals in ppm, the rest in reviews."""
    rng = np.random.default_rng([seed, 1])
    sizes = [min(CHUNK, runs - start) for start in range(0, runs, CHUNK)]
    full = [_at_alpha(rng.random((n, REVIEWS)) < ALPHA_PPM / PPM, PPM) for n in sizes]
    part = [_at_alpha(sampled(rng, (n, REVIEWS)), Q_MIN_PPM) for n in sizes]
    delays = np.concatenate([jump_delays(rng, n) for n in sizes])
    alarms, certificates = (sum(column) for column in zip(*full, strict=True))
    alarms_part, certificates_part = (sum(column) for column in zip(*part, strict=True))
    return {
        "runs": runs,
        "reviews": REVIEWS,
        "false_alarms": rate(alarms, runs),
        "false_alarms_sampled": rate(alarms_part, runs),
        "false_certificates": rate(certificates, runs),
        "false_certificates_sampled": rate(certificates_part, runs),
        "jump_noticed_reviews": int(np.median(delays)),
        "jump_noticed_nine_in_ten": int(np.quantile(delays, 0.9)),
        "change_run_length": run_length(rng),
        "clean_reviews": clean_reviews(),
    }


def sampled(rng: np.random.Generator, shape: tuple[int, ...], alpha: float = ALPHA_PPM / PPM) -> Floats:
    """x = R L / q with q = sqrt(risk), at least q_min, and a mean risk of alpha."""
    risk = np.minimum(1.0, rng.exponential(alpha, shape))
    q = np.maximum(Q_MIN_PPM / PPM, np.sqrt(risk))
    return np.asarray((rng.random(shape) < q * risk) / q, dtype=np.float64)


def jump_delays(rng: np.random.Generator, runs: int) -> Floats:
    """Reviews from the jump to the first alarm or change; AFTER where none came. Streams that had one before the
    jump are left out."""
    x = np.concatenate([rng.random((runs, BEFORE)) < LOW, rng.random((runs, AFTER)) < HIGH], axis=1).astype(np.float64)
    raised = (alarm.log_paths(x) >= _BAR) | (change.log_paths(x) >= math.log(change.RUN_LENGTH))
    early = raised[:, :BEFORE].any(axis=1)
    return cast(Floats, first(raised[~early, BEFORE:]) + 1.0)


def run_length(rng: np.random.Generator) -> int:
    """Mean reviews to a change reported at risk exactly alpha, streams cut at LONG: the true mean is no shorter."""
    x = (rng.random((LONG_RUNS, LONG)) < ALPHA_PPM / PPM).astype(np.float64)
    return int(first(change.log_paths(x) >= math.log(change.RUN_LENGTH)).mean())


def clean_reviews() -> int:
    """Reviews without a threat until the certificate."""
    return int(first(evidence.log_paths(np.zeros((1, REVIEWS))) >= _BAR)[0]) + 1


def first(raised: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Index of the first True in each row, the row's length where there is none."""
    found: npt.NDArray[np.int64] = np.where(raised.any(axis=1), raised.argmax(axis=1), raised.shape[1]).astype(np.int64)
    return found


def rate(count: int, of: int) -> dict[str, int]:
    """A share with its Clopper-Pearson interval of 95 %, in ppm; 0 in [0, 1] where nothing was counted."""
    share, half = round(PPM * count / of) if of else 0, DELTA_PPM // 2
    return {
        "ppm": share,
        "low_ppm": lower_bound_ppm(of, count, half),
        "high_ppm": upper_bound_ppm(of, count, half),
        "of": of,
    }


def _at_alpha(x: npt.NDArray[Any], q_min_ppm: int) -> tuple[int, int]:
    """How many of these streams raised an alarm, and how many were certified."""
    x = x.astype(np.float64)
    alarms = int((alarm.log_paths(x) >= _BAR).any(axis=1).sum())
    return alarms, int((evidence.log_paths(x, q_min_ppm=q_min_ppm) >= _BAR).any(axis=1).sum())
