"""What pairs of measurements say about which of two layouts is faster, and how surely."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from vmio.errors import UsageError
from vmio.sim.statistics import student_t_quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "CONFIDENCE",
    "LEAST_EFFECT",
    "PairedRatio",
    "Winner",
    "geometric_mean",
    "paired_ratio",
]

Winner = Literal["faster", "slower", "no clear difference"]

CONFIDENCE: Final = 0.95
LEAST_EFFECT: Final = 0.05
"""A difference that is smaller is none: repeated tables of one QEMU differ by several percent."""


class PairedRatio(Struct, frozen=True, kw_only=True):
    """B against A over all pairs: 1.5 says that B did one and a half times as much as A."""

    ratio: float
    low: float
    high: float
    """The ends of the interval that holds the true ratio with `confidence`."""
    confidence: float
    pairs: int
    verdict: Winner
    """What B is, compared with A."""


def paired_ratio(
    pairs: Sequence[tuple[float, float]], *, confidence: float = CONFIDENCE
) -> PairedRatio:
    """Returns the geometric mean of B/A over pairs, with Student's interval on the log ratios.

    A shared host drifts: the same run can differ by a factor of two from one minute to the next.
    Comparing the mean of all A with the mean of all B puts that drift into the noise, or, when all
    A came first, into the answer. The two runs of a pair follow each other within seconds, so
    what the host was doing then is a factor of both and cancels in their ratio, and alternating
    which of the two comes first cancels what is left of a steady trend. Ratios multiply, so their
    logarithms are what has a mean and a spread; three times as fast and a third as fast are then
    equally far from no difference.

    Args:
        pairs: What A and what B came to, in the order of measuring. All above zero.
        confidence: How sure the interval is to hold the true ratio, were the pairs independent.

    Raises:
        UsageError: There are fewer than two pairs, from which nothing can be said of the noise.
    """
    if len(pairs) < 2:  # noqa: PLR2004  # a spread needs two
        raise UsageError(
            "one pair of runs says nothing about the noise", hint="measure --pairs 2 or more"
        )
    logs = [math.log(b) - math.log(a) for a, b in pairs]
    mean = math.fsum(logs) / len(logs)
    variance = math.fsum((value - mean) ** 2 for value in logs) / (len(logs) - 1)
    spread = student_t_quantile((1 + confidence) / 2, len(logs) - 1) * math.sqrt(
        variance / len(logs)
    )
    ratio, low, high = (_exp(value) for value in (mean, mean - spread, mean + spread))
    return PairedRatio(
        ratio=ratio,
        low=low,
        high=high,
        confidence=confidence,
        pairs=len(pairs),
        verdict=_judge(ratio, low, high),
    )


def geometric_mean(values: Iterable[float]) -> float:
    """Returns the mean whose ratios are the mean of the ratios; all values are above zero."""
    logs = [math.log(value) for value in values]
    return math.exp(math.fsum(logs) / len(logs))


def _exp(value: float) -> float:
    """Returns e to a power, kept finite: an interval may well be wider than numbers are."""
    return math.exp(max(-700.0, min(700.0, value)))


def _judge(ratio: float, low: float, high: float) -> Winner:
    if low > 1 and ratio >= 1 + LEAST_EFFECT:
        return "faster"
    if high < 1 and ratio <= 1 / (1 + LEAST_EFFECT):
        return "slower"
    return "no clear difference"
