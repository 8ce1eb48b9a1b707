"""What the autopilot did over time, as a table and as a page."""

from __future__ import annotations

import io
import json
import re
from typing import Any

from rich.console import Console

from vmio.autopilot.log import LogLine
from vmio.autopilot.timeline import TimeLine, build_time_line
from vmio.autopilot.values import Decision, DecisionKind, Interval, Load, Step
from vmio.report.autopilot.html import render_time_line_html
from vmio.report.autopilot.timeline import HEADS, list_cells, print_time_line
from vmio.values import replace

HOSTILE = "</script><b>\x1b[31m\u202e"
LOOKS: tuple[tuple[int | None, int, DecisionKind, int], ...] = (
    (1_000_000, 1000, "measure", 1_000_000),
    (1_000_000, 1000, "try", 0),
    (0, 1000, "compare", 1_000_000),
    (1_000_000, 1000, "settle", 0),
    (0, 1000, "keep", 0),
    (0, 1000, "slower", 1_000_000),
    (1_000_000, 1000, "holds", 0),
    (0, 0, "idle", 0),
    (None, 0, "unread", 0),
)
"""In force, requests, and what was decided."""


def build(guest: str = "701 web", iothread: str = "io0", text: str = "") -> TimeLine:
    """Returns the time line of a guest."""
    lines = [
        LogLine(
            time_s=5.0 * number,
            guest=guest,
            iothreads=(iothread,),
            step=Step(
                address="pid:7",
                own_ns=1_000_000,
                interval=None
                if setting is None
                else Interval(
                    duration_s=5.0,
                    poll_max_ns=setting,
                    requests=requests,
                    load=Load(requests_per_s=requests / 5, depth=1.0),
                    cpu_share=0.1 if setting else 0.02,
                    cpu_per_request_ns=0.0,
                    latency_mean_ns=120_000.0 if requests else 0.0,
                    run_delay_share=0.0,
                ),
                decision=Decision(kind=kind, poll_max_ns=wanted_ns),
            ),
        )
        for number, (setting, requests, kind, wanted_ns) in enumerate(LOOKS, 1)
    ]
    lines.append(LogLine(time_s=50.0, guest=guest, text=text or f"{guest}: is now 0"))
    return build_time_line(1_700_000_000_000_000_000, lines)


def render(line: TimeLine, incomplete: str = "") -> str:
    """Returns a page."""
    return render_time_line_html(line, name="a.jsonl", incomplete=incomplete)


def read_data(page: str) -> Any:  # noqa: ANN401 - the script's own
    """Returns the data of the charts."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_row_has_the_sums_of_a_log() -> None:
    """Means over all requests; the setting that was in force for longest."""
    (loops,) = build().loops
    assert dict(zip(HEADS, list_cells(loops), strict=True)) == {
        "guest": "701 web",
        "IOThreads": "io0",
        "looks": "9",
        "its own": "1,000,000",
        "longest at": "1,000,000 (50%)",
        "searches": "1",
        "doubts": "1",
        "latency": "120 µs",
        "CPU of a request": "329 µs",
    }


def test_table_shows_no_controls() -> None:
    """Names are foreign."""
    file = io.StringIO()
    print_time_line(build(guest=HOSTILE), Console(file=file, width=160, color_system=None))
    assert "\x1b" not in file.getvalue()
    assert "\u202e" not in file.getvalue()
    assert "1 group of IOThreads in 50 s, 1 with another setting" in file.getvalue()


def test_page_marks_decisions_at_the_settings_that_they_want() -> None:
    """Settings are positions among all of them, the guest's own is named."""
    settings, latency, cost, rate = read_data(render(build()))["charts"]
    assert settings["labels"] == ["0", "1,000,000 own"]
    lines = {each["label"]: each["values"] for each in settings["lines"]}
    assert lines == {
        "in force": [1, 1, 0, 1, 0, 0, 1, 0, None],
        "trial": [None, 0, *[None] * 7],
        "found": [None, None, None, 0, None, None, 0, None, None],
        "doubted": [*[None] * 5, 1, None, None, None],
        "taken back": [1, *[None] * 7, 0],
    }
    assert latency["lines"][0]["values"] == [120_000.0] * 7 + [None, None]
    assert cost["lines"][0]["values"][:3] == [500_000.0, 500_000.0, 100_000.0]
    assert rate["lines"][0]["values"][:7] == [200.0] * 7
    assert settings["t"] == [5.0 * each for each in range(1, 10)]


def test_page_refers_to_nothing_outside_of_itself() -> None:
    """It opens offline, and has the licence of what draws its charts."""
    page = render(build())
    assert "http" not in page
    assert not re.search(r"url\(|@import|\bsrc=|fetch\(|XMLHttpRequest", page)
    assert "Copyright (c) 2022 Leon Sorokin" in page


def test_page_escapes_what_is_foreign() -> None:
    """Names of guests and IOThreads, and words of events."""
    page = render(build(guest=HOSTILE, iothread=HOSTILE, text=HOSTILE), HOSTILE)
    assert "<b>" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert page.count("</script>") == 2


def test_page_says_that_nothing_was_set() -> None:
    """In a dry run, whose decisions are all that is marked."""
    (loops,) = build().loops
    assert "a dry run" not in render(build())
    dry = replace(build(), loops=(replace(loops, is_dry=True),))
    assert "its own 1,000,000 ns; a dry run, which sets nothing" in render(dry)


def test_page_is_bounded() -> None:
    """Charts of 40 groups of IOThreads; the others are in the table."""
    (loops,) = build().loops
    many = replace(build(), loops=tuple(replace(loops, guest=f"g{at}") for at in range(60)))
    page = render(many)
    assert page.count("data-chart=") == 4 * 40
    assert "20 more are in the table only." in page
    assert page.count('<tr><th scope="row">') == 60 + 1
