"""Predictions as pictures: where each event loop's time goes, and figures by a parameter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final

from msgspec import Struct

from vmio.characters import printable
from vmio.report.axis import choose_axis, scale
from vmio.report.figures import format_rate, format_share
from vmio.report.markup import display_width, escape, shorten
from vmio.report.prediction.chart import ChartPoint
from vmio.report.prediction.text import show_range
from vmio.report.svg import draw_label, draw_line, render_svg
from vmio.sim.simulator import Estimate, LoopEstimate, Prediction
from vmio.units import format_duration_ns

__all__ = ["MOST_LOOPS", "SIMULATION_CSS", "draw_loops", "draw_panel"]

MOST_LOOPS: Final = 16
"""The most loops in one picture; a table has all."""
_WIDTH: Final = 440.0
_SIGN_WIDTH: Final = 7.4
"""Width of a character of a label in any usual font, rounded up."""
_LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT = 62.0, 428.0, 22.0, 190.0, 232.0
_INSET: Final = 12.0
"""Between a panel's ends and the outermost values."""
_ZERO_ROOM: Final = 34.0
"""Between 0, which has no logarithm, and the lowest other value."""
_GAP: Final = 8.0
_BAR_LEFT, _BAR_RIGHT = 62.0, 336.0
_ROW_HEIGHT, _LOOP_HEIGHT = 20.0, 92.0

SIMULATION_CSS: Final = """
.sc{max-width:560px}
.sc text{font-size:12px}
.sc .strong{fill:var(--ink)}
.sc .poll{fill:var(--main)}.sc .work{fill:var(--iothread)}.sc .sleep{fill:var(--other)}
.sc .pale{fill-opacity:.4}
.sc .whisker{stroke:var(--ink);stroke-width:1.5}
.sc .span{fill:var(--iothread);fill-opacity:.16}
.sc .bound{fill:none;stroke:var(--iothread);stroke-width:1.5}
.sc .dot{fill:var(--iothread)}
.sc .box{fill:var(--iothread);fill-opacity:.55}
.sc .today{fill:var(--b)}.sc text.today{font-weight:650}
.sc line.today{stroke:var(--b);stroke-dasharray:4 3}
""".strip()


def draw_loops(prediction: Prediction, *, prefix: str) -> str:
    """Draws for each event loop the fractions of time in which it polls, works and sleeps.

    A whisker is the interval of a mean; for a bistable outcome it is the range, and the uncertain
    end of the bar is pale.
    """
    loops = prediction.loops[:MOST_LOOPS]
    most = max([1.0, *(value.high for loop in loops for _, _, value in _list_parts(loop))])
    parts, desc = [], []
    bottom = len(loops) * _LOOP_HEIGHT
    for tick in (0, most / 2, most):
        x = scale(tick, 0, most, _BAR_LEFT, _BAR_RIGHT)
        parts.append(draw_line(x, 24, x, bottom, "grid"))
        parts.append(draw_label(x, bottom + 16, _show_percent(tick), "mid"))
    parts.append(draw_label(_BAR_RIGHT, bottom + 32, "of the time", "end"))
    for number, loop in enumerate(loops):
        top = number * _LOOP_HEIGHT
        name = printable(loop.id)
        parts.append(draw_label(4, top + 18, shorten(name, 52), "strong"))
        shown = []
        for row, (css, words, value) in enumerate(_list_parts(loop)):
            text = show_range(prediction, value, _show_percent)
            shown.append(f"{words} {text}")
            y = top + 26 + row * _ROW_HEIGHT
            parts.append(draw_label(_BAR_LEFT - 8, y + 11, words, "end"))
            parts += _draw_bar(value, text, css, y, most, is_mean=not prediction.bistable)
        desc.append(f"{name}: {', '.join(shown)}.")
    return render_svg(
        parts,
        identity=f"{prefix}-loops",
        title="Where the time of each event loop goes",
        desc=" ".join(desc),
        css="ch sc",
        size=(_WIDTH, bottom + 38),
    )


def _list_parts(loop: LoopEstimate) -> tuple[tuple[str, str, Estimate], ...]:
    busy = loop.cpu_share
    asleep = Estimate(
        mean=max(0.0, 1 - busy.mean), low=max(0.0, 1 - busy.high), high=max(0.0, 1 - busy.low)
    )
    return (
        ("poll", "polls", loop.polling_share),
        ("work", "works", loop.work_share),
        ("sleep", "sleeps", asleep),
    )


def _draw_bar(
    value: Estimate, text: str, css: str, y: float, most: float, *, is_mean: bool
) -> Iterator[str]:
    low, mean, high = (
        scale(each, 0, most, _BAR_LEFT, _BAR_RIGHT) for each in (value.low, value.mean, value.high)
    )
    solid = mean if is_mean else low
    yield _draw_box(_BAR_LEFT, y, solid - _BAR_LEFT, 14, css)
    if not is_mean:
        yield _draw_box(low, y, high - low, 14, f"{css} pale")
    yield draw_line(low, y + 7, high, y + 7, "whisker")
    for x in (low, high):
        yield draw_line(x, y + 3, x, y + 11, "whisker")
    yield draw_label(max(high, solid) + 6, y + 11, text)


