"""The result of a comparison in words, with the main result first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from vmio.bench.extent import estimate_duration_s
from vmio.bench.result import BUSY_SHARE
from vmio.bench.statistics import MAX_PAIRS, SPREADS, count_pairs, count_pairs_until
from vmio.report.figures import format_rate, format_ratio
from vmio.units import format_bytes, format_time_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmio.bench.extent import Extent
    from vmio.bench.jobs import Job
    from vmio.bench.result import Comparison, JobResult, Measurement, Summary, Winner
    from vmio.bench.statistics import PairedRatio, RatioChange

__all__ = [
    "describe_busy",
    "describe_extent",
    "describe_host_shares",
    "describe_interval",
    "describe_main_loop",
    "describe_method",
    "describe_neighbour",
    "describe_others",
    "format_interval",
    "list_facts",
    "list_others",
    "name_sides",
    "name_verdict",
    "summarise_comparison",
]

_DIFFERENCES: Final = (0.05, 0.1, 0.2)
"""Of which `describe_extent` says how many pairs they need."""
_BUSY_LOOP: Final = 0.05
"""The least processor time of a main loop that its neighbour keeps busy."""
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
    clear = [one for one in comparison.jobs if one.verdict in {"faster", "slower"}]
    rest = [one for one in comparison.jobs if one not in clear]
    same = [one for one in rest if one.verdict == "the same"]
    open_ones = [one for one in rest if one not in same and _has_interval(one.iops_ratio)]
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
    also = f", but {b} {main_loop}" if main_loop and not clear else ""
    if same:
        between = "" if clear else f" between {a} and {b}"
        jobs = _join([_name_with_interval(one) for one in same])
        sentences.append(f"There is no difference that matters{between} in {jobs}{also}.")
        also = ""
    if open_ones:
        jobs = _join([_name_with_interval(one) for one in open_ones])
        sentences.append(f"Which is faster cannot be told in {jobs}{also}.")
        also = ""
    if unknown:
        sentences.append(f"Too few pairs were measured to decide in {_join(unknown)}{also}.")
    sentences += [_compare_tails(b, comparison.jobs), describe_neighbour(comparison)]
    return " ".join(filter(None, (*sentences, describe_busy(comparison))))


def _compare_tails(name: str, results: Sequence[JobResult]) -> str:
    """Describes the jobs whose 99th percentile of the latency is clearly another with B."""
    clear = [
        f"{format_ratio(ratio.ratio)} times A's in {one.job.name}"
        f" ({ratio.confidence:.0%} interval {format_interval(ratio)})"
        for one in results
        if (ratio := one.latency_p99_ratio).verdict in {"higher", "lower"} and _has_interval(ratio)
    ]
    return f"The 99th percentile of {name}'s latency is {_join(clear)}." if clear else ""


def describe_neighbour(comparison: Comparison) -> str:
    """Returns what kept the main loop busy, and how busy; empty without a neighbour."""
    neighbour = comparison.neighbour
    if neighbour is None:
        return ""
    rates = [
        math.fsum(rate for rate in side if rate is not None) / len(side)
        for side in (
            [pair.a.neighbour_per_s for job in comparison.jobs for pair in job.pairs],
            [pair.b.neighbour_per_s for job in comparison.jobs for pair in job.pairs],
        )
    ]
    least = min(neighbour.alone_a, neighbour.alone_b)
    weak = "" if least >= _BUSY_LOOP else ": it hardly loads the main loop"
    return (
        f"Beside the jobs the neighbour '{neighbour.name}' did {format_rate(rates[0])}"
        f" {neighbour.unit} a second with A and {format_rate(rates[1])} with B; alone it takes"
        f" {neighbour.alone_a:.2f} and {neighbour.alone_b:.2f} processors of the main loop{weak}."
    )


def describe_host_shares(result: JobResult) -> str:
    """Returns how much of the host's own IOPS each side does; empty if that was not measured."""
    a, b = result.host_share_a, result.host_share_b
    if a is None or b is None:
        return ""
    return (
        f"of the IOPS right on the host A does {a.ratio:.0%} ({_format_shares(a)}), B"
        f" {b.ratio:.0%} ({_format_shares(b)})"
    )


def _format_shares(ratio: PairedRatio) -> str:
    return (
        f"{ratio.low:.0%} to {ratio.high:.0%}" if _has_interval(ratio) else format_interval(ratio)
    )


def name_verdict(verdict: Winner) -> str:
    """Returns a verdict in words."""
    return verdict if verdict == "cannot tell" else f"B is {verdict}"


def describe_busy(comparison: Comparison) -> str:
    """Returns that the host was too busy, if it was in half of the pairs or more; else nothing."""
    busy = sum(result.busy_pairs for result in comparison.jobs)
    total = sum(len(result.pairs) for result in comparison.jobs)
    if 2 * busy < total:
        return ""
    return (
        f"The host was busy during {busy} of {total} pairs: QEMU waited for a processor for more"
        f" than {BUSY_SHARE:.0%} of the time in which it could run."
    )


