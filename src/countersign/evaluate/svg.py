"""Charts as SVG text: lines, intervals, bars. Pure; no fonts, scripts or links, so a file can be opened anywhere.

Colours are the palette of Okabe and Ito, which people with colour blindness can tell apart, on white. Every mark has a
``<title>`` with its figures, and every series its own mark shape, so that nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, floor, isfinite, log10

Point = tuple[float, float]
Interval = tuple[float, float, float]
"""Low, middle, high."""

COLOURS = ("#000000", "#0072B2", "#D55E00", "#E69F00", "#CC79A7", "#009E73", "#56B4E9")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2", "10 4", "4 4")
WIDTH = 760
_LEFT, _RIGHT, _TOP, _LINE = 70, 24, 44, 18


class Scale:
    """Maps ``low``–``high`` to ``start``–``stop`` pixels, linear or logarithmic; values outside are drawn at the edge."""

    def __init__(self, low: float, high: float, start: float, stop: float, *, log: bool = False) -> None:
        self._log = log
        self.low, self.high = (low, high) if high > low else (low, low + (9 * low if log else 1))
        self._start, self._stop = start, stop

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        inside = min(max(value, self.low), self.high)
        low, high, at = (log10(v) for v in (self.low, self.high, inside)) if self._log else (self.low, self.high, inside)
        return self._start + (self._stop - self._start) * (at - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values inside, some four to ten."""
        if self._log:
            return [10.0**k for k in range(ceil(log10(self.low) - 1e-9), floor(log10(self.high) + 1e-9) + 1)]
        step = nice(self.high - self.low)
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def nice(span: float) -> float:
    """A step of 1, 2 or 5 × 10ᵏ that cuts the span into four to ten parts."""
    unit = 10.0 ** floor(log10(span / 4))
    return max((step for step in (unit, 2 * unit, 5 * unit) if span / step >= 4), default=unit)


def number(value: float) -> str:
    """A figure as people write it: at most three significant digits, no exponent from 10⁻⁴ to 10⁹."""
    if value == 0 or not isfinite(value):
        return "0" if value == 0 else str(value)
    digits = max(0, 2 - floor(log10(abs(value))))
    text = f"{value:,.{min(digits, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def line_chart(
    title: str,
    series: Sequence[tuple[str, Sequence[Point]]],
    *,
    x_axis: str,
    y_axis: str,
    rules: Sequence[tuple[str, float]] = (),
    height: int = 320,
) -> str:
    """One line per series over common axes; ``rules`` are named horizontal lines (a bound, a goal)."""
    points = [p for _, line in series for p in line if isfinite(p[0]) and isfinite(p[1])]
    bottom = _TOP + height
    x = Scale(min((p[0] for p in points), default=0), max((p[0] for p in points), default=1), _LEFT, WIDTH - _RIGHT)
    ys = [p[1] for p in points] + [value for _, value in rules]
    y = Scale(min([0.0, *ys]), max([0.0, *ys]), bottom, _TOP)
    parts = [*_frame(x, bottom, x_axis), *_left_axis(y, y_axis)]
    for name, value in rules:
        parts.append(_stroke(_LEFT, y(value), WIDTH - _RIGHT, y(value), "#666666", dash="3 3"))
        parts.append(_text(WIDTH - _RIGHT, y(value) - 4, name, anchor="end"))
    for k, (name, line) in enumerate(series):
        steps = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line if isfinite(a) and isfinite(b))
        parts.append(
            f'<polyline fill="none" stroke="{_colour(k)}" stroke-width="1.8" stroke-dasharray="{DASHES[k % len(DASHES)]}" '
            f'points="{steps}"><title>{escape(name)}</title></polyline>'
        )
    parts += _legend([name for name, _ in series], bottom + 48, lines=True)
    return _document(title, parts, bottom + 52 + _LINE * len(series))


def interval_chart(
    title: str,
    groups: Sequence[str],
    series: Sequence[tuple[str, Sequence[Interval]]],
    *,
    axis: str,
    log: bool = False,
) -> str:
    """For each group one row per series: the middle as a mark, low to high as a line. Rows that are not finite are left out.

    ``series`` holds one interval per group, in the order of ``groups``. On a logarithmic axis only what is above 0 counts.
    """
    values = [v for _, row in series for interval in row for v in interval if isfinite(v) and (v > 0 or not log)]
    low, high = _span(values, log=log)
    row, gap = 13, 30
    bottom = _TOP + len(groups) * (gap + row * len(series)) + 6
    x = Scale(low, high, _LEFT, WIDTH - _RIGHT, log=log)
    parts = list(_frame(x, bottom, axis))
    for g, group in enumerate(groups):
        top = _TOP + g * (gap + row * len(series))
        parts.append(_text(_LEFT, top + 16, group, weight="bold"))
        for k, (name, rows) in enumerate(series):
            parts += _whisker(x, top + 28 + row * k, k, f"{group}, {name}", rows[g])
    parts += _legend([name for name, _ in series], bottom + 48, lines=False)
    return _document(title, parts, bottom + 52 + _LINE * len(series))


