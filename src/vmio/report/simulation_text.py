"""A prediction for people: a line for the guest, and one for each event loop."""

from __future__ import annotations

from collections.abc import Callable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vmio.report.figures import format_rate
from vmio.report.plain import printable
from vmio.sim.simulator import Estimate, Prediction
from vmio.units import format_duration_ns

__all__ = ["print_prediction"]


def print_prediction(prediction: Prediction, console: Console) -> None:
    """Prints a prediction whole, what it goes by first."""
    console.print(
        f"predicted: {printable(prediction.workload)} on every disk, QEMU "
        f"{prediction.qemu_version}, {prediction.profile}"
    )
    figures = Table(box=box.SIMPLE_HEAD)
    span = "range" if prediction.bistable else "95 % interval"
    for head in ("predicted", "", span):
        figures.add_column(head, justify="left" if head == "predicted" else "right")
    rows: tuple[tuple[str, Estimate, Callable[[float], str]], ...] = (
        ("IOPS", prediction.iops, format_rate),
        ("latency, mean", prediction.latency_mean_ns, format_duration_ns),
        ("latency, p50", prediction.latency_p50_ns, format_duration_ns),
        ("latency, p95", prediction.latency_p95_ns, format_duration_ns),
        ("latency, p99", prediction.latency_p99_ns, format_duration_ns),
        ("processors of event loops", prediction.cpu_share, _format_share),
    )
    for name, value, show in rows:
        mean = "" if prediction.bistable else show(value.mean)
        figures.add_row(name, mean, f"{show(value.low)} to {show(value.high)}")
    console.print(figures)
    loops = Table(box=box.SIMPLE_HEAD)
    for head in ("event loop", "CPU", "sleeps a request", "waits caught by polling"):
        loops.add_column(head, justify="left" if head == "event loop" else "right")
    for loop in prediction.loops:
        shares = (loop.cpu_share, loop.sleeps_per_request, loop.polled_share)
        cells = (_format_range(each, prediction.bistable) for each in shares)
        loops.add_row(Text(printable(loop.id)), *cells)
    console.print(loops)
    if prediction.bistable:
        console.print("bistable: it depends on how polling began, so a range and no number")
    for note in prediction.notes:
        console.print(f"note: {note}")


def _format_share(value: float) -> str:
    return f"{value:.2f}"


def _format_range(value: Estimate, bistable: bool) -> str:  # noqa: FBT001 - how to say the value
    if bistable:
        return f"{_format_share(value.low)} to {_format_share(value.high)}"
    return _format_share(value.mean)
