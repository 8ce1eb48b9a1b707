"""How long a comparison goes on, and how long that takes; pure values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from vmio.bench.jobs import Job
from vmio.bench.statistics import MARGIN, MARGINS, MAX_PAIRS
from vmio.values import check_between

__all__ = [
    "STARTUP_S",
    "TAIL_S",
    "Extent",
    "estimate_duration_s",
    "estimate_pair_s",
    "fit_pairs",
]

STARTUP_S: Final = 0.35
"""About the start-up time of fio; used only for the first poll and for the remaining time."""
TAIL_S: Final = 0.25
"""The most time between the end of fio's load and its detection: agents have to be polled."""
_BOOT_S: Final = 10.0
"""About the time that both guests take to boot."""


class Extent(Struct, frozen=True, kw_only=True):
    """How long a comparison goes on."""

    pairs: int = 8
    """How often each job runs on each side; with `until_verdict`, at most."""
    margin: float = MARGIN
    """The relative difference that does not matter, such as 0.05."""
    until_verdict: bool = False
    """Whether a job ends once it has a verdict."""
    time_s: float | None = None
    """The time after which a job that ends with a verdict ends without one; all jobs have the same
    part of it."""
    runs: int = 2
    """How many runs a pair takes: three with one right on the host."""

    def __post_init__(self) -> None:
        check_between("pairs", self.pairs, 2, MAX_PAIRS)
        check_between("margin", self.margin, *MARGINS)
        check_between("time_s", self.time_s, 1.0)


def estimate_duration_s(jobs: Sequence[Job], pairs: int, *, runs: int = 2) -> float:
    """Returns about how long a comparison takes, with booting, in seconds."""
    return _BOOT_S + pairs * math.fsum(estimate_pair_s(job, runs=runs) for job in jobs)


def fit_pairs(jobs: Sequence[Job], time_s: float, *, runs: int = 2) -> int:
    """Returns how many pairs of each job a comparison has time for, at least two."""
    pair_s = math.fsum(estimate_pair_s(job, runs=runs) for job in jobs)
    return max(2, min(MAX_PAIRS, int((time_s - _BOOT_S) / pair_s)))


def estimate_pair_s(job: Job, *, runs: int = 2) -> float:
    """Returns about how long the runs of a pair take, in seconds."""
    return runs * (job.ramp_s + job.runtime_s + STARTUP_S + TAIL_S)