def bar_chart(title: str, bars: Sequence[tuple[str, float]], *, axis: str) -> str:
    """Horizontal bars from 0, each with its name above and its figure beside it."""
    row = 38
    bottom = _TOP + row * len(bars) + 6
    values = [value for _, value in bars if isfinite(value)]
    x = Scale(min([0.0, *values]), max([0.0, *values]), _LEFT, WIDTH - _RIGHT - 50)
    parts = list(_frame(x, bottom, axis))
    for k, (name, value) in enumerate(bars):
        top = _TOP + row * k
        start, stop = sorted((x(0.0), x(value if isfinite(value) else 0.0)))
        parts.append(_text(_LEFT, top + 14, name))
        parts.append(f'<rect x="{start:.1f}" y="{top + 18}" width="{stop - start:.1f}" height="14" fill="{COLOURS[1]}"/>')
        parts.append(_text(stop + 5, top + 30, number(value)))
    return _document(title, parts, bottom + 56)


def _span(values: Sequence[float], *, log: bool) -> tuple[float, float]:
    if log:
        low, high = min(values, default=1.0), max(values, default=10.0)
        return 10.0 ** floor(log10(low)), 10.0 ** ceil(log10(high))
    return min([0.0, *values]), max([0.0, *values])


def _whisker(x: Scale, y: float, k: int, name: str, interval: Interval) -> Iterator[str]:
    low, middle, high = interval
    if not isfinite(middle):
        return
    label = escape(f"{name}: {number(middle)} ({number(low)} to {number(high)})")
    yield f"<g><title>{label}</title>"
    if isfinite(low) and isfinite(high):
        yield _stroke(x(low), y, x(high), y, _colour(k), width=2)
    yield _mark(x(middle), y, k) + "</g>"


def _mark(x: float, y: float, k: int) -> str:
    """Circle, square, triangle or diamond, so that series differ without colour."""
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"',
        f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"',
        f'<polygon points="{x:.1f},{y - 5:.1f} {x - 5:.1f},{y + 4:.1f} {x + 5:.1f},{y + 4:.1f}"',
        f'<polygon points="{x:.1f},{y - 5:.1f} {x - 5:.1f},{y:.1f} {x:.1f},{y + 5:.1f} {x + 5:.1f},{y:.1f}"',
    )
    return f'{shapes[k % len(shapes)]} fill="{_colour(k)}"/>'


def _frame(x: Scale, bottom: float, axis: str) -> Iterator[str]:
    for tick in x.ticks():
        yield _stroke(x(tick), _TOP, x(tick), bottom, "#dddddd")
        yield _text(x(tick), bottom + 15, number(tick), anchor="middle")
    yield _stroke(_LEFT, bottom, WIDTH - _RIGHT, bottom, "#444444")
    yield _text((_LEFT + WIDTH - _RIGHT) / 2, bottom + 31, axis, anchor="middle")


def _left_axis(y: Scale, axis: str) -> Iterator[str]:
    for tick in y.ticks():
        yield _stroke(_LEFT, y(tick), WIDTH - _RIGHT, y(tick), "#dddddd")
        yield _text(_LEFT - 6, y(tick) + 4, number(tick), anchor="end")
    yield _text(_LEFT, _TOP - 8, axis)


def _legend(names: Sequence[str], top: float, *, lines: bool) -> Iterator[str]:
    for k, name in enumerate(names):
        y = top + _LINE * k
        dash = DASHES[k % len(DASHES)]
        yield _stroke(_LEFT, y, _LEFT + 28, y, _colour(k), width=2, dash=dash) if lines else _mark(_LEFT + 14, y, k)
        yield _text(_LEFT + 36, y + 4, name)


def _colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]


def _stroke(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: int = 1, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"{dashes}/>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'


def _document(title: str, parts: Sequence[str], height: float) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="#222222">'
    )
    shown = _text(_LEFT, 20, title, weight="bold")
    back = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return "\n".join((head, f"<title>{escape(title)}</title>", back, shown, *parts, "</svg>", ""))
