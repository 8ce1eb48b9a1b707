"""The simulator, on cases that can be worked out by hand, and against its compiled form."""

from __future__ import annotations

import random

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from vmio.sim import kernel
from vmio.sim.polling import (
    PollSettings,
    WeightedTimes,
    adjust_handlers,
    adjust_time,
    adjust_weighted,
    complete_settings,
)
from vmio.sim.reference import (
    BY_HANDLER,
    BY_LOOP,
    WEIGHTED,
    Counts,
    Devices,
    Host,
    Loops,
    Queues,
    adapt,
    adjust,
    simulate,
)

SERVICE, WAKE, SLEEP, RUN, REQUEST, DONE, REAP = (
    40_000,
    20_000,
    15_000,
    10_000,
    1_000,
    6_000,
    2_000,
)
GUEST, MORE, SYSCALL, POLL, KICK = 100_000, 3_000, 3_000, 50, 2_500


@frozen(kw_only=True)
class Case:
    """A layout under a load, with the costs above."""

    generation: int = BY_HANDLER
    max_ns: int = 0
    first_ns: int = 0
    loop_of: tuple[int, ...] = (0,)
    depth: int = 1
    interval_ns: int = 0
    think_ns: int = 0
    samples: tuple[int, ...] = (SERVICE,)
    processors: int = 64
    requests: int = 1000
    warm_up: int = 0
    events: int = 0


@frozen(kw_only=True)
class Ran:
    """What a run came to."""

    span_ns: int
    counts: Counts


def prepare(case: Case) -> dict[str, object]:
    """Returns the arguments of a run."""
    count, queues = max(case.loop_of) + 1, len(case.loop_of)
    grow = 2 if case.generation == WEIGHTED else 0
    return {
        "loops": Loops(
            max_ns=[case.max_ns] * count,
            grow=[grow] * count,
            shrink=[grow] * count,
            weight=[3] * count,
            can_poll=[1] * count,
            wake_ns=[WAKE] * count,
            sleep_ns=[SLEEP] * count,
            queue_run_ns=[RUN] * count,
            queue_request_ns=[REQUEST] * count,
            done_run_ns=[DONE] * count,
            done_request_ns=[REAP] * count,
            first_ns=[case.first_ns] * count,
        ),
        "queues": Queues(
            loop=list(case.loop_of),
            device=list(range(queues)),
            depth=[case.depth] * queues,
            interval_ns=[case.interval_ns] * queues,
            think_ns=[case.think_ns] * queues,
            guest_run_ns=[GUEST] * queues,
            guest_request_ns=[MORE] * queues,
        ),
        "devices": Devices(
            samples=list(case.samples), size=len(case.samples), tables=[0] * queues, most=1
        ),
        "host": Host(
            syscall_ns=SYSCALL,
            poll_pass_ns=POLL,
            self_kick_ns=KICK,
            processors=case.processors,
        ),
        "gaps": [1024] if case.interval_ns == 0 else draw_gaps(),
        "requests": case.requests,
        "warm_up": case.warm_up,
        "counts": Counts(
            cpu_ns=[0] * count,
            sleeps=[0] * count,
            passes=[0] * count,
            polled=[0] * count,
            latencies_ns=[0] * case.requests,
            events=[0] * case.events,
        ),
    }


def draw_gaps() -> list[int]:
    """Returns exponential times of mean 1024."""
    source = random.Random(7)  # noqa: S311 - a simulation's, not a secret's
    return [round(source.expovariate(1 / 1024)) for _ in range(4096)]


def draw_services(seed: int = 1) -> tuple[int, ...]:
    """Returns service times around 44 µs."""
    source = random.Random(seed)  # noqa: S311 - as above
    return tuple(max(10_000, round(source.gauss(44_000, 12_000))) for _ in range(1 << 12))


def run(case: Case) -> Ran:
    """Runs the reference."""
    arguments = prepare(case)
    span_ns = simulate(case.generation, *arguments.values())  # type: ignore[arg-type]
    counts = arguments["counts"]
    assert isinstance(counts, Counts)
    return Ran(span_ns=span_ns, counts=counts)


def test_one_request_at_a_time_without_polling() -> None:
    """Two sleeps a request, and each latency is what its steps add up to."""
    ran = run(Case(warm_up=1))
    latency = WAKE + RUN + REQUEST + SERVICE + WAKE + DONE + REAP
    assert set(ran.counts.latencies_ns) == {latency}
    assert ran.span_ns == 1000 * (latency + GUEST)
    assert ran.counts.sleeps[0] == 2000
    busy = 2 * SLEEP + RUN + REQUEST + DONE + REAP + KICK
    assert ran.counts.cpu_ns[0] == pytest.approx(1000 * busy, abs=busy)


