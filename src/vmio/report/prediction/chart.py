"""A chart in the terminal of latency against processor time for several alternatives.

Each alternative is a letter; a bistable outcome is a box around its range, with its letter in the
corners. A key below explains the letters. The chart does not need colours.

plotext could draw it, but importing plotext 6.1 takes three times as long as `vmio --version`, and
it does not report which letters are hidden behind others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from vmio.characters import printable
from vmio.report.axis import Axis, choose_axis
from vmio.sim.simulator import Prediction
from vmio.sim.sweep import SweepPoint
from vmio.units import format_duration_ns

__all__ = ["ChartPoint", "draw_chart", "list_chart_points", "span_cpu", "span_latency_ns"]

_ROWS: Final = 16
_LEAST_COLUMNS, _MOST_COLUMNS = 40, 100
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_TICK_COLUMNS: Final = 10
"""Between two values at the horizontal axis."""


class ChartPoint(Struct, frozen=True, kw_only=True):
    """One alternative: its name, and its prediction."""

    label: str
    prediction: Prediction
    value: int = 0
    """The value of a sweep's parameter."""
    is_today: bool = False


def list_chart_points(points: Iterable[SweepPoint]) -> list[ChartPoint]:
    """Returns the values of a sweep as alternatives."""
    return [
        ChartPoint(
            label=str(each.value),
            prediction=each.prediction,
            value=each.value,
            is_today=each.is_today,
        )
        for each in points
    ]


def span_cpu(point: ChartPoint) -> tuple[float, float]:
    """Returns the range of processor time in which an outcome is drawn; a mean is a point."""
    value = point.prediction.cpu_share
    return (value.low, value.high) if point.prediction.bistable else (value.mean, value.mean)


def span_latency_ns(point: ChartPoint) -> tuple[float, float]:
    """Returns the range of mean latency in which an outcome is drawn."""
    value = point.prediction.latency_mean_ns
    return (value.low, value.high) if point.prediction.bistable else (value.mean, value.mean)


def _join_labels(points: Sequence[ChartPoint], numbers: Sequence[int]) -> str:
    """Returns one label for points at one place: `0 to 3906, 32768 today`.

    Args:
        points: All points, in order.
        numbers: The indices of the points at this place, ascending.
    """
    words = []
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1 and not points[number].is_today:
            runs[-1].append(number)
        else:
            runs.append([number])
    for run in runs:
        first, *others = (
            printable(points[number].label) + " today" * points[number].is_today for number in run
        )
        words += [first, *others] if len(run) < 3 else [f"{first} to {others[-1]}"]  # noqa: PLR2004 - "to" stands for one between
    return ", ".join(words)


def draw_chart(
    points: Sequence[ChartPoint], *, columns: int, ascii_only: bool = False
) -> list[str]:
    """Returns the lines of a chart.

    Args:
        points: At least one.
        columns: The available width; the chart is between 40 and 100 columns wide.
        ascii_only: Whether to use ASCII characters only.
    """
    signs = _ASCII if ascii_only else _SIGNS
    columns = min(max(columns, _LEAST_COLUMNS), _MOST_COLUMNS)
    upward = choose_axis([each for point in points for each in span_latency_ns(point)], ticks=5)
    names = [format_duration_ns(tick) for tick in upward.ticks]
    left = max(map(len, names)) + 1
    width = columns - left - 1
    across = choose_axis(
        [each for point in points for each in span_cpu(point)], ticks=width // _TICK_COLUMNS
    )
    outlines = _group(points, across, upward, width)
    cells = [[" "] * width for _ in range(_ROWS)]
    largest_first = sorted(outlines, key=lambda each: -each.area)
    for outline in largest_first:
        outline.draw_edges(cells, signs)
    # Corners cover edges, and small outlines large ones: each letter shows what it belongs to.
    for outline in largest_first:
        for row, column in outline.corners:
            cells[row][column] = outline.letter
    at = {_row(upward, tick): name for tick, name in zip(upward.ticks, names, strict=True)}
    lines = ["latency, mean"]
    for row, line in enumerate(cells):
        edge = signs.tick if row in at else signs.left
        lines.append(f"{at.get(row, ''):>{left - 1}} {edge}{''.join(line)}".rstrip())
    lines += _draw_across(across, width, left, signs)
    return [*lines, *_write_key(outlines, cells, columns)]


