"""Charts made on the server: the bound over the reviews, evidence against its limit, predicted beside observed.

Sizes are SVG attributes, colours are classes; every label is escaped, and what a chart shows stands beside it in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import log10
from typing import NamedTuple

from markupsafe import Markup

from countersign.autonomy.bounds import DELTA_PPM, lower_bound_ppm, upper_bound_ppm
from countersign.model.verdicts import PPM
from countersign.store.read_autonomy import Judged, Prediction
from countersign.web import words

WIDTH, HEIGHT = 560, 190
POINTS_MAX = 80
"""Points of a course; each is an exact bound, and a line of eighty looks like one of thousands."""
LOW_PPM = 1_000
"""Lower edge of the logarithmic axis: 0.1 %."""
BINS_PPM = (0, 10_000, 20_000, 50_000, 100_000, 200_000, 400_000, 600_000, 800_000, PPM)
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 24


class Bin(NamedTuple):
    """Answers whose verdict had said about the same. Shares in ppm; low and high: Clopper-Pearson, 95 %."""

    said_ppm: int
    n: int
    threats: int
    low_ppm: int
    high_ppm: int


@lru_cache(maxsize=4096)
def bound_ppm(reviewed: int, threats: int, delta_ppm: int) -> int:
    """As ``upper_bound_ppm``, remembered: a course asks again for the same points."""
    return upper_bound_ppm(reviewed, threats, delta_ppm)


def course(judged: Sequence[Judged], delta_ppm: int) -> list[tuple[int, int, int]]:
    """(reviewed, threats, bound in ppm) along the answers: evenly spread, each threat, and the last."""
    total, threats, told = len(judged), 0, []
    wanted = {round(10 ** (log10(total) * i / POINTS_MAX)) for i in range(POINTS_MAX + 1)} if total else set()
    wanted |= {round(total * i / POINTS_MAX) for i in range(1, POINTS_MAX + 1)} if total else set()
    for k, one in enumerate(judged, 1):
        threats += one.threat
        if one.threat or k in wanted or k == total:
            told.append((k, threats, bound_ppm(k, threats, delta_ppm)))
    return told


def _y(ppm: int) -> float:
    """Height of a share on the logarithmic axis, 0.1 % to 100 %."""
    share = log10(max(ppm, LOW_PPM) / LOW_PPM) / log10(PPM / LOW_PPM)
    return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def bound(judged: Sequence[Judged], alpha_ppm: int, delta_ppm: int, name: str) -> Markup:
    """The upper bound over the reviews against the budget; threats are marked where they came in."""
    told = course(judged, delta_ppm)
    total = told[-1][0]
    right = WIDTH - _RIGHT

    def x(k: int) -> float:
        return _LEFT + (right - _LEFT) * k / total

    line = " ".join(f"{x(k):.1f},{_y(ppm):.1f}" for k, _, ppm in told)
    parts = [*_grid((LOW_PPM, 10_000, 100_000, PPM), right)]
    parts.append(
        Markup('<path class="within" d="M{l} {a:.1f}H{r}V{b}H{l}Z"/>').format(
            l=_LEFT, r=right, a=_y(alpha_ppm), b=HEIGHT - _BOTTOM
        )
    )
    parts.append(Markup('<path class="budget" d="M{} {y:.1f}H{}"/>').format(_LEFT, right, y=_y(alpha_ppm)))
    parts.append(_text(_LEFT + 6, _y(alpha_ppm) + 14, f"budget {words.percent(alpha_ppm)}", "budget-name", "start"))
    parts.append(Markup('<polyline class="bound" points="{}"/>').format(line))
    missed = [(k, ppm) for (k, n, ppm), before in zip(told, [0, *(n for _, n, _ in told)], strict=False) if n > before]
    parts += [Markup('<path class="missed" d="M{:.1f} {:.1f}l5 -9h-10z"/>').format(x(k), _y(ppm) - 3) for k, ppm in missed]
    last = told[-1]
    parts.append(Markup('<circle class="bound-end" cx="{:.1f}" cy="{:.1f}" r="3.5"/>').format(x(last[0]), _y(last[2])))
    parts.append(_text(_LEFT, HEIGHT - 8, f"0, {words.stamp(judged[0].at_ms)[:10]}", "tick-name", "start"))
    parts.append(_text(right, HEIGHT - 8, f"{total:,} reviewed, {words.stamp(judged[-1].at_ms)[:10]}", "tick-name", "end"))
    label = (
        f"{name}: upper bound on the share of threats over {words.counted(total, 'review')}, now {words.percent(last[2])} "
        f"against a budget of {words.percent(alpha_ppm)}; {words.counted(last[1], 'threat')} among them"
    )
    return _svg("chart", WIDTH, HEIGHT, parts, label)


def _grid(ticks: Sequence[int], right: int) -> list[Markup]:
    parts = []
    for ppm in ticks:
        parts.append(Markup('<path class="grid" d="M{} {y:.1f}H{}"/>').format(_LEFT, right, y=_y(ppm)))
        parts.append(_text(_LEFT - 7, _y(ppm) + 4, f"{ppm / 10_000:g} %", "tick-name", "end"))
    return parts


def meter(value: float, limit: float, label: str, *, good: bool, width: int = 150) -> Markup:
    """Evidence on its way to a limit, which stands at four fifths of the bar."""
    share = max(0.0, min(1.25, value / limit)) * 0.8 if limit > 0 else 0.0
    reached = value >= limit
    inner = [
        Markup('<rect class="track" y="3" width="{}" height="6" rx="1"/>').format(width),
        Markup('<rect class="fill" y="3" width="{:.1f}" height="6" rx="1"/>').format(width * share),
        Markup('<rect class="gate" x="{:.1f}" width="1.5" height="12"/>').format(width * 0.8),
    ]
    kind = "reached" if reached and good else "raised" if reached else "under"
    return _svg(f"meter meter-{kind}", width, 12, inner, label)


def bins(predictions: Sequence[Prediction]) -> list[Bin]:
    """Answers by what the verdict had said, empty bins left out."""
    found = []
    for low, high in pairwise(BINS_PPM):
        inside = [one for one in predictions if low <= one.p1_ppm < high or (high == PPM == one.p1_ppm)]
        if inside:
            n, threats = len(inside), sum(one.threat for one in inside)
            said = sum(one.p1_ppm for one in inside) // n
            ends = lower_bound_ppm(n, threats, DELTA_PPM // 2), upper_bound_ppm(n, threats, DELTA_PPM // 2)
            found.append(Bin(said, n, threats, *ends))
    return found


def reliability(found: Sequence[Bin]) -> Markup:
    """Predicted beside observed share of threats, both from 0.1 % to 100 % on logarithmic axes; the mark's size is n."""
    size = 280
    span = log10(PPM / LOW_PPM)

    def at(ppm: int) -> float:
        return log10(max(ppm, LOW_PPM) / LOW_PPM) / span

    def x(ppm: int) -> float:
        return 50 + at(ppm) * (size - 76)

    def y(ppm: int) -> float:
        return size - 34 - at(ppm) * (size - 46)

    parts = []
    for ppm in (LOW_PPM, 10_000, 100_000, PPM):
        parts.append(Markup('<path class="grid" d="M50 {y:.1f}H{r}"/>').format(y=y(ppm), r=size - 26))
        parts.append(_text(44, y(ppm) + 4, f"{ppm / 10_000:g} %", "tick-name", "end"))
        parts.append(_text(x(ppm), size - 18, f"{ppm / 10_000:g} %", "tick-name", "middle"))
    parts.append(Markup('<path class="budget" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>').format(x(0), y(0), x(PPM), y(PPM)))
    most = max((one.n for one in found), default=1)
    for one in found:
        said, seen = x(one.said_ppm), one.threats * PPM // one.n
        parts.append(
            Markup('<path class="whisker" d="M{x:.1f} {a:.1f}V{b:.1f}"/>').format(
                x=said, a=y(one.low_ppm), b=y(one.high_ppm)
            )
        )
        text = f"said up to {words.percent(one.said_ppm)}, {one.threats} of {one.n:,} were threats"
        mark = Markup('<circle class="seen" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"><title>{}</title></circle>')
        parts.append(mark.format(said, y(seen), 3 + 5 * (one.n / most) ** 0.5, text))
    parts.append(_text((50 + size - 26) / 2, size - 3, "verdict said at most", "tick-name", "middle"))
    label = "; ".join(f"said up to {words.percent(b.said_ppm)}: {b.threats} of {b.n:,} were threats" for b in found)
    return _svg("chart reliability", size, size, parts, f"Share of threats, predicted and observed. {label}")


def _text(x: float, y: float, text: str, cls: str, anchor: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(cls, x, y, anchor, text)


def _svg(cls: str, width: int, height: int, parts: Sequence[Markup], label: str) -> Markup:
    head = Markup('<svg class="{}" width="{}" height="{}" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>')
    return head.format(cls, width, height, width, height, label, label) + Markup().join(parts) + Markup("</svg>")
