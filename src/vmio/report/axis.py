"""Axes of charts: their range, the positions of values, and the labelled values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

__all__ = ["Axis", "choose_axis", "nice_step", "scale"]

_LEAST_SPAN: Final = 0.1
"""Of the largest value: a smaller span would exaggerate differences that do not matter."""
_MARGIN: Final = 0.04
"""Of the span, at each end."""
_LOGARITHMIC_FROM: Final = 50
"""A largest value this many times the smallest makes the axis logarithmic."""


class Axis(Struct, frozen=True, kw_only=True):
    """The range of an axis, and the values to label."""

    low: float
    high: float
    ticks: tuple[float, ...]
    is_logarithmic: bool = False

    def place(self, value: float, start: float, end: float) -> float:
        """Returns the position of a value on an axis between two coordinates."""
        value = min(max(value, self.low), self.high)
        if self.is_logarithmic:
            return scale(math.log(value), math.log(self.low), math.log(self.high), start, end)
        return scale(value, self.low, self.high, start, end)


def choose_axis(values: Sequence[float], *, ticks: int) -> Axis:
    """Returns an axis whose range contains all values with a margin.

    It starts at 0 unless all values are in its upper half. It is logarithmic if no value is 0 and
    the values differ widely.

    Args:
        values: At least one, none negative.
        ticks: The most labels that there is room for, at least 2.
    """
    low, high = min(values), max(values)
    if high <= 0:
        return Axis(low=0, high=1, ticks=(0, 1))
    if low > 0 and high / low >= _LOGARITHMIC_FROM:
        return _choose_logarithmic(low, high, ticks)
    if low < high / 2:
        low = 0
    elif high - low < high * _LEAST_SPAN:
        middle = (low + high) / 2
        low, high = middle - high * _LEAST_SPAN / 2, middle + high * _LEAST_SPAN / 2
    room = (high - low) * _MARGIN
    low, high = max(0.0, low - room), high + room
    step = nice_step((high - low) / ticks, (1, 2, 5, 10))
    if math.floor(high / step) * step < low:
        # With room for two labels a step can be longer than the axis, and miss it.
        step /= 2
    first, last = math.ceil(low / step), math.floor(high / step)
    return Axis(low=low, high=high, ticks=tuple(n * step for n in range(first, last + 1)))


def _choose_logarithmic(low: float, high: float, ticks: int) -> Axis:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    apart = math.ceil((last - first) / (ticks - 1))
    found = tuple(10.0**power for power in range(first, last + apart, apart))
    return Axis(low=found[0], high=found[-1], ticks=found, is_logarithmic=True)


def scale(value: float, low: float, high: float, start: float, end: float) -> float:
    """Maps a value of one range linearly to another range."""
    return start + (value - low) / (high - low) * (end - start)


def nice_step(least: float, digits: Sequence[float] = (1, 2, 2.5, 5, 10)) -> float:
    """Returns the smallest round number above a value, which begins with one of the digits."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * digit for digit in digits if power * digit >= least)
