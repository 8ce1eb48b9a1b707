"""The picture of predictions in a terminal: every alternative is in it, and what is a range."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.report.prediction.chart import ChartPoint, draw_chart
from vmio.sim.simulator import Prediction

Make = Callable[..., Prediction]
SPANS = st.floats(0, 1e9, allow_subnormal=False) | st.tuples(
    st.floats(0, 1e9, allow_subnormal=False), st.floats(0, 1e9, allow_subnormal=False)
).map(lambda ends: (min(ends), max(ends)))


def make_sweep(make: Make) -> list[ChartPoint]:
    """Returns five values: two alike, today's and another that are ranges, and one far away."""
    outcomes = (
        ("0", 116, 0.7),
        ("1000", 116, 0.7),
        ("32768", (112, 116), (0.8, 1.5)),
        ("62500", (105, 115), (1.2, 2.0)),
        ("125000", 101, 3.0),
    )
    return [
        ChartPoint(label=name, prediction=make(latency, cpu), is_today=name == "32768")
        for name, latency, cpu in outcomes
    ]


def test_draw_chart_has_a_letter_for_each_place_and_boxes_for_ranges(
    make_prediction: Make,
) -> None:
    """What is alike shares a letter; today's is a capital, and its box has double lines."""
    assert draw_chart(make_sweep(make_prediction), columns=60) == """\
latency, mean
       │
115 µs ┤           a B══════c════B───────c
       │             ║      │    ║       │
       │             ║      │    ║       │
       │             B═══════════B       │
       │                    │            │
110 µs ┤                    │            │
       │                    │            │
       │                    │            │
       │                    │            │
       │                    │            │
105 µs ┤                    c────────────c
       │
       │
       │                                                 d
       │
       └┬───────────────┬────────────────┬───────────────┬──
        0               1                2               3
                                          CPU, in processors
a 0, 1000   B 32768 today   c 62500   d 125000""".splitlines()  # fmt: skip


def test_draw_chart_does_with_ascii(make_prediction: Make) -> None:
    """Lines, boxes and today's box are told apart without a single other sign but units'."""
    lines = draw_chart(make_sweep(make_prediction), columns=60, ascii_only=True)
    assert "".join(lines).replace("µ", "").isascii()
    assert sum("B======c====B-------c" in line for line in lines) == 1
    assert any("c------------c" in line for line in lines)


def test_draw_chart_of_one_point_is_that_point(make_prediction: Make) -> None:
    """It lies in the middle of an axis, where nothing else says how long that would be."""
    lines = draw_chart([ChartPoint(label="it", prediction=make_prediction(100, 1))], columns=60)
    rows = [number for number, line in enumerate(lines[1:17]) if "a" in line]
    assert rows == [8]
    assert lines[-1] == "a it"


def test_draw_chart_of_a_flat_range_is_a_bar(make_prediction: Make) -> None:
    """Where only the processor time is a range, a bar goes from its one end to its other."""
    point = ChartPoint(label="it", prediction=make_prediction(100, (1, 2)))
    bars = [line for line in draw_chart([point], columns=60) if "a─" in line]
    assert len(bars) == 1
    assert bars[0].rstrip().endswith("─a")


def test_draw_chart_says_what_is_behind_others(make_prediction: Make) -> None:
    """A box whose corners are all covered is not left out silently."""
    large = make_prediction((100, 200), (1, 2))
    others = [make_prediction(latency, cpu) for latency in (100, 200) for cpu in (1, 2)]
    points = [ChartPoint(label=str(n), prediction=each) for n, each in enumerate([large, *others])]
    assert "a 0 (behind others)   b 1" in draw_chart(points, columns=80)[-1]


def test_draw_chart_joins_neighbours_in_its_key(make_prediction: Make) -> None:
    """Three and more values that lie in one place are a span; today's is named by itself."""
    points = [
        ChartPoint(label=str(at), prediction=make_prediction(100, 1), is_today=at == 4)
        for at in range(6)
    ]
    assert draw_chart(points, columns=80)[-1] == "A 0 to 3, 4 today, 5"


def test_draw_chart_with_more_places_than_letters_draws_them_all(make_prediction: Make) -> None:
    """Those beyond the alphabet are stars, named in the key all the same."""
    points = [
        ChartPoint(label=f"v{at}", prediction=make_prediction(100 + 3 * at, 1 + at / 20))
        for at in range(30)
    ]
    lines = draw_chart(points, columns=100)
    assert "* v29" in "   ".join(lines[20:])
    assert any("*" in line for line in lines[1:17])


def test_draw_chart_spells_out_control_characters(make_prediction: Make) -> None:
    """A label can be anybody's words."""
    point = ChartPoint(label="\x1b[31m", prediction=make_prediction(100, 1))
    assert "\x1b" not in "".join(draw_chart([point], columns=60))


@given(
    outcomes=st.lists(st.tuples(SPANS, SPANS), min_size=1, max_size=30),
    columns=st.integers(0, 300),
    ascii_only=st.booleans(),
)
def test_draw_chart_keeps_its_width_whatever_it_shows(
    make_prediction: Make,
    outcomes: list[tuple[float, float]],
    columns: int,
    ascii_only: bool,  # noqa: FBT001 - hypothesis draws it
) -> None:
    """No line is wider than it may be, and no figure makes it draw beside its picture."""
    points = [
        ChartPoint(label=str(at), prediction=make_prediction(latency, cpu))
        for at, (latency, cpu) in enumerate(outcomes)
    ]
    lines = draw_chart(points, columns=columns, ascii_only=ascii_only)
    assert max(map(len, lines[:20])) <= min(max(columns, 40), 100)
    assert not {"nan", "inf"} & {*" ".join(lines).split()}


@pytest.mark.parametrize("columns", [40, 100])
def test_draw_chart_names_every_point(make_prediction: Make, columns: int) -> None:
    """Whatever the width, the key has all labels."""
    points = make_sweep(make_prediction)
    key = " ".join(draw_chart(points, columns=columns)[20:])
    assert all(point.label in key.replace(",", "").split() for point in points)
