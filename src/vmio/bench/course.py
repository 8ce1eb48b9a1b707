"""The course of a comparison: which run follows which, and when a job has enough pairs."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final, get_args

from msgspec import Struct, field

from vmio.bench.extent import Extent, estimate_pair_s
from vmio.bench.jobs import Job
from vmio.bench.result import JobResult, Measurement, Pair, Side
from vmio.bench.statistics import count_pairs_until
from vmio.values import replace

__all__ = ["Course", "Progress", "Run", "make_warm_up", "run_pair"]

Run = Callable[[Side, Job], Awaitable[Measurement]]
"""Runs a job on one side, and leaves the other one alone."""

_WARM_UP_S: Final = 0.5
"""A stalled host completes no request in a tenth of that, which would end the comparison."""


class Progress(Struct, frozen=True, kw_only=True):
    """The progress of a comparison."""

    share: float
    """Completed fraction, 0 to 1."""
    words: str
    left_s: float | None = None
    """None if not known yet."""


class Course(Struct, kw_only=True):
    """The measurements of one comparison, in their order."""

    run: Run
    jobs: tuple[Job, ...]
    extent: Extent
    report: Callable[[Progress], None]
    began_s: float
    """When the comparison began, booting included."""
    run_on_host: Callable[[Job], Awaitable[Measurement]] | None = None
    """Runs a job right on the host, after each pair; None if it is not to be."""
    started_s: float = field(default_factory=time.monotonic)
    """When the measurements began."""
    share: float = 0.0
    """The completed fraction that was reported last."""

    async def warm_up(self) -> None:
        """Runs fio once on each side, so that no measured run includes loading it."""
        job = make_warm_up(self.jobs[0])
        for side in get_args(Side):
            await self.run(side, job)
        self.started_s = time.monotonic()

    async def run_job(self, number: int) -> JobResult:
        """Measures the pairs of a job; the side that goes first alternates, as in A B B A.

        Of loads that run at the same time each needs its own verdict: what decides one disk says
        nothing about another.
        """
        job, extent = self.jobs[number], self.extent
        pairs: list[Pair] = []
        expected = extent.pairs
        while True:
            first: Side = "A" if len(pairs) % 2 == 0 else "B"
            pairs.append(await self._run_pair(number, len(pairs), expected, first))
            if len(pairs) < 2:  # noqa: PLR2004  # a spread needs two
                continue
            result = JobResult(
                job=job,
                pairs=tuple(pairs),
                margin=extent.margin,
                anytime=extent.until_verdict,
            )
            if len(pairs) >= extent.pairs:
                return result
            if extent.until_verdict:
                open_parts = [each for each in result.parts if each.verdict == "cannot tell"]
                if not open_parts or self._is_late(number):
                    return result
                spread = max(each.iops_ratio.spread for each in open_parts)
                more = count_pairs_until(extent.margin, spread)
                expected = min(extent.pairs, max(more, len(pairs) + 1))

    def _is_late(self, number: int) -> bool:
        """Returns whether a job's part of the time is over."""
        if self.extent.time_s is None:
            return False
        part_s = self.extent.time_s * (number + 1) / len(self.jobs)
        return time.monotonic() - self.began_s >= part_s

    async def _run_pair(self, number: int, done: int, expected: int, first: Side) -> Pair:
        """Measures a pair, and reports the state before each of its runs."""

        def note(side: Side) -> None:
            most = f"{expected}"
            if self.extent.until_verdict:
                most = f"{'up to' if expected == self.extent.pairs else 'about'} {expected}"
            words = f"{self.jobs[number].name}, pair {done + 1} of {most}, {side}"
            runs = 2 * done + (side != first)
            self._report_progress(words, number, runs / (2 * expected), expected)

        job = self.jobs[number]
        pair = await run_pair(self.run, job, first=first, note=note)
        if self.run_on_host is None:
            return pair
        return replace(pair, host=await self.run_on_host(job))

    def _report_progress(self, words: str, job: int, part: float, expected: int) -> None:
        """Reports the completed part of a job, and the remaining time at the current pace.

        The expected number of pairs grows if they spread more than those before, so that the same
        number of them is a smaller part; the reported part stays the same then.
        """
        lengths_s = [estimate_pair_s(one, runs=self.extent.runs) * expected for one in self.jobs]
        passed_s = sum(lengths_s[:job]) + lengths_s[job] * part
        self.share = max(self.share, passed_s / sum(lengths_s))
        left_s = sum(lengths_s) - passed_s
        if passed_s:
            left_s *= (time.monotonic() - self.started_s) / passed_s
        if self.extent.time_s is not None and self.extent.until_verdict:
            ends_s = self.began_s + self.extent.time_s
            left_s = max(0.0, min(left_s, ends_s - time.monotonic()))
        self.report(Progress(share=self.share, words=words, left_s=left_s))


def make_warm_up(job: Job) -> Job:
    """Returns a job for as long as it takes to load fio; at a low rate it would do nothing."""
    return replace(job, runtime_s=_WARM_UP_S, ramp_s=0.0, rate_per_s=None)


async def run_pair(
    run: Run, job: Job, *, first: Side, note: Callable[[Side], None] = lambda _: None
) -> Pair:
    """Runs a job on each side, one right after the other.

    Args:
        run: Runs it on a side.
        job: The job.
        first: The side that runs first.
        note: Called with the side before its run.

    Raises:
        GuestError: A guest or its agent does not answer.
        ToolError: QEMU or fio failed.
    """
    runs: dict[Side, Measurement] = {}
    order: tuple[Side, Side] = ("A", "B") if first == "A" else ("B", "A")
    for side in order:
        note(side)
        runs[side] = await run(side, job)
    return Pair(first=first, a=runs["A"], b=runs["B"])
