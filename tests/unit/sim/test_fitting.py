"""Costs found again from what they make a guest do."""

from __future__ import annotations

import statistics

import pytest
from msgspec import structs

from vmio.model.capabilities import QemuVersion
from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.sim.fitting import FITTED, Observation, compare_observations, fit_costs
from vmio.sim.profile import DEFAULT_PROFILE, Profile
from vmio.sim.simulator import prepare, run_once
from vmio.sim.workload import parse_workload
from vmio.values import replace

# Fitting costs is a thousand predictions: where the process has it compiled it uses that form.
pytestmark = pytest.mark.usefixtures("compiled_simulator")

QEMU_10 = QemuVersion(10, 0, 2)
MAIN_LOOP_ONLY = None
LOADS = (
    ("qd=1,work=200us", 0),
    ("qd=2", 0),
    ("qd=2", 500_000),
    ("qd=8", 0),
    ("qd=8", 500_000),
    ("qd=32", 0),
    ("qd=8,batch=8", 500_000),
    ("qd=2", MAIN_LOOP_ONLY),
    ("qd=8", MAIN_LOOP_ONLY),
)
OTHER_LOADS = (("qd=1", 0), ("qd=4", 0), ("qd=4", 500_000), ("qd=16", 0), ("qd=4", MAIN_LOOP_ONLY))
"""Loads that no cost is fitted to."""
NEAR = 0.05
"""Of throughput: half of what repeats of a real guest differ by."""
NEAR_CPU = 0.05
"""Of a processor, likewise."""


def make_topology(poll_max_ns: int | None) -> Topology:
    """Returns a guest with a disk on an IOThread; without a maximum, on the main loop."""
    disk = Disk(id="virtio0", bus="virtio", index=0)
    served_by = None if poll_max_ns is None else "iot0"
    return Topology(
        iothreads=(IOThread(id="iot0", poll_max_ns=poll_max_ns),) if served_by else (),
        controllers=(
            Controller(id="virtio0", model="virtio-blk-pci", bus="virtio", iothread=served_by),
        ),
        disks=(AttachedDisk(disk=disk, controller="virtio0"),),
    )


def observe(
    profile: Profile, loads: tuple[tuple[str, int | None], ...] = LOADS
) -> tuple[Observation, ...]:
    """Returns what a guest with these costs would be seen to do, once from each beginning.

    The random times are others than those that predictions go by.
    """
    found = []
    for text, poll_max_ns in loads:
        topology, workload = make_topology(poll_max_ns), parse_workload(text)
        setup = prepare(topology, workload, QEMU_10)
        runs = [
            run_once(setup, workload, profile, seed=9, requests=2_000, grown=grown, compiled=True)
            for grown in ((False, True) if setup.polls else (False,))
        ]
        run = runs[0].average(runs[1]) if setup.polls else runs[0]
        found.append(
            Observation(
                topology=topology,
                workload=workload,
                iops=run.iops,
                latency_mean_ns=run.latency_mean_ns,
                loop_cpu_share=run.loop_cpu_shares[0],
                irq_cpu_share=0.0 if poll_max_ns is None else run.irq_cpu_share,
                interrupts=run.interrupts,
                interrupted=0.0 if poll_max_ns is None else 1 / profile.processors,
            )
        )
    return tuple(found)


def measure_errors(seen: tuple[Observation, ...], profile: Profile) -> tuple[float, float]:
    """Returns the mean errors of throughput and of a loop's share of a processor."""
    found = compare_observations(seen, profile, QEMU_10, requests=2_000)
    return (
        statistics.mean(abs(each.iops_ratio - 1) for each in found),
        statistics.mean(abs(each.cpu_difference) for each in found),
    )


@pytest.mark.parametrize(
    ("even", "odd"),
    [(2.0, 2.0), (2.5, 0.5)],
    ids=["half as fast", "of another make"],
)
def test_costs_of_another_host_are_found(even: float, odd: float) -> None:
    """With fitted costs predictions come near, of fitted loads and of others.

    Fitting begins with the default profile, wherever that is; the other host has every cost that
    is looked for up to two and a half times, or half, as large. With the true costs themselves the
    predictions are not exact, since the random times are others, but much nearer.
    """
    true = {
        name: round(getattr(DEFAULT_PROFILE.costs, name) * (odd if number % 2 else even))
        for number, name in enumerate(FITTED)
    }
    other = replace(DEFAULT_PROFILE, costs=replace(DEFAULT_PROFILE.costs, **true))
    seen, unseen = observe(other), observe(other, OTHER_LOADS)
    fitted = fit_costs(seen, DEFAULT_PROFILE, QEMU_10)
    for observations in (seen, unseen):
        errors = (measure_errors(observations, one) for one in (DEFAULT_PROFILE, fitted, other))
        (iops_before, cpu_before), (iops_after, cpu_after), (iops_least, cpu_least) = errors
        assert iops_least < NEAR / 5
        assert cpu_least < NEAR_CPU / 5
        # From further off than a real guest's repeats are to half as far as they are.
        assert iops_before > 2 * NEAR
        assert iops_after < NEAR
        assert cpu_after < min(NEAR_CPU, cpu_before / 2)


def test_costs_that_are_not_looked_for_are_left_alone() -> None:
    """What was measured by itself stays as it was measured."""
    measured = replace(DEFAULT_PROFILE.costs, wake_ns=40_000, sleep_ns=1_000, syscall_ns=900)
    start = replace(DEFAULT_PROFILE, costs=measured)
    fitted = fit_costs(observe(DEFAULT_PROFILE), start, QEMU_10, steps=1)
    changed = {
        name
        for name, value in structs.asdict(fitted.costs).items()
        if value != getattr(start.costs, name)
    }
    assert changed
    assert changed <= set(FITTED)
    assert not changed & {"wake_ns", "sleep_ns", "syscall_ns"}


def test_same_observations_give_the_same_profile() -> None:
    """Nothing in it is left to chance."""
    seen = observe(DEFAULT_PROFILE)
    first = fit_costs(seen, DEFAULT_PROFILE, QEMU_10, steps=1)
    assert fit_costs(seen, DEFAULT_PROFILE, QEMU_10, steps=1) == first


def test_progress_goes_from_nothing_to_nearly_all() -> None:
    """Whoever watches is told the share of what is done."""
    told: list[float] = []
    fit_costs(observe(DEFAULT_PROFILE), DEFAULT_PROFILE, QEMU_10, steps=1, report=told.append)
    assert told == [number / len(FITTED) for number in range(len(FITTED))]
