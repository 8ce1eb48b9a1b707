"""The simulator, on cases that can be worked out by hand, and against its compiled form."""

from __future__ import annotations

import random
from functools import cache
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from vmio.sim import events, kernel
from vmio.sim.costs import Costs
from vmio.sim.events import adapt, adjust
from vmio.sim.polling import (
    PollSettings,
    WeightedTimes,
    adjust_handlers,
    adjust_time,
    adjust_weighted,
    complete_settings,
)
from vmio.sim.records import (
    BY_HANDLER,
    BY_LOOP,
    IO_URING,
    LOOP_RING,
    NATIVE,
    RECORD,
    THREADS,
    WEIGHTED,
    Counts,
    Devices,
    Loops,
    Queues,
    SimulationState,
    build_world,
    read_counts,
)
from vmio.values import replace

SERVICE, WAKE, SLEEP, RUN, REQUEST, DONE, REAP = (
    40_000,
    20_000,
    15_000,
    10_000,
    1_000,
    6_000,
    2_000,
)
GUEST, MORE, SYSCALL, POLL, KICK, SUBMIT, MAIN = 100_000, 3_000, 3_000, 50, 2_500, 4_000, 5_000


class Case(Struct, frozen=True, kw_only=True):
    """A layout under a load, with the costs above."""

    generation: int = BY_HANDLER
    max_ns: int = 0
    first_ns: int = 0
    loop_of: tuple[int, ...] = (0,)
    engine: int = NATIVE
    aio_batch: int = 32
    workers: int = 64
    depth: int = 1
    batch: int = 1
    interval_ns: int = 0
    work_ns: int = 0
    think_ns: int = 0
    samples: tuple[int, ...] = (SERVICE,)
    vcpus: int = 0
    """0 for one for each queue."""
    irq_ns: int = 0
    kick_ns: int = 0
    processors: int = 64
    requests: int = 1000
    warm_up: int = 0
    passes: int = 0


def prepare(case: Case) -> SimulationState:
    """Lays a case out."""
    count, queues = max(case.loop_of) + 1, len(case.loop_of)
    vcpus = case.vcpus or queues
    grow = 2 if case.generation == WEIGHTED else 0
    return build_world(
        case.generation,
        Loops(
            max_ns=[case.max_ns] * count,
            grow=[grow] * count,
            shrink=[grow] * count,
            weight=[3] * count,
            is_main=[0] * count,
            looks=[0] * count,
            batch=[case.aio_batch] * count,
            workers=[case.workers] * count,
            first_ns=[case.first_ns] * count,
        ),
        Queues(
            loop=list(case.loop_of),
            device=list(range(queues)),
            vcpu=[queue % vcpus for queue in range(queues)],
            engine=[case.engine] * queues,
            depth=[case.depth] * queues,
            batch=[case.batch] * queues,
            interval_ns=[case.interval_ns] * queues,
            work_ns=[case.work_ns] * queues,
            think_ns=[case.think_ns] * queues,
        ),
        Devices(samples=list(case.samples), size=len(case.samples), tables=[0] * queues, most=1),
        Costs(
            wake_ns=WAKE,
            crowded_wake_ns=WAKE,
            sleep_ns=SLEEP,
            syscall_ns=SYSCALL,
            poll_pass_ns=POLL,
            self_kick_ns=KICK,
            main_pass_ns=MAIN,
            queue_run_ns=RUN,
            queue_request_ns=REQUEST,
            submit_ns=SUBMIT,
            done_run_ns=DONE,
            done_request_ns=REAP,
            irq_ns=case.irq_ns,
            guest_wake_ns=0,
            guest_irq_ns=GUEST - MORE,
            guest_switch_ns=0,
            guest_request_ns=MORE,
            guest_submit_ns=0,
            guest_kick_ns=case.kick_ns,
        ),
        processors=case.processors,
        requests=case.requests,
        warm_up=case.warm_up,
        gaps=draw_gaps(),
        passes=case.passes,
    )


@cache
def draw_gaps() -> tuple[int, ...]:
    """Returns exponential times of mean 1024."""
    source = random.Random(7)  # noqa: S311 - a simulation's, not a secret's
    return tuple(round(source.expovariate(1 / 1024)) for _ in range(4096))


