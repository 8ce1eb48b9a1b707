"""All rules as a list for people."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from vmio.report.table import Column, render_table
from vmio.report.wrap import wrap_words

if TYPE_CHECKING:
    from vmio.lint.pages import Page

__all__ = ["render_rules", "wrap_page"]

_FENCE = "```"
_ITEM = re.compile(r"(?:[-*]|\d+\.) +")


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


def wrap_page(text: str, *, width: int = 0) -> str:
    """Returns the page of a rule with its prose as wide as the terminal; examples stay as is.

    Args:
        text: The page, in Markdown.
        width: The terminal's width; 0 for no terminal, where every line stays as it is.
    """
    lines = text.splitlines()
    if not width or max(map(len, lines), default=0) <= width:
        return text
    wrapped: list[str] = []
    paragraph: list[str] = []
    is_example = False

    def end_paragraph() -> None:
        if paragraph:
            item = _ITEM.match(paragraph[0])
            indent = " " * (item.end() if item is not None else 0)
            words = " ".join(line.strip() for line in paragraph)
            wrapped.extend(wrap_words(words, width, indent=indent))
            paragraph.clear()

    for line in lines:
        if line.startswith(_FENCE):
            is_example = not is_example
        is_prose = not is_example and not line.startswith((_FENCE, "#", "|", "    "))
        if not is_prose or not line or _ITEM.match(line):
            end_paragraph()
        if is_prose and line:
            paragraph.append(line)
        else:
            wrapped.append(line)
    end_paragraph()
    return "".join(f"{line}\n" for line in wrapped)
