"""What changed from one comparison to a later one, in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmio.report.markdown import escape_markdown, quote_code, render_markdown_table
from vmio.report.regressions.words import (
    CHANGE_HEADS,
    IOPS_HEADS,
    IOPS_NOTE,
    describe_comparison,
    describe_difference,
    describe_intervals,
    list_change,
    list_iops,
    summarise_regressions,
)

if TYPE_CHECKING:
    from vmio.bench.regression import Regressions

__all__ = ["render_regressions_markdown"]


def render_regressions_markdown(found: Regressions) -> str:
    """Returns the main result, the table of all changes, and what differs besides."""
    changes = [list_change(job, one) for job in found.jobs for one in job.figures]
    facts = [
        *(f"old: {quote_code(describe_comparison(found.old))}",),
        *(f"new: {quote_code(describe_comparison(found.new))}",),
        *(f"differs: {quote_code(describe_difference(each))}" for each in found.differences),
        *(f"left out: {quote_code(f'{name} {reason}')}" for name, reason in found.left_out),
    ]
    return "\n".join(
        (
            f"**{escape_markdown(summarise_regressions(found))}**",
            "",
            render_markdown_table(CHANGE_HEADS, changes, left=2),
            describe_intervals(found),
            "",
            render_markdown_table(IOPS_HEADS, [list_iops(job) for job in found.jobs]),
            IOPS_NOTE,
            "",
            *(f"- {fact}" for fact in facts),
        )
    )
