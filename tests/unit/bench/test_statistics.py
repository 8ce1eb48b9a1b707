"""Paired ratios: against published tables, and as laws that hold for any figures."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.bench.statistics import (
    MAX_PAIRS,
    Verdict,
    anytime_interval,
    compare_ratios,
    count_pairs,
    count_pairs_until,
    geometric_mean,
    judge,
    paired_ratio,
    student_interval,
    welch_interval,
)
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
    assert result.spread == pytest.approx(math.log(2))
    assert result.verdict == "cannot tell"


def test_paired_ratio_finds_what_the_drift_hides() -> None:
    """A host that slows down to a half during the run does not hide B's constant lead."""
    rng = random.Random(7)  # noqa: S311  # noise for a test
    pairs = []
    for index in range(6):
        drift = 0.5 ** (index / 5)
        noise_a, noise_b = rng.uniform(0.97, 1.03), rng.uniform(0.97, 1.03)
        pairs.append((1000 * drift * noise_a, 1300 * drift * noise_b))
    result = paired_ratio(pairs)
    assert result.verdict == "higher"
    assert result.low > 1.2
    assert result.high < 1.4
    # While the figures themselves overlap: B's last runs are far slower than A's first.
    assert min(b for _, b in pairs) < max(a for a, _ in pairs)


def test_paired_ratio_calls_a_small_effect_none() -> None:
    """Three percent is no difference, however surely it is measured."""
    result = paired_ratio([(100, 103.0), (100, 103.1), (100, 102.9)])
    assert result.low > 1
    assert result.verdict == "the same"
    assert (
        paired_ratio([(100, 103.0), (100, 103.1), (100, 102.9)], margin=0.01).verdict == "higher"
    )


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
    assert (result.verdict == "higher") == (result.low > 1 and result.high > 1.05)
    assert (result.verdict == "lower") == (result.high < 1 and result.low < 1 / 1.05)


@given(PAIRS)
def test_paired_ratio_turns_over_with_its_sides(pairs: list[tuple[float, float]]) -> None:
    """B against A is one over A against B, and the verdict turns too."""
    forth = paired_ratio(pairs)
    back = paired_ratio([(b, a) for a, b in pairs])
    assert forth.ratio * back.ratio == pytest.approx(1)
    assert forth.low * back.high == pytest.approx(1)
    if forth.low > 1.001 and forth.high > 1.051:
        assert (forth.verdict, back.verdict) == ("higher", "lower")


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


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.96, 1.04, "the same"),
        (1 / 1.05, 1.05, "the same"),
        (0.952, 1.04, "cannot tell"),
        (0.96, 1.0501, "cannot tell"),
        (1.01, 1.05, "the same"),
        (1.01, 1.0501, "higher"),
        (1.0, 1.2, "cannot tell"),
        (0.96, 0.99, "the same"),
        (0.9, 0.999, "lower"),
        (0.9, 1.0, "cannot tell"),
        (0.5, 2.0, "cannot tell"),
    ],
)
def test_judge_has_four_verdicts(low: float, high: float, verdict: Verdict) -> None:
    """Within the margin is the same, whatever else; beyond 1 is a difference; the rest is open."""
    assert judge(low, high, 0.05) == verdict


def _draw_heavy(rng: random.Random) -> float:
    """Returns a value of Student's distribution with three degrees of freedom."""
    return rng.gauss(0, 1) / math.sqrt(rng.gammavariate(1.5, 2) / 3)


def _draw_disturbed(rng: random.Random) -> float:
    """Returns noise that is five times as large in one pair of ten."""
    return rng.gauss(0, 5 if rng.random() < 0.1 else 1)


HEAVY_TAILS = [_draw_heavy, _draw_disturbed]


def _most(draws: int, probability: float) -> float:
    """Returns the share that chance exceeds once in about 30,000 times, by its binomial error."""
    return probability + 4 * math.sqrt(probability * (1 - probability) / draws)


