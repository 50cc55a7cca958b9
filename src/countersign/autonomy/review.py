"""Which closed findings a person reviews, drawn so that anybody can replay it and the agent cannot foresee it.

A week's seed is committed beforehand (its SHA-256 goes into the ledger) and opened afterwards. The draw of one finding
depends on the seed and the finding's identifier alone (HMAC-SHA-256, RFC 2104), so that any draw replays by itself. The
probability is proportional to the square root of the risk, which is where a label tells most for its cost, and at least
2 % (Xu, Karampatziakis & Mineiro 2024, "Active, anytime-valid risk controlling prediction sets", NeurIPS). Integers only.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from countersign.model.verdicts import PPM

Q_MIN_PPM = 20_000
SEED_BYTES = 32
SCALE_MAX_PPM = 1_000 * PPM

_COMMIT = b"countersign/review-seed/1\x00"
_DRAW = b"countersign/review-draw/1\x00"
_BITS = 64


class Draw(msgspec.Struct, frozen=True):
    """One logged draw. week: ``2025-W07``. q_ppm: probability of a review, fixed before the draw."""

    finding: str
    week: str
    q_ppm: int
    reviewed: bool


def week_of(at_ms: int) -> str:
    """ISO 8601 week in UTC, e.g. ``2025-W07``."""
    year, week, _ = datetime.fromtimestamp(at_ms // 1000, UTC).isocalendar()
    return f"{year:04d}-W{week:02d}"


def commitment(seed: bytes, week: str) -> str:
    """What goes into the ledger before the week begins: SHA-256 in hex. Raises ValueError on a seed of the wrong size."""
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
    return hashlib.sha256(_COMMIT + week.encode() + b"\x00" + seed).hexdigest()


def probability_ppm(risk_ppm: int, scale_ppm: int, q_min_ppm: int = Q_MIN_PPM) -> int:
    """q = scale * sqrt(risk), between q_min and 1. risk_ppm: upper end of the verdict's interval."""
    root = math.isqrt(max(0, risk_ppm) * PPM)
    return max(q_min_ppm, min(PPM, scale_ppm * root // PPM))


def scale_for(risks_ppm: Sequence[int], budget_ppm: int, q_min_ppm: int = Q_MIN_PPM) -> int:
    """Largest scale (ppm) at which past closes with these risks would have cost at most ``budget`` reviews a close.

    0, that is q_min for all, when the budget is below q_min. From past findings only: the scale must stand before a draw.
    """
    low, high = 0, SCALE_MAX_PPM
    while low < high:
        middle = (low + high + 1) // 2
        cost = sum(probability_ppm(risk, middle, q_min_ppm) for risk in risks_ppm)
        low, high = (middle, high) if cost <= budget_ppm * len(risks_ppm) else (low, middle - 1)
    return low


def draw(seed: bytes, week: str, finding: str, q_ppm: int) -> Draw:
    """Whether this finding is reviewed: a uniform number from (seed, week, finding) against q.

    Raises ValueError unless 0 < q <= 1 and the seed has its size.
    """
    if not 0 < q_ppm <= PPM or len(seed) != SEED_BYTES:
        raise ValueError(f"cannot draw with {q_ppm} ppm and a seed of {len(seed)} bytes")
    mark = hmac.digest(seed, _DRAW + week.encode() + b"\x00" + finding.encode(), "sha256")
    uniform = int.from_bytes(mark[: _BITS // 8], "big")
    return Draw(finding, week, q_ppm, reviewed=uniform * PPM < q_ppm << _BITS)
