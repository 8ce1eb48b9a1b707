"""What happened between two samples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.observe.rates import DiskRates, OperationRates, ThreadRates, compare_samples
from vmio.observe.sample import DiskSample, Operations, Sample, ThreadSample
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
        operations_per_s=0.0, bytes_per_s=0.0, latency_mean_ns=None, depth_mean=0.0
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