@pytest.mark.parametrize("draw", HEAVY_TAILS)
@pytest.mark.parametrize("count", [5, 8, 20])
def test_student_interval_contains_the_truth_under_heavy_tails(
    draw: Callable[[random.Random], float], count: int
) -> None:
    """It misses no more often than 5 %: heavy tails make it wider, not wrong."""
    rng, draws = random.Random(count), 2000  # noqa: S311  # noise for a test
    missed = 0
    for _ in range(draws):
        _, low, high = student_interval([draw(rng) for _ in range(count)])
        missed += not low <= 0 <= high
    assert missed / draws <= _most(draws, 0.05)


@pytest.mark.parametrize("draw", [lambda rng: rng.gauss(0, 1), *HEAVY_TAILS])
def test_looking_after_each_pair_gives_no_false_alarms(
    draw: Callable[[random.Random], float],
) -> None:
    """Of A/A comparisons that are looked at after each of 40 pairs, at most 5 % are ever wrong.

    With Student's interval far more are, so that the data do put it to the test.
    """
    rng, draws = random.Random(1), 300  # noqa: S311  # noise for a test
    wrong = {anytime_interval: 0, student_interval: 0}
    for _ in range(draws):
        values = [draw(rng) for _ in range(40)]
        for find_interval in wrong:
            intervals = (find_interval(values[:count]) for count in range(2, 41))
            wrong[find_interval] += any(not low <= 0 <= high for _, low, high in intervals)
    assert wrong[anytime_interval] / draws <= _most(draws, 0.05)
    assert wrong[student_interval] / draws > 0.12


def test_anytime_interval_has_no_ends_at_first() -> None:
    """Four values cannot exclude anything, however alike; five can."""
    assert anytime_interval([1.0, 1.0, 1.0, 1.0])[1:] == (-math.inf, math.inf)
    mean, low, high = anytime_interval([0.9, 1.0, 1.1, 1.0, 1.0])
    assert (mean, (low + high) / 2) == pytest.approx((1.0, 1.0))
    assert 0 < low < 1


@given(st.lists(st.floats(-1, 1), min_size=5, max_size=20), st.floats(-9, 9), st.floats(0.1, 9))
def test_anytime_interval_moves_and_grows_with_its_values(
    values: list[float], shift: float, scale: float
) -> None:
    """It depends on the values' spread alone, and contains the fixed interval of as many."""
    mean, low, high = anytime_interval(values)
    moved = anytime_interval([value * scale + shift for value in values])
    expected = [end * scale + shift for end in (mean, low, high)]
    assert moved == pytest.approx(expected, rel=1e-6, abs=1e-6)
    _, inner_low, inner_high = student_interval(values)
    assert low <= inner_low + 1e-12
    assert high >= inner_high - 1e-12


def test_anytime_interval_is_where_the_likelihood_ratio_is_twenty() -> None:
    """Integrated over the effects by hand, the ratio at an end of the interval is 1/0.05."""
    values = [0.3, -0.1, 0.25, 0.4, 0.1, 0.2, 0.35, -0.05]
    mean, low, _ = anytime_interval(values)
    count = len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    t = (mean - low) / math.sqrt(squares / (count - 1) / count)

    def density(effect: float) -> float:
        """Returns the likelihood of t with an effect, integrated over the unknown deviation.

        That is the non-central t density; up to a factor, of the sum's share of all squares.
        """
        step, total = 0.01, 0.0
        share = t / math.sqrt(count - 1 + t * t)
        for number in range(1, 1200):
            root = number * step
            total += root ** (count - 1) * math.exp(
                -root * root / 2 + effect * math.sqrt(count) * share * root
            )
        return total * step * math.exp(-count * effect * effect / 2)

    step = 0.02
    mixture = math.fsum(
        density(number * step) * math.exp(-((number * step) ** 2) / 2) * step
        for number in range(-300, 301)
    ) / math.sqrt(2 * math.pi)
    assert mixture / density(0) == pytest.approx(20, rel=1e-3)


