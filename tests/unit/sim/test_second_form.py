"""The simulator against a second form of it, in which threads are processes that wait.

It is written in SimPy and shares no code with the first, but it was written after it and takes the
same steps in the same order: what it finds is a slip in the bookkeeping, not a wrong order.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Generator
from typing import Any

import pytest
import simpy
from attrs import asdict, define, evolve, field, frozen

from vmio.model.capabilities import QemuVersion
from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.sim.profile import Profile, ServiceTimes, StepCosts
from vmio.sim.simulator import prepare, run_once
from vmio.sim.statistics import student_t_quantile
from vmio.sim.workload import parse_workload

COSTS = StepCosts(
    wake_ns=20_000,
    crowded_wake_ns=0,
    sleep_ns=10_000,
    syscall_ns=3_000,
    poll_pass_ns=50,
    self_kick_ns=2_500,
    main_pass_ns=0,
    queue_run_ns=8_000,
    queue_request_ns=3_000,
    submit_ns=0,
    done_run_ns=5_000,
    done_request_ns=2_000,
    irq_ns=0,
    guest_wake_ns=6_000,
    guest_irq_ns=20_000,
    guest_switch_ns=0,
    guest_request_ns=15_000,
    guest_submit_ns=25_000,
    guest_kick_ns=0,
)
QUANTILES_NS = (20_000, 35_000, 45_000, 60_000, 90_000)
PROFILE = Profile(
    name="made up",
    is_this_host=True,
    costs=COSTS,
    service=(ServiceTimes(depth=1, quantiles_ns=QUANTILES_NS),),
    processors=64,
)
SEEDS = 6
REQUESTS = 4_000
FIRST_NS = 4_000


@frozen(kw_only=True)
class Case:
    """A guest: which IOThread serves each disk, how deep its load is, and how it polls."""

    loop_of: tuple[int, ...] = (0,)
    depth: int = 1
    max_ns: int = 0
    irq_ns: int = 0
    vcpus: int = 1


@define
class Disks:
    """Requests on their way, as events."""

    env: simpy.Environment
    source: random.Random

    def draw_ns(self) -> float:
        """Returns a service time."""
        place = self.source.random() * (len(QUANTILES_NS) - 1)
        below = int(place)
        low, high = QUANTILES_NS[below], QUANTILES_NS[below + 1]
        return low + (high - low) * (place - below)


@define
class Model:
    """One guest."""

    case: Case
    env: simpy.Environment
    disks: Disks
    rings: list[list[float]] = field(factory=list)
    """By disk: when each request that the loop has not seen was submitted."""
    done: list[list[float]] = field(factory=list)
    seen: list[list[float]] = field(factory=list)
    bells: list[simpy.Event] = field(factory=list)
    """By loop: rung when there is something for it."""
    interrupts: list[simpy.Store] = field(factory=list)
    main: simpy.Resource | None = None
    cpu_ns: list[float] = field(factory=list)
    sleeps: int = 0
    latencies_ns: list[float] = field(factory=list)
    finished: simpy.Event | None = None

    def ring_bell(self, loop: int) -> None:
        """Tells a loop that something is there."""
        if not self.bells[loop].triggered:
            self.bells[loop].succeed()

    def serve(self, disk: int, submitted_ns: float) -> Generator[simpy.Event, Any, None]:
        """Is the disk, for one request."""
        yield self.env.timeout(self.disks.draw_ns())
        self.done[disk].append(submitted_ns)
        self.ring_bell(self.case.loop_of[disk])

    def has_work(self, loop: int) -> bool:
        """Returns whether anything is there for a loop."""
        own = [disk for disk, at in enumerate(self.case.loop_of) if at == loop]
        return any(self.rings[disk] or self.done[disk] for disk in own)

    def run_loop(self, loop: int) -> Generator[simpy.Event, Any, None]:
        """Is an IOThread of QEMU 10.0 with a ring of its own for completions."""
        own = [disk for disk, at in enumerate(self.case.loop_of) if at == loop]
        times = dict.fromkeys(["notifier", "completions", *(f"queue {d}" for d in own)], 0.0)
        while True:
            begin = self.env.now
            yield from self.wait(loop, max(times.values()) if self.case.max_ns else 0.0)
            block, work = self.env.now - begin, self.env.now
            ready = yield from self.dispatch(own)
            self.cpu_ns[loop] += self.env.now - work
            self.adapt(times, ready, block)
            if "completions" in ready:
                yield self.env.timeout(COSTS.self_kick_ns)
                self.cpu_ns[loop] += COSTS.self_kick_ns
                if max(times.values()):
                    self.adapt(times, ["notifier"], COSTS.self_kick_ns)

    def wait(self, loop: int, budget: float) -> Generator[simpy.Event, Any, None]:
        """Polls for so long, then sleeps until something is there."""
        env, begin = self.env, self.env.now
        if self.has_work(loop):
            yield env.timeout(COSTS.poll_pass_ns if budget else COSTS.syscall_ns)
            self.cpu_ns[loop] += env.now - begin
            return
        self.bells[loop] = env.event()
        if budget:
            yield self.bells[loop] | env.timeout(budget)
        if self.has_work(loop):
            yield env.timeout(COSTS.poll_pass_ns)
            self.cpu_ns[loop] += env.now - begin
            return
        if self.bells[loop].triggered:
            self.bells[loop] = env.event()
        yield self.bells[loop]
        yield env.timeout(COSTS.wake_ns)
        self.cpu_ns[loop] += budget + COSTS.sleep_ns
        self.sleeps += 1

    def dispatch(self, own: list[int]) -> Generator[simpy.Event, Any, list[str]]:
        """Takes what is there at this moment, completions first, and returns whose it was."""
        batches = {disk: self.done[disk][:] for disk in own if self.done[disk]}
        requests = {disk: self.rings[disk][:] for disk in own if self.rings[disk]}
        for disk in own:
            self.done[disk].clear()
            self.rings[disk].clear()
        count = sum(map(len, batches.values()))
        if count:
            yield self.env.timeout(COSTS.done_run_ns + COSTS.done_request_ns * count)
        for disk in own:
            if disk in batches:
                self.seen[disk] += batches[disk]
                self.env.process(self.interrupt(disk % self.case.vcpus))
            if disk in requests:
                many = len(requests[disk])
                yield self.env.timeout(COSTS.queue_run_ns + COSTS.queue_request_ns * many)
                for submitted_ns in requests[disk]:
                    self.env.process(self.serve(disk, submitted_ns))
        return ["completions"] * bool(batches) + [f"queue {disk}" for disk in requests]

    def adapt(self, times: dict[str, float], ready: list[str], block: float) -> None:
        """Adapts each handler that was ready: QEMU 10.0, grow and shrink at their defaults."""
        most = self.case.max_ns
        for handler in ready:
            ns = times[handler]
            if block <= ns or not most:
                continue
            if block > most:
                times[handler] = 0
            elif ns < most and block < most:
                times[handler] = min(ns * 2 if ns else FIRST_NS, most)

    def interrupt(self, vcpu: int) -> Generator[simpy.Event, Any, None]:
        """Is the way of an interrupt, by the main loop where that injects it."""
        if self.case.irq_ns:
            assert self.main is not None
            with self.main.request() as turn:
                was_idle = self.main.count == 0 or turn.triggered
                yield turn
                if was_idle:
                    yield self.env.timeout(COSTS.wake_ns)
                yield self.env.timeout(self.case.irq_ns)
        yield self.interrupts[vcpu].put(self.env.now)

    def run_vcpu(self, vcpu: int) -> Generator[simpy.Event, Any, None]:
        """Is a vCPU: it takes interrupts, and for each completion submits anew."""
        env = self.env
        own = [disk for disk in range(len(self.rings)) if disk % self.case.vcpus == vcpu]
        while True:
            waiting = self.interrupts[vcpu]
            was_idle = not waiting.items
            yield waiting.get()
            if was_idle:
                yield env.timeout(COSTS.guest_wake_ns)
            taken = 1 + len(waiting.items)
            waiting.items.clear()
            found = {disk: self.seen[disk][:] for disk in own}
            for disk in own:
                self.seen[disk].clear()
            yield env.timeout(COSTS.guest_irq_ns * taken)
            for disk in own:
                for submitted_ns in found[disk]:
                    yield env.timeout(COSTS.guest_request_ns + COSTS.guest_submit_ns)
                    self.latencies_ns.append(env.now - submitted_ns)
                    self.rings[disk].append(env.now)
                    self.ring_bell(self.case.loop_of[disk])
            if (
                len(self.latencies_ns) >= REQUESTS
                and self.finished
                and not self.finished.triggered
            ):
                self.finished.succeed()


def run_model(case: Case, seed: int) -> dict[str, float]:
    """Returns what the model does until enough requests are done."""
    env = simpy.Environment()
    disks, loops = len(case.loop_of), max(case.loop_of) + 1
    model = Model(case=case, env=env, disks=Disks(env=env, source=random.Random(f"m{seed}")))  # noqa: S311 - a model's
    model.rings = [[0.0] * case.depth for _ in range(disks)]
    model.done, model.seen = [[] for _ in range(disks)], [[] for _ in range(disks)]
    model.bells = [env.event() for _ in range(loops)]
    model.interrupts = [simpy.Store(env) for _ in range(case.vcpus)]
    model.main = simpy.Resource(env)
    model.cpu_ns = [0.0] * loops
    model.finished = env.event()
    for loop in range(loops):
        env.process(model.run_loop(loop))
    for vcpu in range(case.vcpus):
        env.process(model.run_vcpu(vcpu))
    env.run(until=model.finished)
    count = len(model.latencies_ns)
    return {
        "iops": count * 1e9 / env.now,
        "latency_ns": statistics.fmean(model.latencies_ns),
        "cpu": sum(model.cpu_ns) / loops / env.now,
        "sleeps": model.sleeps / count,
    }


def run_simulator(case: Case, seed: int) -> dict[str, float]:
    """Returns what the simulator says of the same guest."""
    disks = [Disk(id=f"virtio{at}", bus="virtio", index=at) for at in range(len(case.loop_of))]
    topology = Topology(
        iothreads=tuple(
            IOThread(id=f"iot{loop}", poll_max_ns=case.max_ns)
            for loop in sorted(set(case.loop_of))
        ),
        controllers=tuple(
            Controller(id=disk.id, model="virtio-blk-pci", bus="virtio", iothread=f"iot{loop}")
            for disk, loop in zip(disks, case.loop_of, strict=True)
        ),
        disks=tuple(AttachedDisk(disk=disk, controller=disk.id, aio="io_uring") for disk in disks),
        vcpus=case.vcpus,
    )
    load = parse_workload(f"qd={case.depth}")
    profile = evolve(PROFILE, costs=evolve(COSTS, irq_ns=case.irq_ns))
    setup = prepare(topology, load, QemuVersion(10, 0, 2))
    found = run_once(setup, load, profile, seed=seed, requests=REQUESTS)
    return {
        "iops": found.iops,
        "latency_ns": found.latency_mean_ns,
        "cpu": statistics.fmean(found.loop_cpu_shares),
        "sleeps": sum(found.loop_sleeps),
    }


CASES = {
    "one disk, polling at its default": Case(max_ns=32_768),
    "three disks on one IOThread, by the main loop": Case(
        loop_of=(0, 0, 0), depth=4, irq_ns=15_000
    ),
    "two IOThreads that always poll": Case(loop_of=(0, 1), depth=8, max_ns=1_000_000, vcpus=2),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_second_form_agrees(case: Case) -> None:
    """Throughput, latency, processor time and sleeps agree within their intervals over seeds."""
    model = [run_model(case, seed) for seed in range(SEEDS)]
    simulator = [run_simulator(case, seed) for seed in range(SEEDS)]
    quantile = student_t_quantile(0.975, 2 * SEEDS - 2)
    for name in model[0]:
        ours, theirs = ([run[name] for run in runs] for runs in (simulator, model))
        difference = statistics.fmean(ours) - statistics.fmean(theirs)
        error = math.sqrt((statistics.variance(ours) + statistics.variance(theirs)) / SEEDS)
        scale = statistics.fmean(theirs)
        # An interval that is wide would agree with anything; 0.01 is for what is nearly 0 in both.
        interval = quantile * error
        assert interval <= max(0.02 * scale, 0.01), name
        # The second form counts its first requests too, which the first leaves out.
        assert abs(difference) <= max(interval, 0.002 * scale, 0.005), (name, ours, theirs)


def test_costs_of_the_model_are_all_known() -> None:
    """A cost that comes anew makes somebody look whether the model has to have it."""
    assert set(asdict(COSTS)) == {
        "wake_ns", "crowded_wake_ns", "sleep_ns", "syscall_ns", "poll_pass_ns", "self_kick_ns",
        "main_pass_ns", "queue_run_ns", "queue_request_ns", "submit_ns", "done_run_ns",
        "done_request_ns", "irq_ns", "guest_wake_ns", "guest_irq_ns", "guest_switch_ns",
        "guest_request_ns", "guest_submit_ns", "guest_kick_ns",
    }  # fmt: skip
