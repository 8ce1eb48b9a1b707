"""What changed from one comparison to a later one, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypedDict

from vmio.report.envelope import Count, render_document

if TYPE_CHECKING:
    from vmio.bench.regression import FigureChange, JobChange, Regressions, SavedComparison

__all__ = ["RegressionsData", "render_regressions_json"]

_CHANGES = ("better", "worse", "the same", "cannot tell")


class SavedData(TypedDict):
    """One of the two comparisons."""

    file: str
    vmio_version: str
    started_at: str
    """UTC, in ISO 8601."""
    disk: str
    accelerator: str
    qemu_version: str
    a: str
    """The config of the reference."""
    b: str
    """The config that was compared with it."""


class ConditionChangeData(TypedDict):
    """A condition that differs between the comparisons, so that a change may come from it."""

    what: str
    old: str
    new: str


class FigureChangeData(TypedDict):
    """How B's figure divided by A's changed."""

    name: str
    """`IOPS`, `p99`, `p99.9` or `CPU per request`."""
    old_ratio: float
    """B/A in the old comparison, geometric mean over its pairs."""
    new_ratio: float
    change: float
    """`new_ratio` divided by `old_ratio`."""
    change_low: float
    change_high: float
    """The ends of the interval of `change`."""
    verdict: Annotated[str, ("enum", _CHANGES)]


class JobChangeData(TypedDict):
    """How B changed in one job, compared with A."""

    name: str
    old_pairs: Count
    old_busy_pairs: Count
    """How many of them were measured while the host was too busy."""
    new_pairs: Count
    new_busy_pairs: Count
    a_old_iops: float
    """Geometric mean, like the three that follow; not judged."""
    a_new_iops: float
    b_old_iops: float
    b_new_iops: float
    figures: list[FigureChangeData]


class LeftOutJobData(TypedDict):
    """A job that cannot be compared."""

    name: str
    reason: str


class RegressionsData(TypedDict):
    """What changed from one comparison to a later one."""

    old: SavedData
    new: SavedData
    worse: bool
    """Whether any figure got worse; then the exit status is 1."""
    margin: float
    """The relative change that does not matter."""
    confidence: float
    """The probability that all intervals together contain the true changes."""
    differences: list[ConditionChangeData]
    jobs: list[JobChangeData]
    left_out: list[LeftOutJobData]


def render_regressions_json(found: Regressions) -> str:
    """Returns the changes as a document."""
    data: RegressionsData = {
        "old": _describe_saved(found.old),
        "new": _describe_saved(found.new),
        "worse": found.is_worse,
        "margin": found.margin,
        "confidence": found.confidence,
        "differences": [
            {"what": each.what, "old": each.old, "new": each.new} for each in found.differences
        ],
        "jobs": [_describe_job(job) for job in found.jobs],
        "left_out": [{"name": name, "reason": reason} for name, reason in found.left_out],
    }
    return render_document("regressions", data)


def _describe_saved(saved: SavedComparison) -> SavedData:
    return {
        "file": saved.file,
        "vmio_version": saved.vmio_version,
        "started_at": saved.started_at,
        "disk": saved.disk,
        "accelerator": saved.accelerator,
        "qemu_version": saved.qemu_version,
        "a": saved.a.name,
        "b": saved.b.name,
    }


def _describe_job(job: JobChange) -> JobChangeData:
    (a_old, b_old), (a_new, b_new) = job.old_iops, job.new_iops
    return {
        "name": job.name,
        "old_pairs": len(job.old.pairs),
        "old_busy_pairs": job.old.busy_pairs,
        "new_pairs": len(job.new.pairs),
        "new_busy_pairs": job.new.busy_pairs,
        "a_old_iops": a_old,
        "a_new_iops": a_new,
        "b_old_iops": b_old,
        "b_new_iops": b_new,
        "figures": [_describe_figure(one) for one in job.figures],
    }


def _describe_figure(figure: FigureChange) -> FigureChangeData:
    return {
        "name": figure.name,
        "old_ratio": figure.old_ratio,
        "new_ratio": figure.new_ratio,
        "change": figure.change.ratio,
        "change_low": figure.change.low,
        "change_high": figure.change.high,
        "verdict": figure.verdict,
    }
