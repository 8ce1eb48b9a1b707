"""A comparison as a table in Markdown, for an issue or a forum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vmio.report.comparison.words import (
    format_interval,
    list_facts,
    list_others,
    name_verdict,
    summarise_comparison,
)
from vmio.report.figures import format_rate, format_ratio
from vmio.report.markdown import escape_markdown, quote_code, render_markdown_table
from vmio.units import format_duration_ns

if TYPE_CHECKING:
    from vmio.bench.result import Comparison, JobResult
    from vmio.bench.statistics import PairedRatio

__all__ = ["render_comparison_markdown"]

_HEADS: Final = (
    *("job", "verdict", "IOPS of A", "of B", "B/A", "p99 of A", "of B", "B/A", "p99.9, B/A"),
    *("CPU per request, B/A", "pairs", "busy"),
)


def render_comparison_markdown(comparison: Comparison) -> str:
    """Returns the main result, a row a job, and what is needed to repeat it."""
    facts = [
        *(
            (side, f"{one.name}: {one.title}")
            for side, one in zip("AB", (comparison.a, comparison.b), strict=True)
        ),
        *((name, text) for name, text in list_facts(comparison) if text),
    ]
    confidence = comparison.jobs[0].iops_ratio.confidence
    return "\n".join(
        (
            f"**{escape_markdown(summarise_comparison(comparison))}**",
            "",
            render_markdown_table(_HEADS, map(_list_cells, comparison.jobs), left=2),
            f"Ratios are geometric means over pairs; in brackets the {confidence:.0%} interval.",
            "",
            *(f"- {name}: {quote_code(text)}" for name, text in facts),
        )
    )


def _list_cells(result: JobResult) -> tuple[str, ...]:
    others = {name: _format(ratio) for name, ratio in list_others(result)}
    return (
        result.job.name,
        name_verdict(result.verdict),
        format_rate(result.a.iops),
        format_rate(result.b.iops),
        _format(result.iops_ratio),
        format_duration_ns(result.a.latency_p99_ns),
        format_duration_ns(result.b.latency_p99_ns),
        others["p99"],
        others["p99.9"],
        others.get("CPU per request", ""),
        str(len(result.pairs)),
        str(result.busy_pairs),
    )


def _format(ratio: PairedRatio) -> str:
    return f"{format_ratio(ratio.ratio)} ({format_interval(ratio)})"
