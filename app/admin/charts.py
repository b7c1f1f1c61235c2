"""Charts as inline SVG, drawn on the server: no script, no style of their own, both themes.

Colours and fonts are classes of console.css. Beside each chart stands a table with the same data,
so that a chart itself is one image with a sentence for a name.

Nothing is scaled, so text is as large on a phone as anywhere: places from left to right are parts
of the width, in percent, those from top to bottom are pixels. What stands beside the plot, such as
an axis' numbers, is drawn over its edge into the room that console.css leaves there.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup

TOP = 12
LINE_HEIGHT = 170
FOOT = 22  # room for the times below
PLOT = LINE_HEIGHT - TOP - FOOT
BAR_STEP = 26
SHORT_LABEL = 12  # characters
WIDEST_COLUMN = 7  # percent
LABELS_FIT = 9  # columns that have room for their labels,
LABELS_FIT_A_PHONE = 3  # and on a phone
SPARK = (160, 36)
STEPS = (1, 2, 2.5, 5, 10)

# What is put in is escaped: a Markup's format sees to it.
_SVG = Markup('<svg class="chart {}" height="{}" role="img" aria-label="{}">{}</svg>')
_TEXT = Markup('<text class="chart-text {}" x="{}" y="{:.1f}" dx="{}" text-anchor="{}">{}</text>')
_LINE = Markup('<line class="chart-grid" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>')
_RECT = Markup('<rect class="chart-bar {}" x="0" y="{}" width="{:.2f}%" height="16" rx="3"/>')
_COLUMN = Markup(
    '<rect class="chart-bar {}" x="{:.2f}%" y="{:.1f}" width="{:.2f}%" height="{:.1f}">'
    "<title>{}: {}</title></rect>"
)
_DOT = Markup(
    '<circle class="chart-dot {}" cx="{:.2f}%" cy="{:.1f}" r="3"><title>{}</title></circle>'
)
# Points of a line have no percent: this one part is stretched.
_PLOT = Markup(
    '<svg y="{}" width="100%" height="{}" viewBox="0 0 100 {}" preserveAspectRatio="none">{}</svg>'
)
_AREA = Markup('<polygon class="chart-area" points="{} {}"/>')
_CURVE = Markup('<polyline class="chart-line" points="{}" vector-effect="non-scaling-stroke"/>')

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
    step = 100 / max(len(points) - 1, 1)
    places = [
        (step * number, PLOT * (1 - point.value / top), point)
        for number, point in enumerate(points)
        if point.value is not None
    ]
    parts = [_grid(top, lambda value: f"{value:g} {unit}")]
    if places:
        path = " ".join(f"{x:.2f},{y:.1f}" for x, y, _ in places)
        floor = f"{places[-1][0]:.2f},{PLOT} {places[0][0]:.2f},{PLOT}"
        parts.append(_PLOT.format(TOP, PLOT, PLOT, _AREA.format(path, floor) + _CURVE.format(path)))
    parts += [_DOT.format(point.kind, x, TOP + y, point.note) for x, y, point in places]
    return _svg("chart-axis", name, LINE_HEIGHT, [*parts, *_ends(*ends)])


def column_chart(bars: Sequence[Bar], name: str, write: Callable[[float], str]) -> Markup:
    """Columns over equal steps, from the oldest to the newest; ``write`` labels the axis.

    A few say their label and value themselves, of many only the ends do.
    """
    top = nice_top(max((bar.value for bar in bars), default=0))
    step = 100 / max(len(bars), 1)
    width = min(step * 0.75, WIDEST_COLUMN)
    on_a_phone = len(bars) <= LABELS_FIT_A_PHONE
    parts = [_grid(top, write)]
    for number, bar in enumerate(bars):
        middle, length = step * (number + 0.5), PLOT * bar.value / top
        y = TOP + PLOT - length
        place = (middle - width / 2, y, width, length)
        parts.append(_COLUMN.format(bar.kind, *place, bar.label, bar.text))
        if len(bars) <= LABELS_FIT:
            kind = "" if on_a_phone else "chart-wide"
            for text, at in ((bar.text, y - 4), (bar.label, LINE_HEIGHT - 4)):
                parts.append(_text(f"{middle:.2f}%", at, text, "middle", kind=kind))
    if not on_a_phone:
        kind = "chart-narrow" if len(bars) <= LABELS_FIT else ""
        parts += _ends(bars[0].label, bars[-1].label, kind)
    return _svg("chart-axis", name, LINE_HEIGHT, parts)


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
    long = any(len(bar.label) > SHORT_LABEL for bar in bars)
    parts = []
    for number, bar in enumerate(bars):
        y = TOP + number * BAR_STEP
        length = max(100 * bar.value / top, 0.3)
        parts.append(_text("0", y + 12, _short(bar.label), "end", dx=-10))
        parts.append(_RECT.format(bar.kind, y, length))
        parts.append(_text(f"{length:.2f}%", y + 12, bar.text, "start", dx=8))
    kind = "chart-bars chart-long" if long else "chart-bars"
    return _svg(kind, name, TOP + len(bars) * BAR_STEP, parts)


def _ends(oldest: str, newest: str, kind: str = "") -> list[Markup]:
    """What the two ends of the steps are called, below them."""
    y = LINE_HEIGHT - 4
    return [_text("0", y, oldest, "start", kind=kind), _text("100%", y, newest, "end", kind=kind)]


def _grid(top: float, write: Callable[[float], str]) -> Markup:
    lines = []
    for part in (0.0, 0.5, 1.0):
        y = TOP + PLOT * (1 - part)
        lines.append(_LINE.format(y=y))
        lines.append(_text("0", y + 4, write(top * part), "end", dx=-8))
    return Markup("").join(lines)


def _text(x: str, y: float, text: str, anchor: str, *, dx: int = 0, kind: str = "") -> Markup:
    return _TEXT.format(kind, x, y, dx, anchor, text)


def _short(label: str) -> str:
    return label if len(label) <= 26 else f"{label[:25]}…"


def _svg(kind: str, name: str, height: int, parts: Sequence[Markup]) -> Markup:
    return _SVG.format(kind, height, name, Markup("").join(parts))
