"""Totals of a guest that do not fall, whatever becomes of its threads and histograms."""

from __future__ import annotations

import tracemalloc

from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.observe.polling import PollingEstimate
from vmio.observe.readings import Observation, Reading
from vmio.observe.sample import DiskSample, Histogram, Operations, Role, Sample, ThreadSample
from vmio.observe.totals import (
    COARSE_BOUNDARIES_NS,
    ThreadTotals,
    Totals,
    TotalsTracker,
    merge_histogram,
)

GUEST = RunningGuest(
    process=QemuProcess(
        pid=100, started_ticks=5, inner_pid=100, owner=0, stopped=False, cgroup="", command=b""
    ),
    manager="none",
    id="",
    name="x",
    uptime_s=1.0,
)


def thread(
    thread_id: int,
    user_ns: int,
    *,
    role: Role = "worker",
    name: str = "worker",
    owner: str | None = None,
    started_ticks: int = 1,
) -> ThreadSample:
    """Returns a thread that has used so much."""
    return ThreadSample(
        thread_id=thread_id,
        name=name,
        role=role,
        owner=owner,
        cpu_ns=user_ns,
        user_ns=user_ns,
        voluntary_switches=user_ns // 10,
        processor=3,
        started_ticks=started_ticks,
    )


def read(
    *threads: ThreadSample,
    disks: tuple[DiskSample, ...] = (),
    polling: tuple[PollingEstimate, ...] = (),
    window_ended_ns: int | None = None,
) -> Reading:
    """Returns a reading with threads and disks."""
    sample = Sample(monotonic_ns=1, wall_ns=1, threads=threads, disks=disks)
    return Reading(
        observation=Observation(guest=GUEST, sample=sample),
        layout=None,
        window_s=None if window_ended_ns is None else 2.0,
        window_ended_ns=window_ended_ns,
        polling=polling,
    )


def find(totals: Totals, role: Role, name: str = "") -> ThreadTotals | None:
    """Returns the totals of threads of a purpose."""
    return next((each for each in totals.threads if (each.role, each.name) == (role, name)), None)


def use(totals: Totals, role: Role, name: str = "") -> int | None:
    """Returns the user time of threads of a purpose."""
    found = find(totals, role, name)
    return None if found is None else found.user_ns


LOOP = thread(101, 1000, role="iothread", name="io0", owner="io0")


def test_total_of_helpers_does_not_fall_when_one_ends() -> None:
    """What an ended thread had used stays in the sum, and a thread with its id is another one."""
    tracker = TotalsTracker()
    seen = [
        tracker.add(read(thread(1, 100), thread(2, 50))),
        tracker.add(read(thread(1, 130))),
        tracker.add(read(thread(1, 130), thread(2, 7, started_ticks=9))),
        tracker.add(read()),
    ]
    assert [use(each, "worker") for each in seen] == [150, 180, 187, 187]
    assert [each.processor for each in seen[0].threads] == [None]


def test_helpers_are_summed_by_the_loop_that_they_work_for() -> None:
    """Their totals stay while the loop lives, and go with it."""
    tracker = TotalsTracker()
    helper = thread(9, 40, role="io_uring", name="iou-wrk-101", owner="io0")
    assert use(tracker.add(read(LOOP, helper)), "io_uring", "io0") == 40
    assert use(tracker.add(read(LOOP)), "io_uring", "io0") == 40
    gone = tracker.add(read())
    assert find(gone, "io_uring", "io0") is None
    assert find(gone, "iothread", "io0") is None


def test_thread_that_is_named_later_counts_from_then_on() -> None:
    """What it used before is in the sum of those that nobody could name."""
    tracker = TotalsTracker()
    tracker.add(read(thread(101, 900, role="other", name="?")))
    named = tracker.add(read(LOOP))
    assert use(named, "iothread", "io0") == 100
    found = find(named, "iothread", "io0")
    assert found is not None
    assert found.processor == 3


def test_threads_with_names_without_end_are_summed_up() -> None:
    """A process names its threads as it likes, and gets no more series for it."""
    many = [thread(n, 1, role="vcpu", name=f"vCPU {n}") for n in range(5000)]
    totals = TotalsTracker().add(read(*many))
    assert len(totals.threads) <= 1025
    assert sum(each.user_ns or 0 for each in totals.threads) == 5000


