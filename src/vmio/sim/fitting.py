"""Costs of steps from what a real guest did: those by which the simulator comes nearest to it.

A few costs can be measured by themselves; most only show in what they add up to. So they are
looked for: what follows from each is seen by making it a little larger, and all are changed
together so that the predictions come nearer to the measurements.

scipy's `least_squares` was tried instead and came less near: a prediction is no smooth function of
a cost, so it helps to keep a small change that happens to be nearer, as `fit_costs` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from vmio.model.capabilities import QemuVersion
from vmio.model.topology import Topology
from vmio.sim import kernel
from vmio.sim.profile import Profile
from vmio.sim.simulator import SimulatedRun, prepare, run_once
from vmio.sim.workload import Workload
from vmio.values import replace

__all__ = ["FITTED", "STEPS", "Observation", "Residual", "compare_observations", "fit_costs"]

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
    "queue_request_ns",
    "done_request_ns",
    "guest_softirq_ns",
    "disk_irq_ns",
)
"""Costs that are looked for; the others are measured by themselves or assumed."""

STEPS: Final = 8
"""Less than half a minute's worth."""
_NUDGE: Final = 0.1
"""Of a cost's logarithm, to see what follows from it: less is lost in the grain of short runs."""
_LONGEST: Final = 0.7
"""Of a step, for each cost: a factor of two."""
_PULL: Final = 0.15
"""How much a cost is held to where it began: what loads differ by from run to run, a tenth, by
what costs of two hosts may well differ by, a factor of two."""
_DAMPING: Final = 0.03
_LEAST_NS: Final = 300
"""What a cost that counts is taken to be at least, so that it can grow again."""
_BATCH_WEIGHT: Final = 0.45
"""Of a load in batches: a disk ends their requests in clusters, which the simulator does not know;
they only keep what a request costs apart from what a submission costs."""
_CPU_WEIGHT: Final = 2.0
"""A processor's tenth weighs as much as a fifth of the throughput."""
_FAR: Final = 0.2
"""What is more wrong than that counts by how far, not by its square: no outlier decides."""


class Observation(Struct, frozen=True, kw_only=True):
    """What a real guest did under a load."""

    topology: Topology
    """With the disks alone that were loaded, and what serves them."""
    workload: Workload
    iops: float
    latency_mean_ns: float
    """Less what the program computes."""
    loop_cpu_share: float
    """Of the loops that serve the disks, per loop; of the main loop with its interrupts."""
    irq_cpu_share: float
    """Of the main loop, which did nothing but inject interrupts; 0 where it serves the disks."""
    interrupts: float
    """Of the guest, a request."""
    interrupted: float
    """Share of the time that the vCPU was on the processor to which the disk's interrupts came."""


class Residual(Struct, frozen=True, kw_only=True):
    """How far the simulator is from an observation."""

    observation: Observation
    predicted: SimulatedRun

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
    steps: int = STEPS,
    report: Callable[[float], None] = lambda _: None,
) -> Profile:
    """Returns a profile with costs that come nearest to what was observed.

    By the method of Levenberg and Marquardt on the logarithms of costs, each held to its beginning
    by a light pull, since loads do not tell all of them apart.

    Args:
        observations: What a guest did.
        profile: Where to begin, with the host's service times.
        version: The QEMU that it ran on.
        steps: How many times all costs are changed.
        report: Told of the share that is done.
    """
    begin = [math.log(max(_LEAST_NS, getattr(profile.costs, name))) for name in FITTED]

    def build(logs: Sequence[float]) -> Profile:
        costs = {name: round(math.exp(log)) for name, log in zip(FITTED, logs, strict=True)}
        return replace(profile, costs=replace(profile.costs, **costs))

    def measure(logs: Sequence[float]) -> list[float]:
        said = compare_observations(observations, build(logs), version)
        pulls = [_PULL * (log - first) for log, first in zip(logs, begin, strict=True)]
        return [error for each in said for error in _measure_errors(each)] + pulls

    best, damping = begin, _DAMPING
    errors = measure(best)
    for step in range(steps):
        # To either side in turn, since what is seen on the way may itself be nearer.
        nudge = -_NUDGE if step % 2 else _NUDGE
        slopes, nudges = [], []
        for number in range(len(FITTED)):
            report((step + number / len(FITTED)) / steps)
            nudged = [log + nudge * (at == number) for at, log in enumerate(best)]
            found = measure(nudged)
            nudges.append((nudged, found))
            slopes.append([(new - old) / nudge for new, old in zip(found, errors, strict=True)])
        nearest = min(nudges, key=lambda each: _sum_squares(each[1]))
        for _ in range(3):
            change = _solve(slopes, errors, damping)
            tried = [
                log + max(-_LONGEST, min(_LONGEST, each))
                for log, each in zip(best, change, strict=True)
            ]
            found = measure(tried)
            if _sum_squares(found) < min(_sum_squares(errors), _sum_squares(nearest[1])):
                best, errors, damping = tried, found, damping / 3
                break
            damping *= 4
        else:
            # Predictions are not smooth: where the slopes lead astray, a nudge may not.
            if _sum_squares(nearest[1]) < _sum_squares(errors):
                best, errors = nearest
    return build(best)


