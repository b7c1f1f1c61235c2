"""Charts are plain SVG: numbers in their places, text escaped, nothing that a policy forbids."""

import xml.etree.ElementTree as ET

import pytest

from app.admin.charts import (
    Bar,
    Point,
    bar_chart,
    column_chart,
    gauge,
    line_chart,
    nice_top,
    sparkline,
)

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
    line = chart.find(".//polyline")
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
    widths = [float(bar.attrib["width"].rstrip("%")) for bar in chart.findall("rect")]
    assert widths[0] == pytest.approx(4 * widths[1], rel=0.01)


def test_nothing_to_draw_is_drawn_as_nothing() -> None:
    assert ET.fromstring(line_chart([], "n", "ms", ("", ""))).find(".//polyline") is None
    assert ET.fromstring(bar_chart([], "n")).findall("rect") == []


def test_what_people_wrote_is_text() -> None:
    drawn = line_chart([Point(1, EVIL)], EVIL, EVIL, (EVIL, EVIL)) + bar_chart(
        [Bar(EVIL, 1, EVIL)], EVIL
    )
    assert "<script" not in drawn
    assert "style" not in drawn


def test_columns_stand_on_the_axis_and_say_what_they_are() -> None:
    bars = [Bar("Monday", 1, "$1.00"), Bar(EVIL, 4, "$4.00"), Bar("Wednesday", 0, "$0.00")]
    chart = ET.fromstring(column_chart(bars, "Cost of each day", lambda value: f"${value:g}"))
    columns = chart.findall("rect")
    tops, heights = ([float(it.attrib[name]) for it in columns] for name in ("y", "height"))
    assert heights[1] == pytest.approx(4 * heights[0], rel=0.01)
    assert heights[2] == 0
    feet = {round(top + height) for top, height in zip(tops, heights, strict=True)}
    assert len(feet) == 1
    assert [it.findtext("title") for it in columns][1] == f"{EVIL}: $4.00"
    texts = [text.text for text in chart.findall("text")]
    of_columns = ["$1.00", "Monday", "$4.00", EVIL, "$0.00", "Wednesday"]
    assert texts == ["$0", "$2.5", "$5", *of_columns]
    many = ET.fromstring(column_chart(bars * 5, "Cost of each day", str))
    assert [text.text for text in many.findall("text")][3:] == ["Monday", "Wednesday"]


def test_columns_that_a_phone_has_no_room_to_label_say_so_of_their_ends_there() -> None:
    days = [Bar(f"day {number}", number, str(number)) for number in range(7)]
    texts = ET.fromstring(column_chart(days, "Cost of each day", str)).findall("text")
    narrow = [text.text for text in texts if "chart-narrow" in text.attrib["class"]]
    assert narrow == ["day 0", "day 6"]
    assert len([text for text in texts if "chart-wide" in text.attrib["class"]]) == 14


def test_no_column_is_drawn_as_none() -> None:
    assert column_chart([], "Nothing", str)


def test_a_sparkline_ends_where_its_values_do() -> None:
    line = ET.fromstring(sparkline([0, 1, 2], "Cost")).find("polyline")
    assert line is not None
    points = [tuple(map(float, it.split(","))) for it in line.attrib["points"].split()]
    assert [x for x, _y in points] == [0, 80, 160]
    assert points[0][1] > points[1][1] > points[2][1]
    assert sparkline([], "Nothing")
    assert sparkline([0, 0], "Nothing")


@pytest.mark.parametrize(("share", "width"), [(0.25, 50), (0, 0), (7.5, 200), (-1, 0)])
def test_a_gauge_is_full_at_most(share: float, width: float) -> None:
    bar = ET.fromstring(gauge(share, "25 %", "warn", mark=0.8))
    _track, fill = bar.findall("rect")
    assert float(fill.attrib["width"]) == width
    assert fill.attrib["class"] == "gauge-fill warn"
    line = bar.find("line")
    assert line is not None
    assert line.attrib["x1"] == "160.0"
