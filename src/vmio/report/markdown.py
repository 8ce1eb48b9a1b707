"""Text and tables in Markdown, as forums and issue trackers render it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from vmio.characters import printable

__all__ = ["escape_markdown", "quote_code", "render_markdown_table"]


def escape_markdown(text: str) -> str:
    """Returns text that is rendered as it is, on one line.

    Source: CommonMark 0.31, 2.4: a backslash before ASCII punctuation makes it plain.
    """
    return re.sub(r"[\\`*_{}\[\]<>#|~&]", r"\\\g<0>", printable(text))


def quote_code(text: str) -> str:
    """Returns text as a code span, also within a table; for names, which may be anything.

    Source: CommonMark 0.31, 6.1: the delimiter is a longer run of backticks than any in the text;
    GitHub Flavored Markdown 4.10: a bar in a table's cell needs a backslash, in code as well.
    """
    text = printable(text).replace("|", r"\|")
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    room = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{fence}{room}{text}{room}{fence}"


def render_markdown_table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1
) -> str:
    """Returns a table, whose cells are Markdown already.

    Args:
        heads: The headings of the columns.
        rows: A cell for each column.
        left: How many columns are left-aligned; the others have numbers.
    """
    rules = ["---"] * left + ["---:"] * (len(heads) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, rules, *rows)) + "\n"