def _sum_squares(errors: Sequence[float]) -> float:
    return math.fsum(each**2 for each in errors)


def _measure_errors(each: Residual) -> list[float]:
    """Returns what is wrong with a load: a logarithm of a ratio, two shares and interrupts."""
    seen, said = each.observation, each.predicted
    # A program that computes does as many requests whatever they take: its latency tells more.
    ratio = (
        said.latency_mean_ns / seen.latency_mean_ns if seen.workload.work_ns else each.iops_ratio
    )
    weight = 1.0 if seen.workload.batch == 1 else _BATCH_WEIGHT
    wrong = (
        math.log(ratio),
        _CPU_WEIGHT * each.cpu_difference,
        _CPU_WEIGHT * (said.irq_cpu_share - seen.irq_cpu_share),
        said.interrupts - seen.interrupts,
    )
    # Huber: squares near, straight lines far.
    return [
        weight
        * (
            error
            if abs(error) <= _FAR
            else math.copysign(math.sqrt(2 * _FAR * abs(error) - _FAR**2), error)
        )
        for error in wrong
    ]


def _solve(
    slopes: Sequence[Sequence[float]], errors: Sequence[float], damping: float
) -> list[float]:
    """Returns the step that would leave the least errors, were they straight.

    Args:
        slopes: For each cost, what each error changes by.
        errors: The errors.
        damping: How much shorter the step is where errors hardly tell.
    """
    size = len(slopes)
    rows = [
        [
            math.fsum(a * b for a, b in zip(mine, other, strict=True)) + damping * (mine is other)
            for other in slopes
        ]
        + [-math.fsum(a * b for a, b in zip(mine, errors, strict=True))]
        for mine in slopes
    ]
    # Gauss; with damping and pulls no pivot is near 0.
    for at in range(size):
        for row in range(at + 1, size):
            factor = rows[row][at] / rows[at][at]
            rows[row] = [b - factor * a for a, b in zip(rows[at], rows[row], strict=True)]
    found = [0.0] * size
    for at in reversed(range(size)):
        known = math.fsum(rows[at][place] * found[place] for place in range(at + 1, size))
        found[at] = (rows[at][size] - known) / rows[at][at]
    return found


def _predict(
    seen: Observation, profile: Profile, version: QemuVersion, requests: int
) -> SimulatedRun:
    setup = prepare(seen.topology, seen.workload, version)
    runs = [
        run_once(
            setup,
            seen.workload,
            profile,
            seed=1,
            requests=requests,
            compiled=kernel.is_compiled(),
            grown=grown,
            interrupted=seen.interrupted,
        )
        for grown in ((False, True) if setup.polls else (False,))
    ]
    return runs[0] if len(runs) == 1 else runs[0].average(runs[1])
