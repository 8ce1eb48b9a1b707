"""Durations and shares as people write them."""

from __future__ import annotations

import pytest

from vmio.units import parse_duration_s, parse_share


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [("90", 90), ("90s", 90), ("5m", 300), ("5 min", 300), (" 1.5h ", 5400), ("0", 0)],
)
def test_duration_is_in_seconds(text: str, duration_s: float) -> None:
    """A bare number is seconds; m and min are minutes."""
    assert parse_duration_s(text) == duration_s


@pytest.mark.parametrize(
    ("text", "share"), [("5%", 0.05), ("5 %", 0.05), ("0.05", 0.05), ("2.5%", 0.025), ("5", 5)]
)
def test_share_is_a_number_of_one(text: str, share: float) -> None:
    """Percent are hundredths; a bare number is the share itself."""
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize(
    "text", ["", "m", "-5", "5d", "1e3", "nan", "inf", "5%%", "1:30", "٣", "9" * 30, "1.s"]
)
def test_what_is_neither_is_refused(text: str) -> None:
    """Signs, exponents, other alphabets and numbers without end are no quantities."""
    assert parse_duration_s(text) is None
    assert parse_share(text) is None


def test_units_do_not_mix() -> None:
    """A duration is no share, and a share no duration."""
    assert parse_duration_s("5%") is None
    assert parse_share("5m") is None
