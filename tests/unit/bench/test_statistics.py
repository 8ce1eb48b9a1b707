"""Paired ratios: against published tables, and as laws that hold for any figures."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.bench.statistics import geometric_mean, paired_ratio
from vmio.errors import UsageError
from vmio.sim.statistics import student_t_quantile

FIGURES = st.floats(min_value=1e-3, max_value=1e9)
PAIRS = st.lists(st.tuples(FIGURES, FIGURES), min_size=2, max_size=12)


@pytest.mark.parametrize(
    ("probability", "degrees", "t"),
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 3, 3.182),
        (0.975, 4, 2.776),
        (0.975, 5, 2.571),
        (0.975, 7, 2.365),
        (0.975, 9, 2.262),
        (0.975, 10, 2.228),
        (0.975, 30, 2.042),
        (0.975, 120, 1.980),
        (0.95, 4, 2.132),
        (0.995, 4, 4.604),
        (0.995, 29, 2.756),
        (0.9995, 6, 5.959),
        (0.75, 1, 1.000),
    ],
)
def test_student_t_quantile_agrees_with_the_tables(
    probability: float, degrees: int, t: float
) -> None:
    """The quantiles are those of the tables in every textbook, to their last digit."""
    assert student_t_quantile(probability, degrees) == pytest.approx(t, abs=6e-4)


def test_student_t_quantile_is_symmetric() -> None:
    """The lower quantile is the upper one with a minus; the median is zero."""
    assert student_t_quantile(0.025, 4) == pytest.approx(-student_t_quantile(0.975, 4))
    assert student_t_quantile(0.5, 4) == pytest.approx(0, abs=1e-9)


def test_paired_ratio_computes_a_worked_example() -> None:
    """Ratios 2, 4 and 8 have the mean 4; the interval is that of Student by hand."""
    result = paired_ratio([(1, 2), (10, 40), (5, 40)])
    assert result.ratio == pytest.approx(4)
    # The logs to base 2 are 1, 2, 3: mean 2, standard deviation 1, t(2) = 4.3027.
    half = 4.302653 / math.sqrt(3)
    assert (result.low, result.high) == pytest.approx((2 ** (2 - half), 2 ** (2 + half)), rel=1e-4)
    assert result.pairs == 3
    assert result.verdict == "no clear difference"


def test_paired_ratio_finds_what_the_drift_hides() -> None:
    """A host that slows down to a half during the run does not hide B's constant lead."""
    rng = random.Random(7)  # noqa: S311  # noise for a test
    pairs = []
    for index in range(6):
        drift = 0.5 ** (index / 5)
        noise_a, noise_b = rng.uniform(0.97, 1.03), rng.uniform(0.97, 1.03)
        pairs.append((1000 * drift * noise_a, 1300 * drift * noise_b))
    result = paired_ratio(pairs)
    assert result.verdict == "faster"
    assert result.low > 1.2
    assert result.high < 1.4
    # While the figures themselves overlap: B's last runs are far slower than A's first.
    assert min(b for _, b in pairs) < max(a for a, _ in pairs)


def test_paired_ratio_calls_a_small_effect_none() -> None:
    """Three percent is no difference, however surely it is measured."""
    result = paired_ratio([(100, 103.0), (100, 103.1), (100, 102.9)])
    assert result.low > 1
    assert result.verdict == "no clear difference"


def test_paired_ratio_needs_two_pairs() -> None:
    """One pair has no spread, so nothing can be said of its noise."""
    with pytest.raises(UsageError, match="noise"):
        paired_ratio([(1, 2)])


def test_paired_ratio_stays_finite() -> None:
    """Figures as far apart as can be still give an interval that JSON can carry."""
    result = paired_ratio([(1e-300, 1e300), (1e300, 1e-300)])
    assert math.isfinite(result.high)
    assert result.low > 0


@given(PAIRS)
def test_paired_ratio_lies_in_its_interval(pairs: list[tuple[float, float]]) -> None:
    """The ratio is inside, and the verdict says what the interval says."""
    result = paired_ratio(pairs)
    assert 0 < result.low <= result.ratio * (1 + 1e-9)
    assert result.ratio <= result.high * (1 + 1e-9)
    if result.verdict == "faster":
        assert result.low > 1
        assert result.ratio >= 1.05
    if result.verdict == "slower":
        assert result.high < 1


@given(PAIRS)
def test_paired_ratio_turns_over_with_its_sides(pairs: list[tuple[float, float]]) -> None:
    """B against A is one over A against B, and the verdict turns too."""
    forth = paired_ratio(pairs)
    back = paired_ratio([(b, a) for a, b in pairs])
    assert forth.ratio * back.ratio == pytest.approx(1)
    assert forth.low * back.high == pytest.approx(1)
    if forth.low > 1.001 and forth.ratio > 1.051:
        assert (forth.verdict, back.verdict) == ("faster", "slower")


@given(PAIRS, st.lists(FIGURES, min_size=12, max_size=12))
def test_paired_ratio_ignores_what_both_of_a_pair_suffer(
    pairs: list[tuple[float, float]], drift: list[float]
) -> None:
    """Whatever factor the host puts on both runs of a pair leaves the result as it is."""
    result = paired_ratio(pairs)
    moved = paired_ratio([(a * d, b * d) for (a, b), d in zip(pairs, drift, strict=False)])
    assert moved.ratio == pytest.approx(result.ratio, rel=1e-6)
    assert math.log(moved.low) == pytest.approx(math.log(result.low), rel=1e-6, abs=1e-6)


@given(st.lists(FIGURES, min_size=1, max_size=9), FIGURES)
def test_geometric_mean_scales_with_its_values(values: list[float], factor: float) -> None:
    """It lies between the extremes and follows a common factor."""
    mean = geometric_mean(values)
    assert min(values) * (1 - 1e-9) <= mean <= max(values) * (1 + 1e-9)
    assert geometric_mean(value * factor for value in values) == pytest.approx(mean * factor)
