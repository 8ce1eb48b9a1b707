"""The page of a search: pictures of what was tried, and nothing of a name that is not text."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from vmio import app
from vmio.qemu.boot import Boot
from vmio.report.tuning.html import render_tuning_html, write_tuning_html
from vmio.report.tuning.svg import draw_front, draw_races
from vmio.tune.objective import parse_objective
from vmio.tune.result import MetricRatio, Tried, Tuning
from vmio.values import replace

ROOT = Path(__file__).parents[4]
FIGURES = (
    (1.6, 0.7, True),
    (1.2, 1.1, True),
    (1.1, 0.9, False),
    (0.5, 1.3, True),
    (30.0, 0.1, True),
)


@pytest.fixture
def tuning() -> Tuning:
    """A search by two metrics that has tried five things."""
    guest = app.open_guest(str(ROOT / "examples" / "701.conf"))
    task = app.prepare_tune(guest, guest.context.host, jobs=["iodepth=8"])
    empty = app.make_tuner(task, Boot(binary="qemu", accelerator="tcg")).summarise()
    tried = tuple(
        Tried(
            layout=f"<b>{number}",
            setting="poll_max_ns=0",
            ratio=iops,
            metrics=(
                MetricRatio(metric="iops", ratio=iops),
                MetricRatio(metric="cpu", ratio=cpu),
            ),
            pairs=4,
            stage="settings",
            on_front=front,
        )
        for number, (iops, cpu, front) in enumerate(FIGURES)
    )
    return replace(empty, tried=tried, objective=parse_objective("iops,cpu"), winner=tried[0])


def test_pictures_have_everything_that_was_tried(tuning: Tuning) -> None:
    """Inside of their frames; the winner and the front are filled."""
    for svg, best in ((draw_races(tuning, prefix="x"), 1), (draw_front(tuning, prefix="x"), 4)):
        root = ET.fromstring(svg)  # noqa: S314  # our own output
        height = float(root.attrib["viewBox"].split()[3])
        assert svg.count("<circle") == len(FIGURES)
        assert svg.count('class="best"') == best
        for circle in root.iter("circle"):
            assert 0 < float(circle.attrib["cx"]) < 640
            assert 0 < float(circle.attrib["cy"]) < height


def test_front_needs_two_metrics(tuning: Tuning) -> None:
    """With one there is nothing to weigh."""
    assert draw_front(replace(tuning, objective=parse_objective("iops")), prefix="x") == ""


def test_page_is_complete_and_refers_to_nothing(tuning: Tuning, tmp_path: Path) -> None:
    """It begins with the result, and escapes names."""
    write_tuning_html(tuning, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page == render_tuning_html(tuning)
    assert re.search("https?:", page) is None
    assert "<b>" not in page
    assert page.count("<svg") == 2
    assert page.index('class="lead"') < page.index("<svg")
    assert render_tuning_html(replace(tuning, tried=(), winner=None)).count("<svg") == 0