@pytest.mark.parametrize("counting", [count_pairs, count_pairs_until])
def test_more_pairs_are_needed_for_less(counting: Callable[[float, float], int]) -> None:
    """Noise needs more pairs, a larger difference or margin fewer; never less than two."""
    needed = [counting(difference, 0.1) for difference in (0.01, 0.05, 0.1, 0.2, 1.0)]
    assert needed == sorted(needed, reverse=True)
    assert counting(0.1, 0.2) > counting(0.1, 0.1) > counting(0.1, 0.02) >= 2
    assert counting(0.001, 10.0) == MAX_PAIRS


def test_counted_pairs_find_the_difference_four_times_in_five() -> None:
    """Power by simulation is what was asked for."""
    count, rng, draws = count_pairs(0.1, 0.1), random.Random(3), 2000  # noqa: S311  # a test's
    found = 0
    for _ in range(draws):
        _, low, _ = student_interval([rng.gauss(math.log(1.1), 0.1) for _ in range(count)])
        found += low > 0
    assert 0.8 - 4 * math.sqrt(0.16 / draws) <= found / draws <= 0.9


def test_paired_ratio_that_was_looked_at_is_wider() -> None:
    """With pairs measured until a verdict, the interval has to hold for every look."""
    pairs = [(100, 100 * (1 + number % 3 / 10)) for number in range(10)]
    fixed, looked = paired_ratio(pairs), paired_ratio(pairs, anytime=True)
    assert looked.ratio == fixed.ratio
    assert looked.low < fixed.low
    assert looked.high > fixed.high
    assert paired_ratio(pairs[:3], anytime=True).verdict == "cannot tell"


def test_welch_interval_of_equal_spreads_is_students() -> None:
    """Of two equal samples it is that of both together, with all their degrees of freedom."""
    before = [0.0, 0.1, -0.1, 0.05, -0.05]
    after = [value + 1 for value in before]
    mean, low, high = welch_interval(before, after)
    error = math.sqrt(2) * (student_interval(before)[2] / student_t_quantile(0.975, 4))
    assert mean == pytest.approx(1)
    assert (mean - low, high - mean) == pytest.approx([2.306 * error] * 2, rel=1e-3)


def test_welch_interval_depends_on_the_wider_spread() -> None:
    """One sample without any spread leaves the other's own interval; none leaves no interval."""
    values = [0.0, 0.2, -0.3, 0.1]
    assert welch_interval([1.0] * 9, values) == pytest.approx(
        [end - 1 for end in student_interval(values)]
    )
    assert welch_interval([1.0, 1.0], [3.0, 3.0]) == (2.0, 2.0, 2.0)


@given(PAIRS, PAIRS)
def test_compare_ratios_backwards_is_the_reciprocal(
    old: list[tuple[float, float]], new: list[tuple[float, float]]
) -> None:
    """What got twice as much has half of it if one looks back."""
    for anytime in (False, True):
        there = compare_ratios(old, new, anytime=anytime)
        back = compare_ratios(new, old, anytime=anytime)
        assert there.ratio * back.ratio == pytest.approx(1)
        assert there.low * back.high == pytest.approx(1, rel=1e-6)
        assert there.low <= there.ratio <= there.high


def test_compare_ratios_contains_the_truth_as_often_as_it_says() -> None:
    """Of normal values with two spreads, in 95 of 100 comparisons, and more often anytime."""
    draw = random.Random(7)  # noqa: S311  # figures, not secrets
    held = [0, 0]
    for _ in range(1000):
        old, new = (
            [(1.0, math.exp(draw.gauss(0, spread))) for _ in range(8)] for spread in (0.1, 0.3)
        )
        for number, anytime in enumerate((False, True)):
            found = compare_ratios(old, new, anytime=anytime)
            held[number] += found.low <= 1 <= found.high
    assert 935 <= held[0] <= 970
    assert held[1] >= 990
