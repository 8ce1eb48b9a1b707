"""What a comparison comes to, in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmio.bench.extent import Extent
from vmio.bench.jobs import DEFAULT_JOBS, JobFigures
from vmio.bench.result import Comparison, JobResult, Measurement, NeighbourFigures, ThreadLoad
from vmio.report.comparison.words import (
    describe_busy,
    describe_extent,
    describe_host_shares,
    describe_method,
    format_interval,
    summarise_comparison,
)
from vmio.values import replace


def change_rates(result: JobResult, *rates: tuple[float, float]) -> JobResult:
    """Returns a job with other rates of A and B in its first pairs, and no more of them."""

    def change(run: Measurement, iops: float) -> Measurement:
        return replace(run, figures=replace(run.figures, iops=iops))

    pairs = tuple(
        replace(pair, a=change(pair.a, a), b=change(pair.b, b))
        for pair, (a, b) in zip(result.pairs, rates, strict=False)
    )
    return JobResult(job=result.job, pairs=pairs)


def test_first_sentence_says_how_much_faster_and_what_the_main_loop_is_freed_of(
    comparison: Comparison,
) -> None:
    """With the interval; jobs without a difference come after it."""
    assert summarise_comparison(comparison) == (
        "virtio-scsi-single is 1.64 times as fast in randread-4k-qd32 (95% interval 1.50 to 1.79),"
        " compared with virtio-scsi-pci, and frees the main loop of 0.52 processors (0.61 to"
        " 0.09). There is no difference that matters in randread-4k-qd1 (95% interval 0.97 to"
        " 1.05). Which is faster cannot be told in read-128k-qd8 (95% interval 0.92 to 1.09)."
        " The 99th percentile of virtio-scsi-single's latency is 0.61 times A's in"
        " randread-4k-qd32 (95% interval 0.56 to 0.67)."
    )


def test_without_a_difference_the_main_loop_is_still_told_of(
    make_comparison: Callable[..., Comparison],
) -> None:
    """It is what a person can gain from an IOThread where rates stay the same."""
    told = summarise_comparison(make_comparison(drop=3))
    assert told.startswith("Which is faster cannot be told in randread-4k-qd1 (95% interval 0.79")
    assert told.endswith("frees the main loop of up to 0.52 processors (0.61 to 0.09).")


def test_layouts_that_are_the_same_are_called_so(comparison: Comparison) -> None:
    """Both are named, and what the main loop gains comes in the same sentence."""
    told = summarise_comparison(replace(comparison, jobs=comparison.jobs[:1]))
    assert told == (
        "There is no difference that matters between virtio-scsi-pci and virtio-scsi-single in"
        " randread-4k-qd1 (95% interval 0.97 to 1.05), but virtio-scsi-single frees the main loop"
        " of 0.52 processors (0.61 to 0.09)."
    )


@pytest.mark.parametrize(("busy", "said"), [(2, ""), (3, "during 3 of 5 pairs")])
def test_host_that_was_busy_in_half_of_the_pairs_is_told_of(
    comparison: Comparison, busy: int, said: str
) -> None:
    """A few marked pairs are usual; with most of them marked the figures deserve less trust."""
    waiting = ThreadLoad(name="vCPU 0", kind="vcpu", cpu_share=0.5, run_delay_share=0.4)
    result = comparison.jobs[0]
    pairs = tuple(
        replace(pair, b=replace(pair.b, threads=(waiting,))) if number < busy else pair
        for number, pair in enumerate(result.pairs)
    )
    changed = replace(comparison, jobs=(replace(result, pairs=pairs),))
    assert changed.jobs[0].busy_pairs == busy
    told = describe_busy(changed)
    assert (said in told) if said else told == ""
    assert told in summarise_comparison(changed)


def test_extent_says_how_long_it_takes_and_what_that_finds() -> None:
    """The more pairs, the longer; with a verdict as the end, no longer than its time."""
    fixed = describe_extent(Extent(pairs=8), DEFAULT_JOBS)
    assert fixed.startswith("3 jobs, 8 pairs each, about 1 min 12 s; on a quiet to a busy host")
    assert "of 5% 97 to 1000 and more, of 10% 27 to 356, of 20% 9 to 99 pairs" in fixed
    one = describe_extent(Extent(pairs=8), DEFAULT_JOBS[:1])
    assert one.startswith("1 job, 8 pairs each, about 31 s")
    until = describe_extent(
        Extent(pairs=200, until_verdict=True, margin=0.1, time_s=120.0), DEFAULT_JOBS
    )
    assert until.startswith("3 jobs, each until it has a verdict at ±10.0%")
    assert until.endswith("to 2 min")


def test_too_few_pairs_are_called_so(comparison: Comparison) -> None:
    """An interval from next to nothing to a thousandfold tells nothing, and is no figure."""
    result = change_rates(comparison.jobs[0], (100, 100), (100, 400))
    assert format_interval(result.iops_ratio) == "too few pairs"
    told = summarise_comparison(replace(comparison, jobs=(result,)))
    assert told.startswith("Too few pairs were measured to decide in randread-4k-qd1, but")


@pytest.mark.parametrize("swap", [(0,), (0, 1, 2, 3, 4)])
def test_main_loop_that_is_not_freed_in_every_pair_is_not_called_freed(
    comparison: Comparison, swap: tuple[int, ...]
) -> None:
    """Pairs that disagree say nothing; pairs that agree on the contrary say so."""
    pairs = tuple(
        replace(
            pair,
            a=replace(pair.a, threads=pair.b.threads),
            b=replace(pair.b, threads=pair.a.threads),
        )
        if number in swap
        else pair
        for number, pair in enumerate(comparison.jobs[1].pairs)
    )
    result = JobResult(job=comparison.jobs[1].job, pairs=pairs)
    told = summarise_comparison(replace(comparison, jobs=(result,)))
    assert "frees" not in told
    assert ("adds to the main loop 0.52 processors (0.09 to 0.61)" in told) == (len(swap) > 1)


def test_neighbour_is_told_with_what_it_did(comparison: Comparison) -> None:
    """How much on each side, how busy it keeps the main loop, and that it hardly does."""
    jobs = tuple(
        replace(
            job,
            pairs=tuple(
                replace(
                    pair,
                    a=replace(pair.a, neighbour_per_s=900.0),
                    b=replace(pair.b, neighbour_per_s=1100.0),
                )
                for pair in job.pairs
            ),
        )
        for job in comparison.jobs
    )
    beside = NeighbourFigures(name="monitor", unit="looks", alone_a=0.31, alone_b=0.29)
    told = summarise_comparison(replace(comparison, jobs=jobs, neighbour=beside))
    assert told.endswith(
        "Beside the jobs the neighbour 'monitor' did 900 looks a second with A and 1.1k with B;"
        " alone it takes 0.31 and 0.29 processors of the main loop."
    )
    weak = replace(beside, alone_b=0.01)
    told = summarise_comparison(replace(comparison, jobs=jobs, neighbour=weak))
    assert told.endswith(
        "0.31 and 0.01 processors of the main loop: it hardly loads the main loop."
    )


def test_shares_of_the_host_are_told_of_each_side(comparison: Comparison) -> None:
    """With their intervals; nothing if the job was not run on the host."""
    result = comparison.jobs[0]
    assert describe_host_shares(result) == ""
    pairs = tuple(
        replace(pair, host=replace(pair.a, figures=_times(pair.a.figures, 2.0)))
        for pair in result.pairs
    )
    told = describe_host_shares(replace(result, pairs=pairs))
    assert told.startswith("of the IOPS right on the host A does 50% (50% to 50%), B 5")


def _times(figures: JobFigures, factor: float) -> JobFigures:
    return replace(figures, iops=figures.iops * factor)


def test_method_is_told_with_the_interval_that_was_used(comparison: Comparison) -> None:
    """Student's for a fixed number of pairs, a confidence sequence for one that was open."""
    fixed = describe_method(comparison)
    jobs = tuple(replace(job, anytime=True) for job in comparison.jobs)
    anytime = describe_method(replace(comparison, jobs=jobs))
    assert ("Student's" in fixed, "confidence sequence" in fixed) == (True, False)
    assert ("Student's" in anytime, "confidence sequence" in anytime) == (False, True)
