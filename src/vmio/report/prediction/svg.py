"""Latency against processor time as SVG: what `vmio.report.prediction.chart` draws, for a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from vmio.characters import printable
from vmio.report.axis import Axis, choose_axis
from vmio.report.figures import format_rate, format_share
from vmio.report.markup import display_width, escape, shorten
from vmio.report.prediction.chart import ChartPoint, span_cpu, span_latency_ns
from vmio.report.prediction.text import show_range
from vmio.report.svg import draw_label, draw_line, render_svg
from vmio.units import format_duration_ns

__all__ = ["SIMULATION_CSS", "draw_simulation"]

_WIDTH, _HEIGHT = 900.0, 430.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 884.0, 26.0, 380.0
_LABEL_COLUMNS: Final = 36
_SIGN_WIDTH, _LINE_HEIGHT = 7.7, 14.0
"""More than a sign of a label takes in any usual font."""
_LEAST = 7.0
"""Of a box's sides, so that it is seen and can be pointed at."""
_MARK = 14.0
"""A mark's width and height."""

SIMULATION_CSS: Final = """
.sc text{font-size:12px}
.sc .pt .a,.sc .pt .b{stroke-width:2}
.sc .box{stroke:var(--a);stroke-width:1.5;fill:var(--a);fill-opacity:.1}
.sc .today .box{stroke:var(--b);stroke-width:2.5;fill:var(--b)}
.sc .pt:hover .box{fill-opacity:.3}.sc .pt:hover circle{fill:var(--a)}
.sc .name{fill:var(--ink);paint-order:stroke;stroke:var(--page);stroke-width:3px;
stroke-linejoin:round;pointer-events:none}
.scroll svg.sc{min-width:640px}
.sc .name.strong{fill:var(--b)}
""".strip()

_Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def draw_simulation(points: Sequence[ChartPoint], *, prefix: str, title: str) -> str:
    """Draws alternatives; each says by a tooltip what it is, and by a label if there is room.

    Args:
        points: At least one.
        prefix: What the picture's ids begin with.
        title: Its name.
    """
    upward = choose_axis([each for point in points for each in span_latency_ns(point)], ticks=6)
    across = choose_axis([each for point in points for each in span_cpu(point)], ticks=9)
    parts = list(_draw_axes(across, upward))
    areas = [_find_area(point, across, upward) for point in points]
    # Small things over large ones, so that a pointer finds them.
    numbers = range(len(points))
    largest_first = sorted(numbers, key=lambda at: -_measure(areas[at]))
    parts += [_draw_point(points[at], areas[at]) for at in largest_first]
    taken = [areas[at] for at in numbers if not points[at].prediction.bistable]
    # Today's label has the choice of places, then those with the least room.
    for at in sorted(numbers, key=lambda at: (not points[at].is_today, _measure(areas[at]))):
        parts += _name(points[at], areas[at], taken)
    told = " ".join(f"{_describe(point)}." for point in points)
    return render_svg(
        parts,
        identity=f"{prefix}-latency-cpu",
        title=title,
        told=told,
        css="ch sc",
        size=(_WIDTH, _HEIGHT),
    )


def _describe(point: ChartPoint) -> str:
    found = point.prediction
    words = (
        point.label + " (today)" * point.is_today,
        f"latency {show_range(found, found.latency_mean_ns, format_duration_ns)}",
        f"CPU {show_range(found, found.cpu_share, format_share)}",
        f"IOPS {show_range(found, found.iops, format_rate)}",
    )
    return ", ".join(words) + ", bistable" * found.bistable


