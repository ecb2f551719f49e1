from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from shopkit.report.svg import WIDTH, Axis, Chart, nice_ticks, shares

numbers = st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: round(value, 3))


@given(numbers, numbers)
def test_ticks_rise_evenly_are_few_and_cover_the_range(a: float, b: float) -> None:
    low, high = sorted((a, b))
    ticks = nice_ticks(low, high)
    step = ticks[1] - ticks[0]
    slack = 1e-6 * max(step, abs(low), abs(high))
    assert 2 <= len(ticks) <= 12
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert all(abs(later - earlier - step) <= slack for earlier, later in itertools.pairwise(ticks))


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=20))
def test_all_that_is_drawn_stays_inside_the_picture(points: list[tuple[float, float]]) -> None:
    x, y = Axis.over("x", [p[0] for p in points]), Axis.over("y", [p[1] for p in points])
    chart = Chart("anything", x, y).line(points).dots(points).diagonal((-1e12, -1e12), (1e12, 1e12))
    for across, up in re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", "".join(chart.parts)):
        assert 0 <= float(across) <= WIDTH
        assert 0 <= float(up) <= chart.height


def test_text_is_escaped_and_the_picture_is_well_formed() -> None:
    hostile = "</svg><script>alert(1)</script>\"'&"
    chart = Chart(hostile, shares(hostile), shares(hostile)).line([(0, 0), (1, 1)], title=hostile).upright(0.5, hostile)
    text = chart.dots([(0.5, 0.5)], titles=[hostile]).bars([0, 1], [0.5], titles=[hostile]).svg()
    assert "<script" not in text
    root = ElementTree.fromstring(text)
    assert root.attrib["aria-label"] == hostile


def test_missing_points_are_left_out() -> None:
    nan = float("nan")
    chart = Chart("gaps", shares("x"), shares("y")).line([(0, 0), (0.5, nan), (1, 1)]).dots([(nan, 0)]).bars([0, 1], [nan])
    assert "nan" not in chart.svg()
    assert len(chart.parts) == 1
