"""A trace's polling as text, JSON and a page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from vmio.formats.qemu.trace import parse_trace
from vmio.host.trace_file import read_lines
from vmio.report.replay.html import render_trace_html
from vmio.report.replay.json import render_trace_json
from vmio.report.replay.text import render_trace
from vmio.sim.polling import Generation, PollSettings, complete_settings
from vmio.sim.trace import LoopTrace, summarize_trace
from vmio.sim.what_if import parse_setting

TRACE = Path(__file__).parents[3] / "data" / "traces" / "start-10.0.2.txt.xz"
SMALL = [
    b"run_poll_handlers_begin ctx <0xc>&\x1b max_ns 4000 timeout -1\n",
    b"poll_grow ctx 0xc old 4000 new 8000\n",
    b"poll_shrink ctx 0xc old 8000 new 4000\n",
]


def read(generation: Generation = "handler", lines: list[bytes] | None = None) -> list[LoopTrace]:
    """Returns a trace's loops, with a setting tried where it has times."""
    source = read_lines(str(TRACE)) if lines is None else iter(lines)
    tries = [] if lines else [parse_setting("poll_max_ns=65536", PollSettings())]
    events = parse_trace("t", source)
    return list(summarize_trace(events, generation, PollSettings(), tries=tries))


def test_text_is_no_wider_than_80_columns() -> None:
    """It has the course, the reasons and what was tried."""
    text = render_trace(read(), "handler", PollSettings())
    assert max(map(len, text.splitlines())) <= 80
    assert "from the first phase to the last:" in text
    assert "the longest counts" in text
    assert "poll_max_ns=65536" in text


@pytest.mark.parametrize("generation", ["loop", "weighted"])
def test_reasons_are_those_of_the_generation(generation: Generation) -> None:
    """A loop with one time has no handlers to speak of; means are spoken of since 11.1 only."""
    settings = complete_settings(PollSettings(), generation)
    text = render_trace(read(generation, SMALL[1:]), generation, settings)
    assert "each handler has its own" not in text
    assert ("the means of the waits" in text) == (generation == "weighted")
    assert ("divided by 2" in text) == (generation == "weighted")


def test_json_has_all_that_is_known() -> None:
    """Phases, changes and what was tried add up to the loop's own counts."""
    table = json.loads(render_trace_json(read(), qemu_version="10.0.0"))["data"]
    loop = table["loops"][0]
    assert sum(piece["phases"] for piece in loop["timeline"]) == loop["phases"]
    assert sum(each["count"] for each in loop["transitions"]) == loop["grows"] + loop["shrinks"]
    assert sum(each["phases"] for each in loop["budgets"]) == loop["phases"]
    assert [each["name"] for each in loop["outcomes"]] == ["as it was", "poll_max_ns=65536"]


def test_page_refers_to_nothing_outside() -> None:
    """It opens offline, and what a trace is called cannot get into its markup."""
    page = render_trace_html(
        read(), "handler", PollSettings(), name="<script>alert(1)</script>", qemu_version="10.0.0"
    )
    assert "<svg" in page
    assert "<script" not in page
    assert not re.search(r"(?:https?:)?//|url\(|@import|src=", page)
    assert len(page) < 300_000


def test_page_of_a_loop_without_phases_has_no_chart() -> None:
    """Changes alone are told."""
    page = render_trace_html(
        read("loop", SMALL[1:]), "loop", PollSettings(), name="t", qemu_version="7.2.0"
    )
    assert "<svg" not in page
    assert "poll_grow" in page
