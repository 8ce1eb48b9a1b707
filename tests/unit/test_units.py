"""Times and shares as people write them."""

from __future__ import annotations

import pytest

from vmio.units import format_time_s, parse_share, parse_time_s


@pytest.mark.parametrize(
    ("text", "time_s"),
    [("90", 90), ("30s", 30), ("10m", 600), ("10 min", 600), ("1.5h", 5400), ("2d", 172800)],
)
def test_time_is_a_number_with_a_unit(text: str, time_s: float) -> None:
    """Without a unit it is in seconds."""
    assert parse_time_s(text) == time_s


@pytest.mark.parametrize("text", ["", "m", "-1", "1e3", "10 weeks", "1h30m", "9" * 10, "inf"])
def test_other_texts_are_no_times(text: str) -> None:
    """Nothing is guessed."""
    assert parse_time_s(text) is None


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (0, "0 s"),
        (0.42, "0.42 s"),
        (12.4, "12 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7530, "2 h 6 min"),
        (3599.7, "1 h"),
        (90_000, "1 d 1 h"),
    ],
)
def test_time_is_shown_in_its_two_largest_units(time_s: float, text: str) -> None:
    """The rest is rounded."""
    assert format_time_s(time_s) == text


@pytest.mark.parametrize(
    ("text", "share"), [("5%", 0.05), ("5 %", 0.05), ("0.05", 0.05), ("2.5%", 0.025), ("5", 5)]
)
def test_share_is_a_number_of_one(text: str, share: float) -> None:
    """Percent are hundredths; a bare number is the share itself."""
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "%", "-5", "5m", "1e3", "nan", "inf", "5%%", "٣", "9" * 30])
def test_other_texts_are_no_shares(text: str) -> None:
    """Signs, exponents, units, other alphabets and numbers without end are refused."""
    assert parse_share(text) is None
