"""A sweep over several parameters: its unbeaten points."""

from __future__ import annotations

from typing import Final

from rich.console import Console

from vmio.characters import printable
from vmio.report.figures import format_rate, format_share
from vmio.report.prediction.text import print_warnings, show_range
from vmio.report.table import Cell, Column, print_table
from vmio.sim.sweep import LOADS, Grid, SweepPoint, UnbeatenPoints
from vmio.units import format_duration_ns

__all__ = ["GridTable"]

_ROWS: Final = 40
"""More rows are not read; a larger grid is reduced to its unbeaten points."""
_LEAVES: Final = {"p99": 1, "CPU": 2, "": 3, "IOPS": 4, "latency, mean": 5}
"""The columns that are dropped from a table that is too wide, in this order."""


class GridTable:
    """A table whose memory grows with the rows shown, not with the grid."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._first: SweepPoint | None = None
        self._whole: list[SweepPoint] = []
        self._shortlist = UnbeatenPoints()
        self._today: SweepPoint | None = None
        self._notes: dict[str, None] = {}

    def add(self, point: SweepPoint) -> None:
        """Adds the next point."""
        self._first = self._first or point
        if self._grid.size <= _ROWS:
            self._whole.append(point)
        if point.is_today:
            self._today = point
        self._shortlist.add(point)
        self._notes.update(dict.fromkeys(point.prediction.notes))

    def print(self, console: Console) -> None:
        """Prints all points of a small grid; of a larger one the unbeaten points and today's."""
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
        heads = [*(each.parameter for each in sweeps), "IOPS", "latency, mean", "p99", "CPU", ""]
        columns = [
            Column(head=head, right=bool(head), leaves=_LEAVES.get(head, 0)) for head in heads
        ]
        console.print()
        print_table(
            columns, [_make_row(point, is_unbeaten=point in unbeaten) for point in shown], console
        )
        console.print()
        size = self._grid.size
        console.print(
            f"{len(shown)} of {size} points; unbeaten: no other point of the same load is both as"
            " fast and as cheap, by mean latency and CPU; for a range, by its worse end"
        )
        if len(listed) > _ROWS:
            console.print(
                f"{len(listed) - _ROWS} more are unbeaten: --json and --parquet have all"
            )
        console.print("CPU: all event loops together, in processors")
        if any(point.prediction.bistable for point in shown):
            console.print("a range: bistable, depends on the initial polling times")
        for note in self._notes:
            console.print(f"note: {note}")


def _make_row(point: SweepPoint, *, is_unbeaten: bool) -> tuple[Cell, ...]:
    found = point.prediction
    marks = ["unbeaten"] * is_unbeaten + ["today"] * point.is_today
    texts = (
        *map(str, point.values),
        show_range(found, found.iops, format_rate),
        show_range(found, found.latency_mean_ns, format_duration_ns),
        show_range(found, found.latency_p99_ns, format_duration_ns),
        show_range(found, found.cpu_share, format_share),
        ", ".join(marks),
    )
    return tuple((text, "1" * point.is_today) for text in texts)
