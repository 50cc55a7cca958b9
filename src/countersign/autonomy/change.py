"""The change detector: has the risk risen above alpha at some unknown moment? (Shiryaev-Roberts e-detector)

S_n = (S_{n-1} + 1)(1 + sum over k of w_k lambda_k (x_n - alpha)), alarm at S >= A. While the risk is alpha or less the
mean of S_n is at most n, hence the average run length to a false alarm is at least A (Shin, Ramdas & Rinaldo 2023,
"E-detectors: a nonparametric framework for sequential change detection"). Unlike the alarm's, its evidence starts anew
with every observation: years of clean reviews do not have to be worn down first.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
import numpy.typing as npt

from countersign.autonomy.alarm import RISKS_PPM, lambdas
from countersign.autonomy.bounds import ALPHA_PPM
from countersign.autonomy.evidence import micro_nats
from countersign.model.verdicts import PPM

RUN_LENGTH = 5_000
"""A: observations between two false alarms, on average and at the least, at a risk of exactly alpha."""


def mixed(alpha_ppm: int) -> float:
    """The sum of w_k lambda_k, with w_k proportional to 1/sqrt(p_k): equal weights would let the highest risk speak for
    all, and a rise to a few per cent would be seen late."""
    weights = [1 / math.sqrt(p) for p in RISKS_PPM if p > alpha_ppm]
    return sum(w * bet for w, bet in zip(weights, lambdas(alpha_ppm), strict=True)) / sum(weights)


class Change(msgspec.Struct, frozen=True):
    """State of the detector. log_s: log of S, None while S is 0."""

    alpha_ppm: int = ALPHA_PPM
    run_length: int = RUN_LENGTH
    seen: int = 0
    log_s: float | None = None

    def observe(self, x: float, *, times: int = 1) -> Change:
        """The state after ``times`` observations of x >= 0. Raises ValueError on a negative number."""
        if x < 0 or times < 0:
            raise ValueError(f"observation {x} taken {times} times is negative")
        log_f = math.log1p(mixed(self.alpha_ppm) * (x - self.alpha_ppm / PPM))
        log_s = self.log_s
        for _ in range(times):
            log_s = log_f + (0.0 if log_s is None else _log_one_plus(log_s))
        return msgspec.structs.replace(self, seen=self.seen + times, log_s=log_s)

    @property
    def unats(self) -> int:
        """log(1 + S) in micro-nats, for the ledger: 0 before the first observation."""
        return 0 if self.log_s is None else micro_nats(_log_one_plus(self.log_s))

    @property
    def raised(self) -> bool:
        """S >= A."""
        return self.log_s is not None and self.log_s >= math.log(self.run_length)


def log_paths(x: npt.NDArray[np.float64], *, alpha_ppm: int = ALPHA_PPM) -> npt.NDArray[np.float64]:
    """log S after each observation, for many runs at once: shape (runs, observations), as x.

    S_n is the sum over starts j <= n of the products of the factors from j to n.
    """
    logs = np.cumsum(np.log1p(mixed(alpha_ppm) * (x - alpha_ppm / PPM)), axis=-1)
    before = np.concatenate([np.zeros((*x.shape[:-1], 1)), logs[..., :-1]], axis=-1)
    return np.asarray(logs + np.logaddexp.accumulate(-before, axis=-1))


def _log_one_plus(log_s: float) -> float:
    """log(1 + S) from log S, without overflow."""
    return max(log_s, 0.0) + math.log1p(math.exp(-abs(log_s)))
