"""Text made fit for pictures and pages."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from vmio.report.markup import display_width, escape, shorten


@given(st.text(max_size=80))
def test_escape_gives_text_and_nothing_else(text: str) -> None:
    """Whatever text comes in is one text node of a well-formed document."""
    root = ET.fromstring(f'<a b="{escape(text)}">{escape(text)}</a>')  # noqa: S314  # ours
    assert len(root) == 0


def test_escape_spells_out_what_is_not_shown() -> None:
    """Neither a direction mark nor what XML forbids nor what is invisible is in a page."""
    assert escape("a\u202eb\x1b\x9b\u200b\udcff\n") == r"a\u202eb\x1b\u009b\u200b\xff" + "\n"
    assert escape("<'&\">") == "&lt;&#x27;&amp;&quot;&gt;"


@given(st.text(max_size=200), st.integers(min_value=3, max_value=40))
def test_shorten_fits(text: str, columns: int) -> None:
    """What comes out is never wider than allowed, and what fits comes out as it was."""
    short = shorten(text, columns)
    assert display_width(short) <= columns
    if display_width(text) <= columns and len(text) <= 5 * columns:
        assert short == text


def test_shorten_keeps_both_ends() -> None:
    """Volumes differ at their ends, so it is the middle that goes."""
    assert shorten("nvmpool-data:vm-701-disk-1", 12) == "nvmpo…disk-1"
    assert display_width("日本") == 4
