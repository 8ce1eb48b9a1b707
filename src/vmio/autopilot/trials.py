"""Judges trials of a setting: what they came to, and whether chance alone explains it; pure.

Intervals of one load at one setting differ, on a busy host by 20 % and now and then by much more.
So a trial is judged by how much the intervals around it differ, and those of earlier searches
count, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Final

from vmio.autopilot.values import Comparison, Interval, PollingGoal, Ratio

__all__ = ["Trials", "compare", "remember"]

_CHEAPER: Final = 0.95
"""Times the processor time of a request: what a change has to save, at least."""
_MOST_REMEMBERED: Final = 24
"""Trials of one setting."""
_USUAL_SPREAD: Final = 0.03
"""The standard deviation of an interval's logarithm, before anything is known of it."""
_USUAL_WEIGHT: Final = 2.0
"""How many differences that is worth."""
_SURE: Final = 2.0
"""Standard errors between a mean and a bound with which trials tell."""


class Trials:
    """The trials of a setting, of which each figure is compared with that around them.

    Args:
        known: Trials of all settings.
        poll_max_ns: The setting.
        slack: Standard errors by which a mean may exceed a bound, where these trials have to tell;
            None where more can be made. A setting is given up because it is slower, not because
            that is uncertain.
    """

    def __init__(
        self, known: Sequence[Comparison], poll_max_ns: int, *, slack: float | None = None
    ) -> None:
        found = [each for each in known if each.poll_max_ns == poll_max_ns]
        self._cpu = [each.cpu for each in found]
        self._latency = [each.latency for each in found]
        self._slack = slack
        self.count = len(found)

    @property
    def cpu_ratio(self) -> float:
        """The median of the processor time of a request."""
        return median(each.tried for each in self._cpu)

    @property
    def latency_ratio(self) -> float:
        """The median of the mean latency."""
        return median(each.tried for each in self._latency)

    def cost_within(self, factor: float) -> bool | None:
        """Returns whether a request takes at most so much of the processor time around it."""
        return self._is_within(self._cpu, factor)

    def last_within(self, factor: float) -> bool | None:
        """Returns whether a request takes at most so much of the latency around it."""
        return self._is_within(self._latency, factor)

    def pay(self, goal: PollingGoal) -> bool | None:
        """Returns whether the setting is better than the guest's own; None if they do not tell."""
        saves = _both(self.cost_within(_CHEAPER), self.last_within(1 + goal.tolerance))
        if saves:
            return True
        speeds = _both(self.cost_within(1 + goal.tolerance), self.last_within(1 - goal.tolerance))
        return True if speeds else None if None in {saves, speeds} else False

    def _is_within(self, ratios: Sequence[Ratio], factor: float) -> bool | None:
        if factor <= 0:
            return False
        if not ratios:
            return None
        distance = _find_distance(ratios, factor)
        if distance < -_SURE:
            return True
        # What disturbs an interval makes it worse: one trial does not tell that a setting is.
        if distance > _SURE and len(ratios) > 1:
            return False
        return None if self._slack is None else distance <= self._slack


def compare(before: Interval, tried: Interval, after: Interval) -> Comparison:
    """Returns what a trial came to."""
    return Comparison(
        poll_max_ns=tried.poll_max_ns,
        cpu=_divide(before.cpu_per_request_ns, tried.cpu_per_request_ns, after.cpu_per_request_ns),
        latency=_divide(before.latency_mean_ns, tried.latency_mean_ns, after.latency_mean_ns),
    )


def remember(known: Sequence[Comparison], found: Comparison) -> tuple[Comparison, ...]:
    """Returns what is known with one more trial, of each setting the latest."""
    same = [each for each in known if each.poll_max_ns == found.poll_max_ns]
    gone = same[0] if len(same) >= _MOST_REMEMBERED else None
    return (*(each for each in known if each is not gone), found)


def _divide(before: float, tried: float, after: float) -> Ratio:
    return Ratio(tried=tried / math.sqrt(before * after), own=after / before)


def _find_distance(ratios: Sequence[Ratio], factor: float) -> float:
    """Returns how far a mean is above a factor, in standard errors; both as logarithms.

    Of intervals with variance v, a trial against the mean of two varies by 3/2 v, and the
    difference of those two by 2 v: each shows the spread of the trials.
    """
    count = len(ratios)
    logs = [math.log(each.tried) for each in ratios]
    mean = math.fsum(logs) / count
    squares = math.fsum((each - mean) ** 2 for each in logs)
    squares += math.fsum(0.75 * math.log(each.own) ** 2 for each in ratios)
    weight = _USUAL_WEIGHT + 2 * count - 1
    variance = (_USUAL_WEIGHT * 1.5 * _USUAL_SPREAD**2 + squares) / weight
    return (mean - math.log(factor)) / math.sqrt(variance / count)


def _both(first: bool | None, second: bool | None) -> bool | None:  # noqa: FBT001 - facts
    if first is False or second is False:
        return False
    return True if first and second else None
