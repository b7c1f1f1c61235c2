"""Charts are plain SVG: numbers in their places, text escaped, nothing that a policy forbids."""

import xml.etree.ElementTree as ET

import pytest

from app.admin.charts import Bar, Point, bar_chart, line_chart, nice_top

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '"><script>alert(1)</script>'


@pytest.mark.parametrize(
    ("highest", "top"),
    [
        (0, 1),
        (0.03, 0.05),
        (1, 1),
        (3, 5),
        (21, 25),
        (99.5, 100),
        (100, 100),
        (101, 200),
        (9e6, 1e7),
    ],
)
def test_an_axis_ends_with_a_round_number(highest: float, top: float) -> None:
    assert nice_top(highest) == pytest.approx(top)


def test_a_line_goes_through_its_points_and_leaves_gaps_out() -> None:
    points = [Point(0, "a"), Point(None, "b"), Point(100, "c", "error")]
    chart = ET.fromstring(line_chart(points, "Latency", "ms", ("then", "now")))
    line = chart.find("polyline")
    assert line is not None
    (x0, y0), (x1, y1) = (tuple(map(float, it.split(","))) for it in line.attrib["points"].split())
    assert x0 < x1
    assert y0 > y1, "more is higher up"
    dots = chart.findall("circle")
    assert [dot.attrib["class"] for dot in dots] == ["chart-dot ", "chart-dot error"]
    assert [dot.findtext("title") for dot in dots] == ["a", "c"]
    assert chart.attrib["aria-label"] == "Latency"


def test_bars_are_as_long_as_their_values() -> None:
    chart = ET.fromstring(bar_chart([Bar("slow", 200, "200 ms"), Bar("quick", 50, "50 ms")], "n"))
    widths = [float(bar.attrib["width"]) for bar in chart.findall("rect")]
    assert widths[0] == pytest.approx(4 * widths[1], rel=0.01)


def test_nothing_to_draw_is_drawn_as_nothing() -> None:
    assert ET.fromstring(line_chart([], "n", "ms", ("", ""))).find("polyline") is None
    assert ET.fromstring(bar_chart([], "n")).findall("rect") == []


def test_what_people_wrote_is_text() -> None:
    drawn = line_chart([Point(1, EVIL)], EVIL, EVIL, (EVIL, EVIL)) + bar_chart(
        [Bar(EVIL, 1, EVIL)], EVIL
    )
    assert "<script" not in drawn
    assert "style" not in drawn
