"""A search in words: what it will take, and what it has found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vmio.report.comparison.words import format_interval
from vmio.report.figures import format_ratio
from vmio.tune.in_guest import LiveTask
from vmio.tune.tuner import estimate_duration_s
from vmio.units import format_time_s

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmio.tune.objective import Metric
    from vmio.tune.result import Tried, Tuning
    from vmio.tune.tuner import SearchTask

__all__ = ["METRICS", "describe_task", "name_tried", "name_volume", "summarise_tuning"]

METRICS: Final[Mapping[Metric, str]] = {
    "iops": "requests a second",
    "p99": "99th percentile of the latency",
    "cpu": "host CPU time of a request",
}


def describe_task(task: SearchTask) -> str:
    """Returns what is searched, and how long that takes at most."""
    trials = task.trials
    pairs = sum(len(trial.settings) for trial in trials)
    choices = sum(task.counts)
    jobs = ", ".join(job.name for job in task.jobs)
    about = f"about {format_time_s(estimate_duration_s(task))}"
    if isinstance(task, LiveTask):
        return (
            f"{choices - 1} live settings of what serves {task.disk} in the running guest"
            f" {task.name}, by {task.objective.name} of {jobs}: up to {pairs} pairs of runs,"
            f" {about}"
        )
    layouts = f"{len(task.candidates)} layout{'s' * (len(task.candidates) > 1)}"
    return (
        f"{layouts} with {choices} settings in all, by {task.objective.name}"
        f" of {jobs}: up to {len(trials)} boots and {pairs} pairs of runs, {about}"
    )


def name_tried(tried: Tried) -> str:
    """Returns the name of a layout with its setting; of a running guest's, its setting alone."""
    return " with ".join(filter(None, (tried.layout, tried.setting)))


def name_volume(tuning: Tuning) -> str:
    """Returns what was measured."""
    return "an empty scratch disk" if tuning.in_guest is None else tuning.in_guest.volume


def summarise_tuning(tuning: Tuning) -> str:
    """Returns the result in one or two sentences."""
    if not tuning.finished:
        done = f"after {tuning.trials} of up to {tuning.planned} trials"
        if not tuning.tried:
            return f"The search was ended {done}; nothing is known yet."
        best = tuning.tried[0]
        if best.ratio <= 1:
            return (
                f"The search was ended {done}; nothing is better than the guest as it is so far."
            )
        return (
            f"The search was ended {done}; the best so far is {name_tried(best)}, at"
            f" {format_ratio(best.ratio)} times the guest as it is, which is not confirmed."
        )
    winner, confirmed = tuning.winner, tuning.confirmed
    if winner is None:
        return "Keep what you have: nothing that was tried is better."
    name = name_tried(winner)
    if confirmed is None:
        return f"Keep what you have: {name} won, but failed when it was measured again."
    figures = (
        f"{format_ratio(confirmed.ratio)} times as good as the guest as it is"
        f" ({format_interval(confirmed)}) in {confirmed.pairs} fresh pairs"
    )
    match confirmed.verdict:
        case "higher":
            return f"Use {name}: {figures}."
        case "lower":
            return f"Keep what you have: {name} won, but was only {figures}."
        case "the same":
            return (
                f"Keep what you have: {name} won, but makes no difference that matters: {figures}."
            )
        case "cannot tell":
            return (
                f"Keep what you have: {name} won, but whether it is better cannot be told:"
                f" {figures}."
            )
