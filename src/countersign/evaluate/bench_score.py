"""Scoring by itself, in CPU time."""

from __future__ import annotations

import random
import time
from typing import Any

from countersign.triage.features import CATEGORICAL, FEATURES
from countersign.triage.model import Model

BATCH = 500


def bench_score(rows: int, seed: int = 1) -> dict[str, Any]:
    """CPU microseconds a row for scores in batches, and for whole verdicts."""
    model = Model.load_prior()
    draw = random.Random(seed)  # noqa: S311 - test data
    made = [_row(draw) for _ in range(rows)]
    batches = [made[i : i + BATCH] for i in range(0, rows, BATCH)]
    model.verdicts(batches[0])
    start = time.process_time()
    for batch in batches:
        model.score_rows(batch)
    middle = time.process_time()
    for batch in batches:
        model.verdicts(batch)
    end = time.process_time()
    return {
        "rows": rows,
        "score_us_per_row": round((middle - start) / rows * 1e6, 3),
        "verdict_us_per_finding": round((end - middle) / rows * 1e6, 3),
    }


def _row(draw: random.Random) -> tuple[int | str, ...]:
    return tuple(
        draw.choice(("wazuh", "suricata", "unknown")) if name in CATEGORICAL else int(draw.expovariate(0.01)) - 1
        for name in FEATURES
    )
