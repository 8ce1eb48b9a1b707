"""What the autopilot did over time, as a page with charts that refers to nothing outside of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from vmio import __version__
from vmio.autopilot.timeline import LoopsLine, TimeLine, TimePoint
from vmio.autopilot.values import DecisionKind
from vmio.report.autopilot.timeline import HEADS, count, format_begin, list_cells, summarize
from vmio.report.autopilot.words import REASONS
from vmio.report.charts import CHART_CSS, dump_charts, read_chart_css, read_chart_script
from vmio.report.page import render_page
from vmio.units import format_time_s

__all__ = ["render_time_line_html"]

_MOST_SHOWN: Final = 40
"""Groups of event loops with charts."""
_DIGITS: Final = 4
_MARKS: Final[tuple[tuple[str, int, frozenset[DecisionKind]], ...]] = (
    ("trial", 1, frozenset({"try", "again"})),
    ("found", 2, frozenset({"settle", "known load", "holds"})),
    ("doubted", 5, frozenset({"slower"})),
    (
        "taken back",
        3,
        frozenset({"other load", "contended", "limited", "unread", "measure", "left"}),
    ),
)
"""Decisions that are marked: what they are called, their colour, and which they are."""
_METHOD: Final = """
Times are hours, minutes and seconds since the log began; a point is what was measured up to a
look. The first chart has poll-max-ns in nanoseconds as it was in force, and marks the settings
that were decided then: a trial of one, one that was found to be best for the load (by a search, or
earlier), and the guest's own again, because a result was doubted or a trial taken back. A latency
is the mean over all requests, from when QEMU takes one; processor time is that of the IOThreads,
polling included. Nothing is drawn where there were no requests, or the guest's monitor was in use.
""".strip()
_CSS: Final = (
    CHART_CSS
    + """
.loops :is(th,td):nth-child(2){text-align:left}
.events td,.events th{text-align:left;white-space:normal;overflow-wrap:anywhere}
.events tbody th{white-space:nowrap;vertical-align:top}
"""
)


def render_time_line_html(line: TimeLine, *, name: str, incomplete: str) -> str:
    """Returns the page.

    Args:
        line: What the autopilot did.
        name: The log's name.
        incomplete: What is missing at its end, in one line; empty if nothing is.
    """
    charts: list[dict[str, object]] = []
    shown = line.loops[:_MOST_SHOWN]
    warnings = [incomplete]
    if line.left_out:
        warnings.append("Some IOThreads are left out: there were too many.")
    if len(line.loops) > len(shown):
        warnings.append(f"{len(line.loops) - len(shown)} more are in the table only.")
    left_out = line.event_count - len(line.events)
    return render_page(
        "autopilot.html.j2",
        title=f"{name}: the autopilot over time",
        css=_CSS + read_chart_css(),
        vmio_version=__version__,
        subtitle=f"From {format_begin(line)}, for {format_time_s(line.duration_s)}",
        summary=summarize(line),
        warnings=[each for each in warnings if each],
        heads=[f"{each[:1].upper()}{each[1:]}" for each in HEADS],
        rows=[
            (f"loops-{number + 1}" if number < len(shown) else "", list_cells(each))
            for number, each in enumerate(line.loops)
        ],
        loops=[_describe_loops(each, number, charts) for number, each in enumerate(shown)],
        events=[(format_time_s(at), text) for at, text in line.events],
        events_title=(
            "What it said" + (f", without the first {left_out:,} lines" if left_out else "")
        ),
        method=_METHOD,
        script=read_chart_script(),
        data=dump_charts({"end": round(max(line.duration_s, 1.0), 3), "charts": charts}),
    )


def _describe_loops(
    loops: LoopsLine, number: int, charts: list[dict[str, object]]
) -> dict[str, object]:
    """Returns event loops for the template, and adds the data of their charts."""
    times = [round(each.time_s, 3) for each in loops.points]
    busy = [each.requests > 0 and each.duration_s > 0 for each in loops.points]
    latencies, costs, rates = (
        [
            _shorten(get(each)) if is_busy else None
            for each, is_busy in zip(loops.points, busy, strict=True)
        ]
        for get in (_find_latency, _find_cost, _find_rate)
    )
    found = [
        ("poll-max-ns and decisions", _chart_settings(loops)),
        ("Mean latency", _chart("ns", latencies)),
        ("Processor time of a request", _chart("ns", costs)),
        ("Requests in a second", _chart("rate", rates)),
    ]
    placed = []
    for title, chart in found:
        placed.append({"title": title, "number": len(charts)})
        charts.append({**chart, "t": times})
    return {
        "anchor": f"loops-{number + 1}",
        "name": f"{loops.guest}: {', '.join(loops.iothreads)}",
        "about": (
            f"{loops.address}, {count(loops.look_count, 'look')}, its own {loops.own_ns:,} ns"
            + ("; a dry run, which sets nothing" if loops.is_dry else "")
        ),
        "counts": [
            (REASONS[kind], f"{number:,}")
            for kind, number in sorted(loops.kinds.items(), key=lambda each: -each[1])
        ],
        "charts": placed,
    }


def _find_latency(point: TimePoint) -> float:
    return point.latency_mean_ns


def _find_cost(point: TimePoint) -> float:
    return point.cpu_share * point.duration_s * 1e9 / point.requests


def _find_rate(point: TimePoint) -> float:
    return point.requests / point.duration_s


def _chart_settings(loops: LoopsLine) -> dict[str, object]:
    """Returns the chart of the settings, whose values are positions among them."""
    marked = [each for each in loops.points if each.decision is not None]
    known = sorted(
        {loops.own_ns}
        | {each.poll_max_ns for each in loops.points if each.poll_max_ns is not None}
        | {each.wanted_ns for each in marked}
    )
    at = {setting: number for number, setting in enumerate(known)}
    lines = [
        _line(
            "in force",
            0,
            [None if each.poll_max_ns is None else at[each.poll_max_ns] for each in loops.points],
            stepped=True,
        )
    ]
    for label, colour, kinds in _MARKS:
        values = [at[each.wanted_ns] if each.decision in kinds else None for each in loops.points]
        if any(each is not None for each in values):
            lines.append(_line(label, colour, values, dots=True))
    labels = [f"{each:,}{' own' if each == loops.own_ns else ''}" for each in known]
    return {"unit": "number", "least": 0, "labels": labels, "lines": lines}


def _chart(unit: str, values: Sequence[float | None]) -> dict[str, object]:
    return {"unit": unit, "least": 0, "lines": [_line("mean", 0, values)]}


def _line(
    label: str, colour: int, values: Iterable[float | None], **more: bool
) -> dict[str, object]:
    return {"label": label, "color": colour, "dashed": False, "values": [*values], **more}


def _shorten(value: float) -> float:
    """Returns a value with as many digits as can be seen."""
    return float(f"{value:.{_DIGITS}g}")
