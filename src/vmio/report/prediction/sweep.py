"""A sweep for people: a line for each value, with latency and processor time as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from vmio.characters import printable
from vmio.report.figures import format_rate, format_share
from vmio.report.prediction.chart import draw_chart, list_chart_points
from vmio.report.prediction.text import print_warnings, show_range
from vmio.report.table import Cell, Column, print_table
from vmio.sim.simulator import Estimate, Prediction
from vmio.sim.sweep import LOADS, Sweep, SweepPoint
from vmio.units import format_duration_ns

__all__ = ["print_sweep"]

_MOST_COLUMNS: Final = 100
"""Maximum width of the table on any terminal."""
_GAP: Final = 2


def print_sweep(sweep: Sweep, points: Sequence[SweepPoint], console: Console) -> None:
    """Prints a sweep, its basis first; a range is a bar with a pale end."""
    first = points[0].prediction
    load = "each load" if sweep.parameter in LOADS else first.workload
    console.print(
        f"predicted: {printable(load)} on every disk, QEMU {first.qemu_version}, "
        f"{printable(first.profile)}"
    )
    print_warnings(first, console)
    console.print(f"sweep of {printable(sweep.parameter)}")
    console.print()
    _print_table(sweep, points, console)
    console.print()
    lines = draw_chart(
        list_chart_points(points),
        columns=console.width,
        ascii_only=console.options.ascii_only,
    )
    console.print(Text("\n".join(lines)), no_wrap=True, crop=True)
    console.print()
    console.print("CPU: all event loops together, in processors")
    if any(point.prediction.bistable for point in points):
        console.print(
            "a range, in the chart a box: bistable, depends on the initial polling times; a guest"
            " can be anywhere in it"
        )
    for note in dict.fromkeys(note for point in points for note in point.prediction.notes):
        console.print(f"note: {note}")


def _print_table(sweep: Sweep, points: Sequence[SweepPoint], console: Console) -> None:
    heads = (sweep.parameter.rpartition(".")[2], "IOPS", "latency", "", "CPU", "", "")
    cells = [
        (
            printable(str(point.value)),
            show_range(point.prediction, point.prediction.iops, format_rate),
            show_range(point.prediction, point.prediction.latency_mean_ns, format_duration_ns),
            show_range(point.prediction, point.prediction.cpu_share, format_share),
            "today" * point.is_today,
        )
        for point in points
    ]
    used = sum(
        max(map(len, column)) for column in zip(heads[:3] + heads[4:6], *cells, strict=True)
    )
    room = min(console.width, _MOST_COLUMNS) - used - _GAP * (len(heads) - 1)
    columns = max(room // 2, 0)
    longest = max(point.prediction.latency_mean_ns.high for point in points)
    busiest = max(point.prediction.cpu_share.high for point in points)
    signs = "#." if console.options.ascii_only else "█░"
    rows: list[tuple[Cell, ...]] = []
    for point, (value, iops, latency, share, today) in zip(points, cells, strict=True):
        found, style = point.prediction, "1" * point.is_today
        rows.append(
            (
                (value, style),
                iops,
                latency,
                _draw(found, found.latency_mean_ns, longest, columns, signs),
                share,
                _draw(found, found.cpu_share, busiest, columns, signs),
                (today, style),
            )
        )
    print_table([Column(head=head, right=bool(head)) for head in heads], rows, console)


def _draw(found: Prediction, value: Estimate, most: float, columns: int, signs: str) -> str:
    low, high = (value.low, value.high) if found.bistable else (value.mean, value.mean)
    solid, whole = (round(each / most * columns) if most else 0 for each in (low, high))
    return signs[0] * solid + signs[1] * (whole - solid)
