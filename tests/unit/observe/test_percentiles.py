"""Where the quantiles of a histogram lie."""

from __future__ import annotations

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.observe.percentiles import LatencyRange, find_quantile, subtract_histograms
from vmio.observe.sample import Histogram

BOUNDS = (10, 100, 1_000)


def make(*counts: int) -> Histogram:
    """Returns a histogram."""
    return Histogram(boundaries_ns=BOUNDS, counts=counts)


@pytest.mark.parametrize(
    ("counts", "share", "low_ns", "high_ns"),
    [
        ((100, 0, 0, 0), 0.5, 0, 10),
        ((50, 50, 0, 0), 0.5, 0, 10),
        ((49, 51, 0, 0), 0.5, 10, 100),
        ((0, 0, 0, 20), 0.5, 1_000, None),
        ((990, 10, 0, 0), 0.99, 0, 10),
        ((989, 0, 11, 0), 0.99, 100, 1_000),
    ],
)
def test_quantile_is_the_bin_that_it_lies_in(
    counts: tuple[int, ...], share: float, low_ns: int, high_ns: int | None
) -> None:
    """The share of the requests that is at most there reaches what was asked for."""
    assert find_quantile(make(*counts), share) == LatencyRange(low_ns=low_ns, high_ns=high_ns)


@pytest.mark.parametrize(
    ("count", "share", "told"),
    [(19, 0.5, False), (20, 0.5, True), (999, 0.99, False), (1_000, 0.99, True), (0, 0.5, False)],
)
def test_too_few_requests_tell_no_quantile(count: int, share: float, *, told: bool) -> None:
    """One more or less would move it."""
    assert (find_quantile(make(count, 0, 0, 0), share) is not None) is told


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 2.0, float("nan")])
def test_share_that_is_none_is_refused(share: float) -> None:
    """There is no largest request in a histogram."""
    with pytest.raises(ValueError, match="share"):
        find_quantile(make(100, 0, 0, 0), share)


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=20))
def test_quantiles_of_any_latencies_are_in_their_bin(once_ns: list[int]) -> None:
    """As the sorted list itself says."""
    latencies_ns, counts = once_ns * 1_000, [0] * 4
    for each in latencies_ns:
        counts[bisect_right(BOUNDS, each)] += 1
    ordered = sorted(latencies_ns)
    for share, rank in ((0.5, (len(ordered) + 1) // 2), (0.99, -(-len(ordered) * 99 // 100))):
        found = find_quantile(make(*counts), share)
        assert found is not None
        assert found.low_ns <= ordered[rank - 1]
        assert found.high_ns is None or ordered[rank - 1] < found.high_ns


def test_difference_of_two_moments_is_what_came_between() -> None:
    """Nothing is known where one has none, or where somebody has set it again."""
    assert subtract_histograms(make(1, 2, 3, 4), make(1, 3, 5, 7)) == make(0, 1, 2, 3)
    other = Histogram(boundaries_ns=(10, 100), counts=(9, 9, 9))
    for before, now in (
        (None, make(1, 1, 1, 1)),
        (make(1, 1, 1, 1), None),
        (make(1, 1, 1, 1), make(2, 2, 2, 0)),
        (other, make(9, 9, 9, 9)),
    ):
        assert subtract_histograms(before, now) is None
