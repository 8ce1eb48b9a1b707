"""What a comparison comes to, in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmio.bench.result import Comparison, JobResult, Measurement
from vmio.report.comparison.words import format_interval, summarise_comparison
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
        " 0.09). No difference is shown in randread-4k-qd1 (95% interval 0.97 to 1.05) and"
        " read-128k-qd8 (95% interval 0.92 to 1.09)."
    )


def test_without_a_difference_the_main_loop_is_still_told_of(
    make_comparison: Callable[..., Comparison],
) -> None:
    """It is what a person can gain from an IOThread where rates stay the same."""
    told = summarise_comparison(make_comparison(drop=3))
    assert told.startswith("No difference between virtio-scsi-pci and virtio-scsi-single is shown")
    assert told.endswith("frees the main loop of up to 0.52 processors (0.61 to 0.09).")


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
