"""What changed from one saved comparison to a later one: B against A, then and now; pure values.

The two were measured at different times, so that nothing but their ratios is compared: A is the
reference that the host's state at the time affects like B.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from vmio.bench.statistics import (
    CONFIDENCE,
    MARGIN,
    MAX_PAIRS,
    RatioChange,
    Verdict,
    compare_ratios,
    geometric_mean,
)
from vmio.errors import UsageError
from vmio.values import check_between, check_matches

__all__ = [
    "FIGURES",
    "Change",
    "ConditionChange",
    "FigureChange",
    "JobChange",
    "Regressions",
    "SavedComparison",
    "SavedHost",
    "SavedJob",
    "SavedNeighbour",
    "SavedPair",
    "SavedRun",
    "SavedSubject",
    "SavedThread",
    "find_regressions",
]

Change = Literal["better", "worse", "the same", "cannot tell"]
_MAX_FIGURE: Final = 1e18
"""Of any rate or time; far beyond what can be measured, and far within floating point."""
_MIN_FIGURE: Final = 1e-9
_MAX_JOBS: Final = 100
_MAX_SHARE: Final = 1e6
"""Of processor time, in processors."""


class SavedThread(Struct, frozen=True, kw_only=True):
    """The processor time of a QEMU thread during a run."""

    cpu_share: float

    def __post_init__(self) -> None:
        check_between("cpu_share", self.cpu_share, 0, _MAX_SHARE)


class SavedRun(Struct, frozen=True, kw_only=True):
    """One run of a job on one side."""

    iops: float
    latency_p99_ns: float
    latency_p999_ns: float
    flush_p99_ns: float | None = None
    """Of fdatasync; None if the job has none."""
    threads: tuple[SavedThread, ...]

    def __post_init__(self) -> None:
        for name in ("iops", "latency_p99_ns", "latency_p999_ns", "flush_p99_ns"):
            check_between(name, getattr(self, name), _MIN_FIGURE, _MAX_FIGURE)

    @property
    def cpu_per_request_s(self) -> float:
        """Host CPU time of a request; 0 if it was not measured."""
        return math.fsum(thread.cpu_share for thread in self.threads) / self.iops


class SavedPair(Struct, frozen=True, kw_only=True):
    """Two consecutive runs, one on A and one on B."""

    busy: bool
    a: SavedRun
    b: SavedRun


class SavedJob(Struct, frozen=True, kw_only=True):
    """All pairs of a job."""

    name: str
    settings: Mapping[str, Any]
    """What else the job is defined by."""
    anytime: bool
    """Whether pairs were measured until there was a verdict."""
    pairs: tuple[SavedPair, ...]

    def __post_init__(self) -> None:
        check_matches("name", self.name, r"[\w.+-]{1,40}")
        check_between("the number of pairs", len(self.pairs), 2, MAX_PAIRS)

    @property
    def busy_pairs(self) -> int:
        """How many pairs were measured while the host was too busy."""
        return sum(pair.busy for pair in self.pairs)


class SavedSubject(Struct, frozen=True, kw_only=True):
    """One of the two measured layouts."""

    name: str
    title: str
    layout: Mapping[str, Any]
    """Its layout, without what differs from boot to boot."""


class SavedHost(Struct, frozen=True, kw_only=True):
    """The host that measured."""

    cpu_model: str
    cpu_count: int
    kernel: str
    distribution: str
    memory_bytes: int
    governor: str


class SavedNeighbour(Struct, frozen=True, kw_only=True):
    """What kept the main loop busy beside the jobs."""

    name: str


class SavedComparison(Struct, frozen=True, kw_only=True):
    """What a saved comparison says that a later one is compared with."""

    file: str = ""
    """The file that it was read from."""
    vmio_version: str = ""
    started_at: str
    disk: str
    volume: str
    where: str = "vmio's own guest"
    """In what the jobs ran; results had no other place before they named it."""
    neighbour: SavedNeighbour | None = None
    accelerator: str
    qemu_version: str
    fio_version: str
    guest: str
    host: SavedHost
    a: SavedSubject
    b: SavedSubject
    jobs: tuple[SavedJob, ...]

    def __post_init__(self) -> None:
        check_between("the number of jobs", len(self.jobs), 1, _MAX_JOBS)


class Figure(Struct, frozen=True, kw_only=True):
    """What is compared of each run."""

    name: str
    worse: Verdict
    """Whether a higher or a lower figure is the worse one."""
    find: Callable[[SavedRun], float]


_CPU: Final = "CPU per request"
FIGURES: Final = (
    Figure(name="IOPS", worse="lower", find=lambda run: run.iops),
    Figure(name="p99", worse="higher", find=lambda run: run.latency_p99_ns),
    Figure(name="p99.9", worse="higher", find=lambda run: run.latency_p999_ns),
    Figure(name="p99 of fdatasync", worse="higher", find=lambda run: run.flush_p99_ns or 0.0),
    Figure(name=_CPU, worse="higher", find=lambda run: run.cpu_per_request_s),
)


class FigureChange(Struct, frozen=True, kw_only=True):
    """How B/A of one figure changed."""

    name: str
    old_ratio: float
    """The geometric mean of B/A over the pairs of the earlier comparison."""
    new_ratio: float
    change: RatioChange
    verdict: Change


class JobChange(Struct, frozen=True, kw_only=True):
    """How B changed in one job, compared with A."""

    name: str
    old: SavedJob
    new: SavedJob
    figures: tuple[FigureChange, ...]

    @property
    def old_iops(self) -> tuple[float, float]:
        """The geometric mean of each side's IOPS in the earlier comparison."""
        return _find_iops(self.old)

    @property
    def new_iops(self) -> tuple[float, float]:
        """The same of the later one."""
        return _find_iops(self.new)


