"""Predictions as one HTML file that opens offline: chart, figures, loops, what they go by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from vmio import __version__
from vmio.report.comparison.svg import CHART_CSS
from vmio.report.figures import format_rate, format_share
from vmio.report.page import render_page
from vmio.report.prediction.chart import ChartPoint
from vmio.report.prediction.svg import SIMULATION_CSS, draw_simulation
from vmio.report.prediction.text import show_range
from vmio.sim.simulator import Estimate, LoopEstimate, Prediction
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
    shown = points if len(points) == 1 else [point for point in points if point.is_today]
    head = parameter or "Layout"
    return render_page(
        "prediction.html.j2",
        title=title,
        css=f"{CHART_CSS}\n{SIMULATION_CSS}",
        vmio_version=__version__,
        guest=guest,
        first=first,
        headlines=[_pick_headline(point) for point in shown],
        caption=_describe_chart(points, parameter),
        chart=draw_simulation(points, prefix="simulation", title=title),
        figure_heads=(head, *(name for name, _, _ in _FIGURES), ""),
        figures=[
            (
                point,
                (*_list_figures(point.prediction), "bistable" * point.prediction.bistable),
            )
            for point in points
        ],
        loop_heads=(head, "Event loop", "CPU", "Sleeps a request", "Waits caught by polling"),
        loops=[
            (point, (loop.id, *_list_shares(point.prediction, loop)))
            for point in points
            for loop in point.prediction.loops
        ],
        notes=list(dict.fromkeys(note for point in points for note in point.prediction.notes)),
        source=(
            ("Guest", guest),
            ("Load", f"{first.workload} on every disk"),
            ("Costs", first.profile),
            ("QEMU", first.qemu_version),
            ("Sweep", parameter),
            ("Simulated", f"{first.seeds} runs of {first.requests} requests from each beginning"),
            ("vmio", __version__),
        ),
        method=METHOD,
    )


def _list_figures(found: Prediction) -> tuple[str, ...]:
    return tuple(show_range(found, pick(found), show) for _, pick, show in _FIGURES)


def _pick_headline(point: ChartPoint) -> tuple[ChartPoint, str, str, str]:
    iops, latency, *_, cpu = _list_figures(point.prediction)
    return point, iops, latency, cpu


def _list_shares(found: Prediction, loop: LoopEstimate) -> tuple[str, ...]:
    shares = (loop.cpu_share, loop.sleeps_per_request, loop.polled_share)
    return tuple(show_range(found, value, format_share) for value in shares)


def _describe_chart(points: Sequence[ChartPoint], parameter: str) -> str:
    words = [f"Each mark is a value of {parameter}." if parameter else "The mark is the layout."]
    if any(point.prediction.bistable for point in points):
        words.append("A box is an outcome that is bistable: it can be anywhere in it.")
    if any(point.is_today for point in points):
        words.append("Today's value has the other colour.")
    words.append("Pointing at one tells its figures.")
    return " ".join(words)
