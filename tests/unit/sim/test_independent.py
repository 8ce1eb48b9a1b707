"""The simulator against a second one that was written from docs/concepts/simulator.md alone."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import pytest

from tests.unit.sim import independent
from tests.unit.sim.test_independent_by_hand import WORKED, Worked
from vmio.sim import kernel, records
from vmio.sim.costs import Costs
from vmio.sim.records import Devices, Loops, Queues, build_world, read_counts
from vmio.sim.statistics import student_t_quantile

SEEDS: Final = 12
REQUESTS: Final = 2_000
WARM_UP: Final = 400
FIGURES: Final = ("iops", "latency", "cpu", "sleeps", "passes", "irq", "vcpu")
CODES: Final = {
    "loop": records.BY_LOOP,
    "handler": records.BY_HANDLER,
    "weighted": records.WEIGHTED,
}
ENGINES: Final = {
    "native": records.NATIVE,
    "io_uring": records.IO_URING,
    "loop_ring": records.LOOP_RING,
    "threads": records.THREADS,
}

COSTS: Final = independent.Costs(
    wake_ns=23_000, sleep_ns=10_600, syscall_ns=2_700, poll_pass_ns=60, self_kick_ns=2_400,
    main_pass_ns=5_100, queue_run_ns=6_800, queue_request_ns=4_100, submit_ns=3_100,
    done_run_ns=10_300, done_request_ns=3_900, irq_ns=23_500, guest_wake_ns=9_900,
    guest_irq_ns=30_700, guest_switch_ns=34_100, guest_request_ns=19_600, guest_submit_ns=43_000,
    guest_kick_ns=26_000, guest_softirq_ns=11_300, disk_irq_ns=12_000, disk_irq_share=0.5,
)  # fmt: skip
"""As under TCG, of two processors: every step takes something."""
QUICK: Final = replace(
    COSTS, irq_ns=0, guest_wake_ns=2_000, guest_irq_ns=1_500, guest_switch_ns=1_200,
    guest_request_ns=900, guest_submit_ns=2_500, guest_kick_ns=1_800, guest_softirq_ns=700,
)  # fmt: skip
"""As a guest under KVM would be, so that the loops are what limits."""
INJECTED: Final = replace(QUICK, irq_ns=9_000, main_pass_ns=14_000)
"""And the main loop injects, which is slow enough for interrupts to wait for its next pass."""

CASES: Final = {
    "one disk, default polling": independent.Case(
        loops=[independent.Loop(max_ns=32_768)],
        queues=[independent.Queue()],
        costs=COSTS, service=lambda source, _: draw(source),
        requests=REQUESTS, warm_up=WARM_UP,
    ),
    "three disks on one IOThread, depth 4": independent.Case(
        loops=[independent.Loop(max_ns=32_768)],
        queues=[independent.Queue(disk=disk, depth=4, engine="io_uring") for disk in range(3)],
        costs=COSTS, service=lambda source, _: draw(source),
        requests=REQUESTS, warm_up=WARM_UP,
    ),
    "two IOThreads, depth 8, long polling": independent.Case(
        loops=[independent.Loop(max_ns=1_000_000, first_ns=1_000_000)] * 2,
        queues=[
            independent.Queue(loop=disk, disk=disk, vcpu=disk, depth=8) for disk in range(2)
        ],
        costs=QUICK, service=lambda source, _: draw(source),
        requests=REQUESTS, warm_up=WARM_UP,
    ),
    "three disks on one IOThread, a quick guest": independent.Case(
        loops=[independent.Loop(max_ns=32_768)],
        queues=[independent.Queue(disk=disk, vcpu=disk, depth=4) for disk in range(3)],
        costs=QUICK, service=lambda source, _: draw(source),
        requests=REQUESTS, warm_up=WARM_UP,
    ),
    "batches of 4, QEMU 7.2": independent.Case(
        loops=[independent.Loop(generation="loop", max_ns=65_536, batch_limit=2)],
        queues=[independent.Queue(depth=16, batch=4)],
        costs=COSTS, service=lambda source, _: draw(source),
        requests=REQUESTS, warm_up=WARM_UP,
    ),
    "worker threads, two disks, QEMU 11.1": independent.Case(
        loops=[independent.Loop(generation="weighted", max_ns=200_000, workers=3,
                                waits_with_ring=True)],
        queues=[
            independent.Queue(disk=disk, vcpu=disk, depth=4, engine="threads") for disk in range(2)
        ],
        costs=QUICK, service=lambda source, _: draw(source),
        requests=REQUESTS, warm_up=WARM_UP,
    ),
    "the main loop, two programs that compute and think": independent.Case(
        loops=[independent.Loop(max_ns=0, is_main=True)],
        queues=[
            independent.Queue(
                disk=disk, depth=2, work_ns=20_000, think_ns=50_000, engine="io_uring"
            )
            for disk in range(2)
        ],
        costs=replace(COSTS, disk_irq_share=0), service=lambda source, _: draw(source),
        requests=REQUESTS, warm_up=WARM_UP,
    ),
    "four disks on two IOThreads, two vCPUs, the main loop injects": independent.Case(
        loops=[independent.Loop(max_ns=32_768)] * 2,
        queues=[
            independent.Queue(loop=disk % 2, disk=disk, vcpu=disk // 2, depth=4)
            for disk in range(4)
        ],
        costs=INJECTED, service=lambda source, _: draw(source),
        requests=REQUESTS, warm_up=WARM_UP,
    ),
    "three programs that compute, on one vCPU and three IOThreads": independent.Case(
        loops=[independent.Loop(max_ns=32_768)] * 3,
        queues=[
            independent.Queue(
                loop=disk, disk=disk, depth=2, batch=1 + disk % 2, work_ns=15_000,
                think_ns=10_000 * disk, engine="io_uring",
            )
            for disk in range(3)
        ],
        costs=replace(INJECTED, disk_irq_ns=20_000), service=lambda source, _: draw(source),
        requests=REQUESTS, warm_up=WARM_UP,
    ),
    "the loop's ring, QEMU 11.1": independent.Case(
        loops=[independent.Loop(generation="weighted", max_ns=100_000, waits_with_ring=True)],
        queues=[independent.Queue(depth=4, engine="loop_ring")],
        costs=QUICK, service=lambda source, _: draw(source),
        requests=REQUESTS, warm_up=WARM_UP,
    ),
}  # fmt: skip


def draw(source: random.Random) -> int:
    """Returns a service time around 60 µs."""
    return 20_000 + round(source.expovariate(1 / 40_000))


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of either came to, the loops added up."""

    iops: float
    latency: float
    cpu: float
    sleeps: float
    passes: float
    irq: float
    vcpu: float


