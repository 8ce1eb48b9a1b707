"""A comparison as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from vmio.characters import printable
from vmio.report.comparison.words import (
    describe_host_shares,
    describe_interval,
    describe_others,
    name_verdict,
    summarise_comparison,
)
from vmio.report.figures import format_rate, format_ratio
from vmio.report.table import Column, print_table
from vmio.units import MIB, format_duration_ns

if TYPE_CHECKING:
    from rich.console import Console

    from vmio.bench.result import Comparison, JobResult, Subject, Summary, ThreadKind

__all__ = ["print_comparison"]

_STYLE = {"faster": "bold green", "slower": "bold red", "the same": "bold", "cannot tell": "dim"}


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Prints which side is faster, then the figures of each side, job by job."""
    console.print(Text(printable(summarise_comparison(comparison)), style="bold"))
    console.print()
    for side, subject in (("A", comparison.a), ("B", comparison.b)):
        console.print(_describe_subject(side, subject, comparison.disk), soft_wrap=True)
    console.print()
    _print_table(comparison, console)
    console.print()
    for result in comparison.jobs:
        console.print(_make_verdict(result), soft_wrap=True)
    why = f", {comparison.accelerator_reason}" if comparison.accelerator_reason else ""
    host = comparison.host
    context = (
        f"in {comparison.where}; QEMU {comparison.qemu_version} with {comparison.accelerator}"
        f"{why}; fio "
        f"{comparison.fio_version}; load before {host.load_average_1min:.2f} on {host.cpu_count} "
        f"processors; {comparison.duration_s:.0f} s in total"
    )
    console.print(Text(printable(context), style="dim"), soft_wrap=True)


def _describe_subject(side: str, subject: Subject, disk: str) -> Text:
    attached = subject.topology.find_disk(disk)
    threads = ", ".join(subject.topology.served_by(attached)) if attached is not None else ""
    line = Text(f"{side}  ", style="bold")
    line.append(printable(f"{subject.name}: {subject.title}, {disk} served by "), style="not bold")
    line.append(printable(threads or "nothing"))
    return line


def _print_table(comparison: Comparison, console: Console) -> None:
    # It fits into eighty columns, if job names are no longer than those of the default jobs.
    figures = ("IOPS", "MiB/s", "p50", "p99", "guest\nCPU")
    threads = ("main\nloop", "IO-\nThreads", "vCPUs", "others")
    heads = (*figures, *threads)
    columns = (
        Column(head="job"),
        Column(head=""),
        *(Column(head=head, right=True, leaves=len(heads) - at) for at, head in enumerate(heads)),
    )
    rows = []
    for result in comparison.jobs:
        rows.append((result.job.name, "A", *_list_figures(result.a)))
        rows.append(("", "B", *_list_figures(result.b)))
    print_table(columns, rows, console)


def _list_figures(summary: Summary) -> tuple[str, ...]:
    kinds: tuple[ThreadKind, ...] = ("main loop", "iothread", "vcpu", "other")
    return (
        format_rate(summary.iops),
        f"{summary.bandwidth_bytes_per_s / MIB:.0f}",
        format_duration_ns(summary.latency_p50_ns),
        format_duration_ns(summary.latency_p99_ns),
        f"{summary.guest_cpu_share:.2f}",
        *(
            f"{sum(load.cpu_share for load in summary.threads if load.kind == kind):.2f}"
            for kind in kinds
        ),
    )


def _make_verdict(result: JobResult) -> Text:
    ratio = result.iops_ratio
    line = Text(f"{printable(result.job.name)}: ")
    line.append(name_verdict(result.verdict), style=_STYLE[result.verdict])
    line.append(f", {format_ratio(ratio.ratio)} times the IOPS of A ({describe_interval(ratio)}")
    line.append(f", {result.busy_pairs} on a busy host)" if result.busy_pairs else ")")
    line.append(f"\n  {describe_others(result)}", style="not bold")
    if shares := describe_host_shares(result):
        line.append(f"\n  {shares}", style="not bold")
    return line
