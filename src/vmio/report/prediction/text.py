"""A prediction for people: a line for the guest, and one for each event loop."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from vmio.characters import printable
from vmio.report.figures import format_rate, format_share
from vmio.report.table import Column, print_table
from vmio.sim.simulator import Estimate, Prediction
from vmio.units import format_duration_ns

__all__ = ["print_prediction", "print_warnings", "show_range"]


def print_prediction(prediction: Prediction, console: Console) -> None:
    """Prints a prediction, its basis first."""
    console.print(
        f"predicted: {printable(prediction.workload)} on every disk, QEMU "
        f"{prediction.qemu_version}, {prediction.profile}"
    )
    print_warnings(prediction, console)
    console.print()
    span = "range" if prediction.bistable else "95 % interval"
    rows: tuple[tuple[str, Estimate, Callable[[float], str]], ...] = (
        ("IOPS", prediction.iops, format_rate),
        ("latency, mean", prediction.latency_mean_ns, format_duration_ns),
        ("latency, p50", prediction.latency_p50_ns, format_duration_ns),
        ("latency, p95", prediction.latency_p95_ns, format_duration_ns),
        ("latency, p99", prediction.latency_p99_ns, format_duration_ns),
        ("processors of event loops", prediction.cpu_share, format_share),
        ("utilisation of each vCPU", prediction.vcpu_share, format_share),
    )
    figures = [
        (
            name,
            "" if prediction.bistable else show(value.mean),
            f"{show(value.low)} to {show(value.high)}",
        )
        for name, value, show in rows
    ]
    heads = (
        Column(head="predicted"),
        Column(head="", right=True),
        Column(head=span, right=True),
    )
    print_table(heads, figures, console)
    console.print()
    print_table(
        (
            Column(head="event loop"),
            Column(head="CPU", right=True),
            Column(head="sleeps per request", right=True),
            Column(head="waits caught by polling", right=True),
        ),
        [
            (
                loop.id,
                *(
                    show_range(prediction, each, format_share)
                    for each in (loop.cpu_share, loop.sleeps_per_request, loop.polled_share)
                ),
            )
            for loop in prediction.loops
        ],
        console,
    )
    if prediction.bistable or prediction.notes:
        console.print()
    if prediction.bistable:
        console.print("bistable: depends on the initial polling times, so there is no mean")
    for note in prediction.notes:
        console.print(f"note: {note}")


def print_warnings(prediction: Prediction, console: Console) -> None:
    """Prints, above all figures, why a prediction may be wrong for its guest's host."""
    for warning in prediction.warnings:
        console.print(Text(f"WARNING: {printable(warning)}", style="bold yellow"))


def show_range(prediction: Prediction, value: Estimate, show: Callable[[float], str]) -> str:
    """Returns a mean, or the range of a bistable outcome: `105 to 116 µs`."""
    return (
        join_ends(show(value.low), show(value.high)) if prediction.bistable else show(value.mean)
    )


def join_ends(low: str, high: str) -> str:
    """Returns a range by its ends; what is the same in both is printed once, a unit or all."""
    if low == high:
        return low
    number, *unit = low.split()
    return f"{number if high.split()[1:] == unit else low} to {high}"
