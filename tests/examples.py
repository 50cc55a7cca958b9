"""On which examples a property is tried: all with ``make test``, a quarter in the fast loop (``make check``).

They are the same ones in every run until the test changes, so that no run fails on what the one before did not see;
``COUNTERSIGN_EXPLORE=1`` tries others each time. None is measured: how long an example takes is the machine's affair.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

QUICK = bool(os.environ.get("COUNTERSIGN_QUICK"))


def examples(number: int) -> int:
    """``number``, or a quarter of it."""
    return max(5, number // 4) if QUICK else number


settings.register_profile(
    "countersign",
    max_examples=examples(100),
    deadline=None,
    derandomize=not os.environ.get("COUNTERSIGN_EXPLORE"),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("countersign")
