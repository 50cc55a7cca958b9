"""Charts: well-formed, safe with any text, and true to their figures."""

from __future__ import annotations

from math import nan
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.evaluate import svg

SPACE = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(1)</script> & \"quoted\" 'name'"


def marks(chart: str, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(chart).iter(SPACE + tag))


def test_a_line_goes_through_its_points() -> None:
    chart = svg.line_chart(
        "t", [("a", [(0, 0), (1, 5), (2, 10)]), ("b", [(0, 10)])], x_axis="x", y_axis="y", rules=[("goal", 5)]
    )
    line, _ = marks(chart, "polyline")
    points = [tuple(map(float, pair.split(","))) for pair in line.get("points", "").split()]
    assert points[0][0] < points[1][0] < points[2][0]
    assert points[1][0] == pytest.approx((points[0][0] + points[2][0]) / 2)
    assert points[1][1] == pytest.approx((points[0][1] + points[2][1]) / 2)
    assert points[0][1] > points[2][1], "more is higher up"
    assert "goal" in chart


def test_intervals_tell_their_figures_and_leave_out_what_is_not_known() -> None:
    chart = svg.interval_chart(
        "t", ["g", "h"], [("a", [(1, 2, 3), (nan, nan, nan)]), ("b", [(nan, 5, nan), (1, 1, 1)])], axis="x"
    )
    titles = [element.text for element in marks(chart, "title")]
    assert titles == ["t", "g, a: 2 (1 to 3)", "g, b: 5 (nan to nan)", "h, b: 1 (1 to 1)"]


def test_a_logarithmic_axis_gives_each_power_the_same_width() -> None:
    scale = svg.Scale(0.1, 1000, 0, 400, log=True)
    assert [scale(v) for v in (0.1, 1, 10, 100, 1000)] == pytest.approx([0, 100, 200, 300, 400])
    assert scale(0.0001) == 0
    assert scale.ticks() == pytest.approx([0.1, 1, 10, 100, 1000])


def test_bars_are_as_long_as_their_values() -> None:
    chart = svg.bar_chart("t", [("a", 10.0), ("b", 5.0), ("c", nan)], axis="x")
    widths = [float(rect.get("width", "")) for rect in marks(chart, "rect")[1:]]
    assert widths[1] == pytest.approx(widths[0] / 2, abs=0.1)
    assert widths[2] == 0


def test_any_text_stays_text() -> None:
    for chart in (
        svg.line_chart(HOSTILE, [(HOSTILE, [(0, 1)])], x_axis=HOSTILE, y_axis=HOSTILE, rules=[(HOSTILE, 1)]),
        svg.interval_chart(HOSTILE, [HOSTILE], [(HOSTILE, [(0, 1, 2)])], axis=HOSTILE),
        svg.bar_chart(HOSTILE, [(HOSTILE, 1)], axis=HOSTILE),
    ):
        assert not marks(chart, "script")
        assert HOSTILE in [element.text for element in ElementTree.fromstring(chart).iter()]


def test_charts_of_nothing_are_charts() -> None:
    for chart in (
        svg.line_chart("t", [], x_axis="x", y_axis="y"),
        svg.interval_chart("t", [], [], axis="x", log=True),
        svg.bar_chart("t", [], axis="x"),
    ):
        assert ElementTree.fromstring(chart).get("role") == "img"


@given(st.floats(1e-6, 1e9), st.floats(-1e6, 1e6))
def test_ticks_are_few_round_and_inside(span: float, low: float) -> None:
    scale = svg.Scale(low, low + span, 0, 100)
    ticks = scale.ticks()
    assert len(ticks) <= 12
    slack = 1e-6 * max(span, abs(low))
    assert all(scale.low - slack <= tick <= scale.high + slack for tick in ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12345.6, "12,346"), (0.05, "0.05"), (2.5, "2.5"), (100, "100"), (-0.7, "-0.7"), (nan, "nan")],
)
def test_numbers_as_people_write_them(value: float, text: str) -> None:
    assert svg.number(value) == text
