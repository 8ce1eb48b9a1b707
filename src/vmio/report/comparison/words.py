"""The result of a comparison in words, with the main result first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from vmio.report.figures import format_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmio.bench.result import Comparison, JobResult, Measurement, Summary
    from vmio.bench.statistics import PairedRatio

__all__ = [
    "describe_interval",
    "describe_main_loop",
    "format_interval",
    "name_sides",
    "summarise_comparison",
]

_WIDEST: Final = 1000
"""The largest ratio of an interval's high end to its low end that still shows anything."""


def name_sides(comparison: Comparison) -> tuple[str, str]:
    """Returns the names of A and B: their titles, or their file names if the titles are equal."""
    a, b = comparison.a, comparison.b
    return (a.title, b.title) if a.title != b.title else (a.name, b.name)


def summarise_comparison(comparison: Comparison) -> str:
    """Returns how much faster B is, with its interval, and the change of main loop load.

    The main result is the first sentence. It mentions the main loop only if the main loop's time
    the same way in every pair.
    """
    a, b = name_sides(comparison)
    clear = [one for one in comparison.jobs if one.iops_ratio.verdict != "no clear difference"]
    rest = [one for one in comparison.jobs if one not in clear]
    same = [one for one in rest if _has_interval(one.iops_ratio)]
    unknown = [one.job.name for one in rest if not _has_interval(one.iops_ratio)]
    main_loop = _compare_main_loops(clear or rest)
    sentences = []
    if clear:
        ratios = [
            f"{format_ratio(one.iops_ratio.ratio)} times as fast in {_name_with_interval(one)}"
            for one in clear
        ]
        also = f", and {main_loop}" if main_loop else ""
        sentences.append(f"{b} is {_join(ratios)}, compared with {a}{also}.")
    if same:
        between = "" if clear else f" between {a} and {b}"
        also = f", but {b} {main_loop}" if main_loop and not clear else ""
        jobs = _join([_name_with_interval(one) for one in same])
        sentences.append(f"No difference{between} is shown in {jobs}{also}.")
    if unknown:
        also = f", but {b} {main_loop}" if main_loop and not clear and not same else ""
        sentences.append(f"Too few pairs were measured to decide in {_join(unknown)}{also}.")
    return " ".join(sentences)


def describe_main_loop(result: JobResult) -> str:
    """Returns how busy the main loop is with each side."""
    a, b = _find_main_loop(result.a), _find_main_loop(result.b)
    return f"main loop: {a:.2f} processors with A, {b:.2f} with B"


def _compare_main_loops(results: Sequence[JobResult]) -> str:
    """Describes the change of main loop load in the job with the largest; empty if not clear.

    It is not clear if the pairs differ in which side's main loop is busier.
    """
    result = max(results, key=lambda one: abs(math.fsum(_list_freed(one))))
    freed = _list_freed(result)
    a, b = _find_main_loop(result.a), _find_main_loop(result.b)
    most = "up to " * (len(results) > 1)
    figures = f"{most}{abs(a - b):.2f} processors ({a:.2f} to {b:.2f})"
    if all(one > 0 for one in freed):
        return f"frees the main loop of {figures}"
    if all(one < 0 for one in freed):
        return f"adds to the main loop {figures}"
    return ""


def format_interval(ratio: PairedRatio) -> str:
    """Returns an interval's ends, or that there are too few pairs for one."""
    if not _has_interval(ratio):
        return "too few pairs"
    return f"{format_ratio(ratio.low)} to {format_ratio(ratio.high)}"


def describe_interval(ratio: PairedRatio) -> str:
    """Returns an interval with its confidence level and the number of pairs."""
    if not _has_interval(ratio):
        return f"too few pairs: {ratio.pairs}"
    return f"{ratio.confidence:.0%} interval {format_interval(ratio)}, {ratio.pairs} pairs"


def _has_interval(ratio: PairedRatio) -> bool:
    """Returns whether there are enough pairs for a meaningful interval."""
    return ratio.low > 0 and ratio.high <= ratio.low * _WIDEST


def _name_with_interval(result: JobResult) -> str:
    ratio = result.iops_ratio
    if not _has_interval(ratio):
        return f"{result.job.name} ({format_interval(ratio)})"
    return f"{result.job.name} ({ratio.confidence:.0%} interval {format_interval(ratio)})"


def _list_freed(result: JobResult) -> list[float]:
    """Returns the decrease of the main loop's load with B, pair by pair."""
    return [_find_main_loop(pair.a) - _find_main_loop(pair.b) for pair in result.pairs]


def _find_main_loop(side: Measurement | Summary) -> float:
    return math.fsum(load.cpu_share for load in side.threads if load.kind == "main loop")


def _join(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))
