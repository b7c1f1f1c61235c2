"""Charts as inline SVG, drawn on the server: no script, no style of their own, both themes.

Colours and fonts are classes of console.css. Beside each chart stands a table with the same data,
so that a chart itself is one image with a sentence for a name.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

WIDTH = 720
LEFT = 56  # room for the numbers of the axis
TOP = 12
LINE_HEIGHT = 170
FOOT = 22  # room for the times below
BAR_STEP = 26
BAR_LABEL = 170
STEPS = (1, 2, 2.5, 5, 10)

# What is put in is escaped: a Markup's format sees to it.
_SVG = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
_TEXT = Markup('<text class="chart-text" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
_LINE = Markup('<line class="chart-grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>')
_RECT = Markup('<rect class="chart-bar {}" x="{}" y="{}" width="{:.1f}" height="16" rx="3"/>')
_DOT = Markup(
    '<circle class="chart-dot {}" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}</title></circle>'
)
_AREA = Markup('<polygon class="chart-area" points="{} {}"/>')
_CURVE = Markup('<polyline class="chart-line" points="{}"/>')


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
    parts = [_grid(top, unit, height)]
    if places:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        floor = f"{places[-1][0]:.1f},{TOP + height} {places[0][0]:.1f},{TOP + height}"
        parts += [_AREA.format(path, floor), _CURVE.format(path)]
    parts += [_dot(x, y, point) for x, y, point in places]
    for x, anchor, text in ((LEFT, "start", ends[0]), (WIDTH - TOP, "end", ends[1])):
        parts.append(_text(x, LINE_HEIGHT - 4, text, anchor))
    return _svg(name, LINE_HEIGHT, parts)


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


def _grid(top: float, unit: str, height: int) -> Markup:
    lines = []
    for part in (0.0, 0.5, 1.0):
        y = TOP + height * (1 - part)
        lines.append(_LINE.format(LEFT, WIDTH - TOP, y=y))
        lines.append(_text(LEFT - 8, y + 4, f"{top * part:g} {unit}", "end"))
    return Markup("").join(lines)


def _dot(x: float, y: float, point: Point) -> Markup:
    return _DOT.format(point.kind, x, y, point.note)


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return _TEXT.format(x, y, anchor, text)


def _short(label: str) -> str:
    return label if len(label) <= 26 else f"{label[:25]}…"


def _svg(name: str, height: int, parts: Sequence[Markup]) -> Markup:
    return _SVG.format(WIDTH, height, name, Markup("").join(parts))
