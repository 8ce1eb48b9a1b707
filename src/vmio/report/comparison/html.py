"""A comparison as one HTML file that opens offline: pictures, figures, commands, host, method."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from vmio.bench.jobs import fio_argv
from vmio.formats.shell import join_words
from vmio.report.comparison.svg import (
    CHART_CSS,
    draw_host_cpu,
    draw_intervals,
    draw_latencies,
    draw_pairs,
    draw_ratios,
    draw_tails,
)
from vmio.report.comparison.words import (
    describe_host_shares,
    describe_interval,
    describe_main_loop,
    describe_method,
    format_interval,
    list_facts,
    list_others,
    name_sides,
    name_verdict,
    summarise_comparison,
)
from vmio.report.figures import format_rate, format_ratio
from vmio.report.layout.svg import TOPOLOGY_CSS, draw_topology
from vmio.report.page import render_page, write_page
from vmio.units import format_bytes, format_duration_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vmio.bench.result import Comparison, JobResult, Subject, Summary

__all__ = ["render_comparison_html", "write_comparison_html"]

_FIGURE_HEADS: Final = (
    *("Job", "IOPS", "Bandwidth", "Mean", "p50", "p99", "p99.9", "Guest CPU", "Host CPU"),
    *("IOPS per host CPU", "IOPS ratio", "95 % interval", "B is"),
)


def render_comparison_html(comparison: Comparison) -> str:
    """Returns a comparison as a page that refers to nothing outside of itself."""
    sides = (("a", comparison.a), ("b", comparison.b))
    return render_page(
        "comparison.html.j2",
        title=" against ".join(name_sides(comparison)),
        css=f"{TOPOLOGY_CSS}\n{CHART_CSS}",
        vmio_version=comparison.vmio_version,
        found=comparison,
        summary=summarise_comparison(comparison),
        verdicts=[
            (
                result,
                name_verdict(result.verdict),
                describe_interval(result.iops_ratio),
                describe_main_loop(result),
                [
                    (name, ratio, format_interval(ratio), ratio.verdict)
                    for name, ratio in list_others(result)
                ],
                describe_host_shares(result),
            )
            for result in comparison.jobs
        ],
        subjects=[
            (side, subject, _draw_subject(side, subject), _list_served(subject))
            for side, subject in sides
        ],
        jobs=[
            (result, _draw_job(result, number)) for number, result in enumerate(comparison.jobs)
        ],
        figure_heads=_FIGURE_HEADS,
        figures=list(_list_rows(comparison.jobs)),
        thread_heads=(
            "Thread",
            *(f"{job.job.name} {side}" for job in comparison.jobs for side in "AB"),
        ),
        threads=_list_threads(comparison.jobs),
        commands=[
            (
                side,
                subject,
                render_command_lines(subject.argv),
                render_command_lines(subject.config_argv),
            )
            for side, subject in sides
        ],
        fio=list(_list_fio_commands(comparison)),
        host_facts=list_facts(comparison),
        method=describe_method(comparison),
    )


def write_comparison_html(comparison: Comparison, path: Path) -> None:
    """Writes the page to a file, whole or not at all.

    Raises:
        OutputError: The file cannot be written; the old one is still there.
    """
    write_page(render_comparison_html(comparison), path)


def _draw_subject(side: str, subject: Subject) -> str:
    title = f"{side.upper()}: {subject.title}"
    return draw_topology(subject.topology, title, prefix=f"tp-{side}")


def _list_served(subject: Subject) -> list[tuple[str, str, str]]:
    """Returns each disk with its controller and its threads, as in the picture."""
    topology = subject.topology
    return [
        (one.disk.id, one.controller, " and ".join(topology.served_by(one)))
        for one in topology.disks
    ]


def _draw_job(result: JobResult, number: int) -> tuple[tuple[str, str], ...]:
    prefix = f"job{number}"
    return (
        ("IOPS of every pair", draw_pairs(result, prefix=prefix)),
        ("IOPS of B against A", draw_ratios(result, prefix=prefix)),
        ("All ratios", draw_intervals(result, prefix=prefix)),
        ("99th percentile of the latency of every pair", draw_tails(result, prefix=prefix)),
        ("Latency", draw_latencies(result, prefix=prefix)),
        ("Host processors kept busy", draw_host_cpu(result, prefix=prefix)),
    )


def _list_fio_commands(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yields the jobs that ran at the same time, and their command.

    The devices of other disks than the first are not kept, so that the disk's id stands there.
    """
    shown: set[frozenset[str]] = set()
    for job in (result.job for result in comparison.jobs):
        names = frozenset(each.name for each in job.all)
        if names not in shown:
            shown.add(names)
            devices = {each.disk: each.disk for each in job.all}
            devices[comparison.disk] = comparison.device
            argv = fio_argv(job, comparison.device, scratch=True, devices=devices)
            yield ", ".join(each.name for each in job.all), render_command_lines(argv)


def _list_rows(jobs: Iterable[JobResult]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for result in jobs:
        ratio = result.iops_ratio
        against = (format_ratio(ratio.ratio), format_interval(ratio), result.verdict)
        yield "a", result.job.name, (*_list_figures(result.a), "1", "", "")
        yield "b", result.job.name, (*_list_figures(result.b), *against)


def _list_figures(summary: Summary) -> tuple[str, ...]:
    return (
        format_rate(summary.iops),
        f"{format_bytes(round(summary.bandwidth_bytes_per_s))}/s",
        format_duration_ns(summary.latency_mean_ns),
        format_duration_ns(summary.latency_p50_ns),
        format_duration_ns(summary.latency_p99_ns),
        format_duration_ns(summary.latency_p999_ns),
        f"{summary.guest_cpu_share:.2f}",
        f"{summary.host_cpu_share:.2f}",
        format_rate(summary.requests_per_host_cpu_s),
    )


def _list_threads(jobs: Sequence[JobResult]) -> list[tuple[str, list[str]]]:
    """Returns each thread's processor time: a row a thread, two columns a job."""
    sides = [side.threads for job in jobs for side in (job.a, job.b)]
    shares = [{load.name: load.cpu_share for load in side} for side in sides]
    ordered = sorted((load for side in sides for load in side), key=lambda load: load.place)
    return [
        (name, [f"{share[name]:.2f}" if name in share else "" for share in shares])
        for name in dict.fromkeys(load.name for load in ordered)
    ]


def render_command_lines(argv: Sequence[str]) -> str:
    """Returns a command that can be pasted into a shell, one option with its value a line."""
    groups: list[list[str]] = []
    for word in argv:
        if groups and len(groups[-1]) == 1 and groups[-1][0][0] == "-" and word[:1] != "-":
            groups[-1].append(word)
        else:
            groups.append([word])
    return " \\\n  ".join(join_words(group) for group in groups)
