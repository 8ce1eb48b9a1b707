"""The page of guests over time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

from vmio.observe.history import History
from vmio.report.history.html import _list_spans, render_history_html
from vmio.values import replace

VOID = {"meta", "br", "i"}


def render(history: History, *, incomplete: str = "") -> str:
    """Returns a page."""
    return render_history_html(history, name="a.jsonl", incomplete=incomplete)


def read_data(page: str) -> Any:  # noqa: ANN401 - the script's own
    """Returns the data of the charts."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


class _Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.charts: list[dict[str, str | None]] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes an element's start."""
        values = dict(attrs)
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        if "data-chart" in values:
            self.charts.append(values)
        if values.get("id"):
            self.ids.append(values["id"] or "")
        if tag == "a":
            self.links.append((values["href"] or "").removeprefix("#"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes an element without an end, as in pictures."""

    def handle_endtag(self, tag: str) -> None:
        """Takes an element's end, which is that of the last one."""
        assert self.open.pop() == tag


def parse(page: str) -> _Reader:
    """Returns what is in a page, whose elements are nested correctly."""
    reader = _Reader()
    reader.feed(page)
    assert not reader.open
    return reader


def test_page_refers_to_nothing_outside_of_itself(recorded: History) -> None:
    """It opens offline, and tells nobody that it was opened."""
    page = render(recorded)
    assert "http" not in page
    assert not re.search(r"url\(|@import|\bsrc=|fetch\(|XMLHttpRequest", page)


def test_page_has_the_licence_of_its_library(recorded: History) -> None:
    """As the licence asks for."""
    page = render(recorded)
    assert "Copyright (c) 2022 Leon Sorokin" in page
    assert "The above copyright notice and this permission notice" in page


def test_page_of_a_recorded_guest_has_its_charts_and_words(recorded: History) -> None:
    """Each chart has its data; verdicts, layout and tables are in the page itself."""
    page = render(recorded)
    reader, data = parse(page), read_data(page)
    assert [each["data-chart"] for each in reader.charts] == [
        str(at) for at in range(len(data["charts"]))
    ]
    titles = re.findall(r"<h4>(.*?)</h4>", page)
    assert titles[:6] == [
        "CPU of each thread, in processors",
        "Run delay",
        "Polling, in processors",
        "Requests in a second",
        "Bytes in a second",
        "Mean latency",
    ]
    assert any(title.startswith("Latency of vd") for title in titles)
    for chart in data["charts"]:
        assert all(len(line["values"]) == len(data["t"]) for line in chart["lines"])
    assert "vd1 is held back by its own limit" in page
    assert "IOThread io0 polls in vain" in page
    assert 'class="tp"' in page
    assert len(set(reader.ids)) == len(reader.ids)


def test_names_from_guests_are_escaped(make_history: Callable[..., History]) -> None:
    """Neither in the words nor in the data do they end an element."""
    name = "</script><img src=x onerror=alert(1)>\"'&\x1b"
    page = render(make_history(1, name=name))
    assert "<img" not in page
    assert page.count("</script>") == 2
    assert "\x1b" not in page
    parse(page)
    history = make_history(1)
    (guest,) = history.guests
    (thread, *_) = guest.threads
    hostile = replace(guest, threads=(replace(thread, name=name),))
    page = render(replace(history, guests=(hostile,)))
    assert page.count("</script>") == 2
    assert read_data(page)["charts"][0]["lines"][0]["label"] == name
    parse(page)


def test_index_links_to_the_guests_that_are_shown(make_history: Callable[..., History]) -> None:
    """The others are in the table, and the page says so."""
    page = render(make_history(5, shown=3))
    reader = parse(page)
    assert reader.links == ["guest-1", "guest-2", "guest-3"]
    assert set(reader.links) <= set(reader.ids)
    assert "2 guests are in the table only" in page


def test_page_says_what_is_missing(make_history: Callable[..., History]) -> None:
    """At the end of the recording, and for lack of room."""
    history = replace(make_history(1), left_out=True, unseen=("one process is hidden",))
    page = render(history, incomplete="a ends in the middle of line 7, which was left out")
    assert "a ends in the middle of line 7" in page
    assert "one process is hidden" in page
    assert "there were too many" in page


def test_page_without_guests_has_no_script(make_history: Callable[..., History]) -> None:
    """There is nothing to draw."""
    page = render(replace(make_history(0), guests=()))
    assert "No guest was seen in 1 h." in page
    assert "<script" not in page
    parse(page)


def test_page_of_an_hour_of_twenty_guests_is_small(make_history: Callable[..., History]) -> None:
    """With four disks each and as many steps as the reader of recordings leaves."""
    lines = 2 * 7 + 2 * 4 + 9 * 4
    count = 300_000 // (20 * lines)
    page = render(make_history(20, disks=4, count=count))
    assert len(page.encode()) < 2_000_000


def test_bands_cover_the_steps_of_a_verdict(make_history: Callable[..., History]) -> None:
    """In percent of the time; those side by side are one."""
    history = make_history(1, count=10)
    spans = list(_list_spans((0, 1, 0.5, 0, 0, 0, 0, 0, 0, 1), history))
    assert spans == [("10.000", "20.000"), ("90.000", "10.000")]
    assert len(list(_list_spans([at % 3 == 0 for at in range(3000)], history))) <= 257
