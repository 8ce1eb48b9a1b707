"""Costs found again from what they make a guest do."""

from __future__ import annotations

import statistics

from attrs import evolve

from vmio.model.capabilities import QemuVersion
from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.sim.fitting import Observation, compare_observations, fit_costs
from vmio.sim.profile import DEFAULT_PROFILE, Profile
from vmio.sim.simulator import prepare, run_once
from vmio.sim.workload import parse_workload

QEMU_10 = QemuVersion(10, 0, 2)
LOADS = (("qd=2", 0), ("qd=8", 0), ("qd=8", 500_000), ("qd=8,batch=8", 0), ("qd=1", 500_000))


def lay_out(poll_max_ns: int) -> Topology:
    """Returns a guest with a disk on an IOThread."""
    disk = Disk(id="virtio0", bus="virtio", index=0)
    return Topology(
        iothreads=(IOThread(id="iot0", poll_max_ns=poll_max_ns),),
        controllers=(
            Controller(id="virtio0", model="virtio-blk-pci", bus="virtio", iothread="iot0"),
        ),
        disks=(AttachedDisk(disk=disk, controller="virtio0"),),
    )


def observe(profile: Profile) -> tuple[Observation, ...]:
    """Returns what a guest with these costs would be seen to do."""
    found = []
    for text, poll_max_ns in LOADS:
        topology, workload = lay_out(poll_max_ns), parse_workload(text)
        setup = prepare(topology, workload, QEMU_10)
        run = run_once(setup, workload, profile, seed=9, requests=2_000)
        found.append(
            Observation(
                topology=topology,
                workload=workload,
                iops=run.iops,
                latency_mean_ns=run.latency_mean_ns,
                loop_cpu_share=run.loop_cpu_shares[0],
                irq_cpu_share=run.irq_cpu_share,
            )
        )
    return tuple(found)


def test_costs_of_another_host_are_found() -> None:
    """From costs that are half of the true ones, throughput comes within a few percent."""
    costs = DEFAULT_PROFILE.costs
    slower = evolve(
        DEFAULT_PROFILE,
        costs=evolve(
            costs,
            wake_ns=round(costs.wake_ns * 2),
            guest_submit_ns=round(costs.guest_submit_ns * 2),
            guest_irq_ns=round(costs.guest_irq_ns * 1.5),
        ),
    )
    seen = observe(slower)

    def measure_worst(profile: Profile) -> float:
        found = compare_observations(seen, profile, QEMU_10, requests=2_000)
        return statistics.median(abs(each.iops_ratio - 1) for each in found)

    before = measure_worst(DEFAULT_PROFILE)
    after = measure_worst(fit_costs(seen, DEFAULT_PROFILE, QEMU_10, tries=80))
    assert before > 0.1
    assert after < 0.05


def test_same_observations_give_the_same_profile() -> None:
    """What is tried is drawn from one seed."""
    seen = observe(DEFAULT_PROFILE)
    first = fit_costs(seen, DEFAULT_PROFILE, QEMU_10, tries=6)
    assert fit_costs(seen, DEFAULT_PROFILE, QEMU_10, tries=6) == first


def test_progress_goes_from_nothing_to_nearly_all() -> None:
    """Whoever watches is told the share of what is done."""
    told: list[float] = []
    fit_costs(observe(DEFAULT_PROFILE), DEFAULT_PROFILE, QEMU_10, tries=4, report=told.append)
    assert told == [0.0, 0.25, 0.5, 0.75]
