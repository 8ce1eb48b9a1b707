"""The page of predictions: it refers to nothing, and says that nothing of it was measured."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.report.prediction.chart import ChartPoint
from vmio.report.prediction.html import METHOD, render_simulation_html
from vmio.report.prediction.svg import draw_loops, draw_panel
from vmio.sim.simulator import Estimate, Prediction
from vmio.units import format_duration_ns
from vmio.values import replace

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
        ChartPoint(
            label="32768", prediction=make((105, 116), (0.8, 1.5)), value=32_768, is_today=True
        ),
        ChartPoint(label="99999", prediction=make(101, 3), value=99_999),
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
    assert text.index("Predicted, not measured") < text.index("Latency and CPU by")
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


def draw_latency(points: list[ChartPoint], parameter: str = "poll_max_ns") -> ET.Element:
    """Returns the panel of latencies."""
    return parse(
        draw_panel(
            points,
            lambda found: found.latency_mean_ns,
            format_duration_ns,
            parameter=parameter,
            identity="p",
            title="t",
        )
    )


def find_all(picture: ET.Element, css: str) -> list[ET.Element]:
    """Returns the elements of a class."""
    return [each for each in picture.iter() if css in each.attrib.get("class", "").split()]


def find_boxes(labels: list[ET.Element]) -> list[tuple[float, float]]:
    """Returns from where to where labels go that are written around their place."""
    halves = [(float(each.attrib["x"]), len(each.text or "") * 7 / 2) for each in labels]
    return sorted((x - half, x + half) for x, half in halves)


def test_panel_has_a_tooltip_for_each_point(make_prediction: Make) -> None:
    """Marks are dots, today's is a diamond, and a range is a box and no mark."""
    points = make_sweep(make_prediction)
    groups = list(draw_latency(points).iter("g"))
    assert {group[0].text: group[1].attrib["class"] for group in groups} == {
        "0, latency 116 µs, CPU 0.70, IOPS 8.62k": "dot",
        "32768 (today), latency 105 to 116 µs, CPU 0.80 to 1.50, IOPS 8.62k to 9.52k, bistable": (
            "box today"
        ),
        "99999, latency 101 µs, CPU 3.00, IOPS 9.9k": "dot",
    }


def test_panel_has_a_logarithmic_axis_with_zero_apart(make_prediction: Make) -> None:
    """Ten times as much is as far wherever it is; 0 is left of all, and today's value is told."""
    points = [
        ChartPoint(
            label=str(value),
            prediction=make_prediction(100 + value / 1e5, 1),
            value=value,
            is_today=value == 32_768,
        )
        for value in (0, 1_000, 10_000, 32_768, 100_000)
    ]
    picture = draw_latency(points)
    zero, first, second, last = [float(each.attrib["cx"]) for each in picture.iter("circle")]
    assert zero < first
    assert abs((second - first) - (last - second)) < 0.2
    assert [each.text for each in find_all(picture, "tick")][:4] == [
        "0",
        "1 µs",
        "10 µs",
        "100 µs",
    ]
    (line,) = [each for each in picture.iter("line") if each.attrib["class"] == "today"]
    assert second < float(line.attrib["x1"]) < last
    assert "today: 32.8 µs" in {each.text for each in find_all(picture, "today")}


def test_panel_draws_a_range_from_end_to_end(make_prediction: Make) -> None:
    """The box of a point between two others covers all that it can be."""
    spans = ((100, 0), ((120, 180), (1, 2)), (200, 3))
    points = [
        ChartPoint(label="a", prediction=make_prediction(latency, cpu), value=value)
        for value, (latency, cpu) in enumerate(spans, start=1)
    ]
    picture = draw_latency(points, "qd")
    (box,) = find_all(picture, "box")
    y = [float(one.attrib["cy"]) for one in picture.iter("circle")]
    top, height = (float(box.attrib[name]) for name in ("y", "height"))
    assert abs(top - (min(y) * 0.8 + max(y) * 0.2)) < 0.2
    assert abs(height - (max(y) - min(y)) * 0.6) < 0.2


@given(
    values=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20, unique=True).map(sorted),
    parameter=st.sampled_from(["iothread-virtioscsi0.poll_max_ns", "qd"]),
)
def test_labels_of_a_panel_do_not_collide(
    make_prediction: Make, values: list[int], parameter: str
) -> None:
    """Whatever the values, what is written at the axis is apart, and inside of the picture."""
    points = [
        ChartPoint(label=str(each), prediction=make_prediction(9, 1), value=each, is_today=True)
        for each in values
    ]
    picture = draw_latency(points, parameter)
    boxes = find_boxes(find_all(picture, "tick"))
    assert boxes
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(boxes))
    today = [each for each in find_all(picture, "today") if each.tag == "text"]
    for left, right in boxes + find_boxes(today):
        assert left >= 0
        assert right <= 440


