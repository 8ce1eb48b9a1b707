"""Guests over time as a page with charts, which refers to nothing outside of itself.

The charts are drawn by uPlot, which is in the page with its licence; the words, the bands of the
verdicts, the layout and the tables need no script.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from vmio import __version__
from vmio.model.topology import Topology
from vmio.observe.history import (
    DiskHistory,
    GuestHistory,
    History,
    Line,
    ThreadHistory,
    VerdictHistory,
)
from vmio.report.charts import CHART_CSS, COLOURS, dump_charts, read_chart_css, read_chart_script
from vmio.report.figures import format_rate
from vmio.report.history.json import format_start
from vmio.report.history.text import (
    DISK_HEADS,
    THREAD_HEADS,
    find_known,
    list_disk_cells,
    list_thread_cells,
)
from vmio.report.history.words import (
    describe_limit,
    describe_time,
    find_busiest,
    name_thread,
    summarize,
)
from vmio.report.layout.svg import TOPOLOGY_CSS, draw_topology
from vmio.report.page import render_page
from vmio.report.verdicts.words import describe_verdict
from vmio.units import format_time_s

__all__ = ["render_history_html"]

_MOST_LINES: Final = 12
"""Of a chart."""
_MOST_BANDED: Final = 4
"""Disks with a chart of their percentiles."""
_MOST_SPANS: Final = 256
_MOST_VERDICTS: Final = 12
_MOST_PICTURED_DISKS: Final = 60
_QUIET: Final = 0.005
"""Processors; helper threads that never use more are not drawn."""
_DIGITS: Final = 4
_TICKS: Final = 5
_CSS: Final = (
    CHART_CSS
    + """
.limit{margin:12px 0 14px}.limit p{margin:4px 0 0;max-width:90ch}
.track{position:relative;height:14px;margin:4px 0 0;border-radius:4px;overflow:hidden;
background:var(--code);border:1px solid var(--line)}
.track i{position:absolute;top:0;bottom:0;min-width:2px;background:var(--soft)}
.warning .track i{background:var(--bad)}.warning strong{color:var(--bad)}
.ticks{display:flex;justify-content:space-between;font-size:12px;
font-variant-numeric:tabular-nums}
.picture div{max-width:760px;overflow-x:auto}.picture svg{min-width:520px}
"""
    + TOPOLOGY_CSS
)
_METHOD: Final = """
Times are minutes and seconds since the beginning. Each point of a chart is the mean over {step}. A
percentile is of all requests of that time, where there were enough (20 for the median, 1,000 for
the 99th), and its chart shows the boundaries between which it lies. "Highest" is the largest mean
between two looks. CPU is in processors: 1 is one processor all the time. Run delay is the share of
time in which a thread was ready to run and had no processor. Polling is estimated from the time
that a loop spends in QEMU's own code, so that encryption and compression can look like it; it is
exact where the kernel traced it. A latency begins when QEMU takes a request. A verdict is in force
when two successive windows of about 2 s show it, so it begins and ends some seconds late; its
share is of the time for which there could be one.
""".strip()


class _Chart(Struct, frozen=True, kw_only=True):
    """A chart for the template, and its data for the script."""

    title: str
    unit: str
    lines: tuple[tuple[str, int, bool, Sequence[float | None]], ...]
    """Of each its name, its colour, whether it is dashed, and its values."""
    least: float = 0.0
    """What the axis reaches at least."""
    note: str = ""
    band: bool = False
    """Whether the lines are the mean and the bounds of two quantiles."""


def render_history_html(history: History, *, name: str, incomplete: str) -> str:
    """Returns the page.

    Args:
        history: The guests.
        name: The recording's name.
        incomplete: What is missing at its end, in one line; empty if nothing is.
    """
    charts: list[dict[str, object]] = []
    shown = history.guests[: history.shown_count]
    guests = [_describe_guest(each, history, number, charts) for number, each in enumerate(shown)]
    rest = len(history.guests) - len(shown)
    warnings = [incomplete, *history.unseen]
    if history.left_out:
        warnings.append("Some guests, threads or disks are left out: there were too many.")
    if rest:
        warnings.append(f"{rest} guests are in the table only: those that were limited least.")
    css = _CSS
    values: dict[str, Any] = {}
    if charts:
        css += read_chart_css()
        values["script"] = read_chart_script()
        values["data"] = _dump_data(history, charts)
    duration = format_time_s(history.duration_s)
    return render_page(
        "history.html.j2",
        title=f"{name}: guests over time",
        css=css,
        vmio_version=__version__,
        subtitle=(
            f"Recorded from {format_start(history).replace('T', ' ').replace('Z', ' UTC')},"
            f" {history.look_count:,} looks in {duration}"
        ),
        summary=summarize(history),
        warnings=[each for each in warnings if each],
        index=[*_list_index(history)],
        index_heads=("Guest", "Limited by", "For", "Busiest thread", "CPU", "Requests/s"),
        guests=guests,
        charted=bool(charts),
        ticks=[
            format_time_s(history.duration_s * at / (_TICKS - 1)) if at else "0"
            for at in range(_TICKS)
        ],
        method=_METHOD.format(step=format_time_s(history.step_s)),
        **values,
    )


def _dump_data(history: History, charts: Sequence[dict[str, object]]) -> str:
    """Returns the data of all charts as JSON that ends no element."""
    step_s = history.step_s
    data = {
        "t": [round((at + 0.5) * step_s, 3) for at in range(history.step_count)],
        "end": round(max(history.duration_s, step_s), 3),
        "charts": charts,
    }
    return dump_charts(data)


def _list_index(history: History) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for number, guest in enumerate(history.guests):
        busiest = find_busiest(guest)
        requests = [_sum_requests(each) for each in guest.disks]
        yield (
            _make_anchor(number) if number < history.shown_count else "",
            guest.guest.label,
            (
                *describe_limit(guest),
                name_thread(busiest) if busiest is not None else "-",
                f"{busiest.cpu_share.mean or 0:.2f}" if busiest is not None else "-",
                format_rate(sum(requests)) if requests else "-",
            ),
        )


def _make_anchor(number: int) -> str:
    return f"guest-{number + 1}"


def _sum_requests(disk: DiskHistory) -> float:
    return (disk.reads_per_s.mean or 0.0) + (disk.writes_per_s.mean or 0.0)


def _describe_guest(
    guest: GuestHistory, history: History, number: int, charts: list[dict[str, object]]
) -> dict[str, object]:
    """Returns a guest for the template, and adds the data of its charts."""
    placed = []
    for chart in _list_charts(guest):
        placed.append({"title": chart.title, "note": chart.note, "number": len(charts)})
        charts.append(_describe_chart(chart))
    anchor = _make_anchor(number)
    thread_heads, threads = _make_table(THREAD_HEADS, [*list_thread_cells(guest)])
    disk_heads, disks = _make_table(DISK_HEADS, [*list_disk_cells(guest)])
    return {
        "anchor": anchor,
        "name": guest.guest.label,
        "about": ", ".join(_list_about(guest, history)),
        "verdicts": [
            _describe_limit(each, guest, history) for each in guest.verdicts[:_MOST_VERDICTS]
        ],
        "verdict_less": (
            "Nothing."
            if guest.judged_s
            else "It was seen for too short for a verdict, which takes two windows of 2 s."
        ),
        "charts": placed,
        "thread_heads": thread_heads,
        "threads": threads,
        "disk_heads": disk_heads,
        "disks": disks,
        "picture": _draw_layout(guest.layout, anchor),
        "notes": guest.notes,
    }


def _list_about(guest: GuestHistory, history: History) -> Iterator[str]:
    yield guest.guest.address
    if guest.layout is not None:
        count = guest.layout.vcpus
        yield f"{count} vCPU" + "s" * (count != 1)
    if guest.first_s > history.step_s:
        yield f"first seen after {format_time_s(guest.first_s)}"
    if guest.last_s < history.duration_s - history.step_s:
        yield f"last seen after {format_time_s(guest.last_s)}"


def _make_table(
    heads: Sequence[str], rows: Sequence[tuple[str, ...]]
) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Returns a table's heads and rows, without the columns in which nothing is known."""
    kept = find_known(rows)
    capitals = [f"{heads[at][:1].upper()}{heads[at][1:]}" for at in kept]
    return capitals, [(row[0], [row[at] for at in kept if at]) for row in rows]


