"""Judges the statistics of `vmio bench` by recorded pairs of runs, whose true ratio is known.

    method.py [RECORDING...] [--draws 1000] [--seed 1] [--as-recorded]

Recordings are those in tests/data/pairs, or files made by record_pairs.py. Prints the tables of
docs/concepts/method.md: what recorded pairs are like; how often intervals of several kinds contain
the true ratio in comparisons drawn from the pairs, and how wide they are; the verdicts of the
comparisons that were recorded in a row; false alarms of looking after each pair; how many pairs a
difference needs; and how often the interval of a change from one comparison to the next contains
the true one. `--as-recorded` leaves out what is drawn at random.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from record_pairs import RecordedPair, RecordedRun, read_recording

from vmio.bench.statistics import (
    MARGIN,
    Interval,
    Verdict,
    anytime_factor,
    count_pairs,
    judge,
    student_interval,
    welch_interval,
)
from vmio.sim.statistics import student_t_quantile

RECORDINGS: Final = Path(__file__).parents[1] / "tests/data/pairs"
COUNTS: Final = (5, 8, 12, 20)
"""Pairs of a comparison."""
USUAL: Final = 8
"""The pairs of a comparison by default."""
TRIMMED_SHARE: Final = 0.2
"""Cut off at each end by the trimmed mean; Wilcox, Robust Estimation, recommends it."""
INNER_DRAWS: Final = 400
"""Draws of the bootstrap within each draw."""
FIRST_LOOK: Final = 5
LOOKS: Final = 100
ROUNDING: Final = 1e-9
"""Equal spreads have a whole number of degrees of freedom, which is computed slightly less."""
TINY: Final = 1e-30
"""Above 0, because the interval of the first looks is infinite standard errors wide."""
DIFFERENCES: Final = (0.05, 0.1, 0.2)
POWER: Final = 0.8
AT_ONCE: Final = (1, 12)
"""Figures that are judged together: one, and four of each of the default jobs."""
MAX_PAIRS: Final = 400
ROBUST: Final = 1.4826
"""The standard deviation of a normal distribution by its median absolute deviation."""
FAR: Final = 3.0
"""A pair is an outlier beyond so many robust standard deviations."""

FIGURES: Final[dict[str, Callable[[RecordedRun], float]]] = {
    "IOPS": lambda run: run.iops,
    "p99": lambda run: run.p99_ns,
    "p99.9": lambda run: run.p999_ns,
    "CPU per request": lambda run: run.cpu_share / run.iops,
}

Array = NDArray[np.float64]
Method = Callable[[Array, np.random.Generator], tuple[Array, Array]]
"""Takes log ratios, a row a comparison; returns the ends of each interval."""


class Series(Struct, frozen=True, kw_only=True):
    """The pairs of one job in a recording, in order."""

    recording: str
    name: str
    ratio: float
    """The true ratio."""
    pairs: tuple[RecordedPair, ...]

    @property
    def logs(self) -> Array:
        """The logarithms of the IOPS ratios, without the true one: their true mean is 0."""
        return self.find_logs(FIGURES["IOPS"]) - math.log(self.ratio)

    def find_logs(self, figure: Callable[[RecordedRun], float]) -> Array:
        """Returns the logarithms of B/A of a figure."""
        return np.array([math.log(figure(pair.b) / figure(pair.a)) for pair in self.pairs])

    def find_sides(self, figure: Callable[[RecordedRun], float]) -> tuple[Array, Array]:
        """Returns the logarithms of a figure of A and of B."""
        a, b = (
            np.array([math.log(figure(run)) for run in runs])
            for runs in ([pair.a for pair in self.pairs], [pair.b for pair in self.pairs])
        )
        return a, b

    @property
    def alike(self) -> bool:
        """Whether both sides were the same."""
        return self.ratio == 1


def cut(logs: Array) -> list[Array]:
    """Returns the comparisons that were recorded in a row: each `USUAL` pairs, none in two."""
    return [logs[end - USUAL : end] for end in range(USUAL, len(logs) + 1, USUAL)]


def read_series(paths: Iterable[Path]) -> list[Series]:
    """Returns the series of all recordings."""
    return [
        Series(recording=path.stem, name=name, ratio=pairs[0].ratio, pairs=pairs)
        for path in sorted(paths)
        for name, pairs in group(read_recording(path))
    ]


def group(pairs: Iterable[RecordedPair]) -> list[tuple[str, tuple[RecordedPair, ...]]]:
    """Returns the pairs of each series, in order of their names."""
    ordered = sorted(pairs, key=lambda pair: pair.series)
    return [(name, tuple(each)) for name, each in groupby(ordered, lambda pair: pair.series)]


def student(logs: Array, _: np.random.Generator) -> tuple[Array, Array]:
    """Student's interval of the mean."""
    count = logs.shape[1]
    half = student_t_quantile(0.975, count - 1) * logs.std(axis=1, ddof=1) / math.sqrt(count)
    return logs.mean(axis=1) - half, logs.mean(axis=1) + half


