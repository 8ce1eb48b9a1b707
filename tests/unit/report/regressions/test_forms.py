"""Changes between two results: the sentence, the tables, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from vmio.bench.regression import Regressions, find_regressions
from vmio.bench.result import Comparison
from vmio.model.source import Source
from vmio.report.comparison.json import render_comparison_json
from vmio.report.comparison.saved import parse_comparison
from vmio.report.regressions.json import render_regressions_json
from vmio.report.regressions.markdown import render_regressions_markdown
from vmio.report.regressions.text import print_regressions
from vmio.report.regressions.words import summarise_regressions


@pytest.fixture
def found(make_comparison: Callable[..., Comparison]) -> Regressions:
    """Returns a result against a later one: B does less in one job, and another job differs."""
    old = json.loads(render_comparison_json(make_comparison()))
    new = json.loads(render_comparison_json(make_comparison(name="a|b\x1b[31m<i>`.conf")))
    for pair in new["data"]["jobs"][1]["pairs"]:
        pair["b"]["iops"] *= 0.4
        pair["busy"] = True
    for pair in new["data"]["jobs"][0]["pairs"]:
        pair["busy"] = True
    new["data"]["jobs"][2]["iodepth"] = 16
    new["data"]["qemu_version"] = "10.1.0"
    saved = [
        parse_comparison(Source(name=name, data=json.dumps(each).encode()))
        for name, each in (("old.json", old), ("new.json", new))
    ]
    return find_regressions(*saved)


def test_sentence_says_what_got_worse_first(found: Regressions) -> None:
    """Then how much is not decided, and that the host was busy."""
    assert summarise_regressions(found) == (
        "B got worse, compared with A: randread-4k-qd32 IOPS times 0.40 (0.34 to 0.47), CPU per"
        " request times 2.50 (2.11 to 2.96). 6 of 8 figures cannot be told. The host was busy"
        " during 10 of 15 pairs of new.json."
    )


def test_sentence_says_that_nothing_changed(found: Regressions) -> None:
    """Of a result compared with itself nothing got worse or better."""
    told = summarise_regressions(find_regressions(found.old, found.old, margin=0.25))
    assert told == (
        "B did not change beyond chance, compared with A. 12 of 12 figures are the same within"
        " 25%."
    )


def test_text_has_every_figure_and_what_differs(found: Regressions) -> None:
    """Nothing of a name reaches the terminal as it is."""
    console = Console(file=StringIO(), width=120, color_system=None)
    print_regressions(found, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    assert "\x1b" not in text
    assert r"new  new.json" in text
    assert r"\x1b[31m" in text
    assert "differs  QEMU: 10.0.2 → 10.1.0\n" in text
    assert "left out  read-128k-qd8 is another job: iodepth 8 → 16\n" in text
    rows = [line.split() for line in text.splitlines()]
    assert [
        "randread-4k-qd32",
        "IOPS",
        "1.64",
        "0.65",
        "0.40",
        *["0.34", "to", "0.47", "worse"],
    ] in rows
    assert ["randread-4k-qd32", "13.9k", "13.9k", "22.7k", "9.09k"] in rows


def test_markdown_has_the_same_and_keeps_names_as_they_are(found: Regressions) -> None:
    """A name with bars, backticks and elements stays one code span."""
    text = render_regressions_markdown(found)
    assert text.startswith("**B got worse, compared with A: randread-4k-qd32 IOPS times 0.40")
    assert "| randread-4k-qd32 | IOPS | 1.64 | 0.65 | 0.40 | 0.34 to 0.47 | worse |\n" in text
    assert "- differs: `QEMU: 10.0.2 → 10.1.0`" in text
    line = next(line for line in text.splitlines() if line.startswith("- new: "))
    assert line.startswith("- new: ``new.json")
    assert line.endswith("``")
    assert r"a\|b\x1b[31m<i>`.conf" in line


def test_json_has_what_decides_the_exit_status(found: Regressions) -> None:
    """With each figure's interval and verdict."""
    data = json.loads(render_regressions_json(found))["data"]
    assert data["worse"] is True
    assert data["jobs"][1]["figures"][0]["verdict"] == "worse"
    assert data["jobs"][1]["new_busy_pairs"] == 5
    assert data["left_out"][0]["name"] == "read-128k-qd8"
