"""Statistics of paired measurements: how much two layouts differ, and how sure that is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from vmio.errors import UsageError
from vmio.sim.statistics import student_t_quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "CONFIDENCE",
    "MARGIN",
    "MARGINS",
    "MAX_PAIRS",
    "SPREADS",
    "Interval",
    "PairedRatio",
    "RatioChange",
    "Verdict",
    "anytime_factor",
    "anytime_interval",
    "compare_ratios",
    "count_pairs",
    "count_pairs_until",
    "geometric_mean",
    "judge",
    "paired_ratio",
    "student_interval",
    "welch_interval",
]

Verdict = Literal["higher", "lower", "the same", "cannot tell"]
"""What an interval shows of a ratio: that it is above 1, below 1, within the margin around 1, or
none of these."""
Interval = tuple[float, float, float]
"""An estimate of the mean logarithm, and the ends of its interval."""

CONFIDENCE: Final = 0.95
MAX_PAIRS: Final = 1000
MARGIN: Final = 0.05
"""A smaller difference does not matter: repeated runs of one QEMU differ by several percent.

Source: <20251104022933.618123-1-stefanha@redhat.com> on qemu-devel, in whose table two event loops
"in the same ballpark" differ by up to 8 %.
"""
SPREADS: Final = (0.17, 0.64)
"""Standard deviations of the log ratios of pairs of half a second: of those that are not marked as
busy, and of those that are.

Source: docs/concepts/method.md.
"""
MARGINS: Final = (0.001, 1.0)
"""The least and the largest margin. A smaller difference is beyond what fio measures."""
_EFFECT_VARIANCE: Final = 1.0
"""Variance of the effects, in standard deviations, over which `anytime_interval` averages. With 1
it has ends from five pairs on, and is 1.6 to 1.7 times as wide as Student's from twelve on."""
_ROUNDING: Final = 1e-9
"""Equal spreads have a whole number of degrees of freedom, which is computed slightly less."""
_POWER_Z: Final = 0.8416
"""The normal quantile of 80 %: how often a difference is to be found."""


class PairedRatio(Struct, frozen=True, kw_only=True):
    """B against A over all pairs: with 1.5, B has one and a half times A's figure."""

    ratio: float
    low: float
    high: float
    """The ends of the interval that contains the true ratio with `confidence`."""
    confidence: float
    pairs: int
    spread: float
    """The standard deviation of the pairs' log ratios."""
    margin: float
    """The relative difference that does not matter, such as 0.05."""
    verdict: Verdict
    """What the interval shows of B's figure, compared with A's."""


def paired_ratio(
    pairs: Sequence[tuple[float, float]],
    *,
    confidence: float = CONFIDENCE,
    margin: float = MARGIN,
    anytime: bool = False,
) -> PairedRatio:
    """Returns the geometric mean of B/A over pairs, with an interval on the log ratios.

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
        margin: The relative difference that does not matter.
        anytime: Whether the number of pairs depends on the results so far, so that the interval
            has to hold for all numbers at once (`anytime_interval`).

    Raises:
        UsageError: There are fewer than two pairs, which say nothing about the noise.
    """
    if len(pairs) < 2:  # noqa: PLR2004  # a spread needs two
        raise UsageError(
            "one pair of runs says nothing about the noise", hint="measure --pairs 2 or more"
        )
    logs = [math.log(b) - math.log(a) for a, b in pairs]
    find_interval = anytime_interval if anytime else student_interval
    ratio, low, high = (_exp(value) for value in find_interval(logs, confidence))
    return PairedRatio(
        ratio=ratio,
        low=low,
        high=high,
        confidence=confidence,
        pairs=len(pairs),
        spread=_find_mean(logs)[1] * math.sqrt(len(logs)),
        margin=margin,
        verdict=judge(low, high, margin),
    )


class RatioChange(Struct, frozen=True, kw_only=True):
    """A ratio of one comparison divided by that of an earlier one."""

    ratio: float
    low: float
    high: float
    """The ends of the interval that contains the true change with the confidence."""
    verdict: Verdict
    """What the interval shows: with `lower` the later comparison has the lower ratio."""


def compare_ratios(
    old: Sequence[tuple[float, float]],
    new: Sequence[tuple[float, float]],
    *,
    confidence: float = CONFIDENCE,
    margin: float = MARGIN,
    anytime: bool = False,
) -> RatioChange:
    """Returns how B/A changed from one comparison to a later one.

    The figures of one side from two comparisons are not compared: what the host did differently
    in the second one would be part of the result, and no spread within a comparison shows how much
    that is. Each ratio is free of it, because it affects both sides of a pair.

    Args:
        old: The results of A and B of the earlier comparison, two pairs or more, all above zero.
        new: Those of the later one.
        confidence: The probability that the interval contains the true change.
        margin: The relative change that does not matter.
        anytime: Whether the number of pairs of one of them depended on its results. Then Welch's
            interval is wrong, and the two of `anytime_interval` are used, each of which misses
            half as often.
    """
    before, after = ([math.log(b) - math.log(a) for a, b in pairs] for pairs in (old, new))
    if anytime:
        each = (1 + confidence) / 2
        old_mean, old_low, old_high = anytime_interval(before, each)
        new_mean, new_low, new_high = anytime_interval(after, each)
        found = (new_mean - old_mean, new_low - old_high, new_high - old_low)
    else:
        found = welch_interval(before, after, confidence)
    ratio, low, high = (_exp(value) for value in found)
    return RatioChange(ratio=ratio, low=low, high=high, verdict=judge(low, high, margin))