def _describe_limit(
    found: VerdictHistory, guest: GuestHistory, history: History
) -> dict[str, object]:
    words = describe_verdict(found.verdict)
    time = f"for {describe_time(found.seconds, guest)}"
    return {
        "title": words.title,
        "severity": found.verdict.severity,
        "time": time,
        "spoken": f"{words.title}, {time}",
        "spans": [*_list_spans(found.shares, history)],
        "reason": words.reason,
        "hint": words.hint,
    }


def _list_spans(shares: Sequence[float], history: History) -> Iterator[tuple[str, str]]:
    """Yields the steps in which a verdict was in force, as left edges and widths in percent.

    What is next to each other is one; a gap is closed if there would be too many otherwise.
    """
    spans: list[list[int]] = []
    for at, share in enumerate(shares):
        if share <= 0:
            continue
        if spans and at - spans[-1][1] <= (1 if len(spans) < _MOST_SPANS else len(shares)):
            spans[-1][1] = at
        else:
            spans.append([at, at])
    total_s = max(history.duration_s, history.step_s)
    for first, last in spans:
        left_s, right_s = first * history.step_s, min((last + 1) * history.step_s, total_s)
        yield f"{left_s / total_s:.3%}"[:-1], f"{max(0.0, right_s - left_s) / total_s:.3%}"[:-1]


def _draw_layout(layout: Topology | None, anchor: str) -> str:
    """Returns the picture of a layout; empty if it has none, or is too large for one."""
    if layout is None or not 0 < len(layout.disks) <= _MOST_PICTURED_DISKS:
        return ""
    known = {each.id for each in layout.controllers}
    if any(each.controller not in known for each in layout.disks):
        return ""
    return draw_topology(layout, "Which thread serves each disk", prefix=f"{anchor}-layout")


