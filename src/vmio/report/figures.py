"""Rates, ratios and shares as people write them."""

from __future__ import annotations

__all__ = ["format_rate", "format_ratio", "format_share"]


def format_rate(value: float) -> str:
    """Returns a number with three digits, and k, M or G for thousands: `12.3k`."""
    for suffix in ("", "k", "M"):
        if abs(value) < 999.5:  # noqa: PLR2004  # it would be written as 1000
            return f"{value:.3g}{suffix}"
        value /= 1000
    return f"{value:.3g}G"


def format_ratio(value: float) -> str:
    """Returns a ratio: `1.62`, `12`, or a bound if it is out of range."""
    if value >= 1000:  # noqa: PLR2004  # wider than any hardware
        return ">1000"
    if value < 0.001:  # noqa: PLR2004  # as above
        return "<0.001"
    return f"{value:.2f}" if 0.1 <= value < 10 else f"{value:.3g}"  # noqa: PLR2004


def format_share(value: float) -> str:
    """Returns a share, such as processor time per time: `0.69`."""
    return f"{value:.2f}"
