"""All rules as a list for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vmio.report.table import Column, render_table

if TYPE_CHECKING:
    from vmio.lint.pages import Page

__all__ = ["render_rules"]


def render_rules(pages: Iterable[Page], *, width: int = 0) -> str:
    """Returns a line for each rule; on a narrow terminal the summary is on a second line.

    Args:
        pages: The rules.
        width: The terminal's width; 0 for no terminal.
    """
    columns = (
        Column(head=""),
        Column(head=""),
        Column(head=""),
        Column(head="", leaves=1),
    )
    rows = [(page.code, page.severity, page.name, page.summary) for page in pages]
    return render_table(columns, rows, width=width)