@cache
def draw_services(seed: int = 1) -> tuple[int, ...]:
    """Returns service times around 44 µs."""
    source = random.Random(seed)  # noqa: S311 - as above
    return tuple(max(10_000, round(source.gauss(44_000, 12_000))) for _ in range(1 << 12))


def run(case: Case, form: ModuleType = events) -> Counts:
    """Runs it as Python, or the compiled form."""
    world = prepare(case)
    form.run(world)
    return read_counts(world)


def test_one_request_at_a_time_without_polling() -> None:
    """Two sleeps a request, and each latency is what its steps add up to."""
    ran = run(Case(warm_up=1))
    latency = WAKE + RUN + REQUEST + SERVICE + WAKE + DONE + REAP + GUEST
    assert set(ran.latencies_ns) == {latency}
    assert ran.span_ns == 1000 * latency
    assert ran.sleeps[0] == 2000
    busy = 2 * SLEEP + RUN + REQUEST + DONE + REAP + 2 * KICK
    assert ran.cpu_ns[0] == pytest.approx(1000 * busy, abs=busy)
    assert ran.polling_ns == [0]


def test_polling_for_longer_than_any_wait_never_sleeps() -> None:
    """Once the polling time has grown over every wait, nothing sleeps and all time is spent."""
    ran = run(Case(max_ns=1_000_000, warm_up=100))
    latency = POLL + RUN + REQUEST + SERVICE + POLL + DONE + REAP + GUEST
    assert set(ran.latencies_ns) == {latency}
    assert ran.sleeps[0] == 0
    assert ran.cpu_ns[0] / ran.span_ns == pytest.approx(1, abs=0.01)
    work = RUN + REQUEST + DONE + REAP + 2 * KICK
    assert ran.polling_ns[0] / ran.span_ns == pytest.approx(1 - work / latency, abs=0.01)
    assert ran.polled[0] == pytest.approx(2000, abs=1)


def test_loop_makes_four_passes_a_request() -> None:
    """Kick, own notification, completion, own notification: 4.01 were recorded on QEMU 10.0.2."""
    ran = run(Case(max_ns=1_000_000, warm_up=100))
    assert ran.passes[0] == pytest.approx(4000, abs=2)


def test_no_request_takes_less_than_its_steps() -> None:
    """The guest takes no completion before it is reaped, though it takes another's interrupt then.

    Requests come at random to a loop that always polls, so some are reaped just as an interrupt
    ends, which then is theirs too: those take their steps and next to nothing else.
    """
    ran = run(
        Case(
            depth=0,
            interval_ns=200_000,
            max_ns=10_000_000,
            first_ns=10_000_000,
            requests=20_000,
        )
    )
    steps = 2 * POLL + RUN + REQUEST + SERVICE + DONE + REAP + MORE
    # Nearer than reaping takes, by which a completion that is seen too early would be early.
    assert steps <= min(ran.latencies_ns) < steps + DONE + REAP


def test_polling_in_vain_costs_and_gains_nothing() -> None:
    """A maximum below every wait keeps the throughput and costs processor time."""
    none, vain = run(Case()), run(Case(max_ns=8_000))
    assert vain.sleeps == none.sleeps
    assert vain.span_ns == none.span_ns
    assert vain.cpu_ns[0] > none.cpu_ns[0]


def test_waits_are_shared_by_requests_that_come_together() -> None:
    """With 16 requests in one kick and equal service times, 16 share two sleeps."""
    ran = run(Case(depth=16, batch=16, requests=16_000, warm_up=16))
    assert ran.sleeps[0] == 2000
    assert len(set(ran.latencies_ns)) == 16


def test_largest_submission_costs_a_call_for_each_part() -> None:
    """linux-aio takes 16 in one call, or by aio-max-batch=4 in four; io_uring ignores that."""
    case = Case(depth=16, batch=16, requests=1_600, warm_up=16)
    whole, parts = run(case), run(replace(case, aio_batch=4))
    assert parts.span_ns - whole.span_ns == 100 * 3 * SUBMIT
    ring = replace(case, engine=IO_URING)
    assert run(replace(ring, aio_batch=4)) == run(ring)


