"""docs/concepts/polling.md shows what the algorithm and the simulator do."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from vmio.report.polling.pictures import render_pictures, simulate_loop
from vmio.sim.polling import (
    DEFAULT_MAX_NS,
    PollSettings,
    WeightedTimes,
    adjust_handlers,
    adjust_time,
    adjust_weighted,
    complete_settings,
)

FOLDER = Path(__file__).parents[2] / "docs" / "concepts"
PAGE = (FOLDER / "polling.md").read_text(encoding="utf-8")
PICTURES = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("polling-*.svg")}
MOST_BYTES = 40_000


def read_table(heading: str) -> dict[str, list[str]]:
    """Returns the first table under a heading: the cells of each row by its first one."""
    lines = PAGE.split(f"\n#### {heading}\n", 1)[1].splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("|"))
    rows: dict[str, list[str]] = {}
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if name.strip("-"):
            rows[name] = cells
    return rows


def read_numbers(cells: list[str]) -> list[int]:
    """Returns cells such as `32,768` as numbers."""
    return [int(cell.replace(",", "")) for cell in cells]


def test_pictures_are_what_the_code_draws() -> None:
    """docs/concepts holds what `make docs` writes, byte for byte."""
    assert render_pictures() == PICTURES, "run `make docs`"


def test_pictures_show_what_the_page_says_of_them() -> None:
    """One loop catches nothing and the other something; a sweep has two outcomes somewhere."""
    short, long = simulate_loop(0), simulate_loop(DEFAULT_MAX_NS)
    # The first pass finds what was there before it.
    assert all(each.woken_ns > each.polled_ns for each in short[1:])
    assert any(each.woken_ns == each.polled_ns for each in long[1:])
    assert any(each.stale_ns < each.begin_ns for each in long)
    assert PICTURES["polling-sweep.svg"].count('class="either"') > 2  # one is the legend's


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_picture_is_small_told_in_words_and_needs_nothing_else(name: str) -> None:
    """A picture has a title and a description, both modes' colours, and no outside reference."""
    text = PICTURES[name]
    root = ET.fromstring(text)  # noqa: S314 - our own file
    space = "{http://www.w3.org/2000/svg}"
    assert (root.findtext(f"{space}title") or "").strip()
    assert len(root.findtext(f"{space}desc") or "") > 100
    assert "prefers-color-scheme:dark" in text
    assert not re.search(r"href|url\(|@import|<script|<image", text)
    assert len(text.encode()) < MOST_BYTES
    assert f"]({name})" in PAGE


@pytest.mark.parametrize(
    ("heading", "settings"),
    [
        ("Default settings", PollSettings()),
        ("`poll-max-ns=200000`, `poll-grow=3`, `poll-shrink=4`",
         PollSettings(max_ns=200_000, grow=3, shrink=4)),
    ],
)  # fmt: skip
def test_table_of_one_time_is_the_algorithm(heading: str, settings: PollSettings) -> None:
    """The page's times and events up to 10.2 are what the algorithm gives for its waits."""
    table = read_table(heading)
    ns, times, events = 0, [], []
    for wait_ns in read_numbers(table["wait"]):
        ns, change = adjust_time(ns, wait_ns, settings)
        times.append(ns)
        events.append(change.kind if change else "")
    assert len(times) > 5
    assert read_numbers(table["time after"]) == times
    assert table["traced"] == events


def test_table_of_two_handlers_is_the_algorithm() -> None:
    """The page's two handlers of 10.0, and the one time of 7.2 beside them, are computed."""
    table = read_table("Two handlers")
    times, loop_ns = {"queue": 0, "disk": 0}, 0
    rows: dict[str, list[int]] = {
        name: [] for name in ("queue", "disk", "10.0 polls", "7.2 polls")
    }
    for wait_ns, ready in zip(read_numbers(table["wait"]), table["ready"], strict=True):
        times, _ = adjust_handlers(times, ready.split(" and "), wait_ns, PollSettings())
        loop_ns, _ = adjust_time(loop_ns, wait_ns, PollSettings())
        for name, value in {
            **times, "10.0 polls": max(times.values()), "7.2 polls": loop_ns
        }.items():  # fmt: skip
            rows[name].append(value)
    assert {name: read_numbers(table[name]) for name in rows} == rows
    assert len(rows["queue"]) > 3


@pytest.mark.parametrize("heading", ["Weighted means", "Long waits"])
def test_table_of_weighted_means_is_the_algorithm(heading: str) -> None:
    """The page's means and polling times of 11.1 are what the algorithm gives for its waits."""
    table = read_table(heading)
    settings = complete_settings(PollSettings(), "weighted")
    state = WeightedTimes(
        poll_ns=20_000 if heading == "Long waits" else 0, means={"queue": 0, "disk": 0}
    )
    rows: dict[str, list[int]] = {"queue": [], "disk": [], "polls": []}
    ready = table.get("ready", ["queue"] * len(table["wait"]))
    for wait_ns, active in zip(read_numbers(table["wait"]), ready, strict=True):
        state, _ = adjust_weighted(state, [active], wait_ns, settings)
        for name, value in {**state.means, "polls": state.poll_ns}.items():
            rows[name].append(value)
    shown = [name for name in rows if name in table]
    assert "polls" in shown
    assert {name: read_numbers(table[name]) for name in shown} == {
        name: rows[name] for name in shown
    }