def judge(low: float, high: float, margin: float = MARGIN) -> Verdict:
    """Returns what an interval of a ratio shows.

    The margin reaches as far down as up in ratios: with 5 %, from 1/1.05 to 1.05. An interval
    within it is the same even if it excludes 1.
    """
    if 1 / (1 + margin) <= low and high <= 1 + margin:
        return "the same"
    if low > 1:
        return "higher"
    return "lower" if high < 1 else "cannot tell"


def student_interval(logs: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Returns the mean and Student's interval, for a number of values that was fixed beforehand.

    Args:
        logs: Logarithms of ratios, two or more.
        confidence: The probability that the interval contains the true mean.
    """
    mean, error = _find_mean(logs)
    half = student_t_quantile((1 + confidence) / 2, len(logs) - 1) * error
    return mean, mean - half, mean + half


def welch_interval(
    before: Sequence[float], after: Sequence[float], confidence: float = CONFIDENCE
) -> Interval:
    """Returns the difference of two means and Welch's interval; the spreads may differ.

    Its degrees of freedom are rounded down, which makes it slightly wider.

    Source: Welch, The generalization of Student's problem when several different population
    variances are involved, Biometrika 34 (1947).

    Args:
        before: Logarithms of ratios, two or more.
        after: Those whose mean is the minuend.
        confidence: The probability that the interval contains the true difference.
    """
    (old_mean, old_error), (new_mean, new_error) = _find_mean(before), _find_mean(after)
    difference = new_mean - old_mean
    error = math.hypot(old_error, new_error)
    if error == 0:
        return difference, difference, difference
    shares = (
        (old_error / error) ** 4 / (len(before) - 1),
        (new_error / error) ** 4 / (len(after) - 1),
    )
    half = (
        student_t_quantile((1 + confidence) / 2, math.floor(1 / math.fsum(shares) + _ROUNDING))
        * error
    )
    return difference, difference - half, difference + half


def anytime_interval(logs: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Returns the mean and an interval that is right at all numbers of values at once.

    Looking at Student's interval after each pair, and stopping once it excludes 1, finds a
    difference between equal layouts in one comparison out of four. This interval contains the true
    mean at every number of values with the probability `confidence`, so that one may look as often
    as one likes. It is wider for that, and without ends for the first few values.

    A mean is in the interval unless the data are `1/(1 - confidence)` times as likely with other
    effects as with that one: effects in standard deviations, from a normal distribution around 0
    (normal mixture). Since effects are relative to the spread, the spread need not be known.

    Source: Lai, On Confidence Sequences, Annals of Statistics 4 (1976); the likelihood ratio is
    that of Rouder et al., Bayesian t tests, Psychonomic Bulletin & Review 16 (2009), with a normal
    prior; Ville's inequality.

    Args:
        logs: Logarithms of ratios, two or more.
        confidence: The probability that all the intervals of a sequence contain the true mean.
    """
    mean, error = _find_mean(logs)
    factor = anytime_factor(len(logs), confidence)
    half = error * factor if math.isfinite(factor) else math.inf
    return mean, mean - half, mean + half


def anytime_factor(count: int, confidence: float = CONFIDENCE) -> float:
    """Returns half the anytime interval in standard errors; infinite for the first few values.

    It is the t at which the likelihood ratio of the mixture, 1/sqrt(g) ((1 + t²/(n-1)) / (1 +
    t²/(n-1)/g))^(n/2) with g = 1 + n x variance of the effects, reaches 1/(1 - confidence).
    """
    growth = 1 + count * _EFFECT_VARIANCE
    bound = (math.sqrt(growth) / (1 - confidence)) ** (2 / count)
    if bound >= growth:
        return math.inf
    return math.sqrt((count - 1) * (bound - 1) / (1 - bound / growth))


def count_pairs(difference: float, spread: float) -> int:
    """Returns how many pairs find a difference in four of five comparisons.

    Args:
        difference: The relative difference, such as 0.1.
        spread: The standard deviation of the pairs' log ratios.
    """
    effect = math.log1p(difference)
    quantile = (1 + CONFIDENCE) / 2

    def finds(count: int) -> bool:
        half = (student_t_quantile(quantile, count - 1) + _POWER_Z) * spread / math.sqrt(count)
        return half <= effect

    return _find_least(finds)


def count_pairs_until(margin: float, spread: float) -> int:
    """Returns after how many pairs `anytime_interval` lies within a margin of equal layouts.

    Args:
        margin: The relative difference that does not matter.
        spread: The standard deviation of the pairs' log ratios.
    """
    return _find_least(
        lambda count: anytime_factor(count) * spread / math.sqrt(count) <= math.log1p(margin)
    )


def geometric_mean(values: Iterable[float]) -> float:
    """Returns the geometric mean; all values are above zero."""
    logs = [math.log(value) for value in values]
    return math.exp(math.fsum(logs) / len(logs))


def _find_least(enough: Callable[[int], bool]) -> int:
    """Returns the least number of pairs that is enough, at most `MAX_PAIRS`."""
    below, above = 1, 2
    while above < MAX_PAIRS and not enough(above):
        below, above = above, 2 * above
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if enough(middle) else (middle, above)
    return min(above, MAX_PAIRS)


def _find_mean(values: Sequence[float]) -> tuple[float, float]:
    """Returns the mean and its standard error."""
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))


def _exp(value: float) -> float:
    """Returns e to a power, kept finite: an interval may exceed the range of floating point."""
    return math.exp(max(-700.0, min(700.0, value)))