def trimmed(logs: Array, _: np.random.Generator) -> tuple[Array, Array]:
    """The trimmed mean with the interval of Tukey and McLaughlin, from the winsorised spread."""
    count = logs.shape[1]
    left = int(TRIMMED_SHARE * count)
    ordered = np.sort(logs, axis=1)
    mean = ordered[:, left : count - left].mean(axis=1)
    ordered[:, :left] = ordered[:, [left]]
    ordered[:, count - left :] = ordered[:, [count - left - 1]]
    error = ordered.std(axis=1, ddof=1) / ((1 - 2 * left / count) * math.sqrt(count))
    half = student_t_quantile(0.975, count - 2 * left - 1) * error
    return mean - half, mean + half


def hodges_lehmann(logs: Array, _: np.random.Generator) -> tuple[Array, Array]:
    """The interval of Wilcoxon's signed-rank test around the Hodges-Lehmann estimate."""
    count = logs.shape[1]
    first, second = np.triu_indices(count)
    averages = np.sort((logs[:, first] + logs[:, second]) / 2, axis=1)
    outside = count_outside(count)
    return averages[:, outside], averages[:, -1 - outside]


@cache
def count_outside(count: int) -> int:
    """Returns how many averages lie outside at each end; none if 95 % cannot be reached."""
    ways = [1]
    for rank in range(1, count + 1):
        ways = [
            (ways[at] if at < len(ways) else 0) + (ways[at - rank] if at >= rank else 0)
            for at in range(len(ways) + rank)
        ]
    total, outside = 0, -1
    while (total + ways[outside + 1]) / 2**count <= 0.025:  # noqa: PLR2004  # one end of 95 %
        outside += 1
        total += ways[outside]
    return max(outside, 0)


def bootstrap_t(logs: Array, draw: np.random.Generator) -> tuple[Array, Array]:
    """The interval of the mean by the bootstrapped distribution of Student's t."""
    rows, count = logs.shape
    mean, error = logs.mean(axis=1), logs.std(axis=1, ddof=1) / math.sqrt(count)
    low, high = np.empty(rows), np.empty(rows)
    for row in range(rows):
        again = logs[row][draw.integers(count, size=(INNER_DRAWS, count))]
        spread = again.std(axis=1, ddof=1) / math.sqrt(count)
        keep = spread > 0
        t = np.sort((again[keep].mean(axis=1) - mean[row]) / spread[keep])
        low[row] = mean[row] - t[int(0.975 * len(t))] * error[row]
        high[row] = mean[row] - t[int(0.025 * len(t))] * error[row]
    return low, high


METHODS: Final[dict[str, Method]] = {
    "Student on logarithms": student,
    "trimmed mean": trimmed,
    "Hodges-Lehmann": hodges_lehmann,
    "bootstrap-t": bootstrap_t,
}


def draw_comparisons(series: Series, rows: int, count: int, draw: np.random.Generator) -> Array:
    """Returns comparisons of pairs drawn from a series, whose true mean is exactly 0.

    Which side is A is drawn for each pair too, so that what the two guests of a recording happened
    to differ by is noise like the rest.
    """
    return draw_signed(series.logs, rows, count, draw)


