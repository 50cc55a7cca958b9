"""The alarm: evidence, valid at any time, that the risk of what is closed lies above alpha.

E = mean over k of prod_i (1 + lambda_k (x_i - alpha)) with lambda_k = (p_k - alpha)/(alpha (1 - alpha)): for full review
each factor is the likelihood ratio of risk p_k against alpha. While the risk is alpha or less, E is a nonnegative
supermartingale and ever reaches 1/delta with probability at most delta (Ville; Waudby-Smith & Ramdas 2023). It needs no
bound on x, so partially labelled observations R L / q enter as they are.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
import numpy.typing as npt

from countersign.autonomy.bounds import ALPHA_PPM, DELTA_PPM
from countersign.autonomy.evidence import log_sum, micro_nats
from countersign.model.verdicts import PPM

RISKS_PPM = (12_000, 15_000, 20_000, 30_000, 50_000, 100_000, 200_000, 400_000)
"""The p_k: risks that are watched for."""


def lambdas(alpha_ppm: int) -> tuple[float, ...]:
    """One bet for each watched risk above alpha. Raises ValueError when alpha leaves none to watch for."""
    alpha = alpha_ppm / PPM
    found = tuple((p / PPM - alpha) / (alpha * (1 - alpha)) for p in RISKS_PPM if p > alpha_ppm > 0)
    if not found:
        raise ValueError(f"alpha must lie between 0 and {max(RISKS_PPM)} ppm, not {alpha_ppm}")
    return found


class Alarm(msgspec.Struct, frozen=True):
    """State of the alarm: ``logs[k]`` is the log of the k-th product, empty before the first observation."""

    alpha_ppm: int = ALPHA_PPM
    delta_ppm: int = DELTA_PPM
    seen: int = 0
    logs: tuple[float, ...] = ()

    def observe(self, x: float, *, times: int = 1) -> Alarm:
        """The state after ``times`` observations of x >= 0. Raises ValueError on a negative number."""
        if x < 0 or times < 0:
            raise ValueError(f"observation {x} taken {times} times is negative")
        bets, alpha = lambdas(self.alpha_ppm), self.alpha_ppm / PPM
        old = self.logs or (0.0,) * len(bets)
        logs = tuple(log + times * math.log1p(bet * (x - alpha)) for log, bet in zip(old, bets, strict=True))
        return msgspec.structs.replace(self, seen=self.seen + times, logs=logs)

    @property
    def log_e(self) -> float:
        """Log-evidence in nats."""
        return log_sum(self.logs) - math.log(len(self.logs)) if self.logs else 0.0

    @property
    def unats(self) -> int:
        """Log-evidence in micro-nats, for the ledger."""
        return micro_nats(self.log_e)

    @property
    def raised(self) -> bool:
        """E >= 1/delta."""
        return self.log_e >= math.log(PPM / self.delta_ppm)


def log_paths(x: npt.NDArray[np.float64], *, alpha_ppm: int = ALPHA_PPM) -> npt.NDArray[np.float64]:
    """Log-evidence after each observation, for many runs at once: shape (runs, observations), as x."""
    bets, alpha = lambdas(alpha_ppm), alpha_ppm / PPM
    total = np.full(x.shape, -np.inf)
    for bet in bets:
        total = np.logaddexp(total, np.cumsum(np.log1p(bet * (x - alpha)), axis=-1))
    return np.asarray(total - math.log(len(bets)))
