"""What people verified, and what resembles it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.model.verdicts import PPM
from countersign.triage.features import NOTHING_PAST
from countersign.triage.novelty import AGE_MS_MAX, PatternRecord, assess, p_value_ppm, rarity
from tests.unit.test_triage_features import make

NOW = 1_700_000_000_000
SCORES = st.lists(st.integers(-5000, 50_000), min_size=1, max_size=60)


def record(**changes: int | tuple[int, ...]) -> PatternRecord:
    values = {"benign": 3, "threat": 0, "newest_ms": NOW - 1, "rarities": (100, 200, 300)} | changes
    return PatternRecord(**values)  # type: ignore[arg-type]


def test_three_fresh_benign_reviews_make_a_pattern_known() -> None:
    found = assess(record(), 200, NOW)
    assert (found.known, found.p_ppm, found.reason) == (True, 750_000, "")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"benign": 0, "rarities": ()}, "pattern never reviewed"),
        ({"benign": 2}, "pattern reviewed 2 of 3 times"),
        ({"threat": 1, "benign": 500}, "a threat was confirmed in this pattern"),
        ({"newest_ms": NOW - AGE_MS_MAX}, "last review older than 90 days"),
        ({"rarities": tuple(range(40)), "benign": 40}, "unlike the reviewed findings of its pattern"),
        ({"rarities": ()}, "unlike the reviewed findings of its pattern"),
    ],
)
def test_each_doubt_is_named(changes: dict[str, int], reason: str) -> None:
    found = assess(record(**changes), 10_000, NOW)
    assert not found.known
    assert found.reason == reason


@given(SCORES, st.integers(-5000, 50_000))
def test_p_value_follows_its_definition_and_never_rises_with_strangeness(scores: list[int], score: int) -> None:
    scores.sort()
    exact = (1 + len([s for s in scores if s >= score])) / (len(scores) + 1)
    assert p_value_ppm(scores, score) == int(exact * PPM + 1e-6)
    assert p_value_ppm(scores, score + 1) <= p_value_ppm(scores, score)


@given(SCORES)
def test_conformal_validity_over_every_exchangeable_position(scores: list[int]) -> None:
    """Among n exchangeable findings at most a share epsilon has p <= epsilon: holds exactly over leave-one-out."""
    scores.sort()
    low = [p_value_ppm(scores[:i] + scores[i + 1 :], s) <= 200_000 for i, s in enumerate(scores)]
    assert sum(low) <= 0.2 * len(scores)


def test_rarer_and_busier_is_stranger() -> None:
    routine = msgspec.structs.replace(make(), count=1)
    past = msgspec.structs.replace(
        NOTHING_PAST, rule_firings=900, pair_firings=800, site_alerts=100, host_rules=1, host_alerts=3
    )
    usual = rarity(routine, past)
    assert rarity(msgspec.structs.replace(routine, count=500), past) > usual
    assert rarity(routine, msgspec.structs.replace(past, pair_firings=0)) > usual
    assert rarity(routine, msgspec.structs.replace(past, host_rules=9)) > usual