def draw_signed(logs: Array, rows: int, count: int, draw: np.random.Generator) -> Array:
    """Returns rows of values drawn from some, each with a sign that is drawn too."""
    drawn = logs[draw.integers(len(logs), size=(rows, count))]
    return np.where(draw.random((rows, count)) < 0.5, -drawn, drawn)  # noqa: PLR2004  # a coin


def print_series(found: Sequence[Series]) -> None:
    """Prints what the pairs of each series are like."""
    rows = []
    for each in found:
        logs = each.logs
        centre = np.median(logs)
        robust = ROBUST * float(np.median(np.abs(logs - centre)))
        busy = np.array([pair.busy for pair in each.pairs])
        rows.append(
            (
                each.recording,
                each.name,
                str(len(logs)),
                f"{logs.std(ddof=1):.3f}",
                f"{robust:.3f}",
                f"{np.mean(np.abs(logs - centre) > FAR * robust):.0%}",
                f"{np.corrcoef(logs[1:], logs[:-1])[0, 1]:+.2f}",
                f"{busy.mean():.0%}",
                describe_spread(logs[~busy]),
                describe_spread(logs[busy]),
            )
        )
    heads = ("recording", "series", "pairs", "spread", "robust spread", "outliers",
             "correlation of neighbours", "busy pairs", "spread of the others",
             "of busy pairs")  # fmt: skip
    print_table(heads, rows)


def describe_spread(logs: Array) -> str:
    """Returns a standard deviation; too few values have none that says anything."""
    return f"{logs.std(ddof=1):.3f}" if len(logs) >= USUAL else ""


def print_coverage(found: Sequence[Series], draws: int, draw: np.random.Generator) -> None:
    """Prints how often each kind of interval contains the truth, and how wide it is."""
    rows = []
    for recording, each in groupby([one for one in found if one.alike], lambda s: s.recording):
        series = list(each)
        for name, method in METHODS.items():
            shares, widths = [], []
            for count in COUNTS:
                ends = [method(draw_comparisons(s, draws, count, draw), draw) for s in series]
                shares.append([np.mean((low <= 0) & (high >= 0)) for low, high in ends])
                widths.append(
                    [math.exp(float(np.median(high - low)) / 2) - 1 for low, high in ends]
                )
            held = [method(stretch[np.newaxis], draw) for s in series for stretch in cut(s.logs)]
            inside = sum(bool(low[0] <= 0 <= high[0]) for low, high in held)
            rows.append(
                (
                    recording,
                    name,
                    *(f"{np.mean(share):.1%} ({min(share):.1%})" for share in shares),
                    *(f"±{np.mean(width):.0%}" for width in widths),
                    f"{inside} of {len(held)}",
                )
            )
    heads = ("recording", "interval", *(f"{n} pairs" for n in COUNTS),
             *(f"width, {n}" for n in COUNTS), f"{USUAL} in a row")  # fmt: skip
    print_table(heads, rows)


def print_verdicts(found: Sequence[Series]) -> None:
    """Prints the verdicts of the comparisons that were recorded in a row."""
    rows = []
    for each in found:
        verdicts: Counter[Verdict] = Counter()
        inside = 0
        for stretch in cut(each.logs):
            _, low, high = student_interval(list(stretch))
            inside += low <= 0 <= high
            true = math.log(each.ratio)
            verdicts[judge(math.exp(low + true), math.exp(high + true))] += 1
        names: tuple[Verdict, ...] = ("the same", "cannot tell", "higher", "lower")
        rows.append(
            (
                each.recording,
                each.name,
                str(len(cut(each.logs))),
                *(str(verdicts[name]) for name in names),
                str(inside),
            )
        )
    heads = ("recording", "series", f"comparisons of {USUAL}", "the same", "cannot tell",
             "higher", "lower", "truth inside")  # fmt: skip
    print_table(heads, rows)