def _show_percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def draw_panel(
    points: Sequence[ChartPoint],
    pick: Callable[[Prediction], Estimate],
    show: Callable[[float], str],
    *,
    parameter: str,
    identity: str,
    title: str,
) -> str:
    """Draws a figure against a parameter, whose axis is logarithmic.

    Args:
        points: The values of a sweep, ascending; at least one.
        pick: Selects the figure.
        show: Formats the figure.
        parameter: The swept parameter.
        identity: The prefix of the picture's ids.
        title: Its name.
    """
    spans = [_find_span(point, pick) for point in points]
    upward = choose_axis([each for span in spans for each in span], ticks=4)
    across = _Across.of([point.value for point in points])
    xs = [across.place(point.value) for point in points]
    write = format_duration_ns if parameter.endswith("_ns") else format_rate
    parts = []
    for tick in upward.ticks:
        y = upward.place(tick, _BOTTOM, _TOP)
        parts.append(draw_line(_LEFT, y, _RIGHT, y, "grid"))
        parts.append(draw_label(_LEFT - 6, y + 4, show(tick), "end"))
    parts += _draw_values(across, write)
    parts.append(draw_label(_RIGHT, _HEIGHT - 6, f"{shorten(parameter, 40)}, logarithmic", "end"))
    lows, highs = (
        [(x, upward.place(span[at], _BOTTOM, _TOP)) for x, span in zip(xs, spans, strict=True)]
        for at in (0, 1)
    )
    outline = _join_places([*lows, *reversed(highs)])
    parts.append(f'<polygon class="span" points="{outline}"/>')
    parts += [f'<polyline class="bound" points="{_join_places(line)}"/>' for line in (lows, highs)]
    for point, (x, y_low), (_, y_high) in zip(points, lows, highs, strict=True):
        mark = _draw_mark(point, x, y_low, y_high)
        parts.append(f"<g><title>{escape(_describe(point))}</title>{mark}</g>")
    for point, x in zip(points, xs, strict=True):
        if point.is_today:
            text = f"today: {write(point.value)}"
            half = display_width(text) * _SIGN_WIDTH / 2
            parts.append(draw_line(x, _TOP, x, _BOTTOM, "today"))
            parts.append(draw_label(min(x, _WIDTH - half), _TOP - 8, text, "mid today"))
    return render_svg(
        parts,
        identity=identity,
        title=title,
        desc=" ".join(f"{_describe(point)}." for point in points),
        css="ch sc",
        size=(_WIDTH, _HEIGHT),
    )


class _Across(Struct, frozen=True, kw_only=True):
    """The axis of a parameter's values."""

    low: int
    high: int
    """The smallest and the largest value above 0."""
    has_zero: bool

    @classmethod
    def of(cls, values: Sequence[int]) -> _Across:
        above = [value for value in values if value > 0]
        return cls(
            low=min(above, default=1),
            high=max(above, default=1),
            has_zero=len(above) < len(values),
        )

    def place(self, value: float) -> float:
        left = _LEFT + _INSET
        if value <= 0:
            return left
        left += _ZERO_ROOM * self.has_zero
        if self.low == self.high:
            return (left + _RIGHT - _INSET) / 2
        low, high = math.log(self.low), math.log(self.high)
        return scale(math.log(value), low, high, left, _RIGHT - _INSET)

    def list_ticks(self) -> Iterator[int]:
        """Yields the values to label at the axis, the most important first."""
        if self.has_zero:
            yield 0
        powers = range(len(str(self.high)))
        decades = (10**power for power in powers)
        between = (digit * 10**power for digit in (2, 5) for power in powers)
        inside = [tick for tick in chain(decades, between) if self.low <= tick <= self.high]
        # Within less than a decade there may be no round value; then the ends are labelled.
        yield from inside if len(inside) > 1 else dict.fromkeys((self.low, self.high))


def _draw_values(across: _Across, write: Callable[[float], str]) -> Iterator[str]:
    """Yields the labels of the axis; one that would touch another is left out."""
    taken: list[tuple[float, float]] = []
    yield draw_line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, "axis")
    for tick in across.list_ticks():
        x, text = across.place(tick), write(tick) if tick else "0"
        half = display_width(text) * _SIGN_WIDTH / 2
        middle = min(max(x, half), _WIDTH - half)
        left, right = middle - half, middle + half
        if all(right + _GAP <= start or end + _GAP <= left for start, end in taken):
            taken.append((left, right))
            yield draw_line(x, _BOTTOM, x, _BOTTOM + 4, "axis")
            yield draw_label(middle, _BOTTOM + 18, text, "mid tick")


def _find_span(point: ChartPoint, pick: Callable[[Prediction], Estimate]) -> tuple[float, float]:
    value = pick(point.prediction)
    return (value.low, value.high) if point.prediction.bistable else (value.mean, value.mean)


def _draw_mark(point: ChartPoint, x: float, y_low: float, y_high: float) -> str:
    css = "today" if point.is_today else ""
    if point.prediction.bistable:
        # A flat range is still drawn, so that it can be seen and pointed at.
        height = max(4.0, y_low - y_high)
        top = (y_low + y_high - height) / 2
        return _draw_box(x - 4, top, 8, height, f"box {css}".strip())
    if point.is_today:
        return (
            f'<path class="today" d="M{x:.1f} {y_low - 6:.1f}L{x + 6:.1f} {y_low:.1f}'
            f'L{x:.1f} {y_low + 6:.1f}L{x - 6:.1f} {y_low:.1f}Z"/>'
        )
    return f'<circle class="dot" cx="{x:.1f}" cy="{y_low:.1f}" r="3.5"/>'


def _describe(point: ChartPoint) -> str:
    found = point.prediction
    words = (
        point.label + " (today)" * point.is_today,
        f"latency {show_range(found, found.latency_mean_ns, format_duration_ns)}",
        f"CPU {show_range(found, found.cpu_share, format_share)}",
        f"IOPS {show_range(found, found.iops, format_rate)}",
    )
    return ", ".join(words) + ", bistable" * found.bistable


def _join_places(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _draw_box(x: float, y: float, width: float, height: float, css: str) -> str:
    return (
        f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    )
