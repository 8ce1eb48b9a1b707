"""What must hold of every simulated guest, whatever it is like."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.model.version import parse_version
from vmio.sim import events, kernel, records
from vmio.sim.costs import Costs
from vmio.sim.profile import DEFAULT_PROFILE
from vmio.sim.records import Counts, Devices, Loops, Queues, build_world, read_counts
from vmio.sim.simulator import Estimate, predict
from vmio.sim.workload import Workload
from vmio.values import replace

REQUESTS = 300
SAMPLES = (20_000, 90_000, 35_000, 60_000, 45_000, 400_000, 28_000)


class Guest(Struct, frozen=True, kw_only=True):
    """A closed loop of any kind."""

    generation: int
    engines: tuple[int, ...]
    """One for each disk."""
    loop_of: tuple[int, ...]
    depth: int
    batch: int
    work_ns: int
    think_ns: int
    vcpus: int
    processors: int
    max_ns: int
    shrink: int
    costs: dict[str, int]

    def run(self, form: ModuleType = events) -> Counts:
        """Runs it as Python, or the compiled form."""
        loops, disks = max(self.loop_of) + 1, len(self.loop_of)
        least = 1 if self.generation == records.WEIGHTED else 0
        world = build_world(
            self.generation,
            Loops(
                max_ns=[self.max_ns] * loops,
                grow=[2] * loops,
                shrink=[max(self.shrink, least)] * loops,
                weight=[3] * loops,
                is_main=[0] * loops,
                looks=[0] * loops,
                batch=[4] * loops,
                workers=[2] * loops,
                first_ns=[0] * loops,
            ),
            Queues(
                loop=list(self.loop_of),
                device=list(range(disks)),
                vcpu=[disk % self.vcpus for disk in range(disks)],
                engine=list(self.engines),
                depth=[self.depth] * disks,
                batch=[min(self.batch, self.depth)] * disks,
                interval_ns=[0] * disks,
                work_ns=[self.work_ns] * disks,
                think_ns=[self.think_ns] * disks,
            ),
            Devices(samples=list(SAMPLES), size=len(SAMPLES), tables=[0] * disks, most=1),
            Costs(**self.costs),
            processors=self.processors,
            requests=REQUESTS,
            warm_up=50,
        )
        form.run(world)
        return read_counts(world)


COSTS = st.fixed_dictionaries({name: st.integers(0, 60_000) for name in Costs.__struct_fields__})


@st.composite
def guests(draw: st.DrawFn) -> Guest:
    """Draws a guest of one to four disks."""
    disks = draw(st.integers(1, 4))
    loop_of = tuple(draw(st.integers(0, at)) for at in range(disks))
    used = sorted(set(loop_of))
    return Guest(
        generation=draw(st.sampled_from([0, 1, 2])),
        engines=tuple(draw(st.integers(0, 3)) for _ in range(disks)),
        loop_of=tuple(used.index(loop) for loop in loop_of),
        depth=draw(st.integers(1, 12)),
        batch=draw(st.sampled_from([1, 1, 1, 2, 4])),
        work_ns=draw(st.sampled_from([0, 0, 30_000])),
        think_ns=draw(st.sampled_from([0, 0, 70_000])),
        vcpus=draw(st.integers(1, disks)),
        processors=draw(st.sampled_from([1, 2, 3, 8, 64])),
        max_ns=draw(st.sampled_from([0, 8_000, 32_768, 200_000, 10**7])),
        shrink=draw(st.integers(0, 3)),
        costs=draw(COSTS),
    )


@settings(max_examples=150)
@given(guests())
def test_no_request_is_lost_or_made_up(guest: Guest) -> None:
    """Each takes at least its service, none more than the run, and counts are possible."""
    counts = guest.run()
    assert min(counts.latencies_ns) >= min(SAMPLES)
    assert all(value >= 0 for values in counts[1:5] for value in values)
    assert min(counts.irq_cpu_ns, *counts.vcpu_ns) >= 0
    waits = sum(counts.sleeps) + sum(counts.polled)
    assert waits <= sum(counts.passes)
    assert counts.span_ns >= 0


@settings(max_examples=150)
@given(guests())
def test_littles_law_holds(guest: Guest) -> None:
    """As many requests are under way as programs have asked for, but for the run's two ends."""
    guest = replace(guest, batch=1, work_ns=0)
    counts = guest.run()
    wanted = guest.depth * len(guest.loop_of)
    with_think_ns = [latency + guest.think_ns for latency in counts.latencies_ns]
    # What is under way at either end is counted in part: no more than all that can be, each for
    # no longer than the longest.
    edge_ns = wanted * max(with_think_ns)
    assert math.fsum(with_think_ns) - wanted * counts.span_ns <= edge_ns
    assert wanted * counts.span_ns - math.fsum(with_think_ns) <= edge_ns