def run_second(case: independent.Case, seed: int) -> Run:
    """Runs the simulator in SimPy."""
    ran = independent.simulate(case, seed)
    total = sum(loop.requests for loop in ran.loops)
    return Run(
        iops=ran.iops,
        latency=ran.latency_ns,
        cpu=sum(loop.cpu for loop in ran.loops),
        sleeps=sum(loop.sleeps_per_request * loop.requests for loop in ran.loops) / total,
        passes=sum(loop.passes_per_request * loop.requests for loop in ran.loops) / total,
        irq=ran.irq_cpu,
        vcpu=statistics.mean(ran.vcpu_busy),
    )


def run_first(case: independent.Case, seed: int) -> Run:
    """Runs the simulator that vmio has."""
    loops, queues = case.loops, case.queues
    source = random.Random(f"other {seed}")  # noqa: S311 - a simulation's, not a secret's
    # No more can be under way at a disk than all programs together ask for.
    is_open = any(queue.interval_ns for queue in queues)
    size, most = 1 << 11, 32 if is_open else min(32, sum(queue.depth for queue in queues))
    costs = asdict(case.costs)
    share = costs.pop("disk_irq_share")
    # QEMU's defaults, which a parameter of 0 means.
    usual = 2 if loops[0].generation == "weighted" else 0
    world = build_world(
        CODES[loops[0].generation],
        Loops(
            max_ns=[loop.max_ns if loop.can_poll and not loop.is_main else 0 for loop in loops],
            grow=[loop.grow or usual for loop in loops],
            shrink=[loop.shrink or usual for loop in loops],
            weight=[loop.weight or 3 for loop in loops],
            is_main=[int(loop.is_main) for loop in loops],
            looks=[int(loop.is_main or loop.waits_with_ring) for loop in loops],
            batch=[loop.batch_limit or 32 for loop in loops],
            workers=[loop.workers for loop in loops],
            first_ns=[loop.first_ns for loop in loops],
        ),
        Queues(
            loop=[queue.loop for queue in queues],
            device=[queue.disk for queue in queues],
            vcpu=[queue.vcpu for queue in queues],
            engine=[ENGINES[queue.engine] for queue in queues],
            depth=[queue.depth for queue in queues],
            batch=[queue.batch for queue in queues],
            interval_ns=[round(queue.interval_ns) for queue in queues],
            work_ns=[round(queue.work_ns) for queue in queues],
            think_ns=[round(queue.think_ns) for queue in queues],
        ),
        Devices(
            samples=[
                round(case.service(source, under_way))
                for under_way in range(1, most + 1)
                for _ in range(size)
            ],
            size=size,
            tables=[*range(most)] * len(queues),
            most=most,
        ),
        Costs(
            **{name: round(value) for name, value in costs.items()},
            crowded_wake_ns=0,
        ),
        processors=64,
        vcpu_disk_irq_ns=round(case.costs.disk_irq_ns * share),
        requests=case.requests,
        warm_up=case.warm_up,
    )
    # Event for event what the interpreter does of it, as test_events.py has it.
    kernel.run(world)
    counts = read_counts(world)
    span_ns = counts.span_ns
    return Run(
        iops=case.requests * 1e9 / span_ns,
        latency=statistics.mean(counts.latencies_ns),
        cpu=sum(counts.cpu_ns) / span_ns,
        sleeps=sum(counts.sleeps) / case.requests,
        passes=sum(counts.passes) / case.requests,
        irq=counts.irq_cpu_ns / span_ns,
        vcpu=statistics.mean(counts.vcpu_ns) / span_ns,
    )


