"""Predictions as one HTML file that opens offline: chart, figures, loops, basis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from vmio import __version__
from vmio.model.iothread import PARAMETERS
from vmio.report.comparison.svg import CHART_CSS
from vmio.report.figures import format_rate, format_share
from vmio.report.page import render_page
from vmio.report.prediction.chart import ChartPoint, span_latency_ns
from vmio.report.prediction.svg import MOST_LOOPS, SIMULATION_CSS, draw_loops, draw_panel
from vmio.report.prediction.text import show_range
from vmio.sim.simulator import Estimate, LoopEstimate, Prediction
from vmio.units import format_duration_ns

__all__ = ["METHOD", "render_simulation_html"]

METHOD: Final = (
    "Nothing was run or measured: a simulator went through the steps of this layout's event loops"
    " for random reads of 4 KiB on every disk, as they poll, sleep and adapt in that version of"
    " QEMU, with the costs of the profile. Each layout was run from two initial states: loops that"
    " do not poll yet, and loops that poll for as long as they may. Where both gave the same"
    " result, a figure is its mean; where they did not, the outcome is bistable, and there is a"
    " range instead of a figure: a real guest is somewhere in it, and the model does not say"
    " where. Use it to compare, and measure with vmio bench what matters."
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

_PANELS: Final[
    tuple[tuple[str, str, Callable[[Prediction], Estimate], Callable[[float], str]], ...]
] = (
    ("latency", "Latency, mean", lambda found: found.latency_mean_ns, format_duration_ns),
    (
        "cpu",
        "CPU of all event loops, in processors",
        lambda found: found.cpu_share,
        "{:.3g}".format,
    ),
)


def render_simulation_html(points: Sequence[ChartPoint], *, guest: str, parameter: str) -> str:
    """Returns predictions as a page that refers to nothing outside of itself.

    Args:
        points: One prediction, or those of a sweep, all with the same profile and load.
        guest: The guest's name.
        parameter: The swept parameter; empty for one prediction.
    """
    first = points[0].prediction
    title = f"{guest}: latency and CPU, predicted"
    today = [point for point in points if point.is_today]
    shown = [("Today" * bool(today), points[0])] if len(points) == 1 else []
    if len(points) > 1:
        shown = [*_find_lowest(points, parameter), *(("Today", point) for point in today)]
    head = parameter or "Layout"
    return render_page(
        "prediction.html.j2",
        title=title,
        css=f"{CHART_CSS}\n{SIMULATION_CSS}",
        vmio_version=__version__,
        guest=guest,
        first=first,
        headlines=[_pick_headline(name, point, parameter) for name, point in shown],
        chart_title=(
            f"Latency and CPU by {parameter}" if parameter else "Where each event loop's time goes"
        ),
        caption=_describe_charts(points, parameter),
        charts=_draw_charts(points, parameter),
        figure_heads=(head, *(name for name, _, _ in _FIGURES), ""),
        figures=[
            (
                point,
                (*_list_figures(point.prediction), "bistable" * point.prediction.bistable),
            )
            for point in points
        ],
        loop_heads=(head, "Event loop", "CPU", "Sleeps per request", "Waits caught by polling"),
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


def _find_lowest(points: Sequence[ChartPoint], parameter: str) -> list[tuple[str, ChartPoint]]:
    """Returns the first value with the lowest latency, where a person has the choice.

    A load is not chosen: less of it waits less. Of a range the far end counts.
    """
    if parameter.rpartition(".")[2] not in PARAMETERS:
        return []
    return [("Lowest latency", min(points, key=lambda point: span_latency_ns(point)[1]))]


def _pick_headline(
    name: str, point: ChartPoint, parameter: str
) -> tuple[str, ChartPoint, str, str, str]:
    iops, latency, *_, cpu = _list_figures(point.prediction)
    what = " ".join(filter(None, (parameter, point.label)))
    return ": ".join(filter(None, (name, what))), point, iops, latency, cpu


def _list_shares(found: Prediction, loop: LoopEstimate) -> tuple[str, ...]:
    shares = (loop.cpu_share, loop.sleeps_per_request, loop.polled_share)
    return tuple(show_range(found, value, format_share) for value in shares)


def _draw_charts(points: Sequence[ChartPoint], parameter: str) -> list[tuple[str, str]]:
    """Returns the pictures, each with its name."""
    if not parameter:
        return [("", draw_loops(points[0].prediction, prefix="simulation"))]
    return [
        (
            name,
            draw_panel(
                points,
                pick,
                show,
                parameter=parameter,
                identity=f"simulation-{key}",
                title=f"{name} by {parameter}",
            ),
        )
        for key, name, pick, show in _PANELS
    ]


def _describe_charts(points: Sequence[ChartPoint], parameter: str) -> str:
    bistable = any(point.prediction.bistable for point in points)
    if not parameter:
        interval = (
            "The outcome is bistable: the pale part of a bar is uncertain, and its whisker is the"
            " whole range."
            if bistable
            else "A whisker is the 95 % interval."
        )
        more = len(points[0].prediction.loops) - MOST_LOOPS
        words = [interval, f"{more} more loops are in the table below." * (more > 0)]
    else:
        words = [
            f"Each dot is a value of {parameter}.",
            "A bar is an outcome that is bistable: it can be anywhere in the bar." * bistable,
            "A dashed line is at today's value." * any(point.is_today for point in points),
            "Point at one to see its figures.",
        ]
    return " ".join(filter(None, words))
