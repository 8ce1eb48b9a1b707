"""What goes into polling, by windows that were measured of a real QEMU and by made-up ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.observe.polling import PollingEstimate, RequestCost, estimate_polling, measure_cost
from vmio.observe.rates import DiskRates, OperationRates, Rates, ThreadRates
from vmio.observe.sample import Role

NONE = OperationRates()
COSTS = (
    RequestCost(depth=0.02, cpu_ns=120_000.0),
    RequestCost(depth=0.5, cpu_ns=73_000.0),
    RequestCost(depth=12.0, cpu_ns=28_000.0),
)
"""Of QEMU 10.0.2 on a busy host: 200 requests a second, one after the other, 16 at once."""


def make_thread(
    cpu_share: float,
    user_share: float | None = None,
    *,
    name: str = "io0",
    role: Role = "iothread",
    run_delay_share: float = 0.0,
) -> ThreadRates:
    """Returns a loop's thread."""
    return ThreadRates(
        thread_id=1,
        name=name,
        role=role,
        owner=name,
        cpu_share=cpu_share,
        user_share=user_share,
        run_delay_share=run_delay_share,
        voluntary_switches_per_s=100.0,
        involuntary_switches_per_s=0.0,
    )


def make_disk(
    requests_per_s: float | None, depth: float | None = None, name: str = "vd0"
) -> DiskRates:
    """Returns a disk that reads."""
    reads = OperationRates(operations_per_s=requests_per_s, depth_mean=depth)
    return DiskRates(id=name, reads=reads, writes=NONE, flushes=NONE, unmaps=NONE)


def estimate(
    thread: ThreadRates,
    *disks: DiskRates,
    costs: tuple[RequestCost, ...] = (),
    duration_s: float = 2.0,
) -> PollingEstimate:
    """Returns the one estimate."""
    rates = Rates(duration_s=duration_s, threads=(thread,), disks=disks)
    (found,) = estimate_polling(rates, {each.id: ("io0",) for each in disks}, {"io0": costs})
    return found


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("requests_per_s", "depth", "cpu_share", "user_share", "polls"),
    [
        (200, 0.02, 0.024, 0.5, False),
        (200, 0.02, 0.023, 0.4, False),
        (200, 0.02, 0.093, 0.89, True),
        (1_230, 0.5, 0.09, 0.08, False),
        (910, 0.5, 0.09, 0.49, False),
        (590, 0.5, 0.20, 0.91, True),
        (5_000, 12.0, 0.14, 0.24, False),
        (3_140, 12.0, 0.11, 0.54, False),
        (1_890, 12.0, 0.17, 0.87, True),
    ],
)
def test_polling_is_told_from_work(
    requests_per_s: float,
    depth: float,
    cpu_share: float,
    user_share: float,
    *,
    polls: bool,
    known: bool,
) -> None:
    """In measured windows at polls of 0, 32768 and 1000000 ns, of which the last spins long."""
    found = estimate(
        make_thread(cpu_share, user_share),
        make_disk(requests_per_s, depth),
        costs=COSTS if known else (),
    )
    told = cpu_share * 2.0 * 250 >= 20
    assert found.dominates is (polls if told else None)
    if known:
        assert found.method == "request cost"
        assert found.poll_share is not None
        assert (found.poll_share > 0.5 * cpu_share) is polls


def test_polling_is_what_the_work_leaves() -> None:
    """200 requests of 120 µs each take 0.024 of a processor."""
    found = estimate(make_thread(0.093, 0.89), make_disk(200.0, 0.02), costs=COSTS)
    assert found.poll_share == pytest.approx(0.069)
    assert found.poll_share_low == pytest.approx(0.093 - 0.024 * 1.3)
    assert found.poll_share_high == pytest.approx(0.093 - 0.024 * 0.7)
    assert found.cpu_per_request_ns == pytest.approx(465_000)
    assert found.sleeps_per_request == 0.5


def test_cost_is_of_the_loads_next_to_it() -> None:
    """Between two by the logarithm of the depth, beyond the last by the last."""
    costs = (RequestCost(depth=1.0, cpu_ns=80_000.0), RequestCost(depth=16.0, cpu_ns=40_000.0))
    for depth, cost_ns in ((0.1, 80_000), (1.0, 80_000), (4.0, 60_000), (99.0, 40_000)):
        found = estimate(make_thread(1.0, 0.9), make_disk(1_000.0, depth), costs=costs)
        assert found.poll_share == pytest.approx(1.0 - cost_ns * 1e-6)


def test_without_costs_the_user_share_tells() -> None:
    """Of 0.5, at a user share of 0.91, some nine tenths are polling; the interval has it."""
    found = estimate(make_thread(0.5, 0.91), make_disk(1_000.0, 0.5))
    assert found.method == "user share"
    assert found.poll_share == pytest.approx(0.5 * (0.91 - 0.18) / 0.82)
    assert found.poll_share_low == pytest.approx(0.5 * (0.91 - 0.0355 - 0.3) / 0.7, rel=1e-3)
    assert found.poll_share_high == pytest.approx(0.5 * (0.91 + 0.0355 - 0.05) / 0.95, rel=1e-3)