def test_polling_for_longer_than_any_wait_never_sleeps() -> None:
    """Once the polling time has grown over every wait, nothing sleeps and all time is spent."""
    ran = run(Case(max_ns=1_000_000, warm_up=100))
    latency = POLL + RUN + REQUEST + SERVICE + POLL + DONE + REAP
    assert set(ran.counts.latencies_ns) == {latency}
    assert ran.counts.sleeps[0] == 0
    assert ran.counts.cpu_ns[0] / ran.span_ns == pytest.approx(1, abs=0.01)
    assert ran.counts.polled[0] == pytest.approx(2000, abs=1)


def test_polling_in_vain_costs_and_gains_nothing() -> None:
    """A maximum below every wait keeps the throughput and costs processor time."""
    none, vain = run(Case()), run(Case(max_ns=8_000))
    assert vain.counts.sleeps == none.counts.sleeps
    assert vain.span_ns == none.span_ns
    assert vain.counts.cpu_ns[0] > none.counts.cpu_ns[0]


def test_waits_are_shared_by_requests_that_come_together() -> None:
    """With 16 requests in one kick and equal service times, 16 share two sleeps."""
    ran = run(Case(depth=16, requests=16_000, warm_up=16))
    assert ran.counts.sleeps[0] == 2000
    assert len(set(ran.counts.latencies_ns)) == 1


def test_think_time_comes_off_the_throughput() -> None:
    """A program that waits between its requests gets each of them as fast."""
    ran, thinking = run(Case()), run(Case(think_ns=200_000))
    assert thinking.counts.latencies_ns == ran.counts.latencies_ns
    assert thinking.span_ns - ran.span_ns == 999 * 200_000


def test_more_threads_than_processors_slow_each_other() -> None:
    """Two loops and two guests on two processors are slower than on four."""
    four = run(Case(loop_of=(0, 1), max_ns=1_000_000, processors=4))
    two = run(Case(loop_of=(0, 1), max_ns=1_000_000, processors=2))
    assert two.span_ns > four.span_ns * 1.2


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
@pytest.mark.parametrize(("loop_of", "depth"), LAYOUTS)
def test_nothing_is_lost_or_made_up(
    generation: int, max_ns: int, loop_of: tuple[int, ...], depth: int
) -> None:
    """By Little's law no more is under way than there is, and no thread runs longer than time."""
    ran = run(
        Case(
            generation=generation,
            max_ns=max_ns,
            loop_of=loop_of,
            depth=depth,
            samples=draw_services(),
            requests=20_000,
            warm_up=1_000,
        )
    )
    under_way = sum(ran.counts.latencies_ns) / ran.span_ns
    with_guest = 20_000 / ran.span_ns * GUEST
    assert under_way <= depth * len(loop_of)
    if depth == 1:
        assert under_way + with_guest == pytest.approx(1, rel=0.001)
    assert all(0 < cpu_ns <= ran.span_ns * 1.01 for cpu_ns in ran.counts.cpu_ns)
    assert min(ran.counts.latencies_ns) >= min(draw_services())


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
            processors=3,
            requests=3_000,
            warm_up=200,
            events=4 * 8_000,
        )
        for generation in (BY_LOOP, BY_HANDLER, WEIGHTED)
        for max_ns, first_ns in ((0, 0), (32_768, 0), (32_768, 32_768), (200_000, 0))
        for loop_of, depth in (*LAYOUTS, ((0, 1, 0), 0))
    ],
    ids=lambda case: (
        f"{case.generation}-{case.max_ns}-{case.first_ns}-{case.loop_of}-{case.depth}"
    ),
)
def test_compiled_form_agrees_event_for_event(case: Case) -> None:
    """Every event, each with its loop's polling time then, and every count is the same."""
    ran = run(case)
    arguments = prepare(case)
    span_ns = kernel.simulate(case.generation, **arguments)  # type: ignore[arg-type]
    assert arguments["counts"] == ran.counts
    assert span_ns == ran.span_ns
    assert ran.counts.events[0] == 0
    assert any(ran.counts.events[4 * 1000 :])


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
        flags, after = [int(was_hit) for was_hit in hit], list(times)
        new = adapt(
            generation, range(3), block, flags, after, poll_ns,
            used.max_ns, used.grow, used.shrink, used.weight,
        )  # fmt: skip
        return new, after

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
