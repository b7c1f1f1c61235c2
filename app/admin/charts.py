"""Charts as inline SVG, drawn on the server: no script, no style of their own, both themes.

Colours and fonts are classes of console.css. Beside each chart stands a table with the same data,
so that a chart itself is one image with a sentence for a name.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup

WIDTH = 720
LEFT = 56  # room for the numbers of the axis
TOP = 12
LINE_HEIGHT = 170
FOOT = 22  # room for the times below
BAR_STEP = 26
BAR_LABEL = 170
WIDEST_COLUMN = 48
ROOM_FOR_LABEL = 66  # of a column, below and above it
SPARK = (160, 36)
STEPS = (1, 2, 2.5, 5, 10)

# What is put in is escaped: a Markup's format sees to it.
_SVG = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
_TEXT = Markup('<text class="chart-text" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
_LINE = Markup('<line class="chart-grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>')
_RECT = Markup('<rect class="chart-bar {}" x="{}" y="{}" width="{:.1f}" height="16" rx="3"/>')
_COLUMN = Markup(
    '<rect class="chart-bar {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
    "<title>{}: {}</title></rect>"
)
_DOT = Markup(
    '<circle class="chart-dot {}" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}</title></circle>'
)
_AREA = Markup('<polygon class="chart-area" points="{} {}"/>')
_CURVE = Markup('<polyline class="chart-line" points="{}"/>')

_SPARK = Markup(
    '<svg class="spark" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"'
    ' aria-label="{}">{}</svg>'
)
_GAUGE = Markup(
    '<svg class="gauge" viewBox="0 0 200 8" preserveAspectRatio="none" role="img" aria-label="{}">'
    '<rect class="gauge-track" width="200" height="8" rx="4"/>{}</svg>'
)


class Point(NamedTuple):
    """One value of a line; None leaves a gap. ``note`` is said when one points at it."""

    value: float | None
    note: str
    kind: str = ""
    """A class for the dot, such as "error"."""


class Bar(NamedTuple):
    """One bar, and how its value is written."""

    label: str
    value: float
    text: str
    kind: str = ""


def nice_top(highest: float) -> float:
    """The round number that an axis for values up to ``highest`` ends with."""
    if highest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in STEPS if highest <= step * power)


def line_chart(points: Sequence[Point], name: str, unit: str, ends: tuple[str, str]) -> Markup:
    """A line over equal steps, from the oldest to the newest; ``ends`` are said below it."""
    top = nice_top(max((point.value or 0 for point in points), default=0))
    height = LINE_HEIGHT - TOP - FOOT
    step = (WIDTH - LEFT - TOP) / max(len(points) - 1, 1)
    places = [
        (LEFT + step * number, TOP + height * (1 - point.value / top), point)
        for number, point in enumerate(points)
        if point.value is not None
    ]
    parts = [_grid(top, height, lambda value: f"{value:g} {unit}")]
    if places:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        floor = f"{places[-1][0]:.1f},{TOP + height} {places[0][0]:.1f},{TOP + height}"
        parts += [_AREA.format(path, floor), _CURVE.format(path)]
    parts += [_dot(x, y, point) for x, y, point in places]
    return _svg(name, LINE_HEIGHT, [*parts, *_ends(*ends)])


def column_chart(bars: Sequence[Bar], name: str, write: Callable[[float], str]) -> Markup:
    """Columns over equal steps, from the oldest to the newest; ``write`` labels the axis.

    A few say their label and value themselves, of many only the ends do.
    """
    top = nice_top(max((bar.value for bar in bars), default=0))
    height = LINE_HEIGHT - TOP - FOOT
    step = (WIDTH - LEFT - TOP) / max(len(bars), 1)
    width = min(step * 0.75, WIDEST_COLUMN)
    parts = [_grid(top, height, write)]
    for number, bar in enumerate(bars):
        middle, length = LEFT + step * (number + 0.5), height * bar.value / top
        y = TOP + height - length
        place = (middle - width / 2, y, width, length)
        parts.append(_COLUMN.format(bar.kind, *place, bar.label, bar.text))
        if step >= ROOM_FOR_LABEL:
            parts.append(_text(middle, y - 4, bar.text, "middle"))
            parts.append(_text(middle, LINE_HEIGHT - 4, bar.label, "middle"))
    if step < ROOM_FOR_LABEL:
        parts += _ends(bars[0].label, bars[-1].label)
    return _svg(name, LINE_HEIGHT, parts)


def sparkline(values: Sequence[float], name: str) -> Markup:
    """A course without axes, small enough to stand beside a number."""
    top = max(values, default=0) or 1
    step = SPARK[0] / max(len(values) - 1, 1)
    points = [(step * n, SPARK[1] - 2 - (SPARK[1] - 4) * v / top) for n, v in enumerate(values)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    floor = f"{SPARK[0]},{SPARK[1]} 0,{SPARK[1]}"
    return _SPARK.format(*SPARK, name, _AREA.format(path, floor) + _CURVE.format(path))


def gauge(share: float, name: str, kind: str, mark: float | None = None) -> Markup:
    """How full something is, from 0 to 1 (beyond it is full); ``mark`` is a line before the end."""
    full = Markup('<rect class="gauge-fill {}" width="{:.1f}" height="8" rx="4"/>')
    line = Markup('<line class="gauge-mark" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="8"/>')
    parts = full.format(kind, 200 * min(max(share, 0), 1))
    return _GAUGE.format(name, parts if mark is None else parts + line.format(200 * mark))


def bar_chart(bars: Sequence[Bar], name: str) -> Markup:
    """Bars from left to right, one a row, in the order given."""
    top = max((bar.value for bar in bars), default=0) or 1
    room = WIDTH - BAR_LABEL - 90
    parts = []
    for number, bar in enumerate(bars):
        y = TOP + number * BAR_STEP
        length = max(room * bar.value / top, 1)
        parts.append(_text(BAR_LABEL - 10, y + 12, _short(bar.label), "end"))
        parts.append(_RECT.format(bar.kind, BAR_LABEL, y, length))
        parts.append(_text(BAR_LABEL + length + 8, y + 12, bar.text, "start"))
    return _svg(name, TOP + len(bars) * BAR_STEP, parts)


def _ends(oldest: str, newest: str) -> list[Markup]:
    """What the two ends of the steps are called, below them."""
    y = LINE_HEIGHT - 4
    return [_text(LEFT, y, oldest, "start"), _text(WIDTH - TOP, y, newest, "end")]


def _grid(top: float, height: int, write: Callable[[float], str]) -> Markup:
    lines = []
    for part in (0.0, 0.5, 1.0):
        y = TOP + height * (1 - part)
        lines.append(_LINE.format(LEFT, WIDTH - TOP, y=y))
        lines.append(_text(LEFT - 8, y + 4, write(top * part), "end"))
    return Markup("").join(lines)


def _dot(x: float, y: float, point: Point) -> Markup:
    return _DOT.format(point.kind, x, y, point.note)


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return _TEXT.format(x, y, anchor, text)


def _short(label: str) -> str:
    return label if len(label) <= 26 else f"{label[:25]}…"


def _svg(name: str, height: int, parts: Sequence[Markup]) -> Markup:
    return _SVG.format(WIDTH, height, name, Markup("").join(parts))