def test_pool_serves_no_more_than_it_has_threads() -> None:
    """With one worker requests queue for it; what waits is taken in the order in which it came."""
    case = Case(engine=THREADS, depth=16, samples=(10 * SERVICE,), requests=1_600, warm_up=160)
    many, one = run(case), run(replace(case, workers=1))
    assert one.span_ns > 2 * many.span_ns
    assert one.span_ns == pytest.approx(1_600 * 10 * SERVICE, rel=0.02)
    under_way = sum(one.latencies_ns) / one.span_ns
    assert under_way == pytest.approx(16, rel=0.02)


def test_interrupts_pass_the_main_loop_where_the_kernel_has_no_way() -> None:
    """Each request then takes its wake-up and its work longer.

    The main loop spends that, and the way through its sources when it is done.
    """
    ran, by_main = run(Case(warm_up=1)), run(Case(warm_up=1, irq_ns=30_000))
    assert by_main.span_ns - ran.span_ns == 1000 * (WAKE + 30_000)
    assert by_main.irq_cpu_ns == 1000 * (SLEEP + 30_000 + MAIN)
    assert ran.irq_cpu_ns == 0


def test_loop_that_polls_needs_no_kick() -> None:
    """A kick takes a vCPU's time only while the loop sleeps."""
    without, with_kicks = run(Case(warm_up=1)), run(Case(warm_up=1, kick_ns=9_000))
    more_ns = with_kicks.vcpu_ns[0] - without.vcpu_ns[0]
    assert more_ns == pytest.approx(1000 * 9_000, abs=9_000)
    polls = Case(max_ns=1_000_000, first_ns=1_000_000, warm_up=100)
    assert run(polls) == run(replace(polls, kick_ns=9_000))


def test_beginning_to_poll_takes_back_no_kick() -> None:
    """The first request kicks a loop that polls from the start; nothing arms its queue again."""
    polls = Case(max_ns=1_000_000, first_ns=1_000_000)
    kicked_ns = run(replace(polls, kick_ns=9_000)).vcpu_ns[0] - run(polls).vcpu_ns[0]
    assert kicked_ns == 9_000


def test_kick_of_a_loop_that_polled_ends_its_next_sleep_at_once() -> None:
    """Polling that ends in vain reads an eventfd whose queue is empty, once; then it sleeps."""
    seen = run(
        Case(
            engine=IO_URING,
            max_ns=100_000,
            first_ns=100_000,
            think_ns=2_000_000,
            requests=3,
            passes=20,
        )
    ).passes_seen
    passes = [seen[at : at + RECORD] for at in range(0, len(seen), RECORD)]
    longer = [each for each in passes if each[2] - each[1] > 100_000]
    assert [woken - begin - budget for _, begin, woken, _, budget, _ in longer[:1]] == [SYSCALL]
    assert [end - woken for _, _, woken, end, _, _ in longer[:1]] == [RUN]
    assert all(woken - begin > 1_000_000 for _, begin, woken, *_ in longer[1:])
    assert len(longer) == 3


def test_loop_whose_polling_time_falls_to_0_reads_what_it_was_kicked_by() -> None:
    """It polled until then, and no notification of its own ended that: its ring is no handler.

    The disk is done when the loop has polled for the maximum, and is found a look later.
    """
    case = Case(
        engine=LOOP_RING,
        generation=BY_LOOP,
        max_ns=60_000,
        first_ns=60_000,
        samples=(KICK + 60_000,),
        requests=2,
        passes=4,
    )
    *_, begin, woken, end, budget, _ = run(case).passes_seen
    assert (woken - begin, end - woken, budget) == (SYSCALL, RUN, 0)


def test_disks_of_one_vcpu_wait_for_it() -> None:
    """Two disks on one vCPU are slower than on two, though each has its IOThread."""
    two = run(Case(loop_of=(0, 1), vcpus=2))
    one = run(Case(loop_of=(0, 1), vcpus=1))
    assert one.span_ns > two.span_ns


