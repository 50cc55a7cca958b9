"""Figures as short text: the same on every machine, so that decisions replay to the same bytes."""

from __future__ import annotations

_PPM_PER_PERCENT = 10_000


def percent(ppm: int) -> str:
    """``87 %``, ``0.4 %``, ``< 0.1 %``: whole percent from 10 % on and one decimal below, never rounded to certainty."""
    tenths = (ppm + 500) // 1000
    if ppm <= 0:
        return "0 %"
    if tenths == 0:
        return "< 0.1 %"
    if tenths < 100:
        return f"{tenths // 10}.{tenths % 10} %"
    whole = (ppm + _PPM_PER_PERCENT // 2) // _PPM_PER_PERCENT
    return "> 99 %" if whole >= 100 and ppm < 1_000_000 else f"{whole} %"


def count(number: int | None, noun: str) -> str:
    """``no threat``, ``1 threat``, ``3 threats``; an unknown number says so."""
    if number is None:
        return f"unknown {noun}s"
    return f"{number or 'no'} {noun}{'' if number in (0, 1) else 's'}"