def compare(first: Sequence[Run], second: Sequence[Run], name: str) -> tuple[float, float, float]:
    """Returns both means of a figure and the half of the interval that their difference is within.

    The interval is of 95 % for all figures of all cases together, so of 1 - 0.05/70 for each.
    """
    ours, theirs = ([getattr(run, name) for run in runs] for runs in (first, second))
    error = math.sqrt(
        statistics.variance(ours) / len(ours) + statistics.variance(theirs) / len(theirs)
    )
    quantile = student_t_quantile(1 - 0.025 / (len(CASES) * len(FIGURES)), 2 * SEEDS - 2)
    return statistics.mean(ours), statistics.mean(theirs), quantile * error


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_both_simulators_agree_within_their_interval(case: independent.Case) -> None:
    """Throughput, latency, processor time, sleeps and passes: no figure differs beyond chance."""
    first, second = ([run(case, seed) for seed in range(SEEDS)] for run in (run_first, run_second))
    apart = {}
    for name in FIGURES:
        ours, theirs, near = compare(first, second, name)
        if abs(ours - theirs) > near:
            apart[name] = (ours, theirs, near)
    assert not apart


def make_guest_without_chance(seed: int) -> independent.Case:
    """Returns a guest at random, whose disks always take the same time for as many under way.

    Its costs have nothing in common, so that hardly two things fall into one moment, where the
    page says nothing of their order.
    """
    source = random.Random(seed)  # noqa: S311 - a simulation's, not a secret's
    guest_speed = source.choice([0.05, 0.3, 1])
    costs = {
        name: 1 + round(value * source.uniform(0.1, 1.5) * (guest_speed if "guest" in name else 1))
        for name, value in asdict(COSTS).items()
    }
    costs |= {"disk_irq_share": source.choice([0, 1])}
    costs |= {name: 0 for name in ("irq_ns", "disk_irq_ns") if source.random() < 0.2}
    loops = source.randint(1, 3)
    vcpus = source.randint(1, 2)
    first = source.randint(1, 3)
    engine: independent.Engine = source.choice(("native", "io_uring"))
    generation: independent.Generation = source.choice(("loop", "handler", "weighted"))
    service_ns = sorted(source.sample(range(3_000, 120_000), 32))
    return independent.Case(
        loops=[
            independent.Loop(generation, source.choice([0, 32_768, 300_000])) for _ in range(loops)
        ],
        queues=[
            independent.Queue(
                loop=disk % loops, disk=disk, vcpu=disk % vcpus, engine=engine,
                depth=first + disk, batch=source.randint(1, first + disk),
                work_ns=source.choice([0, source.randint(1_000, 60_000)]),
                think_ns=source.choice([0, source.randint(1_000, 90_000)]),
            )
            for disk in range(4)
        ],
        costs=independent.Costs(**costs),
        service=lambda _, under_way: service_ns[under_way - 1],
        requests=300,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_both_simulators_agree_to_the_nanosecond_where_nothing_is_chance(seed: int) -> None:
    """Of the first 300 requests; one thing in another order would change all that follows."""
    case = make_guest_without_chance(seed)
    first, second = run_first(case, 1), run_second(case, 1)
    assert first.latency == pytest.approx(second.latency, rel=1e-9)
    assert first.iops == pytest.approx(second.iops, rel=1e-9)


@pytest.mark.parametrize("work_out", WORKED, ids=lambda work_out: work_out.__name__)
def test_simulator_comes_to_what_was_worked_out_by_hand(work_out: Callable[[], Worked]) -> None:
    """It is held to the same sums of costs; at either end of what counts a step may be cut."""
    worked = work_out()
    count = worked.ended * 1000
    ran = run_first(replace(worked.case, requests=count, warm_up=worked.ended * 20), seed=1)
    assert ran.latency == pytest.approx(worked.latency, rel=1e-9)
    assert ran.iops == pytest.approx(worked.ended / worked.period * 1e9, rel=1e-3)
    assert ran.sleeps == pytest.approx(worked.sleeps / worked.ended, rel=2e-3)
    assert ran.passes == pytest.approx(worked.passes / worked.ended, rel=2e-3)
    assert ran.cpu == pytest.approx(worked.cpu / worked.period, rel=2e-3)
    assert ran.vcpu * (1 + max(queue.vcpu for queue in worked.case.queues)) == pytest.approx(
        worked.vcpu / worked.period, rel=2e-3
    )
    assert ran.irq == pytest.approx(worked.irq / worked.period, rel=2e-3)


@pytest.mark.parametrize("later_ns", [-100, -1, 1, 100, 1200, 2300, 2500])
def test_both_agree_on_what_comes_while_a_loop_notifies_itself(later_ns: int) -> None:
    """A turn in vain, which a stale eventfd and a kick are for, is followed by a notification."""
    polls = independent.Loop(max_ns=20_000, grow=1, shrink=1, first_ns=20_000)
    vain_ns = QUICK.self_kick_ns + 20_000 + QUICK.syscall_ns + QUICK.queue_run_ns
    case = independent.Case(
        loops=[polls],
        queues=[independent.Queue()],
        costs=QUICK,
        service=lambda _, __: round(vain_ns) + later_ns,
        requests=600,
        warm_up=100,
    )
    first, second = run_first(case, 1), run_second(case, 1)
    assert first.latency == pytest.approx(second.latency, abs=1)
    assert first.passes == pytest.approx(second.passes, abs=0.01)