def test_think_time_comes_off_the_throughput() -> None:
    """A program that waits between its requests gets each of them as fast."""
    ran, thinking = run(Case()), run(Case(think_ns=200_000))
    assert thinking.latencies_ns == ran.latencies_ns
    assert thinking.span_ns - ran.span_ns == 999 * 200_000


def test_work_comes_off_the_throughput_and_keeps_the_vcpu_busy() -> None:
    """A program that computes between its requests gets each as fast, and wakes up no more."""
    ran, working = run(Case(warm_up=1)), run(Case(warm_up=1, work_ns=200_000))
    assert working.latencies_ns == ran.latencies_ns
    assert working.span_ns - ran.span_ns == 1000 * 200_000
    assert working.vcpu_ns[0] - ran.vcpu_ns[0] == 1000 * 200_000
    both = run(Case(warm_up=1, work_ns=200_000, think_ns=50_000))
    assert both.span_ns - working.span_ns == 1000 * 50_000
    assert both.vcpu_ns == working.vcpu_ns


def test_more_threads_than_processors_slow_each_other() -> None:
    """Two loops and two guests on two processors are slower than on four."""
    four = run(Case(loop_of=(0, 1), max_ns=1_000_000, processors=4))
    two = run(Case(loop_of=(0, 1), max_ns=1_000_000, processors=2))
    assert two.span_ns > four.span_ns * 1.2


def test_loops_that_poll_have_no_more_processors_than_there_are() -> None:
    """Also where an eventfd that nobody has read ends their polling: three want all of two."""
    case = Case(
        engine=IO_URING,
        loop_of=(0, 1, 2),
        max_ns=300_000,
        first_ns=300_000,
        think_ns=300_000,
        warm_up=100,
    )
    alone, crowded = run(case), run(replace(case, processors=2))
    assert sum(alone.cpu_ns) > 2.5 * alone.span_ns
    assert sum(crowded.cpu_ns) < 2 * crowded.span_ns


def test_main_loop_takes_the_processor_of_a_busy_vcpu() -> None:
    """With a loop that always polls and two processors, interrupts come off the vCPU's time."""
    case = Case(
        max_ns=1_000_000,
        first_ns=1_000_000,
        loop_of=(0,) * 6,
        vcpus=1,
        depth=8,
        irq_ns=20_000,
        samples=draw_services(),
        warm_up=100,
    )
    many, two = run(case), run(replace(case, processors=2))
    assert many.vcpu_ns[0] > 0.97 * many.span_ns
    assert two.span_ns - many.span_ns > 0.5 * two.irq_cpu_ns


def test_open_loop_does_what_is_asked() -> None:
    """Requests that come at a rate below saturation are done at that rate."""
    ran = run(Case(depth=0, interval_ns=200_000, samples=draw_services(), requests=20_000))
    mean_ns = 200_000 * sum(draw_gaps()) / len(draw_gaps()) / 1024
    assert ran.span_ns / 20_000 == pytest.approx(mean_ns, rel=0.01)


def test_queue_that_is_served_elsewhere_does_not_wait() -> None:
    """Two busy disks on two loops are faster than on one."""
    shared = run(Case(loop_of=(0, 0), depth=8, requests=20_000))
    apart = run(Case(loop_of=(0, 1), depth=8, requests=20_000))
    assert apart.span_ns < shared.span_ns


LAYOUTS = [((0,), 1), ((0,), 16), ((0, 0, 0), 4), ((0, 1), 8)]


@pytest.mark.parametrize("generation", [BY_LOOP, BY_HANDLER, WEIGHTED])
@pytest.mark.parametrize("max_ns", [0, 32_768, 1_000_000])
@pytest.mark.parametrize("engine", [NATIVE, IO_URING, LOOP_RING, THREADS])
@pytest.mark.parametrize(("loop_of", "depth"), LAYOUTS)
def test_nothing_is_lost_or_made_up(
    generation: int, max_ns: int, engine: int, loop_of: tuple[int, ...], depth: int
) -> None:
    """By Little's law as much is under way as there is, and no thread runs longer than time."""
    ran = run(
        Case(
            generation=generation,
            max_ns=max_ns,
            engine=engine,
            workers=5,
            loop_of=loop_of,
            depth=depth,
            irq_ns=5_000,
            kick_ns=2_000,
            samples=draw_services(),
            requests=2_000,
            warm_up=200,
        )
    )
    under_way = sum(ran.latencies_ns) / ran.span_ns
    assert under_way == pytest.approx(depth * len(loop_of), rel=0.005)
    assert all(0 < cpu_ns <= ran.span_ns * 1.01 for cpu_ns in ran.cpu_ns)
    assert min(ran.latencies_ns) >= min(draw_services())