def _draw_across(axis: Axis, width: int, left: int, signs: _Signs) -> list[str]:
    line = [signs.bottom] * width
    names = [" "] * (left + 1 + width)
    for tick in axis.ticks:
        column = _column(axis, tick, width)
        line[column] = signs.down
        name = f"{tick:.3g}"
        start = min(left + 1 + column - len(name) // 2, len(names) - len(name))
        names[start : start + len(name)] = name
    title = "CPU, in processors"
    return [
        " " * left + signs.corner + "".join(line),
        "".join(names).rstrip(),
        f"{title:>{left + 1 + width}}",
    ]


def _write_key(
    outlines: Iterable[_Outline], cells: Sequence[Sequence[str]], columns: int
) -> list[str]:
    """Returns the key of the letters; fully hidden ones are marked as behind others."""
    words = [
        f"{outline.letter} {outline.label}"
        + (
            ""
            if any(cells[row][column] == outline.letter for row, column in outline.corners)
            else " (behind others)"
        )
        for outline in outlines
    ]
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + 3 + len(word) > columns:
            lines.append("")
        lines[-1] += "   " * bool(lines[-1]) + word
    return lines


def _column(axis: Axis, value: float, width: int) -> int:
    return round(axis.place(value, 0, width - 1))


def _row(axis: Axis, value: float) -> int:
    return round(axis.place(value, _ROWS - 1, 0))


class _Signs(Struct, frozen=True, kw_only=True):
    """The characters of lines."""

    across: str
    """Of boxes: of other values, and of today's."""
    upright: str
    """The same."""
    left: str
    tick: str
    bottom: str
    down: str
    corner: str


_SIGNS: Final = _Signs(
    across="─═", upright="│║", left="│", tick="┤", bottom="─", down="┬", corner="└"
)
_ASCII: Final = _Signs(
    across="-=", upright=":#", left="|", tick="+", bottom="-", down="+", corner="+"
)


class _Outline(Struct, frozen=True, kw_only=True):
    """One outline: of one or several points in the same cells, or of bistable outcomes."""

    letter: str
    label: str
    is_today: bool
    left: int
    right: int
    top: int
    bottom: int

    @property
    def area(self) -> int:
        return (self.right - self.left + 1) * (self.bottom - self.top + 1)

    @property
    def corners(self) -> set[tuple[int, int]]:
        return {
            (row, column) for row in (self.top, self.bottom) for column in (self.left, self.right)
        }

    def draw_edges(self, cells: list[list[str]], signs: _Signs) -> None:
        for column in range(self.left, self.right + 1):
            for row in (self.top, self.bottom):
                cells[row][column] = signs.across[self.is_today]
        for row in range(self.top + 1, self.bottom):
            for column in (self.left, self.right):
                cells[row][column] = signs.upright[self.is_today]


def _group(points: Sequence[ChartPoint], across: Axis, upward: Axis, width: int) -> list[_Outline]:
    groups: dict[tuple[int, int, int, int], list[int]] = {}
    for number, point in enumerate(points):
        left, right = (_column(across, each, width) for each in span_cpu(point))
        bottom, top = (_row(upward, each) for each in span_latency_ns(point))
        groups.setdefault((left, right, top, bottom), []).append(number)
    outlines = []
    for at, ((left, right, top, bottom), numbers) in enumerate(groups.items()):
        is_today = any(points[number].is_today for number in numbers)
        letter = _LETTERS[at] if at < len(_LETTERS) else "*"
        outlines.append(
            _Outline(
                letter=letter.upper() if is_today else letter,
                label=_join_labels(points, numbers),
                is_today=is_today,
                left=left,
                right=right,
                top=top,
                bottom=bottom,
            )
        )
    return outlines