def _list_charts(guest: GuestHistory) -> Iterator[_Chart]:
    threads = [each for each in _list_threads(guest) if each[1].cpu_share.peak is not None]
    yield from _make_chart(
        "CPU of each thread, in processors",
        "processors",
        [(name, each.cpu_share) for name, each in threads],
        least=1.0,
    )
    yield from _make_chart(
        "Run delay",
        "share",
        [(name, each.run_delay_share) for name, each in threads],
        least=0.05,
    )
    polling = [(each.name, each.estimated_share) for each in guest.polling]
    traced = [(each.name, each.traced_share) for each in guest.polling]
    yield from _make_chart(
        "Polling, in processors", "processors", polling, traced, names=("", "traced"), least=0.1
    )
    disks = sorted(guest.disks, key=_sum_requests, reverse=True)
    yield from _make_chart(
        "Requests in a second",
        "rate",
        [(each.id, each.reads_per_s) for each in disks],
        [(each.id, each.writes_per_s) for each in disks],
        names=("read", "written"),
        skip_zero=True,
    )
    yield from _make_chart(
        "Bytes in a second",
        "bytes",
        [(each.id, each.read_bytes_per_s) for each in disks],
        [(each.id, each.write_bytes_per_s) for each in disks],
        names=("read", "written"),
        skip_zero=True,
    )
    latencies = [(each.id, each.latency_mean_ns) for each in disks]
    yield from _make_chart("Mean latency", "ns", latencies, skip_zero=True)
    for disk in [each for each in disks if each.latency_p50.overall][:_MOST_BANDED]:
        yield _make_band(disk)
    depths = [(each.id, each.depth_mean) for each in disks]
    yield from _make_chart("Requests under way", "number", depths, skip_zero=True, least=1.0)


def _list_threads(guest: GuestHistory) -> Iterator[tuple[str, ThreadHistory]]:
    """Yields the threads to draw: loops first, then the busiest vCPUs and helper threads."""
    for each in guest.threads:
        if each.role in {"main loop", "iothread"}:
            yield each.name, each
    others = [each for each in guest.threads if each.role not in {"main loop", "iothread"}]
    for each in sorted(others, key=lambda one: one.cpu_share.mean or 0.0, reverse=True):
        if each.role == "vcpu" or (each.cpu_share.peak or 0.0) > _QUIET:
            yield name_thread(each), each


def _make_chart(
    title: str,
    unit: str,
    lines: Sequence[tuple[str, Line]],
    dashed: Sequence[tuple[str, Line]] = (),
    *,
    names: tuple[str, str] = ("", ""),
    least: float = 0.0,
    skip_zero: bool = False,
) -> Iterator[_Chart]:
    """Yields the chart of those lines that have values; none without any.

    Args:
        title: Its title.
        unit: A name in `charts.js: write`.
        lines: By what each is about, which has the same colour in all charts of its order.
        dashed: Other lines about the same, in the same order.
        names: What the two kinds of lines are called.
        least: What the axis reaches at least.
        skip_zero: Whether lines that are always 0 are left out.
    """
    known = [
        (f"{about} {name}".strip(), colour, kind is dashed, line.values)
        for colour, about in enumerate(each for each, _ in lines)
        for kind, name in zip((lines, dashed), names, strict=True)
        for line in [one for _, one in kind[colour : colour + 1]]
        if line.peak is not None and (line.peak > 0 or not skip_zero)
    ]
    shown, rest = known[:_MOST_LINES], len(known) - _MOST_LINES
    if shown:
        yield _Chart(
            title=title,
            unit=unit,
            lines=tuple(shown),
            least=least,
            note=f"{rest} more are in the table below." if rest > 0 else "",
        )


def _make_band(disk: DiskHistory) -> _Chart:
    """Returns the chart of a disk's latency: its mean, and from the median to the 99th of 100."""
    p50 = [None if each is None else each.low_ns for each in disk.latency_p50.values]
    p99 = [
        None if each is None else each.high_ns if each.high_ns is not None else each.low_ns
        for each in disk.latency_p99.values
    ]
    # Where there are too few requests for the 99th, there is no band.
    return _Chart(
        title=f"Latency of {disk.id}: mean, median and 99th percentile",
        unit="ns",
        lines=(
            ("mean", 0, False, disk.latency_mean_ns.values),
            ("99th, at most", 0, True, p99),
            ("median, at least", 0, True, p50),
        ),
        band=True,
    )


def _describe_chart(chart: _Chart) -> dict[str, object]:
    lines = [
        {
            "label": name,
            "color": colour % COLOURS,
            "dashed": is_dashed,
            "values": [*map(_shorten, values)],
        }
        for name, colour, is_dashed, values in chart.lines
    ]
    return {
        "unit": chart.unit,
        "least": chart.least,
        "lines": lines,
        **({"band": [2, 3]} if chart.band else {}),
    }


def _shorten(value: float | None) -> float | int | None:
    """Returns a value with as many digits as can be seen."""
    if value is None:
        return None
    short = float(f"{value:.{_DIGITS}g}")
    return int(short) if short == int(short) else short
