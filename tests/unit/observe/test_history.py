"""Readings over time: sums in steps, whose memory is bounded, and the order of guests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.observe.history import History, HistoryBuilder
from vmio.observe.kernel_trace import TracedLoop
from vmio.observe.polling import PollingEstimate
from vmio.observe.rates import DiskRates, OperationRates, Rates, ThreadRates
from vmio.observe.readings import Look, Observation, Reading
from vmio.observe.sample import Histogram, Role
from vmio.observe.verdicts.values import Severity, Verdict, VerdictKind

S = 10**9


def make_verdict(
    kind: VerdictKind = "iothread-full", severity: Severity = "warning", subject: str = "io0"
) -> Verdict:
    """Returns a verdict without evidence."""
    return Verdict(kind=kind, subject=subject, severity=severity, evidence=(), source="")


def make_thread(name: str, role: Role, cpu: float, owner: str | None = None) -> ThreadRates:
    """Returns what a thread did."""
    return ThreadRates(
        thread_id=1,
        name=name,
        role=role,
        owner=owner,
        cpu_share=cpu,
        run_delay_share=cpu / 10,
        voluntary_switches_per_s=None,
        involuntary_switches_per_s=None,
    )


def make_disk(count: int, latency_ns: float | None, bins: tuple[int, int, int]) -> DiskRates:
    """Returns what a disk did in a second, all of it reads."""
    nothing = OperationRates()
    reads = OperationRates(
        count=count,
        operations_per_s=float(count),
        bytes_per_s=count * 4096.0,
        latency_mean_ns=latency_ns,
        depth_mean=1.0,
        histogram=Histogram(boundaries_ns=(1000, 10_000), counts=bins),
    )
    return DiskRates(id="vd0", reads=reads, writes=nothing, flushes=nothing, unmaps=nothing)


def make_reading(
    *,
    pid: int = 1,
    cpu: float | None = 0.5,
    disk: DiskRates | None = None,
    verdicts: tuple[Verdict, ...] = (),
    duration_s: float = 1.0,
    traced: tuple[TracedLoop, ...] = (),
    threads: tuple[ThreadRates, ...] | None = None,
    is_judged: bool = True,
) -> Reading:
    """Returns a reading of a guest; without `cpu` its first, which has no rates."""
    guest = RunningGuest(
        process=QemuProcess(
            pid=pid, started_ticks=0, inner_pid=pid, owner=0, stopped=False, cgroup=""
        ),
        manager="none",
        id="",
        name=f"guest{pid}",
        uptime_s=1,
    )
    rates = None
    if cpu is not None:
        rates = Rates(
            duration_s=duration_s,
            threads=threads or (make_thread("io0", "iothread", cpu, "io0"),),
            disks=(disk,) if disk is not None else (),
        )
    estimate = PollingEstimate(
        name="io0",
        poll_share=0.25,
        poll_share_low=None,
        poll_share_high=None,
        method="user share",
        dominates=None,
        cpu_share=0.5,
        requests_per_s=None,
        cpu_per_request_ns=None,
        user_share=None,
        sleeps_per_request=None,
        depth_mean=None,
        contended=False,
    )
    return Reading(
        observation=Observation(guest=guest, traced=traced),
        layout=None,
        rates=rates,
        is_judged=is_judged and rates is not None,
        window_s=2.0 if rates is not None else None,
        polling=(estimate,),
        verdicts=verdicts,
    )


def build(
    steps: Iterable[tuple[float, Sequence[Reading]]],
    *,
    most_guests: int = 10,
    most_values: int = 10**6,
) -> History:
    """Returns the history of readings at times."""
    builder = HistoryBuilder(step_s=1.0)
    for at_s, readings in steps:
        observations = tuple(each.observation for each in readings)
        look = Look(
            monotonic_ns=int((at_s + 100) * S),
            wall_ns=int(at_s * S),
            duration_s=0,
            observations=observations,
            host_processors=2,
        )
        builder.add(look, readings)
    return builder.finish(most_guests=most_guests, most_values=most_values)


def test_look_that_is_late_leaves_no_gap() -> None:
    """What it saw is of all the time since the look before."""
    steps: list[tuple[float, list[Reading]]] = [(0, [make_reading(cpu=None)])]
    steps += [(1, [make_reading(cpu=0.1)])]
    steps += [(3.5, [make_reading(cpu=0.4, duration_s=2.5, verdicts=(make_verdict(),))])]
    steps += [(4.0, [make_reading(cpu=0.2, duration_s=0.5)])]
    (guest,) = build(steps).guests
    assert guest.threads[0].cpu_share.values == pytest.approx((0.1, 0.4, 0.4, 0.3))
    assert guest.threads[0].cpu_share.mean == pytest.approx((0.1 + 2.5 * 0.4 + 0.5 * 0.2) / 4)
    assert guest.verdicts[0].shares == pytest.approx((0, 1, 1, 0.5))


def test_each_interval_has_its_step() -> None:
    """Some milliseconds more or less begin no further step."""
    times = [0, 1.004, 2.001, 3.0, 4.003]
    cpus = [None, 0.1, 0.2, 0.3, 0.4]
    history = build((at, [make_reading(cpu=cpu)]) for at, cpu in zip(times, cpus, strict=True))
    (guest,) = history.guests
    (thread,) = guest.threads
    assert history.step_count == 4
    assert thread.cpu_share.values == pytest.approx((0.1, 0.2, 0.3, 0.4), rel=0.01)
    assert thread.cpu_share.mean == pytest.approx(0.25)
    assert thread.cpu_share.peak == 0.4
    assert thread.run_delay_share.peak == pytest.approx(0.04)


def test_long_recordings_have_longer_steps_and_the_same_means() -> None:
    """Two steps become one again and again; nothing that was added is lost."""
    times = range(5000)
    history = build((at, [make_reading(cpu=at % 2 if at else None)]) for at in times)
    (guest,) = history.guests
    line = guest.threads[0].cpu_share
    assert history.step_s == 16
    assert history.step_count == len(line.values) == 313
    assert all(each == pytest.approx(0.5, abs=0.08) for each in line.values)
    assert line.mean == pytest.approx(0.5, abs=0.001)
    assert line.peak == 1


def test_few_values_are_wanted_and_few_come() -> None:
    """The steps get longer until all lines together are few enough."""
    history = build(
        ((at, [make_reading(cpu=0.5 if at else None)]) for at in range(401)), most_values=400
    )
    lines = 2 + 2
    assert lines * history.step_count <= 400
    assert history.step_s == 4


def test_gap_has_no_value() -> None:
    """A guest that was not seen did not do nothing."""
    steps = [(0, [make_reading(cpu=None)]), (1, [make_reading()]), (2, []), (3, [make_reading()])]
    (guest,) = build(steps).guests
    assert guest.threads[0].cpu_share.values == (0.5, None, 0.5)


def test_latency_is_weighted_by_requests_and_quantiles_are_of_all() -> None:
    """A second with one slow request counts as one request."""
    steps = [
        (0, [make_reading(cpu=None)]),
        (1, [make_reading(disk=make_disk(999, 1000.0, (999, 0, 0)))]),
        (2, [make_reading(disk=make_disk(1, 1_001_000.0, (0, 0, 1)))]),
    ]
    (guest,) = build(steps).guests
    (disk,) = guest.disks
    assert disk.latency_mean_ns.mean == pytest.approx(2000)
    assert disk.reads_per_s.values == (999, 1)
    assert disk.writes_per_s.mean is None
    p50, p99 = disk.latency_p50, disk.latency_p99
    assert p50.overall is not None
    assert (p50.overall.low_ns, p50.overall.high_ns) == (0, 1000)
    assert p99.overall is not None
    assert [each is None for each in p50.values] == [False, True]
    assert [each is None for each in p99.values] == [True, True]


def test_verdicts_have_their_time_and_the_worst_guest_is_first() -> None:
    """Of what was in force: the seconds in all, and the share of each step."""
    full, slow = make_verdict(), make_verdict("storage-slow", subject="vd0")
    told = make_verdict("polling-wasted", "info")
    unknown = make_verdict("cannot-tell", "info", "vd1")
    steps = [
        (
            at,
            [
                make_reading(pid=1, cpu=0.9 if at else None),
                make_reading(
                    pid=2, cpu=0.1 if at else None, verdicts=(told, unknown) if at > 2 else ()
                ),
                make_reading(
                    pid=3,
                    cpu=0.1 if at else None,
                    verdicts=(slow, *([full] if at in {2, 3} else [])),
                ),
            ],
        )
        for at in range(6)
    ]
    history = build(steps)
    assert [each.guest.name for each in history.guests] == ["guest3", "guest2", "guest1"]
    found = history.guests[0].verdicts
    assert [(each.verdict.kind, each.seconds) for each in found] == [
        ("storage-slow", 5),
        ("iothread-full", 2),
    ]
    assert found[1].shares == (0, 1, 1, 0, 0)
    kinds = [each.verdict.kind for each in history.guests[1].verdicts]
    assert kinds == ["polling-wasted", "cannot-tell"]
    assert history.guests[2].judged_s == 5


def test_time_without_a_verdict_is_not_judged() -> None:
    """A first window has none in force, which does not mean that nothing limited the guest."""
    steps = [(at, [make_reading(cpu=0.1 if at else None, is_judged=at > 3)]) for at in range(6)]
    assert build(steps).guests[0].judged_s == 2


def test_helper_threads_are_added_up_by_owner() -> None:
    """They come and go, and each has a name of its own."""
    threads = (
        make_thread("worker", "worker", 0.2, "io0"),
        make_thread("worker", "worker", 0.3, "io0"),
        make_thread("worker", "worker", 0.1),
        make_thread("main loop", "main loop", 0.4, "main loop"),
    )
    steps = [(0, [make_reading(cpu=None)]), (1, [make_reading(threads=threads)])]
    (guest,) = build(steps).guests
    found = [(each.name, each.owner, each.cpu_share.mean) for each in guest.threads]
    assert found == [
        ("main loop", None, 0.4),
        ("worker", "io0", 0.5),
        ("worker", None, 0.1),
    ]
    assert guest.threads[1].run_delay_share.mean == pytest.approx(0.03)


def test_traced_polling_is_beside_the_estimate() -> None:
    """The trace tells seconds of polling in its own time."""
    traced = TracedLoop(
        name="io0",
        thread_id=1,
        duration_s=0.5,
        poll_s=0.1,
        user_s=0.2,
        kernel_s=0,
        poll_count=1,
        syscall_count=1,
        sleep_count=1,
        lost_events=0,
    )
    steps = [(0, [make_reading(cpu=None)]), (1, [make_reading(traced=(traced,))])]
    (guest,) = build(steps).guests
    assert guest.polling[0].estimated_share.mean == 0.25
    assert guest.polling[0].traced_share.mean == pytest.approx(0.2)


def test_traced_polling_is_a_processor_at_most() -> None:
    """A recording from somebody else can have any times, and every figure is finite."""
    traced = TracedLoop(
        name="io0",
        thread_id=1,
        duration_s=5e-324,
        poll_s=1e308,
        user_s=0,
        kernel_s=0,
        poll_count=1,
        syscall_count=1,
        sleep_count=1,
        lost_events=0,
    )
    steps = [(0, [make_reading(cpu=None)]), (1, [make_reading(traced=(traced,))])]
    (guest,) = build(steps).guests
    assert guest.polling[0].traced_share.peak == 1


def test_guests_that_are_not_shown_have_means_and_no_values() -> None:
    """A page of a thousand guests has lines of the worst."""
    steps = [
        (at, [make_reading(pid=pid, cpu=pid / 10 if at else None) for pid in range(1, 6)])
        for at in range(3)
    ]
    history = build(steps, most_guests=2)
    assert history.shown_count == 2
    assert [len(each.threads[0].cpu_share.values) for each in history.guests] == [2, 2, 0, 0, 0]
    assert [each.threads[0].cpu_share.mean for each in history.guests] == [0.5, 0.4, 0.3, 0.2, 0.1]


def test_lines_without_end_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording can name a new thread in each line."""
    monkeypatch.setattr("vmio.observe.history._MOST_LINES", 50)
    steps = [
        (at, [make_reading(threads=(make_thread(f"t{at}", "vcpu", 0.1),))]) for at in range(1, 99)
    ]
    history = build(steps)
    assert history.left_out
    assert len(history.guests[0].threads) < 50


def test_no_look_is_an_empty_history() -> None:
    """It says so, and does not divide by zero."""
    history = build([])
    assert (history.look_count, history.duration_s, history.guests) == (0, 0, ())