def print_figures(found: Sequence[Series], draws: int, draw: np.random.Generator) -> None:
    """Prints how the chosen interval does with the other figures that are compared."""
    rows = []
    for recording, each in groupby([one for one in found if one.alike], lambda s: s.recording):
        series = list(each)
        for name, figure in FIGURES.items():
            logs = [one.find_logs(figure) for one in series]
            ends = [student(draw_signed(one, draws, USUAL, draw), draw) for one in logs]
            shares = [np.mean((low <= 0) & (high >= 0)) for low, high in ends]
            held = [student_interval(list(stretch)) for one in logs for stretch in cut(one)]
            inside = sum(low <= 0 <= high for _, low, high in held)
            rows.append(
                (
                    recording,
                    name,
                    f"{np.mean([one.std(ddof=1) for one in logs]):.3f}",
                    f"{np.mean(shares):.1%} ({min(shares):.1%})",
                    f"{inside} of {len(held)}",
                )
            )
    print_table(("recording", "figure", "spread", f"{USUAL} pairs", f"{USUAL} in a row"), rows)


def print_looks(found: Sequence[Series], draws: int, draw: np.random.Generator) -> None:
    """Prints how often a look after each pair finds a difference where there is none.

    The last columns say after how many pairs `--until` ends with equal layouts.
    """
    counts = np.arange(2, LOOKS + 1)
    student_factors = np.array([student_t_quantile(0.975, int(n) - 1) for n in counts])
    anytime_factors = np.array([anytime_factor(int(n)) for n in counts])
    rows = []
    for each in found:
        if not each.alike:
            continue
        logs = draw_comparisons(each, draws, LOOKS, draw)
        means = (logs.cumsum(axis=1) / np.arange(1, LOOKS + 1))[:, 1:]
        squares = (logs**2).cumsum(axis=1)[:, 1:] - counts * means**2
        errors = np.sqrt(np.maximum(squares, TINY) / (counts - 1) / counts)
        distances = np.abs(means)
        alarms = [
            np.mean((distances > factors * errors)[:, FIRST_LOOK - 2 :].any(axis=1))
            for factors in (student_factors, anytime_factors)
        ]
        halves = anytime_factors * errors
        ended = (distances > halves) | (distances + halves <= math.log1p(MARGIN))
        ends = np.where(ended.any(axis=1), ended.argmax(axis=1) + 2, LOOKS + 1)
        rows.append(
            (
                each.recording,
                each.name,
                *(f"{alarm:.1%}" for alarm in alarms),
                *(describe_count(round(np.quantile(ends, share)), LOOKS) for share in (0.5, 0.9)),
            )
        )
    heads = ("recording", "series", "false alarms, Student", "false alarms, anytime",
             f"pairs until a verdict at {MARGIN:.0%}: median", "90 % of comparisons")  # fmt: skip
    print_table(heads, rows)


def print_needed(found: Sequence[Series], draws: int, draw: np.random.Generator) -> None:
    """Prints how many pairs find a difference in four of five comparisons."""
    rows = []
    for each in found:
        if not each.alike:
            continue
        spread = float(each.logs.std(ddof=1))
        cells = []
        for difference in DIFFERENCES:
            drawn = find_needed(each, difference, draws, draw)
            told = describe_count(count_pairs(difference, spread), MAX_PAIRS)
            cells.append(f"{describe_count(drawn, MAX_PAIRS)} ({told})")
        rows.append((each.recording, each.name, *cells))
    print_table(("recording", "series", *(f"{one:.0%}" for one in DIFFERENCES)), rows)


