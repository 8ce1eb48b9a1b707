"""A trace's polling as text, JSON and a page."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from vmio.formats.qemu.trace import parse_trace
from vmio.host.trace_file import read_lines
from vmio.report.replay.html import render_trace_html
from vmio.report.replay.json import render_trace_json
from vmio.report.replay.text import render_trace
from vmio.report.replay.words import explain_verdict, judge_polling
from vmio.sim.polling import Generation, PollSettings, complete_settings
from vmio.sim.trace import LoopTrace, summarize_trace
from vmio.sim.what_if import TriedOutcome, parse_setting
from vmio.values import replace

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
        read(),
        "handler",
        PollSettings(),
        name="<script>alert(1)</script>",
        qemu_version="10.0.0",
    )
    assert "<svg" in page
    assert "<script" not in page
    assert not re.search(r"(?:https?:)?//|url\(|@import|src=", page)
    assert len(page) < 300_000


def test_page_of_a_loop_without_phases_has_no_chart() -> None:
    """Changes alone are told."""
    page = render_trace_html(
        read("loop", SMALL[1:]),
        "loop",
        PollSettings(),
        name="t",
        qemu_version="7.2.0",
    )
    assert "<svg" not in page
    assert "poll_grow" in page


def draw_page(loop: LoopTrace) -> ET.Element:
    """Returns the picture of a page of one loop."""
    page = render_trace_html([loop], "handler", PollSettings(), name="t", qemu_version="10.0.0")
    return ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])  # noqa: S314


def find_ticks(picture: ET.Element) -> dict[str, float]:
    """Returns where each value stands at the axis below."""
    return {
        each.text or "": float(each.attrib["x"])
        for each in picture.iter("text")
        if each.attrib["class"] == "mid tick"
    }


def test_page_leads_with_a_verdict_from_the_trace() -> None:
    """How much was in vain, and the longest polling that still gains; before all pictures."""
    loop = read()[0]
    page = render_trace_html([loop], "handler", PollSettings(), name="t", qemu_version="10.0.0")
    assert page.index("Half of the polling was in vain; 65.5 µs would catch 61%") < page.index(
        "<svg"
    )
    assert f"{loop.phases_in_vain:,} of {loop.phases:,} phases found nothing." in page
    assert judge_polling(replace(loop, outcomes=())) == "Half of the polling was in vain"
    quarter = replace(loop, phases_in_vain=loop.phases // 4, outcomes=())
    assert judge_polling(quarter) == "25% of the polling was in vain"
    assert judge_polling(replace(quarter, phases_in_vain=0)).startswith("Almost none")
    assert judge_polling(replace(quarter, phases_in_vain=loop.phases)).startswith("Almost all")


def test_verdict_names_no_setting_that_gains_little() -> None:
    """More polling for hardly more waits is no advice, nor is less polling for fewer."""

    def make(name: str, caught: int, polling_ns: int) -> TriedOutcome:
        return TriedOutcome(name=name, waits=100, caught=caught, polling_ns=polling_ns, vain_ns=0)

    as_it_was = make("as it was", 50, 100)
    loop = replace(
        read()[0],
        outcomes=(
            as_it_was,
            make("poll_max_ns=400000", 73, 500),
            make("poll_max_ns=200000,poll_grow=4", 71, 300),
            make("poll_max_ns=0", 0, 0),
            make("poll_max_ns=100000", 60, 200),
        ),
    )
    assert judge_polling(loop).endswith("poll_max_ns=200000,poll_grow=4 would catch 71%")
    little = replace(loop, outcomes=(as_it_was, make("poll_max_ns=400000", 54, 500)))
    assert "would catch" not in judge_polling(little)
    assert "catches clearly more" in " ".join(explain_verdict(little))


def test_picture_has_real_time_and_a_legend() -> None:
    """A piece is as wide as it took, and what is written at the axis is where it says."""
    loop = read()[0]
    picture = draw_page(loop)
    ticks = find_ticks(picture)
    assert list(ticks) == ["0", "200 ms", "400 ms", "600 ms", "800 ms"]
    per_ns = (ticks["800 ms"] - ticks["0"]) / 800e6
    bands = [each for each in picture.iter("rect") if each.attrib["class"] == "band"][1:]
    assert len(bands) == len(loop.timeline)
    for band, piece in zip(bands, loop.timeline, strict=True):
        assert piece.begin_ns is not None
        place = ticks["0"] + piece.begin_ns * per_ns
        assert float(band.attrib["x"]) == pytest.approx(place, abs=0.2)
    legend = [each.text for each in picture.iter("text") if each.attrib["class"] == "legend"]
    assert legend == ["longest", "shortest to longest", "in vain"]
    places = sorted(ticks.values())
    assert all(later - before > 50 for before, later in itertools.pairwise(places))


def test_picture_without_times_is_by_phases() -> None:
    """And says so."""
    picture = draw_page(read(lines=SMALL)[1])
    texts = [each.text for each in picture.iter("text")]
    assert "phases, since the trace has no times" in texts
    assert list(find_ticks(picture)) == ["0", "1"]


def test_clock_that_goes_back_stays_inside_of_the_picture() -> None:
    """A host's clock can be set while a trace is written."""
    first, second = read()[0].timeline[:2]
    loop = replace(
        read()[0],
        timeline=(replace(first, begin_ns=900), replace(second, begin_ns=0)),
        span_ns=500,
    )
    for each in draw_page(loop).iter("rect"):
        assert float(each.attrib["width"]) >= 0
        assert 0 <= float(each.attrib["x"]) + float(each.attrib["width"]) <= 440