@settings(max_examples=60)
@given(guests())
def test_compiled_form_agrees(guest: Guest) -> None:
    """Both forms come to the same, to the nanosecond."""
    assert guest.run(kernel) == guest.run()


@settings(max_examples=60)
@given(guests())
def test_same_guest_runs_the_same(guest: Guest) -> None:
    """There is no chance in it but what is put in."""
    assert guest.run() == guest.run()


@settings(max_examples=60)
@given(guests(), st.sampled_from(["guest_request_ns", "done_run_ns", "queue_run_ns", "wake_ns"]))
def test_what_one_request_at_a_time_costs_shows_in_full(guest: Guest, cost: str) -> None:
    """One program with one request is slower by no less than what a step of its way costs more."""
    alone = replace(
        guest,
        engines=(records.IO_URING,),
        loop_of=(0,),
        vcpus=1,
        depth=1,
        batch=1,
        max_ns=0,
        processors=64,
        # A loop that is still at its own notification hides a part of what comes meanwhile, and so
        # does a main loop that still goes through its sources behind the last interrupt, and a
        # vCPU whose kick takes longer than the way of the request.
        costs={**guest.costs, "self_kick_ns": 0, "main_pass_ns": 0, "guest_kick_ns": 0},
    )
    dearer = replace(alone, costs={**alone.costs, cost: alone.costs[cost] + 10_000})
    assert dearer.run()[0] - alone.run()[0] >= REQUESTS * 10_000 * 0.99


@settings(max_examples=20)
@given(
    st.sampled_from(["7.2.0", "10.0.2", "10.2.0", "11.1.0"]),
    st.sampled_from(["native", "io_uring", "threads"]),
    st.integers(1, 3),
    st.integers(1, 8),
    st.sampled_from([0, 32_768, 10**6]),
)
def test_predictions_are_finite_and_within_their_intervals(
    version: str,
    aio: Literal["native", "io_uring", "threads"],
    disks: int,
    depth: int,
    max_ns: int,
) -> None:
    """Whatever the engine and the QEMU, every figure is a number between its ends."""
    names = [f"virtio{at}" for at in range(disks)]
    topology = Topology(
        iothreads=(IOThread(id="iot0", poll_max_ns=max_ns),),
        controllers=tuple(
            Controller(id=name, model="virtio-blk-pci", bus="virtio", iothread="iot0")
            for name in names
        ),
        disks=tuple(
            AttachedDisk(disk=Disk(id=name, bus="virtio", index=at), controller=name, aio=aio)
            for at, name in enumerate(names)
        ),
    )
    found = predict(
        topology,
        Workload(name="any", depth=depth),
        profile=DEFAULT_PROFILE,
        version=parse_version(version),
        seeds=2,
        requests=200,
    )
    estimates = [
        value
        for table in (
            structs.asdict(found),
            *(structs.asdict(loop) for loop in found.loops),
        )
        for value in table.values()
        if isinstance(value, Estimate)
    ]
    assert len(estimates) >= 9
    for each in estimates:
        assert all(map(math.isfinite, (each.low, each.mean, each.high)))
        assert 0 <= each.low <= each.mean <= each.high
