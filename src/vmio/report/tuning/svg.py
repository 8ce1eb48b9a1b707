"""What a search tried as pictures: how far each got, and what no other is better than."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from vmio.report.axis import Axis
from vmio.report.figures import format_ratio
from vmio.report.markup import shorten
from vmio.report.svg import draw_label, draw_line, render_svg
from vmio.report.tuning.words import METRICS, name_tried
from vmio.values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmio.tune.result import Tried, Tuning

__all__ = ["TUNING_CSS", "draw_front", "draw_races"]

_WIDTH, _SIDE = 640, 360
_START = 60.0
_ROW, _LEFT, _RIGHT = 20.0, 250.0, 620.0
_MOST_ROWS: Final = 40
_NAME_COLUMNS: Final = 38
_TICKS: Final = (0.1, 0.2, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10)
_TICK_ROOM: Final = 34
_ROOM: Final = 1.05

TUNING_CSS: Final = """
.tu{--ink:#1b2430;--soft:#586474;--grid:#e1e6ec;--b:#a3358c;
font-family:system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
.tu text{fill:var(--soft);font-size:11px}.tu .strong{fill:var(--ink);font-weight:650}
.tu .end{text-anchor:end}.tu .mid{text-anchor:middle}
.tu .grid{stroke:var(--grid)}.tu .axis{stroke:var(--soft)}
.tu .dot{fill:none;stroke:var(--soft);stroke-width:1.5}
.tu .best{fill:var(--b);stroke:var(--b)}.tu .front{fill:none;stroke:var(--b);stroke-width:2}
@media (prefers-color-scheme:dark){
.tu{--ink:#e8edf3;--soft:#a3afbd;--grid:#2d3744;--b:#e58fd0}}
""".strip()


def draw_races(tuning: Tuning, *, prefix: str) -> str:
    """Draws the ratio of each thing that was tried to the guest as it is, the best first."""
    shown = tuning.tried[:_MOST_ROWS]
    bottom = 16 + _ROW * len(shown)
    axis = _choose_axis([each.ratio for each in shown], _RIGHT - _LEFT)
    parts = _draw_ticks(axis, _LEFT, bottom)
    for number, each in enumerate(shown):
        y = 16 + _ROW * (number + 0.5)
        css = "strong end" if each == tuning.winner else "end"
        parts.append(draw_label(_LEFT - 12, y + 4, shorten(name_tried(each), _NAME_COLUMNS), css))
        x = axis.place(each.ratio, _LEFT, _RIGHT)
        parts.append(_draw_dot(x, y, best=each == tuning.winner))
    words = "times as good as the guest as it is, logarithmic"
    parts.append(draw_label((_LEFT + _RIGHT) / 2, bottom + 34, words, "mid"))
    desc = "; ".join(f"{name_tried(each)} {format_ratio(each.ratio)}" for each in shown)
    return _render(parts, f"{prefix}-races", "What was tried", desc, bottom + 42)


def draw_front(tuning: Tuning, *, prefix: str) -> str:
    """Draws the two metrics of an objective, and joins what nothing is better than in both.

    Returns:
        Nothing if the objective has not exactly two metrics that were measured.
    """
    points = _list_points(tuning)
    if not points:
        return ""
    x_name, y_name = (METRICS[metric] for metric in tuning.objective.metrics)
    bottom = _SIDE - 50.0
    across = _choose_axis([x for x, _, _ in points], _RIGHT - _START)
    up = _choose_axis([y for _, y, _ in points], bottom - 16)
    parts = _draw_ticks(across, _START, bottom)
    for tick in up.ticks:
        y = up.place(tick, bottom, 16)
        parts.append(draw_line(_START, y, _RIGHT, y, "axis" if tick == 1 else "grid"))
        parts.append(draw_label(_START - 8, y + 4, f"{tick:g}", "end"))
    placed = [
        (across.place(x, _START, _RIGHT), up.place(y, bottom, 16), each) for x, y, each in points
    ]
    front = sorted((x, y) for x, y, each in placed if each.on_front)
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in front)
    parts.append(f'<path class="front" d="M{line}"/>' if front else "")
    parts += [_draw_dot(x, y, best=each.on_front) for x, y, each in placed]
    parts.append(draw_label(_START, 11, f"↑ {y_name}, times as good"))
    words = f"{x_name}, times as good →"
    parts.append(draw_label((_START + _RIGHT) / 2, _SIDE - 16, words, "mid"))
    desc = "; ".join(
        f"{name_tried(each)} {format_ratio(x)} and {format_ratio(y)}"
        for x, y, each in points
        if each.on_front
    )
    return _render(parts, f"{prefix}-front", "What nothing is better than in both", desc, _SIDE)


def _list_points(tuning: Tuning) -> list[tuple[float, float, Tried]]:
    metrics = tuning.objective.metrics
    if len(metrics) != 2:  # noqa: PLR2004  # a picture has two axes
        return []
    found = []
    for each in tuning.tried:
        ratios = {one.metric: one.ratio for one in each.metrics}
        if set(metrics) <= set(ratios):
            found.append((ratios[metrics[0]], ratios[metrics[1]], each))
    return found


def _choose_axis(values: Sequence[float], length: float) -> Axis:
    """Returns a logarithmic axis with all values and 1, whose labels do not touch each other."""
    low, high = min(0.9, *values) / _ROOM, max(1.1, *values) * _ROOM
    axis = Axis(low=low, high=high, ticks=(), is_logarithmic=True)
    found: list[float] = []
    for tick in sorted(_TICKS, key=lambda value: abs(math.log(value))):
        x = axis.place(tick, 0, length)
        if low < tick < high and all(
            abs(x - axis.place(other, 0, length)) > _TICK_ROOM for other in found
        ):
            found.append(tick)
    return replace(axis, ticks=tuple(found))


def _draw_ticks(axis: Axis, left: float, bottom: float) -> list[str]:
    parts = []
    for tick in axis.ticks:
        x = axis.place(tick, left, _RIGHT)
        parts.append(draw_line(x, 16, x, bottom, "axis" if tick == 1 else "grid"))
        parts.append(draw_label(x, bottom + 16, f"{tick:g}", "mid"))
    return parts


def _draw_dot(x: float, y: float, *, best: bool) -> str:
    return f'<circle class="{"best" if best else "dot"}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'


def _render(parts: Sequence[str], identity: str, title: str, desc: str, height: float) -> str:
    return render_svg(
        parts, identity=identity, title=title, desc=desc, css="tu", size=(_WIDTH, height)
    )