class ConditionChange(Struct, frozen=True, kw_only=True):
    """A condition that differs between the comparisons, so that a change may come from it."""

    what: str
    old: str
    new: str


class Regressions(Struct, frozen=True, kw_only=True):
    """What changed from one comparison to a later one."""

    old: SavedComparison
    new: SavedComparison
    margin: float
    confidence: float
    """The probability that all intervals contain the true changes, together."""
    differences: tuple[ConditionChange, ...]
    jobs: tuple[JobChange, ...]
    left_out: tuple[tuple[str, str], ...]
    """The jobs that cannot be compared, each with the reason."""

    @property
    def is_worse(self) -> bool:
        """Whether any figure of any job got worse."""
        return any(one.verdict == "worse" for job in self.jobs for one in job.figures)


_Reader = Callable[[SavedComparison], str]
_ESSENTIALS: Final[tuple[tuple[str, _Reader], ...]] = (
    ("the accelerator", lambda one: one.accelerator),
    ("the disk", lambda one: one.disk),
    ("the place of the jobs", lambda one: one.where),
    ("the neighbour", lambda one: one.neighbour.name if one.neighbour else "none"),
)
"""What a ratio depends on so much that two are not ratios of the same thing."""
_CONDITIONS: Final[tuple[tuple[str, _Reader], ...]] = (
    ("QEMU", lambda one: one.qemu_version),
    ("fio", lambda one: one.fio_version),
    ("guest", lambda one: one.guest),
    ("volume", lambda one: one.volume),
    ("processor", lambda one: one.host.cpu_model),
    ("processors", lambda one: str(one.host.cpu_count)),
    ("memory in bytes", lambda one: str(one.host.memory_bytes)),
    ("kernel", lambda one: one.host.kernel),
    ("distribution", lambda one: one.host.distribution),
    ("frequency governor", lambda one: one.host.governor),
    ("vmio", lambda one: one.vmio_version),
)


def find_regressions(
    old: SavedComparison, new: SavedComparison, *, margin: float = MARGIN
) -> Regressions:
    """Returns how B/A changed, job by job and figure by figure.

    Many figures are compared at once, and one in twenty intervals of 95 % misses. So each has the
    confidence with which all of them together contain the true changes with 95 % (Bonferroni).

    Args:
        old: The earlier comparison.
        new: The later one.
        margin: The relative change that does not matter.

    Raises:
        UsageError: The comparisons have nothing in common that can be compared.
    """
    _check_comparable(old, new)
    shared, left_out = _match_jobs(old, new)
    if not shared:
        reasons = "; ".join(f"{name} {reason}" for name, reason in left_out)
        raise UsageError(
            f"cannot compare {old.file} with {new.file}: they have no job in common",
            hint=reasons[:400],
        )
    judged = [(a, b, _list_measured(a, b)) for a, b in shared]
    number = sum(len(figures) for _, _, figures in judged)
    each = 1 - (1 - CONFIDENCE) / number
    return Regressions(
        old=old,
        new=new,
        margin=margin,
        confidence=CONFIDENCE,
        differences=_list_differences(old, new),
        jobs=tuple(
            JobChange(
                name=a.name,
                old=a,
                new=b,
                figures=tuple(
                    _compare_figure(figure, a, b, confidence=each, margin=margin)
                    for figure in figures
                ),
            )
            for a, b, figures in judged
        ),
        left_out=left_out,
    )