@pytest.mark.parametrize(
    "case",
    [
        Case(
            generation=generation,
            max_ns=max_ns,
            first_ns=first_ns,
            loop_of=loop_of,
            depth=depth,
            interval_ns=0 if depth else 90_000,
            samples=draw_services(),
            engine=engine,
            workers=3,
            vcpus=1 + (depth == 4),
            irq_ns=5_000,
            kick_ns=2_000,
            processors=3,
            requests=2_000,
            warm_up=100,
            passes=2_000,
        )
        for engine in (NATIVE, IO_URING, LOOP_RING, THREADS)
        for generation in (BY_LOOP, BY_HANDLER, WEIGHTED)
        for max_ns, first_ns in ((0, 0), (32_768, 0), (32_768, 32_768), (200_000, 0))
        for loop_of, depth in (*LAYOUTS, ((0, 1, 0), 0))
    ],
    ids=lambda case: (
        f"{case.engine}-{case.generation}-{case.max_ns}-{case.first_ns}-{case.loop_of}-{case.depth}"
    ),
)
def test_compiled_form_agrees_pass_for_pass(case: Case) -> None:
    """Every pass, its wait, budget and polling time, and every count is the same."""
    ran = run(case)
    assert run(case, kernel) == ran
    assert any(ran.passes_seen[RECORD * 300 :])


SETTINGS = st.builds(
    PollSettings,
    max_ns=st.integers(1, 10**7),
    grow=st.integers(0, 8),
    shrink=st.integers(0, 8),
    weight=st.integers(0, 8),
)
WAITS = st.integers(0, 10**8)


@given(st.integers(0, 10**7), WAITS, SETTINGS)
def test_adjustment_is_that_of_the_algorithm(ns: int, block: int, settings: PollSettings) -> None:
    """The form that compiles and the one that explains are one algorithm."""
    new, _ = adjust_time(ns, block, settings)
    assert adjust(ns, block, settings.max_ns, settings.grow, settings.shrink) == new


@given(
    st.lists(st.integers(0, 10**7), min_size=3, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.integers(0, 10**7),
    WAITS,
    SETTINGS,
)
def test_adaptation_is_that_of_the_algorithm(
    times: list[int], hit: list[bool], poll_ns: int, block: int, settings: PollSettings
) -> None:
    """The same holds for a whole pass of each generation."""
    active = [index for index, was_hit in enumerate(hit) if was_hit]
    before = dict(enumerate(times))

    def run_adapt(generation: int, used: PollSettings) -> tuple[int, list[int]]:
        # One queue, so that the loop has three handlers.
        (loop,) = prepare(Case(generation=generation)).loops
        loop.max_ns, loop.grow = used.max_ns, used.grow
        loop.shrink, loop.weight = used.shrink, used.weight
        # By handler a loop's time is always the longest of theirs.
        loop.poll_ns = max(times) if generation == BY_HANDLER else poll_ns
        for handler, time, was_hit in zip(loop.handlers, times, hit, strict=True):
            handler.poll_ns, handler.active = time, was_hit
        adapt(generation, loop, block)
        return loop.poll_ns, [handler.poll_ns for handler in loop.handlers]

    by_handler, _ = adjust_handlers(before, active, block, settings)
    assert run_adapt(BY_HANDLER, settings) == (
        max(by_handler.values()),
        list(by_handler.values()),
    )
    complete = complete_settings(settings, "weighted")
    state, _ = adjust_weighted(
        WeightedTimes(poll_ns=poll_ns, means=before), active, block, complete
    )
    assert run_adapt(WEIGHTED, complete) == (state.poll_ns, list(state.means.values()))
    assert run_adapt(BY_LOOP, settings)[0] == adjust_time(poll_ns, block, settings)[0]
