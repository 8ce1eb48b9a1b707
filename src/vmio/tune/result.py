"""What a search has found, with everything that its reports need; pure values."""

from __future__ import annotations

from msgspec import Struct

from vmio.bench.jobs import Job
from vmio.bench.result import HostFacts
from vmio.bench.statistics import PairedRatio
from vmio.model.plan import Plan
from vmio.tune.objective import Metric, Objective
from vmio.tune.search import Effort, Stage

__all__ = ["InGuest", "MetricRatio", "Tried", "Tuning"]


class MetricRatio(Struct, frozen=True, kw_only=True):
    """How many times as good something is in one metric as the guest as it is."""

    metric: Metric
    ratio: float
    """Above 1 is better: more requests, a lower latency, less CPU time for a request."""


class Tried(Struct, frozen=True, kw_only=True):
    """A layout with one of its live settings, and its figures."""

    layout: str
    """Empty for a running guest's."""
    setting: str = ""
    """Empty for the one that it boots with."""
    ratio: float
    """The objective, as a ratio to the guest as it is; above 1 is better."""
    metrics: tuple[MetricRatio, ...] = ()
    """Metrics that were measured, over the pairs in which they were."""
    pairs: int
    busy_pairs: int = 0
    """How many of the pairs were measured while the host was too busy."""
    stage: Stage
    """The last race that it took part in; not the confirmation."""
    on_front: bool = False
    """Whether nothing that was tried is better in both metrics of the objective."""


class InGuest(Struct, frozen=True, kw_only=True):
    """What a search in a running guest has besides."""

    volume: str
    """What the load ran on, in words."""
    commands: tuple[str, ...] = ()
    """Lines that set the winner until the guest stops; none unless it is confirmed."""
    keep: tuple[str, ...] = ()
    """How it is kept for the next start, as far as it is known."""


class Tuning(Struct, frozen=True, kw_only=True):
    """A search, finished or not."""

    guest: str
    disk: str
    jobs: tuple[Job, ...]
    objective: Objective
    effort: Effort
    seed: int
    layouts: int
    """How many there were to choose from, the guest as it is included."""
    trials: int
    """Boots of a layout beside the guest as it is; in a running guest, rounds of its settings."""
    planned: int
    """How many there are at most."""
    pairs: int
    tried: tuple[Tried, ...]
    """The best first."""
    failures: tuple[tuple[str, str], ...] = ()
    """Layouts that failed, and why."""
    finished: bool
    winner: Tried | None = None
    """What won the races; None if nothing was better than the guest as it is."""
    confirmed: PairedRatio | None = None
    """The winner's objective in fresh pairs; None if it was not measured again."""
    plan: Plan | None = None
    """The plan to the winner; None unless it is confirmed to be better."""
    left: tuple[str, ...] = ()
    """What the plan does not set of the winner."""
    in_guest: InGuest | None = None
    """None if layouts were booted, with empty scratch disks."""
    host: HostFacts
    accelerator: str
    accelerator_reason: str = ""
    vmio_version: str
    duration_s: float
    """Of this call; a search that goes on from a journal took longer."""

    @property
    def better(self) -> bool:
        """Whether the winner is confirmed to be better than the guest as it is."""
        return self.confirmed is not None and self.confirmed.verdict == "higher"
