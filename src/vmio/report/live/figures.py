"""Figures of running guests as text, in short or in base units."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from vmio.observe.percentiles import LatencyRange
from vmio.units import format_bytes, format_duration_ns

__all__ = [
    "UNKNOWN",
    "Units",
    "draw_history",
    "show_bytes",
    "show_count",
    "show_duration",
    "show_processors",
    "show_range",
    "show_rate",
    "show_share",
]

Units = Literal["short", "base"]
"""short: as people read them, such as 12.3k and 210 µs; base: seconds, bytes and processors, as
`--json` has them."""

UNKNOWN: Final = "-"
_NS: Final = 1e9
_STEPS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_TEN: Final = 10
_BARS: Final = "▁▂▃▄▅▆▇█"


def show_share(share: float | None, units: Units = "short") -> str:
    """Returns processors, or a share of time, as `97%` or `0.97`."""
    if share is None:
        return UNKNOWN
    if units == "base":
        return f"{share:.2f}"
    percent = round(share * 100, 1)
    return f"{percent:.1f}%" if 0 < percent < _TEN else f"{percent:.0f}%"


def show_rate(per_s: float | None, units: Units = "short") -> str:
    """Returns how often something happens in a second, as `12.3k` or `12345`."""
    if per_s is None:
        return UNKNOWN
    if units == "base":
        return f"{per_s:.0f}" if per_s >= _TEN or not per_s else f"{per_s:.1f}"
    for size, letter in _STEPS:
        if per_s >= size * 0.9995:
            value = per_s / size
            return f"{value:.1f}{letter}" if value < _TEN**2 else f"{value:.0f}{letter}"
    value = round(per_s, 1)
    return f"{value:.1f}" if 0 < value < _TEN else f"{value:.0f}"


def show_bytes(per_s: float | None, units: Units = "short") -> str:
    """Returns bytes in a second, as `48.2 MiB` or `50541363`."""
    if per_s is None:
        return UNKNOWN
    return f"{per_s:.0f}" if units == "base" else format_bytes(round(per_s))


def show_duration(duration_ns: float | None, units: Units = "short") -> str:
    """Returns a duration as `210 µs` or, in seconds, as `0.000210`."""
    if duration_ns is None:
        return UNKNOWN
    return f"{duration_ns / _NS:.6f}" if units == "base" else format_duration_ns(duration_ns)


def show_range(found: LatencyRange | None, units: Units = "short") -> str:
    """Returns the end of the bin that a quantile lies in: `<250 µs`, or `≥1 s` in the last."""
    if found is None:
        return UNKNOWN
    if found.high_ns is None:
        return f"≥{show_duration(found.low_ns, units)}"
    return f"<{show_duration(found.high_ns, units)}"


def show_count(count: float | None) -> str:
    """Returns how many there are, such as requests under way."""
    if count is None:
        return UNKNOWN
    value = round(count, 1)
    return f"{value:.0f}" if value >= _TEN or value == int(value) else f"{value:.1f}"


def show_processors(numbers: Iterable[int] | None) -> str:
    """Returns a set of processors as the kernel writes it: `0-3,8`."""
    if numbers is None:
        return UNKNOWN
    runs: list[list[int]] = []
    for each in sorted(numbers):
        if runs and each == runs[-1][1] + 1:
            runs[-1][1] = each
        else:
            runs.append([each, each])
    return ",".join(f"{low}-{high}" if high > low else f"{low}" for low, high in runs)


def draw_history(values: Iterable[float | None], width: int) -> str:
    """Returns the last values as bars, the newest on the right; blanks where nothing is known.

    Args:
        values: The oldest first.
        width: In characters, one for each value.
    """
    last = [*values][-width:] if width else []
    top = max((each for each in last if each is not None), default=0.0)
    bars = "".join(_choose_bar(each, top) for each in last)
    return bars.rjust(width)


def _choose_bar(value: float | None, top: float) -> str:
    if value is None:
        return " "
    if value <= 0 or top <= 0:
        return _BARS[0]
    return _BARS[min(len(_BARS) - 1, int(value / top * len(_BARS)))]
