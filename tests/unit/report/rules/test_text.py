"""The page of a rule in a terminal."""

from __future__ import annotations

import pytest

from vmio import app
from vmio.report.rules.text import wrap_page

PAGES = [app.render_page(page) for page in app.list_rules()]


@pytest.mark.parametrize("width", [40, 80])
def test_prose_of_every_page_fits_into_the_terminal(width: int) -> None:
    """No word is lost, no line of prose is longer than the terminal, and examples stay."""
    for page in PAGES:
        wrapped = wrap_page(page, width=width)
        assert wrapped.split() == page.split()
        parts, old = wrapped.split("```"), page.split("```")
        assert parts[1::2] == old[1::2]
        for line in "".join(parts[::2]).splitlines():
            is_kept = line.startswith(("#", "|", "    ")) or " " not in line.strip("-* ")
            assert len(line) <= width or is_kept


def test_page_is_as_it_is_where_there_is_no_terminal() -> None:
    """Who reads it through a pipe gets the Markdown, as does who has the room."""
    for page in PAGES:
        assert wrap_page(page) == page
        assert wrap_page(page, width=400) == page


def test_items_are_indented() -> None:
    """A line that goes on stands below the words of its item."""
    assert wrap_page("a b c d e f\ng\n\n- one two\n  three\n- four\n", width=9) == (
        "a b c d e\nf g\n\n- one two\n  three\n- four\n"
    )
    assert wrap_page("- one two three\n", width=9) == "- one two\n  three\n"
