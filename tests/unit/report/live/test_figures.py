"""Figures as text, in short and in base units."""

from __future__ import annotations

import pytest

from vmio.observe.percentiles import LatencyRange
from vmio.report.live.figures import (
    draw_history,
    show_bytes,
    show_count,
    show_duration,
    show_processors,
    show_range,
    show_rate,
    show_share,
)


@pytest.mark.parametrize(
    ("share", "short", "base"),
    [
        (None, "-", "-"),
        (0.0, "0%", "0.00"),
        (0.0004, "0%", "0.00"),
        (0.0123, "1.2%", "0.01"),
        (0.0996, "10%", "0.10"),
        (0.97, "97%", "0.97"),
        (3.5, "350%", "3.50"),
    ],
)
def test_share_is_in_percent_of_a_processor(share: float | None, short: str, base: str) -> None:
    """As top(1) has it, with a decimal only where it tells something."""
    assert (show_share(share), show_share(share, "base")) == (short, base)


@pytest.mark.parametrize(
    ("per_s", "short", "base"),
    [
        (None, "-", "-"),
        (0.0, "0", "0"),
        (0.04, "0", "0.0"),
        (3.25, "3.2", "3.2"),
        (345.4, "345", "345"),
        (999.6, "1.0k", "1000"),
        (12_345.0, "12.3k", "12345"),
        (123_456.0, "123k", "123456"),
        (2_500_000.0, "2.5M", "2500000"),
    ],
)
def test_rate_is_short(per_s: float | None, short: str, base: str) -> None:
    """Six characters at most."""
    assert (show_rate(per_s), show_rate(per_s, "base")) == (short, base)


def test_other_figures_are_as_people_write_them() -> None:
    """Base units are seconds and bytes."""
    assert (show_bytes(50_541_363), show_bytes(50_541_363, "base")) == ("48.2 MiB", "50541363")
    assert (show_duration(210_000), show_duration(210_000, "base")) == ("210 µs", "0.000210")
    assert [show_count(each) for each in (None, 0, 3.24, 12.4)] == ["-", "0", "3.2", "12"]
    assert show_processors((0, 1, 2, 3, 8, 10, 11)) == "0-3,8,10-11"
    assert show_processors(None) == show_bytes(None) == show_duration(None) == "-"


def test_quantile_is_told_by_the_end_of_its_bin() -> None:
    """It is below that; in the last bin nobody knows how far above."""
    assert show_range(LatencyRange(low_ns=100_000, high_ns=250_000)) == "<250 µs"
    assert show_range(LatencyRange(low_ns=1_000_000_000, high_ns=None)) == "≥1 s"
    assert show_range(None) == "-"


def test_history_ends_at_the_right_and_is_as_wide_as_asked_for() -> None:
    """Bars are relative to the largest one that is seen; what is not known is blank."""
    assert draw_history([100.0, 0.0, 4.0, None, 8.0], 4) == "▁▅ █"
    assert draw_history([1.0], 3) == "  █"
    assert draw_history([0.0, 0.0], 2) == "▁▁"
    assert draw_history([], 2) == "  "
    assert draw_history([1.0], 0) == ""
