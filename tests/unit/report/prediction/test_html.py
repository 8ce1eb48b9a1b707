"""The page of predictions: it refers to nothing, and says that nothing of it was measured."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from vmio.report.prediction.chart import ChartPoint
from vmio.report.prediction.html import METHOD, render_simulation_html
from vmio.report.prediction.svg import draw_simulation
from vmio.sim.simulator import Prediction

Make = Callable[..., Prediction]
LOADERS = ("script", "link", "img", "iframe", "object", "embed", "base", "form", "a")
FLOATS = st.floats(0, 1e9, allow_subnormal=False)
SPANS = FLOATS | st.tuples(FLOATS, FLOATS).map(lambda ends: (min(ends), max(ends)))


def parse(page: str) -> ET.Element:
    """Returns a page as a tree: without its doctype and meta elements it is well-formed XML."""
    body = re.sub(r"<meta[^>]*>", "", page.removeprefix("<!DOCTYPE html>"))
    return ET.fromstring(body)  # noqa: S314  # our own output


def make_sweep(make: Make) -> list[ChartPoint]:
    """Returns one value of each kind."""
    return [
        ChartPoint(label="0", prediction=make(116, 0.7, notes=("limits are left out",))),
        ChartPoint(label="32768", prediction=make((105, 116), (0.8, 1.5)), is_today=True),
        ChartPoint(label="99999", prediction=make(101, 3)),
    ]


def test_render_simulation_html_refers_to_nothing(make_prediction: Make) -> None:
    """No address, no element that loads anything, no script: it opens offline as it is."""
    page = render_simulation_html(
        make_sweep(make_prediction), guest="701 a", parameter="poll_max_ns"
    )
    for forbidden in ("http", "//", "url(", "@import"):
        assert forbidden not in page
    elements = list(parse(page).iter())
    assert not {element.tag for element in elements} & {*LOADERS}
    names = {name for element in elements for name in element.attrib}
    assert not names & {"src", "href", "onclick", "style"}
    ids = [element.attrib["id"] for element in elements if "id" in element.attrib]
    assert len(ids) == len({*ids})


def test_render_simulation_html_says_what_it_goes_by(make_prediction: Make) -> None:
    """First of all that it is predicted, and by which costs; then load, notes and method."""
    page = render_simulation_html(
        make_sweep(make_prediction), guest="701 a", parameter="poll_max_ns"
    )
    text = " ".join("".join(parse(page).itertext()).split())
    assert text.index("Predicted, not measured") < text.index("Latency against CPU")
    assert text.count("bench-host, not this host") == 2
    for said in ("4k-randread-qd1 on every disk", "QEMU 10.0.2", "limits are left out", METHOD):
        assert said in text
    assert "5 runs of 5000 requests" in text


def test_render_simulation_html_has_every_value_with_its_loops(make_prediction: Make) -> None:
    """A row of figures and a row a loop for each; a range has both ends and is said to be one."""
    page = render_simulation_html(
        make_sweep(make_prediction), guest="701 a", parameter="poll_max_ns"
    )
    rows = [["".join(cell.itertext()) for cell in row] for row in parse(page).iter("tr")]
    figures, loops = rows[1:4], rows[5:]
    assert [row[0] for row in figures] == ["0", "32768 today", "99999"]
    assert figures[1][2] == "105 to 116 µs"
    assert [row[-1] for row in figures] == ["", "bistable", ""]
    assert [row[:3] for row in loops] == [
        ["0", "iot0", "0.70"],
        ["32768 today", "iot0", "0.80 to 1.50"],
        ["99999", "iot0", "3.00"],
    ]


def test_draw_simulation_has_a_tooltip_for_each_point(make_prediction: Make) -> None:
    """Marks are circles, today's is of its own class, and a range is a box and no mark."""
    picture = parse(draw_simulation(make_sweep(make_prediction), prefix="p", title="t"))
    groups = [element for element in picture if element.tag == "g"]
    told = {group[0].text: (group.attrib["class"], group[1].tag) for group in groups}
    assert told == {
        "32768 (today), latency 105 to 116 µs, CPU 0.80 to 1.50, IOPS 8.62k to 9.52k, bistable": (
            "pt today",
            "rect",
        ),
        "0, latency 116 µs, CPU 0.70, IOPS 8.62k": ("pt", "circle"),
        "99999, latency 101 µs, CPU 3.00, IOPS 9.9k": ("pt", "circle"),
    }
    labels = {element.text for element in picture if "name" in element.attrib.get("class", "")}
    assert labels == {"0", "32768, today", "99999"}


def test_draw_simulation_draws_a_range_from_end_to_end(make_prediction: Make) -> None:
    """The box of a point between two others lies between them and covers all that it can be."""
    points = [
        ChartPoint(label="a", prediction=make_prediction(100, 0)),
        ChartPoint(label="b", prediction=make_prediction((120, 180), (1, 2))),
        ChartPoint(label="c", prediction=make_prediction(200, 3)),
    ]
    picture = parse(draw_simulation(points, prefix="p", title="t"))
    box = next(picture.iter("rect")).attrib
    x, y = ([float(one.attrib[name]) for one in picture.iter("circle")] for name in ("cx", "cy"))
    left, top, width, height = (float(box[name]) for name in ("x", "y", "width", "height"))
    assert abs(left - (min(x) * 2 + max(x)) / 3) < 0.2
    assert abs(width - (max(x) - min(x)) / 3) < 0.2
    assert abs(top - (min(y) * 0.8 + max(y) * 0.2)) < 0.2
    assert abs(height - (max(y) - min(y)) * 0.6) < 0.2


@given(outcomes=st.lists(st.tuples(SPANS, SPANS), min_size=1, max_size=30))
def test_draw_simulation_stays_inside_its_picture(
    make_prediction: Make, outcomes: list[tuple[float, float]]
) -> None:
    """Whatever the figures, nothing is drawn beside it, and no number is none."""
    points = [
        ChartPoint(label=str(at), prediction=make_prediction(latency, cpu), is_today=at == 3)
        for at, (latency, cpu) in enumerate(outcomes)
    ]
    picture = parse(draw_simulation(points, prefix="p", title="t"))
    assert len([element for element in picture if element.tag == "g"]) == len(points)
    for element in picture.iter():
        for name in ("x", "cx", "x1", "x2", "y", "cy", "y1", "y2", "width", "height"):
            if name in element.attrib:
                limit = 430 if "y" in name or name == "height" else 900
                assert -1 <= float(element.attrib[name]) <= limit


@given(words=st.text(min_size=1, max_size=40))
def test_render_simulation_html_escapes_what_is_given(make_prediction: Make, words: str) -> None:
    """A guest, a label, a loop and a note can be anything and the page stays what it is."""
    hostile = f"<script>{words}"
    point = ChartPoint(
        label=hostile, prediction=make_prediction(100, 1, notes=(hostile,), loop=hostile)
    )
    benign = ChartPoint(label="a", prediction=make_prediction(100, 1, notes=("a",), loop="a"))
    tags = [
        [
            each.tag
            for each in parse(render_simulation_html([one], guest=name, parameter="")).iter()
        ]
        for one, name in ((point, hostile), (benign, "a"))
    ]
    assert tags[0] == tags[1]
