"""Pages are templates that escape whatever they show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from jinja2 import UndefinedError

import vmio.report
from vmio.bench.result import Comparison
from vmio.report.comparison.html import render_comparison_html
from vmio.report.page import render_page

TEMPLATES = Path(vmio.report.__file__).parent / "templates"


def test_page_spells_out_what_a_reader_would_not_see(
    make_comparison: Callable[..., Comparison],
) -> None:
    """What XML forbids, and what turns the direction of what follows, is told and not done."""
    page = render_comparison_html(make_comparison(name="a\x1b[1m\u202eb<i>"))
    assert not {"\x1b", "\u202e"} & {*page}
    assert r"a\x1b[1m\u202eb&lt;i&gt;" in page


def test_page_without_a_value_is_no_page() -> None:
    """A template that shows what it was not given is a bug, and not an empty place."""
    with pytest.raises(UndefinedError):
        render_page("comparison.html.j2", title="t", css="", vmio_version="1")


def test_only_pictures_their_looks_and_scripts_are_taken_as_markup() -> None:
    """Whatever else a template shows is escaped; of a script's data its own test looks after."""
    taken = {
        line.partition(" | safe")[0].rpartition("{{ ")[2]
        for path in TEMPLATES.glob("*.j2")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "safe" in line
    }
    pictures = {"picture", "guest.picture", "chart", "view.chart"}
    assert taken == {"css", *pictures, "data", "script"}
