"""Costs of steps from what a real guest did: those by which the simulator comes nearest to it.

A few costs can be measured by themselves; most only show in what they add up to. So they are
looked for: a few at a time are made larger or smaller, and what brings the predictions nearer to
the measurements stays.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Final

from attrs import evolve, frozen

from vmio.model.capabilities import QemuVersion
from vmio.model.topology import Topology
from vmio.sim.profile import Profile
from vmio.sim.simulator import RunFigures, prepare, run_once
from vmio.sim.workload import Workload

__all__ = ["FITTED", "TRIES", "Observation", "Residual", "compare_observations", "fit_costs"]

FITTED: Final = (
    "guest_request_ns",
    "guest_submit_ns",
    "guest_irq_ns",
    "guest_switch_ns",
    "queue_run_ns",
    "done_run_ns",
    "guest_kick_ns",
    "irq_ns",
    "guest_wake_ns",
    "crowded_wake_ns",
    "main_pass_ns",
)
"""Costs that are looked for, those first that matter most."""

TRIES: Final = 130
"""Half a minute's worth. For made-up hosts half as many more brought errors of throughput from 4.6
and 5.0 % to 4.5 and 4.4 %."""
_FIRST_STEP: Final = 0.5
"""Of a cost's logarithm: the spread of what is tried at first."""
_LAST_STEP: Final = 0.02
_AT_ONCE: Final = 3
"""So many costs are changed together at most: one often takes what another gives."""
_LEAST_NS: Final = 300
"""What a cost that counts is taken to be at least, so that it can grow again."""
_BATCH_WEIGHT: Final = 0.2
"""Of a load in batches: a disk ends their requests in clusters, which the simulator does not know;
they only keep what a request costs apart from what a submission costs."""
_CPU_WEIGHT: Final = 2.0
"""A processor's tenth weighs as much as a fifth of the throughput."""
_WORST: Final = 1.5
"""More wrong than that counts no more, so that one outlier does not decide."""


@frozen(kw_only=True)
class Observation:
    """What a real guest did under a load."""

    topology: Topology
    """With the disks alone that were loaded, and what serves them."""
    workload: Workload
    iops: float
    latency_mean_ns: float
    loop_cpu_share: float
    """Of the loops that serve the disks, per loop; of the main loop with its interrupts."""
    irq_cpu_share: float
    """Of the main loop, which did nothing but inject interrupts; 0 where it serves the disks."""


@frozen(kw_only=True)
class Residual:
    """How far the simulator is from an observation."""

    observation: Observation
    predicted: RunFigures

    @property
    def iops_ratio(self) -> float:
        """Predicted by measured."""
        return self.predicted.iops / self.observation.iops

    @property
    def cpu_difference(self) -> float:
        """Predicted less measured, of an event loop."""
        shares = self.predicted.loop_cpu_shares
        return sum(shares) / len(shares) - self.observation.loop_cpu_share


def compare_observations(
    observations: Sequence[Observation],
    profile: Profile,
    version: QemuVersion,
    *,
    requests: int = 600,
) -> tuple[Residual, ...]:
    """Returns what the simulator says of each observation, from the middle of its beginnings."""
    return tuple(
        Residual(observation=each, predicted=_predict(each, profile, version, requests))
        for each in observations
    )


def fit_costs(
    observations: Sequence[Observation],
    profile: Profile,
    version: QemuVersion,
    *,
    tries: int = TRIES,
    report: Callable[[float], None] = lambda _: None,
) -> Profile:
    """Returns a profile with costs that come nearest to what was observed.

    Args:
        observations: What a guest did.
        profile: Where to begin, with the host's service times.
        version: The QEMU that it ran on.
        tries: How many times costs are changed; most changes are for the worse.
        report: Told of the share that is done.
    """
    source = random.Random(1)  # noqa: S311 - the same observations give the same profile
    best, error = profile, _measure_error(compare_observations(observations, profile, version))
    step = _FIRST_STEP
    for attempt in range(tries):
        report(attempt / tries)
        costs = {
            name: round(
                max(_LEAST_NS, getattr(best.costs, name)) * math.exp(source.gauss(0, step))
            )
            for name in source.sample(FITTED, source.randint(1, _AT_ONCE))
        }
        tried = evolve(best, costs=evolve(best.costs, **costs))
        found = _measure_error(compare_observations(observations, tried, version))
        # A step that is right one time in five keeps its length.
        step = min(_FIRST_STEP, step * 1.35) if found < error else max(_LAST_STEP, step / 1.08)
        if found < error:
            best, error = tried, found
    return best


def _measure_error(residuals: Sequence[Residual]) -> float:
    """Returns the mean of what is wrong: logarithms of ratios, and shares of a processor."""
    total = weights = 0.0
    for each in residuals:
        seen, said = each.observation, each.predicted
        # A program that thinks does as many requests whatever they take: its latency tells more.
        ratio = (
            said.latency_mean_ns / seen.latency_mean_ns
            if seen.workload.think_ns
            else each.iops_ratio
        )
        weight = 1.0 if seen.workload.batch == 1 else _BATCH_WEIGHT
        weights += weight
        total += weight * (
            min(_WORST, abs(math.log(ratio)))
            + _CPU_WEIGHT * min(_WORST, abs(each.cpu_difference))
            + _CPU_WEIGHT / 4 * min(_WORST, abs(said.irq_cpu_share - seen.irq_cpu_share))
        )
    return total / weights


def _predict(
    seen: Observation, profile: Profile, version: QemuVersion, requests: int
) -> RunFigures:
    setup = prepare(seen.topology, seen.workload, version)
    runs = [
        run_once(setup, seen.workload, profile, seed=1, requests=requests, grown=grown)
        for grown in ((False, True) if setup.polls else (False,))
    ]
    return runs[0] if len(runs) == 1 else runs[0].average(runs[1])
