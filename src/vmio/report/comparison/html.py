"""A comparison as one HTML file that opens offline: pictures, figures, commands, host, method."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vmio.bench.result import METHOD
from vmio.formats.shell import join_words
from vmio.report.comparison.svg import (
    CHART_CSS,
    draw_host_cpu,
    draw_latencies,
    draw_pairs,
    draw_ratios,
)
from vmio.report.figures import format_rate, format_ratio
from vmio.report.layout.svg import TOPOLOGY_CSS, draw_topology
from vmio.report.markup import escape
from vmio.report.page import render_facts, render_page, render_table, write_page
from vmio.units import format_bytes, format_duration_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vmio.bench.result import Comparison, JobResult, Subject, Summary

__all__ = ["render_comparison_html", "write_comparison_html"]


def render_comparison_html(comparison: Comparison) -> str:
    """Returns a comparison as a page without a single reference to anything outside of it."""
    a, b = comparison.a, comparison.b
    title = f"{a.title} against {b.title}" if a.title != b.title else f"{a.name} against {b.name}"
    device = f" ({comparison.device} in the guest)" if comparison.device else ""
    sections = (
        f"<header><h1>{escape(title)}</h1>",
        (
            f'<p class="soft">Disk {escape(comparison.disk)}{escape(device)}, measured with fio '
            f"{escape(comparison.fio_version)} inside both guests on "
            f"{escape(comparison.started_at)}, QEMU {escape(comparison.qemu_version)} with "
            f"{escape(comparison.accelerator)}.</p></header>"
        ),
        '<section class="grid cards" aria-label="Verdicts">',
        *(_render_verdict(result) for result in comparison.jobs),
        "</section>",
        '<section><h2>Which thread serves each disk</h2><div class="grid two">',
        _render_subject(a, "a"),
        _render_subject(b, "b"),
        "</div></section>",
        "<section><h2>Job by job</h2>",
        *(_render_job(result, number) for number, result in enumerate(comparison.jobs)),
        "</section>",
        "<section><h2>All figures</h2>",
        _render_figures(comparison.jobs),
        _render_threads(comparison.jobs),
        "</section>",
        "<section><h2>The exact commands</h2>",
        _render_commands(a, "a"),
        _render_commands(b, "b"),
        "</section>",
        (
            f'<section><h2>Host and guest</h2><div class="card">{_render_facts(comparison)}</div>'
            "</section>"
        ),
        (
            f'<section><h2>How this was measured</h2><div class="card"><p class="method">'
            f"{escape(METHOD)}</p></div></section>"
        ),
    )
    return render_page(
        title,
        sections,
        css=f"{TOPOLOGY_CSS}\n{CHART_CSS}",
        vmio_version=comparison.vmio_version,
    )


def write_comparison_html(comparison: Comparison, path: Path) -> None:
    """Writes the page to a file, whole or not at all.

    Raises:
        OutputError: The file cannot be written; what was there before is still there.
    """
    write_page(render_comparison_html(comparison), path)


def _key(side: str) -> str:
    return f'<span class="key {side}">{side.upper()}</span>'


def _render_verdict(result: JobResult) -> str:
    ratio = result.iops_ratio
    css = ratio.verdict if ratio.verdict in ("faster", "slower") else "soft"
    words = f"B is {ratio.verdict}" if css != "soft" else "No clear difference"
    return (
        f'<div class="card"><h3>{escape(result.job.name)}</h3>'
        f'<div class="verdict {css}">{words}</div>'
        f"<div>IOPS &times; <strong>{escape(format_ratio(ratio.ratio))}</strong> "
        f'<span class="soft">({ratio.confidence:.0%} interval {escape(format_ratio(ratio.low))} '
        f"to {escape(format_ratio(ratio.high))}, {ratio.pairs} pairs)</span></div></div>"
    )


def _render_subject(subject: Subject, side: str) -> str:
    picture = draw_topology(
        subject.topology, f"{side.upper()}: {subject.title}", prefix=f"tp-{side}"
    )
    return (
        f'<figure class="card"><figcaption><h3>{_key(side)} {escape(subject.title)}</h3>'
        f'<p class="soft">{escape(subject.name)}, as the running QEMU reported it</p></figcaption>'
        f'<div class="scroll">{picture}</div></figure>'
    )


def _render_job(result: JobResult, number: int) -> str:
    prefix = f"job{number}"
    charts = (
        ("IOPS of every pair", draw_pairs(result, prefix=prefix)),
        ("B against A", draw_ratios(result, prefix=prefix)),
        ("Latency", draw_latencies(result, prefix=prefix)),
        ("Host processors kept busy", draw_host_cpu(result, prefix=prefix)),
    )
    job = result.job
    return (
        f'<div class="card job"><h3>{escape(job.name)}</h3><p class="soft">{escape(job.rw)}, '
        f"blocks of {format_bytes(job.block_size_bytes)}, {job.iodepth} at once, "
        f"{job.runtime_s:g} s a run after {job.ramp_s:g} s of running in. "
        f"{_key('a')} circles, {_key('b')} diamonds.</p>"
        '<div class="grid four">'
        + "".join(
            f"<figure><figcaption><h4>{name}</h4></figcaption>{chart}</figure>"
            for name, chart in charts
        )
        + "</div></div>"
    )


def _render_row(side: str, cells: Sequence[str]) -> str:
    first, *others = cells
    return (
        f'<tr class="{side}"><th scope="row">{_key(side)} {escape(first)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in others)
        + "</tr>"
    )


def _render_figures(jobs: Iterable[JobResult]) -> str:
    rows = []
    for result in jobs:
        ratio = result.iops_ratio
        interval = f"{format_ratio(ratio.low)} to {format_ratio(ratio.high)}"
        against = (format_ratio(ratio.ratio), interval, ratio.verdict)
        name = result.job.name
        rows.append(_render_row("a", (name, *_list_figures(result.a), "1", "", "")))
        rows.append(_render_row("b", (name, *_list_figures(result.b), *against)))
    return render_table(
        "Geometric means over all pairs; shares of CPU are means.",
        (
            *("Job", "IOPS", "Bandwidth", "Mean", "p50", "p99", "Guest CPU", "Host CPU"),
            *("IOPS per host CPU", "IOPS ratio", "95 % interval", "B is"),
        ),
        rows,
    )


def _list_figures(summary: Summary) -> tuple[str, ...]:
    return (
        format_rate(summary.iops),
        f"{format_bytes(round(summary.bandwidth_bytes_per_s))}/s",
        format_duration_ns(summary.latency_mean_ns),
        format_duration_ns(summary.latency_p50_ns),
        format_duration_ns(summary.latency_p99_ns),
        f"{summary.guest_cpu_share:.2f}",
        f"{summary.host_cpu_share:.2f}",
        format_rate(summary.requests_per_host_cpu_s),
    )


def _render_threads(jobs: Sequence[JobResult]) -> str:
    """Renders what each thread used: a row a thread, two columns a job."""
    shares = [
        {load.name: load.cpu_share for load in side.threads}
        for job in jobs
        for side in (job.a, job.b)
    ]
    rows = [
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(
            f"<td>{share[name]:.2f}</td>" if name in share else "<td></td>" for share in shares
        )
        + "</tr>"
        for name in dict.fromkeys(name for share in shares for name in share)
    ]
    return render_table(
        "Host CPU of each thread of QEMU, in processors; empty where a side has no such thread.",
        ("Thread", *(f"{job.job.name} {side}" for job in jobs for side in "AB")),
        rows,
    )


def _render_commands(subject: Subject, side: str) -> str:
    parts = [
        f'<div class="card job"><h3>{_key(side)} {escape(subject.name)}</h3>',
        '<details open=""><summary>QEMU as it was measured</summary>',
        f"<pre><code>{escape(render_command_lines(subject.argv))}</code></pre></details>",
    ]
    if subject.config_argv:
        parts += [
            "<details><summary>What the config comes to on its own host</summary>",
            f"<pre><code>{escape(render_command_lines(subject.config_argv))}</code></pre>",
            "</details>",
        ]
    return "".join((*parts, "</div>"))


def render_command_lines(argv: Sequence[str]) -> str:
    """Returns a command that a shell takes as it stands, each option with its value on a line."""
    groups: list[list[str]] = []
    for word in argv:
        if groups and len(groups[-1]) == 1 and groups[-1][0][0] == "-" and word[:1] != "-":
            groups[-1].append(word)
        else:
            groups.append([word])
    return " \\\n  ".join(join_words(group) for group in groups)


def _render_facts(comparison: Comparison) -> str:
    host = comparison.host
    why = f" ({comparison.accelerator_reason})" if comparison.accelerator_reason else ""
    facts = (
        ("Processor", f"{host.cpu_model or 'unknown'}, {host.cpu_count} online"),
        ("Memory", format_bytes(host.memory_bytes) if host.memory_bytes else ""),
        ("Frequency governor", host.governor or "not told by this host"),
        ("Load before", f"{host.load_average_1min:.2f} over the minute before"),
        ("System", ", ".join(word for word in (host.distribution, host.kernel) if word)),
        ("QEMU", f"{comparison.qemu_version}, accelerator {comparison.accelerator}{why}"),
        ("Guest", comparison.guest),
        ("Disk", f"{comparison.disk}: {comparison.volume}" if comparison.volume else ""),
        ("Boot", f"A in {comparison.a.boot_s:.1f} s, B in {comparison.b.boot_s:.1f} s"),
        ("Measured", f"{comparison.started_at}, {comparison.duration_s:.0f} s in all"),
        ("vmio", comparison.vmio_version),
    )
    return render_facts(facts)
