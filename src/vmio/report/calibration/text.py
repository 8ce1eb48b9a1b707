"""A calibration for people: the costs, and the accuracy of predictions made with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs
from rich.console import Console

from vmio.characters import printable
from vmio.report.figures import format_rate, format_share
from vmio.report.table import Column, print_table
from vmio.units import format_duration_ns

if TYPE_CHECKING:
    from vmio.bench.calibrate import Calibration
    from vmio.sim.fitting import Residual

__all__ = ["print_calibration"]


def print_calibration(found: Calibration, console: Console) -> None:
    """Prints the costs, and each load as measured and as predicted with them."""
    profile = found.profile
    console.print(f"{printable(profile.host)}: {printable(profile.name)}")
    console.print()
    costs = [
        (name.removesuffix("_ns"), format_duration_ns(value))
        for name, value in structs.asdict(profile.costs).items()
    ]
    for table in profile.service:
        middle = table.quantiles_ns[len(table.quantiles_ns) // 2]
        costs.append((f"the disk, {table.depth} at once, median", format_duration_ns(middle)))
    print_table((Column(head="cost"), Column(head="", right=True)), costs, console)
    console.print()
    heads = ("load", "poll_max_ns", "IOPS", "predicted", "CPU", "predicted")
    print_table(
        [Column(head=head, right=head != "load") for head in heads],
        [_list_figures(each) for each in found.residuals],
        console,
    )
    console.print()
    console.print(f"median error of throughput over these loads: {find_middle(found):.0%}")


def _list_figures(each: Residual) -> tuple[str, ...]:
    seen, said = each.observation, each.predicted
    polling_ns = _find_polling(each)
    return (
        seen.workload.name,
        "main loop" if polling_ns is None else str(polling_ns),
        format_rate(seen.iops),
        format_rate(said.iops),
        format_share(seen.loop_cpu_share),
        format_share(said.loop_cpu_shares[0]),
    )


def _find_polling(residual: Residual) -> int | None:
    """Returns the maximum polling time of the loaded loop; None for the main loop."""
    iothreads = residual.observation.topology.iothreads
    return iothreads[0].poll_max_ns if iothreads else None


def find_middle(found: Calibration) -> float:
    """Returns the median error of the predictions, as a fraction of the measured value."""
    import statistics

    return statistics.median(abs(each.iops_ratio - 1) for each in found.residuals)
