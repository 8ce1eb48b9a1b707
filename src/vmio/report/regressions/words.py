"""What changed from one comparison to a later one, in words, with the main result first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vmio.report.comparison.words import format_interval
from vmio.report.figures import format_rate, format_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmio.bench.regression import (
        Change,
        ConditionChange,
        FigureChange,
        JobChange,
        Regressions,
        SavedComparison,
    )

__all__ = [
    "CHANGE_HEADS",
    "IOPS_HEADS",
    "IOPS_NOTE",
    "describe_comparison",
    "describe_difference",
    "describe_intervals",
    "list_change",
    "list_iops",
    "summarise_regressions",
]

CHANGE_HEADS: Final = ("job", "figure", "old B/A", "new B/A", "change", "interval", "B is")
IOPS_HEADS: Final = ("job", "A old", "A new", "B old", "B new")
IOPS_NOTE: Final = (
    "IOPS of each side, not judged: they contain what the host did differently at the two times."
    " What slows A and B alike is seen only here."
)


def summarise_regressions(found: Regressions) -> str:
    """Returns what got worse, what got better, and how many figures did neither."""
    sentences = [
        f"B got {verdict}, compared with A: {'; '.join(parts)}."
        for verdict in ("worse", "better")
        if (parts := _list_changed(found.jobs, verdict))
    ]
    if not sentences:
        sentences.append("B did not change beyond chance, compared with A.")
    sentences += _count_others(found)
    sentences += [
        f"The host was busy during {busy} of {total} pairs of {saved.file}."
        for saved, busy, total in (
            (found.old, *_count_busy(found.old)),
            (found.new, *_count_busy(found.new)),
        )
        if 2 * busy >= total
    ]
    return " ".join(sentences)


def describe_comparison(saved: SavedComparison) -> str:
    """Returns what was compared when, and with what."""
    a, b = saved.a, saved.b
    return (
        f"{saved.file}: {saved.started_at}, {b.name} ({b.title}) against {a.name} ({a.title}),"
        f" {saved.disk}, QEMU {saved.qemu_version} with {saved.accelerator}"
    )


def describe_difference(difference: ConditionChange) -> str:
    """Returns a condition with its old and its new value."""
    if difference.old == difference.new:
        return f"{difference.what}: differs in details"
    return f"{difference.what}: {difference.old or 'not known'} → {difference.new or 'not known'}"


def describe_intervals(found: Regressions) -> str:
    """Returns what the intervals mean."""
    return (
        f"All intervals together contain the true changes with {found.confidence:.0%}. B is worse"
        f" or better if an interval excludes 1 and leaves the margin of {found.margin * 100:g}%."
    )


def list_change(job: JobChange, figure: FigureChange) -> tuple[str, ...]:
    """Returns a figure's row under `CHANGE_HEADS`."""
    change = figure.change
    return (
        job.name,
        figure.name,
        format_ratio(figure.old_ratio),
        format_ratio(figure.new_ratio),
        format_ratio(change.ratio),
        format_interval(change),
        figure.verdict,
    )


def list_iops(job: JobChange) -> tuple[str, ...]:
    """Returns a job's row under `IOPS_HEADS`."""
    (a_old, b_old), (a_new, b_new) = job.old_iops, job.new_iops
    return (job.name, *(format_rate(value) for value in (a_old, a_new, b_old, b_new)))


def _count_others(found: Regressions) -> list[str]:
    """Returns how many figures neither got worse nor better, if any."""
    verdicts = [one.verdict for job in found.jobs for one in job.figures]
    same, unknown = verdicts.count("the same"), verdicts.count("cannot tell")
    total = len(verdicts)
    sentences = []
    if same:
        sentences.append(f"{same} of {total} figures are the same within {found.margin * 100:g}%.")
    if unknown:
        sentences.append(f"{unknown} of {total} figures cannot be told.")
    return sentences


def _list_changed(jobs: Sequence[JobChange], verdict: Change) -> list[str]:
    """Returns the jobs with figures of a verdict, each with those figures."""
    found = {
        job.name: [
            f"{one.name} times {format_ratio(one.change.ratio)} ({format_interval(one.change)})"
            for one in job.figures
            if one.verdict == verdict
        ]
        for job in jobs
    }
    return [f"{name} {', '.join(parts)}" for name, parts in found.items() if parts]


def _count_busy(saved: SavedComparison) -> tuple[int, int]:
    return sum(job.busy_pairs for job in saved.jobs), sum(len(job.pairs) for job in saved.jobs)
