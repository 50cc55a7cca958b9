"""Figures as text."""

from __future__ import annotations

import pytest

from countersign.policy.words import count, percent


@pytest.mark.parametrize(
    ("ppm", "text"),
    [
        (0, "0 %"),
        (1, "< 0.1 %"),
        (4_000, "0.4 %"),
        (9_949, "1.0 %"),
        (99_600, "10 %"),
        (870_000, "87 %"),
        (999_999, "> 99 %"),
        (1_000_000, "100 %"),
    ],
)
def test_percent(ppm: int, text: str) -> None:
    assert percent(ppm) == text


def test_count() -> None:
    assert [count(n, "hit") for n in (None, 0, 1, 2)] == ["unknown hits", "no hit", "1 hit", "2 hits"]
