"""Statistics of paired measurements: which of two layouts is faster, and how sure that is."""

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
"""A smaller difference is ignored: repeated runs of one QEMU differ by several percent."""


class PairedRatio(Struct, frozen=True, kw_only=True):
    """B against A over all pairs: with 1.5, B did one and a half times as much as A."""

    ratio: float
    low: float
    high: float
    """The ends of the interval that contains the true ratio with `confidence`."""
    confidence: float
    pairs: int
    verdict: Winner
    """B's result compared with A."""


def paired_ratio(
    pairs: Sequence[tuple[float, float]], *, confidence: float = CONFIDENCE
) -> PairedRatio:
    """Returns the geometric mean of B/A over pairs, with Student's interval on the log ratios.

    A shared host drifts: the same run can differ by a factor of two from one minute to the next.
    Comparing the mean of all A with the mean of all B adds that drift to the noise, or, if all A
    came first, to the result. The two runs of a pair follow each other within seconds, so what the
    host did then affects both and cancels in their ratio, and alternating which of the two comes
    first cancels the rest of a steady trend. Ratios multiply, so the mean and the spread of their
    logarithms are used; three times as fast and a third as fast are then equally far from no
    difference.

    Args:
        pairs: The results of A and B, in the order of measurement. All above zero.
        confidence: The probability that the interval contains the true ratio, for independent
            pairs.

    Raises:
        UsageError: There are fewer than two pairs, which say nothing about the noise.
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
    """Returns the geometric mean; all values are above zero."""
    logs = [math.log(value) for value in values]
    return math.exp(math.fsum(logs) / len(logs))


def _exp(value: float) -> float:
    """Returns e to a power, kept finite: an interval may exceed the range of floating point."""
    return math.exp(max(-700.0, min(700.0, value)))


def _judge(ratio: float, low: float, high: float) -> Winner:
    if low > 1 and ratio >= 1 + LEAST_EFFECT:
        return "faster"
    if high < 1 and ratio <= 1 / (1 + LEAST_EFFECT):
        return "slower"
    return "no clear difference"
