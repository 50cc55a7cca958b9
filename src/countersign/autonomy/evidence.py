"""The certificate: evidence, valid at any time, that the risk of what is closed lies below alpha.

E = sum over j of w_j * prod_i (1 + lambda_j (alpha - x_i)) is a test supermartingale while the risk is alpha or more, so
by Ville's inequality it ever reaches 1/delta with probability at most delta: one may look after every review. Bets after
Waudby-Smith & Ramdas 2023, "Estimating means of bounded random variables by betting".

With partial labels x_i = R_i L_i / q_i has the same mean but reaches 1/q_min, hence lambda < 1/(1/q_min - alpha); q_min
= 1 gives the bound 1/(1 - alpha) of full review (Xu, Karampatziakis & Mineiro 2024, "Active, anytime-valid risk
controlling prediction sets", NeurIPS). lambda depends on the design of the draw, which is fixed beforehand, and never on
the finding's own q_i: that would weigh the average.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
import numpy.typing as npt

from countersign.autonomy.bounds import ALPHA_PPM, DELTA_PPM
from countersign.model.verdicts import PPM

BETS = ((0.25, 1), (0.5, 1), (0.75, 2), (0.9, 3), (0.97, 5))
"""(share of the highest permitted lambda, weight): high bets certify a clean record soon, low ones outlive a miss."""
UNATS = 1_000_000
"""Micro-nats per nat: how log-evidence is written into records, which hold no floats."""

_LOG_WEIGHTS = tuple(math.log(weight / sum(w for _, w in BETS)) for _, weight in BETS)


def log_sum(logs: tuple[float, ...]) -> float:
    """Logarithm of the sum of exponentials, without overflow; -inf for nothing."""
    top = max(logs, default=-math.inf)
    return top if math.isinf(top) else top + math.log(sum(math.exp(value - top) for value in logs))


def micro_nats(log_e: float) -> int:
    """Log-evidence as a whole number of micro-nats."""
    return round(log_e * UNATS)


def bets(alpha: float, q_min_ppm: int) -> tuple[float, ...]:
    """The lambdas, each below 1/(1/q_min - alpha). Raises ValueError unless 0 < q_min <= 1 and 0 < alpha < 1."""
    if not 0 < q_min_ppm <= PPM or not 0 < alpha < 1:
        raise ValueError(f"no bet for alpha {alpha} and lowest probability {q_min_ppm} ppm")
    return tuple(share / (PPM / q_min_ppm - alpha) for share, _ in BETS)


def weights() -> tuple[float, ...]:
    """Logarithms of the weights of the bets, in their order."""
    return _LOG_WEIGHTS


class Certificate(msgspec.Struct, frozen=True):
    """State of the bets: ``logs[j]`` is the log of the j-th product. seen: observations taken, undrawn closes included."""

    alpha_ppm: int = ALPHA_PPM
    delta_ppm: int = DELTA_PPM
    seen: int = 0
    logs: tuple[float, ...] = (0.0,) * len(BETS)

    def observe(self, x: float, *, q_min_ppm: int = PPM, times: int = 1) -> Certificate:
        """The state after ``times`` observations of x, drawn under a design whose lowest probability is q_min.

        Raises ValueError unless 0 <= x <= 1/q_min and times >= 0.
        """
        if not 0 <= x <= PPM / q_min_ppm or times < 0:
            raise ValueError(f"observation {x} taken {times} times is beyond 1/q_min, q_min {q_min_ppm} ppm")
        alpha = self.alpha_ppm / PPM
        gains = (times * math.log1p(bet * (alpha - x)) for bet in bets(alpha, q_min_ppm))
        logs = tuple(log + gain for log, gain in zip(self.logs, gains, strict=True))
        return msgspec.structs.replace(self, seen=self.seen + times, logs=logs)

    @property
    def log_e(self) -> float:
        """Log-evidence in nats."""
        return log_sum(tuple(log + weight for log, weight in zip(self.logs, _LOG_WEIGHTS, strict=True)))

    @property
    def unats(self) -> int:
        """Log-evidence in micro-nats, for the ledger."""
        return micro_nats(self.log_e)

    @property
    def certified(self) -> bool:
        """E >= 1/delta: the risk lies below alpha, wrong with probability at most delta."""
        return self.log_e >= math.log(PPM / self.delta_ppm)


def log_paths(x: npt.NDArray[np.float64], *, alpha_ppm: int = ALPHA_PPM, q_min_ppm: int = PPM) -> npt.NDArray[np.float64]:
    """Log-evidence after each observation, for many runs at once: shape (runs, observations), as x."""
    alpha = alpha_ppm / PPM
    total = np.full(x.shape, -np.inf)
    for bet, weight in zip(bets(alpha, q_min_ppm), _LOG_WEIGHTS, strict=True):
        total = np.logaddexp(total, weight + np.cumsum(np.log1p(bet * (alpha - x)), axis=-1))
    return total