def test_merged_histogram_has_the_same_requests() -> None:
    """Those of boundaries that are not ours count in the first bin that surely holds them."""
    theirs = Histogram(boundaries_ns=(10_000_000, 100_000_000), counts=(5, 7, 9))
    merged = merge_histogram(theirs)
    assert merged.boundaries_ns == COARSE_BOUNDARIES_NS
    assert sum(merged.counts) == 21
    assert merged.counts[COARSE_BOUNDARIES_NS.index(10_000_000)] == 5
    assert merged.counts[COARSE_BOUNDARIES_NS.index(100_000_000)] == 7
    assert merged.counts[-1] == 9


def test_latencies_are_about_1_2_and_5() -> None:
    """They are as many as a monitoring system can bear."""
    assert len(COARSE_BOUNDARIES_NS) == 18
    assert [round(each / 10_000, 1) for each in COARSE_BOUNDARIES_NS[:4]] == [1, 2, 5, 10]
    assert COARSE_BOUNDARIES_NS[-1] // 10**6 == 5011


def count(*counts: int, time_ns: int) -> DiskSample:
    """Returns a disk whose reads are counted by latency."""
    histogram = Histogram(boundaries_ns=(10_000, 100_000), counts=counts)
    return DiskSample(id="vd0", reads=Operations(time_ns=time_ns, histogram=histogram))


def test_latencies_are_counted_from_the_first_look_on() -> None:
    """A histogram that somebody sets again loses that interval, and its total does not fall."""
    tracker = TotalsTracker()
    found = [
        tracker.add(read(disks=(each,) if each else ())).latencies[0]
        for each in (
            count(5, 5, 5, time_ns=100),
            count(6, 5, 7, time_ns=150),
            None,  # its monitor was held
            count(7, 5, 7, time_ns=160),
            count(0, 0, 0, time_ns=170),
            count(0, 2, 0, time_ns=200),
        )
    ]
    assert [sum(each.histogram.counts) for each in found] == [0, 3, 3, 4, 4, 6]
    assert [each.time_ns for each in found] == [0, 50, 50, 60, 60, 90]
    assert tracker.add(read(disks=(DiskSample(id="vd0"),))).latencies == ()


def estimate(name: str, share: float | None) -> PollingEstimate:
    """Returns what a loop spends on polling."""
    return PollingEstimate(
        name=name,
        poll_share=share,
        poll_share_low=share,
        poll_share_high=share,
        method="user share",
        dominates=None,
        cpu_share=1.0,
        requests_per_s=None,
        cpu_per_request_ns=None,
        user_share=None,
        sleeps_per_request=None,
        depth_mean=None,
        contended=False,
    )


def test_polling_of_a_window_counts_once() -> None:
    """Readings that repeat a window add nothing; what is not known adds nothing either."""
    tracker = TotalsTracker()
    half, unknown = estimate("io0", 0.5), estimate("io0", None)
    found = [
        tracker.add(read(polling=(each,), window_ended_ns=ended)).poll_s
        for each, ended in ((unknown, 1), (half, 2), (half, 2), (unknown, 3), (half, 4))
    ]
    assert found == [(), *[(("io0", 1.0),)] * 3, (("io0", 2.0),)]


def test_memory_stays_while_threads_come_and_go() -> None:
    """An hour of looks at a guest whose helpers are new each time leaves nothing behind."""
    tracker = TotalsTracker()

    def look(second: int) -> None:
        helpers = [thread(1000 * second + n, 5, started_ticks=second) for n in range(8)]
        loop = thread(second, 1, role="iothread", name=f"io{second}", owner=f"io{second}")
        uring = thread(10**8 + second, 1, role="io_uring", owner=f"io{second}")
        tracker.add(read(loop, uring, *helpers))

    look(1)
    tracemalloc.start()
    try:
        for second in range(2, 60):
            look(second)
        before, _ = tracemalloc.get_traced_memory()
        for second in range(60, 3660):
            look(second)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000
    assert len(tracker.add(read()).threads) == 1
