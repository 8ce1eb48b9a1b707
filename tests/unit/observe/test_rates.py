"""What happened between two samples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.observe.percentiles import LatencyRange
from vmio.observe.rates import (
    DiskRates,
    OperationRates,
    OwnerRates,
    ThreadRates,
    compare_samples,
    sum_by_owner,
)
from vmio.observe.sample import (
    DiskSample,
    Histogram,
    LimitKind,
    Limits,
    Operations,
    Role,
    Sample,
    ThreadSample,
)
from vmio.values import replace

THREAD = ThreadSample(
    thread_id=8,
    name="io0",
    role="iothread",
    cpu_ns=1_000,
    run_delay_ns=500,
    voluntary_switches=10,
    involuntary_switches=20,
)
DONE = Operations(count=100, transferred_bytes=4096, time_ns=7_000)
DISK = DiskSample(id="scsi0", reads=DONE)
BEFORE = Sample(monotonic_ns=5, wall_ns=0, threads=(THREAD,), disks=(DISK,))


def after(duration_ns: int = 2_000_000_000, *threads: ThreadSample, disk: DiskSample) -> Sample:
    """Returns a sample some time later."""
    return Sample(monotonic_ns=5 + duration_ns, wall_ns=0, threads=threads, disks=(disk,))


def test_rates_are_differences_over_the_time() -> None:
    """Two seconds in which a thread ran for one, and a disk read 1,000 times at depth 2."""
    thread = replace(
        THREAD,
        cpu_ns=1_000_001_000,
        run_delay_ns=200_000_500,
        voluntary_switches=30,
        involuntary_switches=21,
    )
    done = Operations(count=1_100, transferred_bytes=4096 * 1_001, time_ns=4_000_007_000)
    found = compare_samples(BEFORE, after(2_000_000_000, thread, disk=replace(DISK, reads=done)))
    assert found.duration_s == 2.0
    assert found.threads == (
        ThreadRates(
            thread_id=8,
            name="io0",
            role="iothread",
            cpu_share=0.5,
            run_delay_share=0.1,
            voluntary_switches_per_s=10.0,
            involuntary_switches_per_s=0.5,
        ),
    )
    assert found.disks == (
        DiskRates(
            id="scsi0",
            reads=OperationRates(
                count=1_000,
                operations_per_s=500.0,
                bytes_per_s=2_048_000.0,
                latency_mean_ns=4_000_000.0,
                depth_mean=2.0,
            ),
            writes=OperationRates(),
            flushes=OperationRates(),
            unmaps=OperationRates(),
        ),
    )


def test_disk_without_operations_has_no_latency() -> None:
    """And a depth of none."""
    (disk,) = compare_samples(BEFORE, after(disk=DISK)).disks
    assert disk.reads == OperationRates(
        count=0, operations_per_s=0.0, bytes_per_s=0.0, latency_mean_ns=None, depth_mean=0.0
    )


@pytest.mark.parametrize(
    "reads",
    [replace(DONE, count=99), replace(DONE, transferred_bytes=0), replace(DONE, time_ns=6_999)],
)
def test_counter_that_fell_tells_nothing(reads: Operations) -> None:
    """It was reset in between, at a moment that nobody knows."""
    (disk,) = compare_samples(BEFORE, after(disk=replace(DISK, reads=reads))).disks
    assert disk.reads == OperationRates()


def test_what_is_unknown_at_one_end_stays_unknown() -> None:
    """Of a disk and of a thread alike; the rest is told."""
    thread = replace(THREAD, run_delay_ns=None, voluntary_switches=None)
    disk = replace(DISK, reads=replace(DONE, count=110, time_ns=None))
    found = compare_samples(BEFORE, after(1_000_000_000, thread, disk=disk))
    assert found.threads[0].run_delay_share is None
    assert found.threads[0].voluntary_switches_per_s is None
    assert found.threads[0].involuntary_switches_per_s == 0.0
    assert found.disks[0].reads.operations_per_s == 10.0
    assert found.disks[0].reads.latency_mean_ns is None
    assert found.disks[0].reads.depth_mean is None


def test_new_thread_counts_from_its_beginning() -> None:
    """So does one with the id of a thread that has ended; who is gone is lost."""
    reborn = replace(THREAD, cpu_ns=500, run_delay_ns=100, voluntary_switches=1)
    new = replace(THREAD, thread_id=9, cpu_ns=1_000)
    found = compare_samples(BEFORE, after(1_000, reborn, new, disk=DISK)).threads
    assert [each.cpu_share for each in found] == [0.5, 1.0]
    assert found[0].run_delay_share == pytest.approx(0.1)
    assert compare_samples(BEFORE, after(disk=DISK)).threads == ()


def test_disk_that_was_not_there_before_is_left_out() -> None:
    """When it was attached nobody knows, and a sample without a monitor has no disks."""
    found = compare_samples(BEFORE, after(disk=replace(DISK, id="scsi1")))
    assert found.disks == ()


@pytest.mark.parametrize("duration_ns", [0, -1])
def test_samples_that_are_not_in_order_are_refused(duration_ns: int) -> None:
    """Nothing can be divided by no time."""
    with pytest.raises(ValueError, match="chronological order"):
        compare_samples(BEFORE, after(duration_ns, disk=DISK))


def test_user_share_is_of_the_processor_time() -> None:
    """And unknown of a thread that used none, or whose counters fell."""
    before = replace(THREAD, user_ns=1_000, system_ns=1_000)
    for user_ns, system_ns, share in (
        (4_000, 2_000, 0.75),
        (1_000, 1_000, None),
        (0, 9_000, None),
    ):
        thread = replace(before, user_ns=user_ns, system_ns=system_ns)
        sample = replace(BEFORE, threads=(before,))
        (found,) = compare_samples(sample, after(1_000, thread, disk=DISK)).threads
        assert found.user_share == share


def test_thread_that_began_at_another_time_is_another() -> None:
    """Though it has the id, and has used more than the one before it."""
    before = replace(BEFORE, threads=(replace(THREAD, started_ticks=5),))
    thread = replace(THREAD, started_ticks=6, cpu_ns=5_000)
    (found,) = compare_samples(before, after(10_000, thread, disk=DISK)).threads
    assert found.cpu_share == 0.5


def test_disks_have_an_interval_of_their_own() -> None:
    """QEMU took half a second to answer the second time."""
    late = replace(after(disk=replace(DISK, reads=replace(DONE, count=1_100))))
    late = replace(late, disks_monotonic_ns=late.monotonic_ns + 500_000_000)
    found = compare_samples(BEFORE, late)
    assert (found.duration_s, found.disks_duration_s) == (2.0, 2.5)
    assert found.disks[0].reads.operations_per_s == 400.0


def test_failures_are_those_of_the_interval() -> None:
    """As are requests that were refused, and those done as part of others."""
    before = replace(DONE, failed=3, invalid=4, merged=5)
    done = replace(DONE, failed=4, invalid=6, merged=8)
    sample = replace(BEFORE, disks=(replace(DISK, reads=before),))
    reads = compare_samples(sample, after(disk=replace(DISK, reads=done))).disks[0].reads
    assert (reads.failed, reads.invalid, reads.merged) == (1, 2, 3)


def test_percentiles_are_of_the_interval() -> None:
    """Whatever was counted before it; none after somebody has set the histogram again."""
    bounds = (10, 100)
    before = replace(DONE, histogram=Histogram(boundaries_ns=bounds, counts=(5_000, 0, 0)))
    done = replace(DONE, histogram=Histogram(boundaries_ns=bounds, counts=(5_000, 985, 15)))
    sample = replace(BEFORE, disks=(replace(DISK, reads=before),))
    reads = compare_samples(sample, after(disk=replace(DISK, reads=done))).disks[0].reads
    assert reads.latency_p50 == LatencyRange(low_ns=10, high_ns=100)
    assert reads.latency_p99 == LatencyRange(low_ns=100, high_ns=None)
    done = replace(DONE, histogram=Histogram(boundaries_ns=bounds, counts=(4_999, 0, 0)))
    reads = compare_samples(sample, after(disk=replace(DISK, reads=done))).disks[0].reads
    assert reads.histogram is None
    assert reads.latency_p50 is None
    assert reads.latency_p99 is None
    assert reads.count == 0


def limited(limits: Limits | None, reads: int = 0, writes: int = 0, **more: str) -> DiskSample:
    """Returns a disk that has done so many requests of 4 KiB."""
    return DiskSample(
        id=more.get("id", "scsi0"),
        reads=Operations(count=reads, transferred_bytes=reads * 4096),
        writes=Operations(count=writes, transferred_bytes=writes * 4096),
        limits=limits,
    )


@pytest.mark.parametrize(
    ("limits", "reads", "writes", "binding"),
    [
        (Limits(), 900, 900, ()),
        (Limits(iops=1_000.0), 500, 460, ("iops",)),
        (Limits(iops=1_000.0), 500, 440, ()),
        (Limits(iops_read=900.0, iops_write=900.0), 890, 100, ("iops_read",)),
        (Limits(bytes_per_s=4096.0 * 500), 250, 249, ("bytes_per_s",)),
        (Limits(bytes_per_s_write=4096.0 * 500), 900, 499, ("bytes_per_s_write",)),
        (Limits(iops=100.0, iops_burst=1_000.0), 102, 0, ("iops",)),
        (Limits(iops=100.0, iops_burst=1_000.0), 500, 0, ()),
        (Limits(iops=100.0, iops_burst=1_000.0), 990, 0, ("iops",)),
        (Limits(iops=1_000.0, iops_size_bytes=2048), 250, 245, ("iops",)),
    ],
)
def test_limit_binds_that_is_reached(
    limits: Limits, reads: int, writes: int, binding: tuple[LimitKind, ...]
) -> None:
    """By one second of requests; a burst that is not used up lets them through."""
    before = replace(BEFORE, disks=(limited(limits),))
    found = compare_samples(before, after(1_000_000_000, disk=limited(limits, reads, writes)))
    assert found.disks[0].binding == binding


def test_limits_of_a_group_are_reached_together() -> None:
    """Each of two disks does half; a third has limits of its own, a fourth none that are known."""
    group = Limits(iops=1_000.0, group="g")
    kinds = {"a": group, "b": group, "c": Limits(iops=1_000.0), "d": None}
    before, now = (
        replace(
            BEFORE,
            monotonic_ns=when,
            disks=tuple(limited(limits, done, id=name) for name, limits in kinds.items()),
        )
        for when, done in ((5, 0), (1_000_000_005, 490))
    )
    found = {each.id: each.binding for each in compare_samples(before, now).disks}
    assert found == {"a": ("iops",), "b": ("iops",), "c": (), "d": None}


def test_limit_of_a_disk_that_tells_nothing_is_unknown() -> None:
    """Its counters fell."""
    before = replace(BEFORE, disks=(limited(Limits(iops=5.0), 10),))
    found = compare_samples(before, after(disk=limited(Limits(iops=5.0), 9)))
    assert found.disks[0].binding is None


def test_helper_threads_are_summed_by_the_loop_they_work_for() -> None:
    """Those of nobody known come last; a vCPU works for no loop."""
    threads: list[tuple[Role, str | None, float]] = [
        ("main loop", "main loop", 0.25),
        ("worker", None, 0.5),
        ("iothread", "io0", 0.25),
        ("io_uring", "io0", 0.5),
        ("io_uring", "io0", 0.25),
        ("vcpu", None, 1.0),
    ]
    found = sum_by_owner(make_rates(*each) for each in threads)
    assert found == (
        make_owner("main loop", 0.25),
        make_owner("io0", 0.25, io_uring_cpu_share=0.75, worker_count=2),
        make_owner(None, 0.0, worker_cpu_share=0.5, worker_count=1),
    )


def make_rates(role: Role, owner: str | None, cpu_share: float) -> ThreadRates:
    """Returns a thread that used so much."""
    return ThreadRates(
        thread_id=1,
        name="x",
        role=role,
        owner=owner,
        cpu_share=cpu_share,
        run_delay_share=None,
        voluntary_switches_per_s=None,
        involuntary_switches_per_s=None,
    )


def make_owner(
    owner: str | None,
    loop_cpu_share: float,
    *,
    worker_cpu_share: float = 0.0,
    io_uring_cpu_share: float = 0.0,
    worker_count: int = 0,
) -> OwnerRates:
    """Returns a loop with its helpers."""
    return OwnerRates(
        owner=owner,
        loop_cpu_share=loop_cpu_share,
        worker_cpu_share=worker_cpu_share,
        io_uring_cpu_share=io_uring_cpu_share,
        worker_count=worker_count,
    )


COUNT = st.none() | st.integers(0, (1 << 64) - 1)
OPERATIONS = st.builds(Operations, count=COUNT, transferred_bytes=COUNT, time_ns=COUNT)
DISKS = st.builds(DiskSample, id=st.just("x"), reads=OPERATIONS, flushes=OPERATIONS)


@given(DISKS, DISKS, st.integers(1, 1 << 62))
def test_rates_of_anything_are_not_negative(
    first: DiskSample, second: DiskSample, duration_ns: int
) -> None:
    """Whatever a monitor says at both ends."""
    before = replace(BEFORE, disks=(first,))
    for disk in compare_samples(before, after(duration_ns, disk=second)).disks:
        for rates in (disk.reads, disk.flushes):
            figures = (
                rates.operations_per_s,
                rates.bytes_per_s,
                rates.latency_mean_ns,
                rates.depth_mean,
            )
            assert all(each is None or each >= 0 for each in figures)