def _draw_axes(across: Axis, upward: Axis) -> Iterator[str]:
    for tick in upward.ticks:
        y = upward.place(tick, _BOTTOM, _TOP)
        yield draw_line(_LEFT, y, _RIGHT, y, "grid")
        yield draw_label(_LEFT - 8, y + 4, format_duration_ns(tick), "end")
    for tick in across.ticks:
        x = across.place(tick, _LEFT, _RIGHT)
        yield draw_line(x, _TOP, x, _BOTTOM, "grid")
        yield draw_label(x, _BOTTOM + 18, f"{tick:.3g}", "mid")
    yield draw_line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, "axis")
    yield draw_line(_LEFT, _TOP, _LEFT, _BOTTOM, "axis")
    yield draw_label(8, 14, "latency, mean")
    yield draw_label(_RIGHT, _HEIGHT - 8, "CPU of all event loops, in processors", "end")


def _find_area(point: ChartPoint, across: Axis, upward: Axis) -> _Rectangle:
    """Returns what a mark or a box covers, small boxes made large enough to be seen."""
    left, right = (across.place(each, _LEFT, _RIGHT) for each in span_cpu(point))
    bottom, top = (upward.place(each, _BOTTOM, _TOP) for each in span_latency_ns(point))
    least = _LEAST if point.prediction.bistable else _MARK
    wide, high = (max(0.0, least - length) / 2 for length in (right - left, bottom - top))
    return (left - wide, top - high, right + wide, bottom + high)


def _measure(area: _Rectangle) -> float:
    return (area[2] - area[0]) * (area[3] - area[1])


def _draw_point(point: ChartPoint, area: _Rectangle) -> str:
    left, top, right, bottom = area
    x, y = (left + right) / 2, (top + bottom) / 2
    if point.prediction.bistable:
        mark = (
            f'<rect class="box" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{bottom - top:.1f}" rx="2"/>'
        )
    elif point.is_today:
        mark = (
            f'<path class="b" d="M{x:.1f} {y - 7:.1f}L{x + 7:.1f} {y:.1f}L{x:.1f} {y + 7:.1f}'
            f'L{x - 7:.1f} {y:.1f}Z"/>'
        )
    else:
        mark = f'<circle class="a" cx="{x:.1f}" cy="{y:.1f}" r="5"/>'
    css = "pt today" if point.is_today else "pt"
    return f'<g class="{css}"><title>{escape(_describe(point))}</title>{mark}</g>'


def _name(point: ChartPoint, area: _Rectangle, taken: list[_Rectangle]) -> list[str]:
    """Returns a label at the first place that no other label or mark has, or nothing."""
    text = shorten(printable(point.label), _LABEL_COLUMNS) + ", today" * point.is_today
    width = display_width(text) * _SIGN_WIDTH
    for left, middle in _list_places(area, width, is_box=point.prediction.bistable):
        place = (left, middle - _LINE_HEIGHT / 2, left + width, middle + _LINE_HEIGHT / 2)
        inside = left >= _LEFT and left + width <= _RIGHT + 12 and _TOP - 8 <= middle <= _BOTTOM
        if inside and not any(_overlap(place, other) for other in taken):
            taken.append(place)
            css = "name strong" if point.is_today else "name"
            return [draw_label(left, middle + 4, text, css)]
    return []


def _list_places(area: _Rectangle, width: float, *, is_box: bool) -> Iterator[tuple[float, float]]:
    """Yields where a label may begin, and its middle; that of a box is inside it if it can be."""
    left, top, right, bottom = area
    rows = (bottom - 10, top + 10)
    if is_box and bottom - top > _LINE_HEIGHT + 2 and right - left > width + 12:
        for row in rows:
            yield right - width - 6, row
            yield left + 6, row
    if is_box:
        yield (left + right - width) / 2, top - 10
        yield (left + right - width) / 2, bottom + 10
    for row in rows if is_box and bottom - top > _LINE_HEIGHT else ((top + bottom) / 2,):
        yield right + 4, row
        yield left - width - 4, row
    for away in (9, 23, 37):
        for row in (top - away, bottom + away):
            yield right - width, row
            yield left, row
            yield right + 4, row


def _overlap(one: _Rectangle, other: _Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
