"""How many examples a property is tried on: all with ``make test``, a quarter in the fast loop (``make check``)."""

from __future__ import annotations

import os

from hypothesis import settings

QUICK = bool(os.environ.get("COUNTERSIGN_QUICK"))


def examples(number: int) -> int:
    """``number``, or a quarter of it."""
    return max(5, number // 4) if QUICK else number


settings.register_profile("countersign", max_examples=examples(100))
settings.load_profile("countersign")
