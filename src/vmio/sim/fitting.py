"""Fits costs of steps to measurements: those with which predictions come closest to a real guest.

A few costs can be measured directly; most appear only in sums. They are therefore fitted: the
effect of each is estimated by increasing it slightly, and all are changed together so that the
predictions come closer to the measurements.

scipy's `least_squares` was tried instead and came less close: a prediction is not a smooth
function of a cost, so it helps to keep a small change that happens to be closer, as `fit_costs`
does.
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
"""Costs that are fitted; the others are measured directly or assumed."""

STEPS: Final = 8
"""Takes less than half a minute."""
_NUDGE: Final = 0.1
"""Change of a cost's logarithm for a slope: large enough to exceed the noise of short runs."""
_LONGEST: Final = 0.7
"""The most that a step changes each cost: a factor of two."""
_PULL: Final = 0.15
"""How strongly a cost is pulled to its initial value: the variation of loads from run to run, a
tenth, divided by the plausible difference of costs between two hosts, a factor of two."""
_DAMPING: Final = 0.03
_LEAST_NS: Final = 300
"""The least value of a cost that matters, so that it can grow again."""
_BATCH_WEIGHT: Final = 0.45
"""Weight of a load in batches: a disk completes their requests in clusters, which is not modelled;
they serve only to separate the cost of a request from the cost of a submission."""
_CPU_WEIGHT: Final = 2.0
"""A tenth of a processor weighs as much as a fifth of the throughput."""
_FAR: Final = 0.2
"""Larger errors count linearly, not squared, so that no outlier dominates."""


class Observation(Struct, frozen=True, kw_only=True):
    """The behaviour of a real guest under a load."""

    topology: Topology
    """With only the loaded disks, and the threads that serve them."""
    workload: Workload
    iops: float
    latency_mean_ns: float
    """Without the program's computing time."""
    loop_cpu_share: float
    """Of the loops that serve the disks, per loop; of the main loop including interrupts."""
    irq_cpu_share: float
    """Of the main loop if it only injected interrupts; 0 if it serves the disks."""
    interrupts: float
    """Interrupts in the guest, per request."""
    interrupted: float
    """Fraction of the time that the vCPU was on the processor that gets the disk's interrupts."""


class Residual(Struct, frozen=True, kw_only=True):
    """The difference between the simulator and an observation."""

    observation: Observation
    predicted: SimulatedRun

    @property
    def iops_ratio(self) -> float:
        """Predicted divided by measured."""
        return self.predicted.iops / self.observation.iops

    @property
    def cpu_difference(self) -> float:
        """Predicted minus measured, for one event loop."""
        shares = self.predicted.loop_cpu_shares
        return sum(shares) / len(shares) - self.observation.loop_cpu_share


def compare_observations(
    observations: Sequence[Observation],
    profile: Profile,
    version: QemuVersion,
    *,
    requests: int = 600,
) -> tuple[Residual, ...]:
    """Returns the prediction for each observation, averaged over both initial states."""
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
    """Returns a profile with the costs that come closest to the observations.

    Uses the method of Levenberg and Marquardt on the logarithms of costs, each pulled weakly to
    its initial value, because loads do not distinguish all of them.

    Args:
        observations: The observed loads of a guest.
        profile: The initial costs, with the host's service times.
        version: The observed QEMU.
        steps: How often all costs are changed.
        report: Called with the completed fraction.
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
        # On alternating sides, since a trial point may itself be closer.
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
            # Predictions are not smooth: where slopes mislead, a small random change may help.
            if _sum_squares(nearest[1]) < _sum_squares(errors):
                best, errors = nearest
    return build(best)


def _sum_squares(errors: Sequence[float]) -> float:
    return math.fsum(each**2 for each in errors)


def _measure_errors(each: Residual) -> list[float]:
    """Returns the errors of a load: the logarithm of a ratio, two CPU shares, and interrupts."""
    seen, said = each.observation, each.predicted
    # A computing program does as many requests at any cost: its latency is more informative.
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
    # Huber loss: quadratic for small errors, linear for large ones.
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
    """Returns the step that would minimise the errors if they were linear.

    Args:
        slopes: For each cost, the change of each error.
        errors: The errors.
        damping: How strongly the step is shortened where errors depend little on a cost.
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
    # Gauss elimination; with damping and pulls no pivot is near 0.
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