def _check_comparable(old: SavedComparison, new: SavedComparison) -> None:
    for what, read in _ESSENTIALS:
        if read(old) != read(new):
            raise UsageError(
                f"cannot compare {old.file} with {new.file}: {what} was {read(old)[:40]}, and is"
                f" {read(new)[:40]}",
                hint="measure both with the same one",
            )
    if old.a.layout != new.a.layout:
        raise UsageError(
            f"cannot compare {old.file} with {new.file}: the layout of A differs, which B is"
            " measured against",
            hint="keep the reference the same in both: vmio bench REFERENCE CANDIDATE --json",
        )


def _match_jobs(
    old: SavedComparison, new: SavedComparison
) -> tuple[list[tuple[SavedJob, SavedJob]], tuple[tuple[str, str], ...]]:
    """Returns the jobs that both have, in the order of the later one, and the others."""
    before = {job.name: job for job in old.jobs}
    after = {job.name: job for job in new.jobs}
    names = [Counter(job.name for job in one.jobs) for one in (old, new)]
    shared, left_out = [], []
    for name, job in after.items():
        if max(count[name] for count in names) > 1:
            left_out.append((name, "is the name of several jobs"))
        elif name not in before:
            left_out.append((name, "is only in the new result"))
        elif changed := _list_changed(before[name].settings, job.settings):
            left_out.append((name, f"is another job: {', '.join(changed)}"))
        else:
            shared.append((before[name], job))
    left_out += [(name, "is only in the old result") for name in before if name not in after]
    return shared, tuple(left_out)


def _list_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Returns the settings that differ, each with both values."""
    return [
        f"{key[:40]} {str(old.get(key, 'not set'))[:40]} → {str(new.get(key, 'not set'))[:40]}"
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    ]


def _list_differences(old: SavedComparison, new: SavedComparison) -> tuple[ConditionChange, ...]:
    found = [
        ConditionChange(what=what, old=read(old), new=read(new))
        for what, read in _CONDITIONS
        if read(old) != read(new)
    ]
    if old.b.layout != new.b.layout:
        found.append(ConditionChange(what="layout of B", old=old.b.title, new=new.b.title))
    return tuple(found)


def _list_measured(old: SavedJob, new: SavedJob) -> list[Figure]:
    """Returns the figures that all runs have; a run that was not sampled has no CPU time.

    The CPU time is that of all jobs that ran at the same time, so that none has its own.
    """
    runs = [run for job in (old, new) for pair in job.pairs for run in (pair.a, pair.b)]
    return [
        figure
        for figure in FIGURES
        if all(figure.find(run) > 0 for run in runs)
        and not (figure.name == _CPU and new.settings.get("beside"))
    ]


def _compare_figure(
    figure: Figure, old: SavedJob, new: SavedJob, *, confidence: float, margin: float
) -> FigureChange:
    pairs = [
        [(figure.find(pair.a), figure.find(pair.b)) for pair in job.pairs] for job in (old, new)
    ]
    change = compare_ratios(
        *pairs, confidence=confidence, margin=margin, anytime=old.anytime or new.anytime
    )
    return FigureChange(
        name=figure.name,
        old_ratio=_find_ratio(pairs[0]),
        new_ratio=_find_ratio(pairs[1]),
        change=change,
        verdict=_name_change(change.verdict, figure.worse),
    )


def _name_change(verdict: Verdict, worse: Verdict) -> Change:
    if verdict == "the same" or verdict == "cannot tell":  # noqa: PLR1714  # mypy narrows these
        return verdict
    return "worse" if verdict == worse else "better"


def _find_ratio(pairs: list[tuple[float, float]]) -> float:
    return geometric_mean(b for _, b in pairs) / geometric_mean(a for a, _ in pairs)


def _find_iops(job: SavedJob) -> tuple[float, float]:
    return (
        geometric_mean(pair.a.iops for pair in job.pairs),
        geometric_mean(pair.b.iops for pair in job.pairs),
    )