def print_changes(found: Sequence[Series], draws: int, draw: np.random.Generator) -> None:
    """Prints how often the interval of the change between two comparisons contains the truth."""
    rows = []
    for recording, each in groupby([one for one in found if one.alike], lambda s: s.recording):
        series = list(each)
        for number in AT_ONCE:
            confidence = 1 - 0.05 / number
            shares, widths = [], []
            for count in COUNTS:
                ends = [
                    welch(
                        draw_comparisons(one, draws, count, draw),
                        draw_comparisons(one, draws, count, draw),
                        confidence,
                    )
                    for one in series
                ]
                shares.append([np.mean((low <= 0) & (high >= 0)) for low, high in ends])
                widths.append(
                    [math.exp(float(np.median(high - low)) / 2) - 1 for low, high in ends]
                )
            held = [
                welch_interval(list(before), list(after), confidence)
                for one in series
                for before, after in pairwise(cut(one.logs))
            ]
            alone = [
                welch_interval(list(before), list(after), confidence)
                for one in series
                for rates in one.find_sides(FIGURES["IOPS"])
                for before, after in pairwise(cut(rates))
            ]
            rows.append(
                (
                    recording,
                    f"{confidence:.1%}",
                    *(f"{np.mean(share):.1%} ({min(share):.1%})" for share in shares),
                    *(f"±{np.mean(width):.0%}" for width in widths),
                    count_inside(held),
                    count_inside(alone),
                )
            )
    heads = ("recording", "confidence", *(f"{n} pairs each" for n in COUNTS),
             *(f"width, {n}" for n in COUNTS), f"{USUAL} against the next {USUAL}",
             "of one side's IOPS")  # fmt: skip
    print_table(heads, rows)


def count_inside(intervals: Sequence[Interval]) -> str:
    """Returns how many intervals contain 0; nothing if there are none."""
    inside = sum(low <= 0 <= high for _, low, high in intervals)
    return f"{inside} of {len(intervals)}" if intervals else ""


def welch(before: Array, after: Array, confidence: float) -> tuple[Array, Array]:
    """The interval of `welch_interval` for a row of values each."""
    squares = [rows.var(axis=1, ddof=1) / rows.shape[1] for rows in (before, after)]
    parts = (s**2 / (rows.shape[1] - 1) for s, rows in zip(squares, (before, after), strict=True))
    degrees = np.floor((squares[0] + squares[1]) ** 2 / sum(parts) + ROUNDING).astype(int)
    factors = np.array([find_quantile((1 + confidence) / 2, int(one)) for one in degrees])
    half = factors * np.sqrt(squares[0] + squares[1])
    difference = after.mean(axis=1) - before.mean(axis=1)
    return difference - half, difference + half


@cache
def find_quantile(probability: float, degrees: int) -> float:
    """Returns a quantile of Student's distribution."""
    return student_t_quantile(probability, degrees)


def find_needed(series: Series, difference: float, draws: int, draw: np.random.Generator) -> int:
    """Returns the least number of pairs whose interval excludes 1 often enough."""
    effect = math.log1p(difference)

    def finds(count: int) -> bool:
        low, _ = student(draw_comparisons(series, draws, count, draw) + effect, draw)
        return bool(np.mean(low > 0) >= POWER)

    below, enough = 1, 2
    while enough <= MAX_PAIRS and not finds(enough):
        below, enough = enough, 2 * enough
    if enough > MAX_PAIRS and not finds(MAX_PAIRS):
        return MAX_PAIRS + 1
    enough = min(enough, MAX_PAIRS)
    while enough - below > 1:
        middle = (below + enough) // 2
        below, enough = (below, middle) if finds(middle) else (middle, enough)
    return enough


def describe_count(count: int, most: int) -> str:
    """Returns a number of pairs, or that it is beyond what was tried."""
    return f"more than {most}" if count > most else str(count)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table in Markdown, and an empty line."""
    for row in (heads, ["---"] * len(heads), *rows):
        print("|", " | ".join(row), "|")
    print()


def main() -> None:
    """Parses the options and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path, nargs="*")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--as-recorded", action="store_true", help="draw nothing at random")
    arguments = parser.parse_args()
    found = read_series(arguments.recordings or RECORDINGS.glob("*.jsonl"))
    print_series(found)
    print_verdicts(found)
    if not arguments.as_recorded:
        draw = np.random.default_rng(arguments.seed)
        print_coverage(found, arguments.draws, draw)
        print_figures(found, arguments.draws, draw)
        print_looks(found, arguments.draws, draw)
        print_needed(found, arguments.draws, draw)
        print_changes(found, arguments.draws, draw)


if __name__ == "__main__":
    main()