def test_few_ticks_tell_nothing() -> None:
    """A user share of some ticks is chance; a loop that is idle does not poll."""
    found = estimate(make_thread(0.01, 0.9), make_disk(10.0, 0.1))
    assert (found.method, found.poll_share, found.dominates) == ("none", None, None)
    found = estimate(make_thread(0.0), make_disk(0.0, 0.0))
    assert (found.poll_share, found.dominates) == (0.0, False)


def estimate_limited(
    thread: ThreadRates, longest_ns: int | None, requests_per_s: float | None = 100.0
) -> PollingEstimate:
    """Returns the estimate of a loop that polls at most so long in a pass."""
    disk = make_disk(requests_per_s, 1.0)
    rates = Rates(duration_s=2.0, threads=(thread,), disks=(disk,))
    serves = {"vd0": (thread.name,)}
    (found,) = estimate_polling(rates, serves, {}, {thread.name: longest_ns})
    return found


def test_no_more_than_the_setting_allows_is_polling() -> None:
    """A loop whose work is in QEMU's own code, such as encryption, looks as if it polled."""
    busy = make_thread(0.9, 0.95)
    found = estimate_limited(busy, 32768)
    assert found.poll_share == pytest.approx(4 * 100 * 32768e-9)
    assert found.poll_share_high == found.poll_share
    assert found.dominates is False
    assert estimate_limited(busy, 1_500_000).dominates is True
    for longest_ns, requests_per_s in ((None, 100.0), (32768, None)):
        assert estimate_limited(busy, longest_ns, requests_per_s).dominates is True


def test_loop_that_is_set_not_to_poll_does_not() -> None:
    """The main loop never polls, whatever is said of it."""
    main_loop = make_thread(0.9, 0.95, name="main loop", role="main loop")
    for thread, longest_ns in ((make_thread(0.9, 0.95), 0), (main_loop, None), (main_loop, 9)):
        found = estimate_limited(thread, longest_ns)
        assert (found.method, found.poll_share, found.dominates) == ("setting", 0.0, False)
        assert found.cpu_per_request_ns == pytest.approx(9_000_000)


def test_disk_of_two_loops_tells_neither_its_requests() -> None:
    """Nobody knows which loop did which."""
    threads = (make_thread(0.5, 0.9), make_thread(0.1, 0.2, name="main loop", role="main loop"))
    rates = Rates(
        duration_s=2.0,
        threads=threads,
        disks=(make_disk(1_000.0, 1.0), make_disk(9.0, 1.0, "vd1")),
    )
    serves = {"vd0": ("io0", "io1"), "vd1": ("main loop",)}
    first, second = estimate_polling(rates, serves, {"io0": COSTS})
    assert (first.requests_per_s, first.method) == (None, "user share")
    assert (second.name, second.requests_per_s) == ("main loop", 9.0)


def test_cost_is_measured_with_polling_off() -> None:
    """Not in a window without requests, or in which others had the processor."""
    found = estimate(make_thread(0.1, 0.3), make_disk(1_000.0, 0.5))
    cost = measure_cost(found)
    assert cost is not None
    assert cost.depth == 0.5
    assert cost.cpu_ns == pytest.approx(100_000.0)
    assert measure_cost(estimate(make_thread(0.1, 0.3), make_disk(0.0, 0.0))) is None
    contended = estimate(make_thread(0.1, 0.3, run_delay_share=0.06), make_disk(1_000.0, 0.5))
    assert contended.contended
    assert measure_cost(contended) is None


def test_threads_that_are_no_loops_are_left_out() -> None:
    """A vCPU does not poll for disks."""
    rates = Rates(
        duration_s=2.0, threads=(make_thread(1.0, 1.0, name="vCPU 0", role="vcpu"),), disks=()
    )
    assert estimate_polling(rates, {}) == ()


SHARE = st.floats(0.0, 1.0)


@given(SHARE, st.none() | SHARE, st.none() | st.floats(0.0, 1e6), st.none() | st.floats(0.0, 1e4))
def test_estimate_of_anything_is_within_what_was_used(
    cpu_share: float, user_share: float | None, requests_per_s: float | None, depth: float | None
) -> None:
    """With an interval around it."""
    for costs in ((), COSTS):
        found = estimate(
            make_thread(cpu_share, user_share), make_disk(requests_per_s, depth), costs=costs
        )
        if found.poll_share is None:
            assert found.poll_share_low is found.poll_share_high is None
            continue
        assert found.poll_share_low is not None
        assert found.poll_share_high is not None
        assert 0 <= found.poll_share_low <= found.poll_share <= found.poll_share_high
        assert found.poll_share_high <= cpu_share
