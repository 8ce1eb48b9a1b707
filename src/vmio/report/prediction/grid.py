"""A sweep over several parameters: the points that no other one beats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

from vmio.characters import printable
from vmio.report.figures import format_rate
from vmio.report.prediction.text import print_warnings
from vmio.sim.simulator import Estimate
from vmio.sim.sweep import LOADS, Grid, Shortlist, SweepPoint
from vmio.units import format_duration_ns

__all__ = ["GridTable"]

_ROWS: Final = 40
"""More are not read; a grid that has more is cut down to its shortlist."""


class GridTable:
    """A table that grows with what is worth showing, not with the grid."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._first: SweepPoint | None = None
        self._whole: list[SweepPoint] = []
        self._shortlist = Shortlist()
        self._today: SweepPoint | None = None
        self._notes: dict[str, None] = {}

    def add(self, point: SweepPoint) -> None:
        """Takes the next point."""
        self._first = self._first or point
        if self._grid.size <= _ROWS:
            self._whole.append(point)
        if point.is_today:
            self._today = point
        self._shortlist.add(point)
        self._notes.update(dict.fromkeys(point.prediction.notes))

    def print(self, console: Console) -> None:
        """Prints all points of a small grid; of a larger one the shortlist, and today's."""
        assert self._first is not None  # noqa: S101 - a grid has a point
        first = self._first.prediction
        sweeps = self._grid.sweeps
        load = (
            "each load"
            if any(each.parameter in LOADS for each in sweeps)
            else printable(first.workload)
        )
        console.print(
            f"predicted: {load} on every disk, QEMU {first.qemu_version}, "
            f"{printable(first.profile)}"
        )
        print_warnings(first, console)
        unbeaten = self._shortlist.list_points()
        listed = self._whole or list(unbeaten)
        shown = listed[:_ROWS]
        if self._today is not None and self._today not in shown:
            shown.append(self._today)
        table = Table(box=box.SIMPLE_HEAD)
        heads = [*(each.parameter for each in sweeps), "IOPS", "latency, mean", "p99", "CPU", ""]
        for head in heads:
            table.add_column(printable(head), justify="right" if head else "left", no_wrap=True)
        for point in shown:
            found = point.prediction
            marks = ["unbeaten"] * (point in unbeaten) + ["today"] * point.is_today
            table.add_row(
                *map(str, point.values),
                _show(found.iops, format_rate, bistable=found.bistable),
                _show(found.latency_mean_ns, format_duration_ns, bistable=found.bistable),
                _show(found.latency_p99_ns, format_duration_ns, bistable=found.bistable),
                _show(found.cpu_share, "{:.2f}".format, bistable=found.bistable),
                ", ".join(marks),
                style="bold" if point.is_today else "",
            )
        console.print(table)
        size = self._grid.size
        console.print(
            f"{len(shown)} of {size} points; unbeaten: no other one of its load is both as fast"
            " and as cheap, by mean latency and CPU, the worse end of a range"
        )
        if len(listed) > _ROWS:
            console.print(
                f"{len(listed) - _ROWS} more are unbeaten: --json and --parquet have all"
            )
        console.print("CPU is of all event loops together, in processors")
        if any(point.prediction.bistable for point in shown):
            console.print("a range: bistable, it depends on how polling began")
        for note in self._notes:
            console.print(f"note: {note}")


def _show(value: Estimate, show: Callable[[float], str], *, bistable: bool) -> str:
    return f"{show(value.low)} to {show(value.high)}" if bistable else show(value.mean)
