"""Predictions as one HTML file that opens offline: chart, figures, loops, what they go by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from vmio import __version__
from vmio.report.comparison.svg import CHART_CSS
from vmio.report.figures import format_rate, format_share
from vmio.report.markup import escape
from vmio.report.page import render_facts, render_page, render_table
from vmio.report.prediction.chart import ChartPoint
from vmio.report.prediction.svg import SIMULATION_CSS, draw_simulation
from vmio.report.prediction.text import show_range
from vmio.sim.simulator import Estimate, Prediction
from vmio.units import format_duration_ns

__all__ = ["METHOD", "render_simulation_html"]

METHOD: Final = (
    "Nothing was run or measured: a simulator went through what the event loops of this layout do"
    " for random reads of 4 KiB on every disk, as they poll, sleep and adapt in that version of"
    " QEMU, by the costs of the profile. Each layout was run from two beginnings, loops that do"
    " not poll yet and loops that poll for as long as they may. Where the two came to one end, a"
    " figure is its mean; where they did not, the outcome is bistable, and there is a range"
    " instead of a figure: a real guest is somewhere in it, and nothing says where. Compare by"
    " it, and measure with vmio bench what matters."
)
_FIGURES: Final[
    tuple[tuple[str, Callable[[Prediction], Estimate], Callable[[float], str]], ...]
] = (
    ("IOPS", lambda found: found.iops, format_rate),
    ("Mean", lambda found: found.latency_mean_ns, format_duration_ns),
    ("p50", lambda found: found.latency_p50_ns, format_duration_ns),
    ("p95", lambda found: found.latency_p95_ns, format_duration_ns),
    ("p99", lambda found: found.latency_p99_ns, format_duration_ns),
    ("CPU", lambda found: found.cpu_share, format_share),
)


def render_simulation_html(points: Sequence[ChartPoint], *, guest: str, parameter: str) -> str:
    """Returns predictions as a page without a single reference to anything outside of it.

    Args:
        points: One prediction, or those of a sweep; they go by the same profile and load.
        guest: What the guest is called.
        parameter: What a sweep is over; empty for one prediction.
    """
    first = points[0].prediction
    title = f"{guest}: latency against CPU, predicted"
    chart = draw_simulation(points, prefix="simulation", title=title)
    notes = dict.fromkeys(note for point in points for note in point.prediction.notes)
    facts = (
        ("Guest", guest),
        ("Load", f"{first.workload} on every disk"),
        ("Costs", first.profile),
        ("QEMU", first.qemu_version),
        ("Sweep", parameter),
        ("Simulated", f"{first.seeds} runs of {first.requests} requests from each beginning"),
        ("vmio", __version__),
    )
    sections = (
        f"<header><h1>{escape(guest)}: what it would do</h1>",
        (
            f'<p class="soft">{escape(first.workload)} on every disk, QEMU '
            f"{escape(first.qemu_version)}.</p></header>"
        ),
        *_render_warnings(first.warnings),
        '<section class="grid cards" aria-label="What this is">',
        (
            '<div class="card"><h3>What this is</h3>'
            '<div class="verdict">Predicted, not measured</div>'
            f"<div>by the costs of <strong>{escape(first.profile)}</strong></div></div>"
        ),
        *map(_render_today, points if len(points) == 1 else _list_today(points)),
        "</section>",
        "<section><h2>Latency against CPU</h2>",
        _render_chart(chart, points, parameter),
        "</section>",
        "<section><h2>All figures</h2>",
        _render_figures(points, parameter),
        "</section>",
        "<section><h2>Event loops</h2>",
        _render_loops(points, parameter),
        "</section>",
        *_render_notes(notes),
        (
            f'<section><h2>What it goes by</h2><div class="card">{render_facts(facts)}</div>'
            "</section>"
        ),
        (
            f'<section><h2>How this was predicted</h2><div class="card"><p class="method">'
            f"{escape(METHOD)}</p></div></section>"
        ),
    )
    css = f"{CHART_CSS}\n{SIMULATION_CSS}"
    return render_page(title, sections, css=css, vmio_version=__version__)


def _render_warnings(warnings: Sequence[str]) -> Iterator[str]:
    items = "".join(f"<p><strong>{escape(warning)}</strong></p>" for warning in warnings)
    if items:
        yield f'<section role="alert"><h2>Warning</h2><div class="card">{items}</div></section>'


def _list_today(points: Sequence[ChartPoint]) -> list[ChartPoint]:
    return [point for point in points if point.is_today]


def _render_today(point: ChartPoint) -> str:
    found = point.prediction
    head = f"Today: {point.label}" if point.is_today else point.label
    cells = [show_range(found, pick(found), show) for _, pick, show in _FIGURES]
    bistable = '<div class="soft">bistable: a range and no figure</div>' * found.bistable
    return (
        f'<div class="card"><h3>{escape(head)}</h3>'
        f'<div class="verdict">{escape(cells[0])} IOPS</div>'
        f"<div>{escape(cells[1])} latency, {escape(cells[-1])} CPU</div>{bistable}</div>"
    )


def _render_chart(chart: str, points: Sequence[ChartPoint], parameter: str) -> str:
    words = [f"Each mark is a value of {parameter}." if parameter else "The mark is the layout."]
    if any(point.prediction.bistable for point in points):
        words.append("A box is an outcome that is bistable: it can be anywhere in it.")
    if any(point.is_today for point in points):
        words.append("Today's value has the other colour.")
    words.append("Pointing at one tells its figures.")
    return (
        f'<figure class="card"><figcaption><p class="soft">{escape(" ".join(words))}</p>'
        f'</figcaption><div class="scroll">{chart}</div></figure>'
    )


def _render_figures(points: Sequence[ChartPoint], parameter: str) -> str:
    rows = [
        _render_row(
            point,
            *(
                show_range(point.prediction, pick(point.prediction), show)
                for _, pick, show in _FIGURES
            ),
            "bistable" if point.prediction.bistable else "",
        )
        for point in points
    ]
    return render_table(
        "Latencies: from the guest's submission to when its program can go on. CPU: of all"
        " event loops together, in processors.",
        (parameter or "Layout", *(name for name, _, _ in _FIGURES), ""),
        rows,
    )


def _render_loops(points: Sequence[ChartPoint], parameter: str) -> str:
    rows = [
        _render_row(
            point,
            loop.id,
            *(
                show_range(point.prediction, value, format_share)
                for value in (loop.cpu_share, loop.sleeps_per_request, loop.polled_share)
            ),
        )
        for point in points
        for loop in point.prediction.loops
    ]
    heads = ("Event loop", "CPU", "Sleeps a request", "Waits caught by polling")
    return render_table(
        "Sleeps are counted by the requests of all loops.", (parameter or "Layout", *heads), rows
    )


def _render_row(point: ChartPoint, *cells: str) -> str:
    head = escape(point.label)
    if point.is_today:
        head += ' <span class="key b">today</span>'
    return (
        f'<tr><th scope="row">{head}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
    )


def _render_notes(notes: Iterable[str]) -> Iterator[str]:
    items = "".join(f"<p>{escape(note)}</p>" for note in notes)
    if items:
        yield f'<section><h2>Notes</h2><div class="card">{items}</div></section>'