@given(outcomes=st.lists(st.tuples(SPANS, SPANS), min_size=1, max_size=30))
def test_pictures_stay_inside(make_prediction: Make, outcomes: list[tuple[float, float]]) -> None:
    """Whatever the figures, nothing is drawn beside it, and no number is none."""
    points = [
        ChartPoint(
            label=str(at), prediction=make_prediction(latency, cpu), value=at, is_today=at == 3
        )
        for at, (latency, cpu) in enumerate(outcomes)
    ]
    panel = draw_latency(points)
    assert len(list(panel.iter("g"))) == len(points)
    loops = parse(draw_loops(points[0].prediction, prefix="p"))
    for picture, height in ((panel, 232), (loops, 130)):
        for element in picture.iter():
            for name in ("x", "cx", "x1", "x2", "y", "cy", "y1", "y2", "width", "height"):
                if name in element.attrib:
                    limit = height if "y" in name or name == "height" else 440
                    assert -1 <= float(element.attrib[name]) <= limit


def test_one_layout_is_shown_by_what_its_loops_do(make_prediction: Make) -> None:
    """Each bar is as long as its share of the time, and has a whisker from end to end."""
    found = make_prediction(100, 0.7)
    loop = replace(
        found.loops[0],
        polling_share=Estimate(mean=0.5, low=0.4, high=0.6),
        work_share=Estimate(mean=0.2, low=0.2, high=0.2),
    )
    picture = parse(draw_loops(replace(found, loops=(loop,)), prefix="p"))
    widths = {each.attrib["class"]: float(each.attrib["width"]) for each in picture.iter("rect")}
    assert widths["poll"] / widths["work"] == pytest.approx(2.5, rel=0.01)
    assert widths["poll"] / widths["sleep"] == pytest.approx(0.5 / 0.3, rel=0.01)
    whisker = find_all(picture, "whisker")[0]
    length = float(whisker.attrib["x2"]) - float(whisker.attrib["x1"])
    assert length / widths["poll"] == pytest.approx(0.4, rel=0.01)
    texts = {each.text for each in picture.iter("text")}
    assert {"iot0", "50 %", "20 %", "30 %", "of the time"} <= texts


def test_layout_that_is_bistable_is_shown_by_what_is_sure(make_prediction: Make) -> None:
    """No mean is drawn of two outcomes: a pale part goes on to the higher one."""
    picture = parse(draw_loops(make_prediction((100, 120), (0.2, 0.8)), prefix="p"))
    solid, pale = (
        [
            float(each.attrib["width"])
            for each in picture.iter("rect")
            if each.attrib["class"] == css
        ]
        for css in ("work", "work pale")
    )
    assert pale[0] / solid[0] == pytest.approx(3, rel=0.01)
    assert "20 to 80 %" in {each.text for each in picture.iter("text")}


def list_tags(make: Make, words: str) -> list[str]:
    """Returns the elements of a page whose guest, label, loop and note are these words."""
    point = ChartPoint(label=words, prediction=make(100, 1, notes=(words,), loop=words))
    page = render_simulation_html([point], guest=words, parameter="")
    return [each.tag for each in parse(page).iter()]


@pytest.fixture(scope="module")
def benign_tags(make_prediction: Make) -> list[str]:
    """The elements of a page that nobody attacks."""
    return list_tags(make_prediction, "a")


@given(words=st.text(min_size=1, max_size=40))
def test_render_simulation_html_escapes_what_is_given(
    make_prediction: Make, benign_tags: list[str], words: str
) -> None:
    """A guest, a label, a loop and a note can be anything and the page stays what it is."""
    assert list_tags(make_prediction, f"<script>{words}") == benign_tags


def list_headlines(page: str) -> list[str]:
    """Returns what the cards at the top are about."""
    return ["".join(each.itertext()) for each in parse(page).iter("h3")]


def test_sweep_begins_with_the_lowest_latency_and_with_today(make_prediction: Make) -> None:
    """What a person can choose has an answer; less of a load waits less, which is none."""
    points = make_sweep(make_prediction)
    page = render_simulation_html(points, guest="701 a", parameter="iot0.poll_max_ns")
    assert list_headlines(page) == [
        "What this is",
        "Lowest latency: iot0.poll_max_ns 99999",
        "Today: iot0.poll_max_ns 32768",
    ]
    page = render_simulation_html(points, guest="701 a", parameter="qd")
    assert list_headlines(page) == ["What this is", "Today: qd 32768"]
    one = replace(points[1], label="as it is")
    page = render_simulation_html([one], guest="701 a", parameter="")
    assert list_headlines(page) == ["What this is", "Today: as it is"]


def test_range_with_ends_that_print_alike_is_one_figure(make_prediction: Make) -> None:
    """`10 to 10 %` says no more than `10 %`."""
    page = render_simulation_html(
        [ChartPoint(label="x", prediction=make_prediction((100.001, 100.002), (0.101, 0.102)))],
        guest="701 a",
        parameter="",
    )
    text = " ".join("".join(parse(page).itertext()).split())
    assert "10 %" in text
    assert " to 0.10" not in text
    assert "10 to 10 %" not in text
    assert "100 to 100" not in text