def describe_extent(extent: Extent, jobs: Sequence[Job]) -> str:
    """Returns how long a comparison will take, and what it can find.

    What it can find follows from the spread of recorded pairs; the actual one is not known before.
    """
    words = f"{len(jobs)} jobs" if len(jobs) != 1 else "1 job"
    if extent.until_verdict:
        low, high = (
            min(extent.pairs, count_pairs_until(extent.margin, spread)) for spread in SPREADS
        )
        longest_s = estimate_duration_s(jobs, high, runs=extent.runs)
        if extent.time_s is not None:
            longest_s = min(longest_s, extent.time_s)
        shortest_s = min(longest_s, estimate_duration_s(jobs, low, runs=extent.runs))
        times = f"{format_time_s(shortest_s)} to {format_time_s(longest_s)}"
        return (
            f"{words}, each until it has a verdict at ±{extent.margin:.1%}: with equal layouts"
            f" after {low} to {high} pairs, {times}"
        )
    needed = ", ".join(
        f"of {difference:.0%} " + " to ".join(_format_pairs(difference, one) for one in SPREADS)
        for difference in _DIFFERENCES
    )
    time = format_time_s(estimate_duration_s(jobs, extent.pairs, runs=extent.runs))
    return (
        f"{words}, {extent.pairs} pairs each, about {time}; on a quiet to a busy host a difference"
        f" needs: {needed} pairs"
    )


def list_others(result: JobResult) -> list[tuple[str, PairedRatio]]:
    """Returns what else is compared pair by pair: the latency's tail, and CPU per request."""
    cpu, flush = result.cpu_ratio, result.flush_p99_ratio
    return [
        ("p99", result.latency_p99_ratio),
        ("p99.9", result.latency_p999_ratio),
        *([("p99 of fdatasync", flush)] if flush is not None else []),
        *([("CPU per request", cpu)] if cpu is not None else []),
    ]


def describe_others(result: JobResult) -> str:
    """Returns the ratios of the latency's tail and of CPU per request, with their intervals."""
    return ", ".join(
        f"{name} {format_ratio(ratio.ratio)} times ({format_interval(ratio)})"
        for name, ratio in list_others(result)
    )


def describe_main_loop(result: JobResult) -> str:
    """Returns how busy the main loop is with each side."""
    a, b = _find_main_loop(result.a), _find_main_loop(result.b)
    return f"main loop: {a:.2f} processors with A, {b:.2f} with B"


def describe_method(comparison: Comparison) -> str:
    """Returns how the comparison was measured and decided."""
    if any(result.anytime for result in comparison.jobs):
        interval = (
            "Pairs were measured until there was a verdict, so its interval is a confidence"
            " sequence (a normal mixture), which is right however often one looks."
        )
    else:
        interval = (
            "The number of pairs was fixed beforehand, so its interval is Student's on the"
            " logarithms of the ratios."
        )
    return (
        "Both guests are booted before anything is measured, and each is stopped over QMP while"
        " the other one runs, so that they never compete. A pair is one run on A and one on B,"
        " seconds apart; which goes first alternates. Whatever the host does at the time affects"
        " both and cancels in their ratio. The ratio shown is the geometric mean of B/A over all"
        f" pairs. {interval} B is called the same if the interval lies within the margin, else"
        " faster or slower if it excludes 1; anything else cannot be told. Host CPU is each QEMU"
        " thread's own clock over the measured part of a run: 1.0 is one host processor all the"
        " time. A pair is marked as busy if QEMU's threads waited for a processor for more than"
        f" {BUSY_SHARE:.0%} of the time in which they could run."
    )


def list_facts(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    """Returns what the figures depend on besides the layouts; a text is empty if not known."""
    host = comparison.host
    why = f" ({comparison.accelerator_reason})" if comparison.accelerator_reason else ""
    return (
        ("Processor", f"{host.cpu_model or 'unknown'}, {host.cpu_count} online"),
        ("Memory", format_bytes(host.memory_bytes) if host.memory_bytes else ""),
        ("Frequency governor", host.governor or "not reported by this host"),
        ("Load before", f"{host.load_average_1min:.2f} over the minute before"),
        ("System", ", ".join(word for word in (host.distribution, host.kernel) if word)),
        ("QEMU", f"{comparison.qemu_version}, accelerator {comparison.accelerator}{why}"),
        ("Guest", comparison.guest),
        ("Disk", f"{comparison.disk}: {comparison.volume}" if comparison.volume else ""),
        ("Load", f"in {comparison.where}"),
        ("Neighbour", describe_neighbour(comparison)),
        ("Boot", f"A in {comparison.a.boot_s:.1f} s, B in {comparison.b.boot_s:.1f} s"),
        ("Measured", f"{comparison.started_at}, {comparison.duration_s:.0f} s in total"),
        ("vmio", comparison.vmio_version),
    )


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


def format_interval(ratio: PairedRatio | RatioChange) -> str:
    """Returns an interval's ends, or that there are too few pairs for one."""
    if not _has_interval(ratio):
        return "too few pairs"
    return f"{format_ratio(ratio.low)} to {format_ratio(ratio.high)}"


def describe_interval(ratio: PairedRatio) -> str:
    """Returns an interval with its confidence level and the number of pairs."""
    if not _has_interval(ratio):
        return f"too few pairs: {ratio.pairs}"
    return f"{ratio.confidence:.0%} interval {format_interval(ratio)}, {ratio.pairs} pairs"


def _format_pairs(difference: float, spread: float) -> str:
    """Returns how many pairs a difference needs; the limit stands for all that is beyond."""
    needed = count_pairs(difference, spread)
    return f"{MAX_PAIRS} and more" if needed >= MAX_PAIRS else str(needed)


def _has_interval(ratio: PairedRatio | RatioChange) -> bool:
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
