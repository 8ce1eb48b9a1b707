"""A search as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from vmio.bench.statistics import Verdict
from vmio.report.comparison.json import MeasuredHostData, RatioData, describe_host, describe_ratio
from vmio.report.envelope import Count, render_document
from vmio.tune.objective import Metric
from vmio.tune.search import Stage

if TYPE_CHECKING:
    from vmio.tune.result import InGuest, Tried, Tuning

__all__ = ["TuningData", "render_tuning_json"]


class MetricRatioData(TypedDict):
    """How many times as good something is in one metric as the guest as it is."""

    metric: Metric
    ratio: float
    """Above 1 is better: more requests, a lower latency, less CPU time for a request."""


class TriedData(TypedDict):
    """A layout with one of its live settings."""

    layout: str
    """Empty for a running guest's."""
    setting: str
    """Empty for the one that it boots with."""
    ratio: float
    """The objective, as a ratio to the guest as it is; above 1 is better."""
    metrics: list[MetricRatioData]
    pairs: Count
    busy_pairs: Count
    """How many of the pairs were measured while the host was too busy."""
    stage: Stage
    """The last race that it took part in."""
    on_front: bool
    """Whether nothing that was tried is better in both metrics of the objective."""


class FailedData(TypedDict):
    """A layout that could not be measured."""

    layout: str
    reason: str


class InGuestData(TypedDict):
    """What a search in a running guest has besides."""

    volume: str
    """What the load ran on, in words."""
    commands: list[str]
    """Lines that set the winner until the guest stops; none unless it is confirmed."""
    keep: list[str]
    """How it is kept for the next start, as far as it is known."""


class TuningData(TypedDict):
    """A search for a better layout and better live settings of a guest."""

    guest: str
    disk: str
    jobs: list[str]
    objective: str
    seed: int
    layouts: Count
    """How many there were to choose from, the guest as it is included."""
    trials: Count
    """Boots of a layout beside the guest as it is; in a running guest, rounds of its settings."""
    planned: Count
    """How many there are at most."""
    pairs: Count
    finished: bool
    tried: list[TriedData]
    """The best first."""
    failures: list[FailedData]
    winner: TriedData | None
    """What won; null if nothing was better than the guest as it is."""
    confirmed: RatioData | None
    """The winner's objective in fresh pairs; null if it was not measured again."""
    verdict: Verdict | None
    """What the fresh pairs show of the winner; `higher` is better."""
    policy: str | None
    """The policy of the plan to the winner; null if there is none."""
    left: list[str]
    """What the plan does not set of the winner."""
    in_guest: InGuestData | None
    """Null if layouts were booted, with empty scratch disks."""
    host: MeasuredHostData
    accelerator: str
    accelerator_reason: str
    duration_s: float
    """Of this call; a search that goes on from a journal took longer."""


def render_tuning_json(tuning: Tuning) -> str:
    """Returns a search as a document."""
    confirmed = tuning.confirmed
    data: TuningData = {
        "guest": tuning.guest,
        "disk": tuning.disk,
        "jobs": [job.name for job in tuning.jobs],
        "objective": tuning.objective.name,
        "seed": tuning.seed,
        "layouts": tuning.layouts,
        "trials": tuning.trials,
        "planned": tuning.planned,
        "pairs": tuning.pairs,
        "finished": tuning.finished,
        "tried": [_describe_tried(each) for each in tuning.tried],
        "failures": [{"layout": name, "reason": reason} for name, reason in tuning.failures],
        "winner": None if tuning.winner is None else _describe_tried(tuning.winner),
        "confirmed": None if confirmed is None else describe_ratio(confirmed),
        "verdict": None if confirmed is None else confirmed.verdict,
        "policy": None if tuning.plan is None else tuning.plan.policy,
        "left": list(tuning.left),
        "in_guest": None if tuning.in_guest is None else _describe_in_guest(tuning.in_guest),
        "host": describe_host(tuning.host),
        "accelerator": tuning.accelerator,
        "accelerator_reason": tuning.accelerator_reason,
        "duration_s": tuning.duration_s,
    }
    return render_document("tuning", data)


def _describe_in_guest(in_guest: InGuest) -> InGuestData:
    return {
        "volume": in_guest.volume,
        "commands": list(in_guest.commands),
        "keep": list(in_guest.keep),
    }


def _describe_tried(tried: Tried) -> TriedData:
    return {
        "layout": tried.layout,
        "setting": tried.setting,
        "ratio": tried.ratio,
        "metrics": [{"metric": each.metric, "ratio": each.ratio} for each in tried.metrics],
        "pairs": tried.pairs,
        "busy_pairs": tried.busy_pairs,
        "stage": tried.stage,
        "on_front": tried.on_front,
    }
