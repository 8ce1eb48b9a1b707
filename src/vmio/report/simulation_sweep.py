"""A sweep for people: a line for each value, with latency and processor time as bars."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vmio.report.figures import format_rate
from vmio.report.plain import printable
from vmio.report.simulation_json import tabulate_prediction
from vmio.sim.simulator import Estimate
from vmio.sim.sweep import LOADS, Sweep, SweepPoint
from vmio.units import format_duration_ns

__all__ = ["SCHEMA", "print_sweep", "render_sweep_json"]

SCHEMA = 1
_COLUMNS = 24
"""Of the longest bar."""


def print_sweep(sweep: Sweep, points: Sequence[SweepPoint], console: Console) -> None:
    """Prints a sweep whole, what it goes by first; a range is a bar with a pale end."""
    first = points[0].prediction
    load = "each load" if sweep.parameter in LOADS else first.workload
    console.print(
        f"predicted: {printable(load)} on every disk, QEMU {first.qemu_version}, "
        f"{printable(first.profile)}"
    )
    table = Table(box=box.SIMPLE_HEAD)
    for head in (sweep.parameter, "IOPS", "latency, mean", "", "CPU", ""):
        table.add_column(printable(head), justify="right" if head else "left", no_wrap=True)
    table.add_column("")
    longest = max(point.prediction.latency_mean_ns.high for point in points)
    busiest = max(point.prediction.cpu_share.high for point in points)
    for point in points:
        found = point.prediction
        style = "bold" if point.is_today else ""
        table.add_row(
            Text(str(point.value), style=style),
            _show(found.iops, format_rate, bistable=found.bistable),
            _show(found.latency_mean_ns, format_duration_ns, bistable=found.bistable),
            _draw(found.latency_mean_ns, longest, bistable=found.bistable),
            _show(found.cpu_share, _format_share, bistable=found.bistable),
            _draw(found.cpu_share, busiest, bistable=found.bistable),
            Text("today" if point.is_today else "", style=style),
        )
    console.print(table)
    console.print("CPU is of all event loops together, in processors")
    if any(point.prediction.bistable for point in points):
        console.print("a range: bistable, it depends on how polling began")
    for note in dict.fromkeys(note for point in points for note in point.prediction.notes):
        console.print(f"note: {note}")


def render_sweep_json(sweep: Sweep, points: Sequence[SweepPoint]) -> str:
    """Returns one document: the parameter, and the prediction for each value."""
    table = {
        "schema": SCHEMA,
        "predicted": True,
        "parameter": sweep.parameter,
        "today": sweep.today,
        "points": [
            {
                "value": point.value,
                "is_today": point.is_today,
                "prediction": tabulate_prediction(point.prediction),
            }
            for point in points
        ],
    }
    return json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False)


def _show(value: Estimate, show: Callable[[float], str], *, bistable: bool) -> str:
    return f"{show(value.low)} to {show(value.high)}" if bistable else show(value.mean)


def _draw(value: Estimate, most: float, *, bistable: bool) -> Text:
    low, high = (value.low, value.high) if bistable else (value.mean, value.mean)
    solid, whole = (round(each / most * _COLUMNS) if most else 0 for each in (low, high))
    return Text("█" * solid + "░" * (whole - solid))


def _format_share(value: float) -> str:
    return f"{value:.2f}"
