"""Markdown: text stays text, whatever is in it."""

from __future__ import annotations

import pytest

from vmio.report.markdown import escape_markdown, quote_code, render_markdown_table


def test_escaped_text_starts_nothing() -> None:
    """No emphasis, no link, no element, no cell, and no other line."""
    assert escape_markdown("*a* [b](c) <i> |\n`x`") == r"\*a\* \[b\](c) \<i\> \|\\n\`x\`"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("701.conf", "`701.conf`"),
        ("a|b", r"`a\|b`"),
        ("a`b``c", "```a`b``c```"),
        ("`", "`` ` ``"),
        ("a\nb\x1b", r"`a\nb\x1b`"),
        ("", "`  `"),
    ],
)
def test_code_span_ends_at_its_end(text: str, code: str) -> None:
    """Its delimiter is not in it, and a bar does not end the cell."""
    assert quote_code(text) == code


def test_table_has_its_numbers_on_the_right() -> None:
    """Columns after the first are numbers."""
    assert render_markdown_table(("job", "IOPS"), [("a", "1")]) == (
        "| job | IOPS |\n| --- | ---: |\n| a | 1 |\n"
    )
