"""Axes: every value lies on them, and what is written at them is round."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vmio.report.axis import choose_axis


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ((0.69, 3.0), (0, 0.5, 1, 1.5, 2, 2.5, 3)),
        ((98.0, 118.0), (100, 105, 110, 115)),
        ((0.0, 0.0), (0, 1)),
        ((100.0, 100.0), (96, 98, 100, 102, 104)),
        ((3.0, 2e4), (1, 10, 100, 1000, 10_000, 100_000)),
    ],
)
def test_choose_axis_writes_round_values(
    values: tuple[float, ...], ticks: tuple[float, ...]
) -> None:
    """It begins at 0 unless that would waste half of it, and is no finer than a tenth."""
    axis = choose_axis(values, ticks=8)
    assert axis.ticks == pytest.approx(ticks)
    assert axis.is_logarithmic == (values == (3.0, 2e4))


@given(
    values=st.lists(st.floats(0, 1e15, allow_subnormal=False), min_size=1, max_size=20),
    ticks=st.integers(2, 12),
)
@example(values=[422832980972516.0], ticks=2)
def test_choose_axis_holds_every_value(values: list[float], ticks: int) -> None:
    """Places lie between the ends, in the order of the values; ticks lie on the axis."""
    axis = choose_axis(values, ticks=ticks)
    places = [axis.place(value, 10, 90) for value in sorted(values)]
    assert places == sorted(places)
    assert all(math.isfinite(place) and 10 <= place <= 90.000001 for place in places)
    assert 1 <= len(axis.ticks) <= ticks + 1
    assert all(axis.low <= tick <= axis.high * 1.000001 for tick in axis.ticks)
