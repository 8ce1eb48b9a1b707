"""Quantiles of a latency histogram, as the interval that each is known to lie in."""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct

from vmio.observe.sample import Histogram
from vmio.values import check_between

__all__ = ["TOO_FEW", "LatencyRange", "find_quantile", "subtract_histograms"]

TOO_FEW: Final = 10
"""A quantile needs so many requests on its farther side, else one request more or less moves it:
20 requests for the median, 1,000 for the 99th percentile."""


class LatencyRange(Struct, frozen=True, kw_only=True):
    """The bin of a histogram that a quantile lies in: `low_ns` ≤ quantile < `high_ns`."""

    low_ns: int
    high_ns: int | None
    """None above the last boundary."""

    def __post_init__(self) -> None:
        check_between("low_ns", self.low_ns, 0)
        check_between("high_ns", self.high_ns, self.low_ns)


def find_quantile(histogram: Histogram, share: float) -> LatencyRange | None:
    """Returns where the latency lies that this share of the requests does not exceed.

    None if there are too few requests to tell (`TOO_FEW`).

    Args:
        histogram: What was counted in one interval.
        share: Above 0 and below 1: 0.99 for the 99th percentile.

    Raises:
        ValueError: The share is none.
    """
    if not 0 < share < 1:
        raise ValueError(f"a share of {share}")
    total = sum(histogram.counts)
    # The margin is for what a share such as 0.99 cannot be exactly.
    if total * min(share, 1 - share) < TOO_FEW - 1e-6:
        return None
    rank, passed = max(1, math.ceil(total * share - 1e-6)), 0
    for number, count in enumerate(histogram.counts):
        passed += count
        if passed >= rank:
            bounds = histogram.boundaries_ns
            return LatencyRange(
                low_ns=bounds[number - 1] if number else 0,
                high_ns=bounds[number] if number < len(bounds) else None,
            )
    return None


def subtract_histograms(before: Histogram | None, after: Histogram | None) -> Histogram | None:
    """Returns what was counted between two moments; None if that is not known.

    Other boundaries, or a count that fell, mean that somebody set the histogram again.
    """
    if before is None or after is None or before.boundaries_ns != after.boundaries_ns:
        return None
    counts = tuple(b - a for a, b in zip(before.counts, after.counts, strict=True))
    if any(each < 0 for each in counts):
        return None
    return Histogram(boundaries_ns=after.boundaries_ns, counts=counts)
