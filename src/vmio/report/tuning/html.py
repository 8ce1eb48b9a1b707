"""A search as one HTML file that opens offline: its result, what was tried, and the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vmio.report.figures import format_ratio
from vmio.report.page import render_page, write_page
from vmio.report.tuning.svg import TUNING_CSS, draw_front, draw_races
from vmio.report.tuning.words import METRICS, name_tried, name_volume, summarise_tuning
from vmio.units import format_bytes, format_time_s

if TYPE_CHECKING:
    from pathlib import Path

    from vmio.tune.result import MetricRatio, Tuning

__all__ = ["render_tuning_html", "write_tuning_html"]

_METHOD: Final = (
    "Each layout was booted beside the guest as it is, and pairs of runs were measured, one run on"
    " each side, seconds apart. Layouts raced first, then the live settings of the best of them."
    " The ratios here are those that the search chose by, so that the best ones are flattered;"
    " only the fresh pairs of the confirmation decide."
)
_METHOD_IN_GUEST: Final = (
    "Each setting was measured in the running guest against the guest's own values, in pairs of"
    " runs seconds apart; after each run with a setting the own values were set again. What else"
    " the guest did is part of both. The ratios here are those that the search chose by, so that"
    " the best ones are flattered; only the fresh pairs of the confirmation decide."
)


def render_tuning_html(tuning: Tuning) -> str:
    """Returns a search as a page that refers to nothing outside of itself."""
    pictures = (
        [(f"Each {_name_choices(tuning)}", draw_races(tuning, prefix="tu"))]
        if tuning.tried
        else []
    )
    if front := draw_front(tuning, prefix="tu"):
        pictures.append(("What nothing is better than in both metrics", front))
    return render_page(
        "tuning.html.j2",
        title=f"{tuning.guest}: {tuning.disk}, by {tuning.objective.name}",
        css=TUNING_CSS,
        vmio_version=tuning.vmio_version,
        summary=summarise_tuning(tuning),
        pictures=pictures,
        heads=(
            _name_choices(tuning).capitalize(),
            "Ratio",
            *METRICS.values(),
            "Pairs",
            "Busy",
            "Last race",
        ),
        rows=[
            (
                name_tried(each),
                (
                    format_ratio(each.ratio),
                    *_list_metrics(each.metrics),
                    str(each.pairs),
                    str(each.busy_pairs),
                    each.stage,
                ),
            )
            for each in tuning.tried
        ],
        failures=tuning.failures,
        left=tuning.left,
        facts=_list_facts(tuning),
        commands=() if tuning.in_guest is None else tuning.in_guest.commands,
        keep=() if tuning.in_guest is None else tuning.in_guest.keep,
        method=_METHOD if tuning.in_guest is None else _METHOD_IN_GUEST,
    )


def write_tuning_html(tuning: Tuning, path: Path) -> None:
    """Writes the page to a file, whole or not at all.

    Raises:
        OutputError: The file cannot be written; the old one is still there.
    """
    write_page(render_tuning_html(tuning), path)


def _name_choices(tuning: Tuning) -> str:
    return "layout and setting" if tuning.in_guest is None else "setting"


def _list_metrics(metrics: tuple[MetricRatio, ...]) -> list[str]:
    found = {each.metric: format_ratio(each.ratio) for each in metrics}
    return [found.get(metric, "") for metric in METRICS]


def _list_facts(tuning: Tuning) -> tuple[tuple[str, str], ...]:
    host = tuning.host
    why = f" ({tuning.accelerator_reason})" if tuning.accelerator_reason else ""
    return (
        ("Measured", f"{tuning.disk}, {name_volume(tuning)}"),
        ("Jobs", ", ".join(job.name for job in tuning.jobs)),
        ("Trials", f"{tuning.trials} of up to {tuning.planned}, with {tuning.pairs} pairs"),
        ("Seed", str(tuning.seed)),
        ("Processor", f"{host.cpu_model or 'unknown'}, {host.cpu_count} online"),
        ("Memory", format_bytes(host.memory_bytes) if host.memory_bytes else ""),
        ("System", ", ".join(word for word in (host.distribution, host.kernel) if word)),
        ("Accelerator", f"{tuning.accelerator}{why}"),
        ("Time", f"{format_time_s(tuning.duration_s)} in this call"),
        ("vmio", tuning.vmio_version),
    )
