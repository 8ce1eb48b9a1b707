"""Rates of threads and disks between two samples."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from vmio.observe.sample import DiskSample, Operations, Role, Sample, ThreadSample

__all__ = ["DiskRates", "OperationRates", "Rates", "ThreadRates", "compare_samples"]

_NS: Final = 1e9


class ThreadRates(Struct, frozen=True, kw_only=True):
    """The activity of a thread; None if the kernel does not report it."""

    thread_id: int
    name: str
    role: Role
    cpu_share: float
    """In processors: 1.0 is one processor all the time."""
    run_delay_share: float | None
    """Run delay as a fraction of time: runnable, but without a processor."""
    voluntary_switches_per_s: float | None
    involuntary_switches_per_s: float | None


class OperationRates(Struct, frozen=True, kw_only=True):
    """A disk's activity for one kind of operation; None if not known."""

    operations_per_s: float | None = None
    bytes_per_s: float | None = None
    latency_mean_ns: float | None = None
    """None also without a completed operation."""
    depth_mean: float | None = None
    """Mean queue depth, by Little's law. An operation counts when it completes, so the interval
    has to be long compared with the latency."""


class DiskRates(Struct, frozen=True, kw_only=True):
    """The activity of a disk."""

    id: str
    reads: OperationRates
    writes: OperationRates
    flushes: OperationRates
    unmaps: OperationRates


class Rates(Struct, frozen=True, kw_only=True):
    """The activity of a guest between two samples."""

    duration_s: float
    threads: tuple[ThreadRates, ...]
    """The threads of the later sample; those that ended in between are lost."""
    disks: tuple[DiskRates, ...]
    """The disks of both samples."""


def compare_samples(before: Sample, after: Sample) -> Rates:
    """Returns the rates between two samples of the same guest.

    A thread that is new, or has the id of one that ended, counts from its start. If a counter of a
    disk has decreased, it was reset: that kind of operation is not known.

    Raises:
        ValueError: The samples are not in chronological order.
    """
    duration_ns = after.monotonic_ns - before.monotonic_ns
    if duration_ns <= 0:
        raise ValueError("the samples are not in chronological order")
    threads = {each.thread_id: each for each in before.threads}
    disks = {each.id: each for each in before.disks}
    return Rates(
        duration_s=duration_ns / _NS,
        threads=tuple(
            _compare_threads(threads.get(each.thread_id), each, duration_ns)
            for each in after.threads
        ),
        disks=tuple(
            _compare_disks(disks[each.id], each, duration_ns)
            for each in after.disks
            if each.id in disks
        ),
    )


def _compare_threads(
    before: ThreadSample | None, after: ThreadSample, duration_ns: int
) -> ThreadRates:
    if before is None or after.cpu_ns < before.cpu_ns:
        before = ThreadSample(
            thread_id=after.thread_id,
            name=after.name,
            role=after.role,
            cpu_ns=0,
            run_delay_ns=0,
            voluntary_switches=0,
            involuntary_switches=0,
        )
    slept = _subtract(after.voluntary_switches, before.voluntary_switches)
    preempted = _subtract(after.involuntary_switches, before.involuntary_switches)
    return ThreadRates(
        thread_id=after.thread_id,
        name=after.name,
        role=after.role,
        cpu_share=(after.cpu_ns - before.cpu_ns) / duration_ns,
        run_delay_share=_divide(_subtract(after.run_delay_ns, before.run_delay_ns), duration_ns),
        voluntary_switches_per_s=_divide(slept, duration_ns / _NS),
        involuntary_switches_per_s=_divide(preempted, duration_ns / _NS),
    )


def _compare_disks(before: DiskSample, after: DiskSample, duration_ns: int) -> DiskRates:
    return DiskRates(
        id=after.id,
        reads=_compare_operations(before.reads, after.reads, duration_ns),
        writes=_compare_operations(before.writes, after.writes, duration_ns),
        flushes=_compare_operations(before.flushes, after.flushes, duration_ns),
        unmaps=_compare_operations(before.unmaps, after.unmaps, duration_ns),
    )


def _compare_operations(before: Operations, after: Operations, duration_ns: int) -> OperationRates:
    count, size_bytes, time_ns = differences = (
        _subtract(after.count, before.count),
        _subtract(after.transferred_bytes, before.transferred_bytes),
        _subtract(after.time_ns, before.time_ns),
    )
    if any(each is not None and each < 0 for each in differences):
        return OperationRates()
    return OperationRates(
        operations_per_s=_divide(count, duration_ns / _NS),
        bytes_per_s=_divide(size_bytes, duration_ns / _NS),
        latency_mean_ns=_divide(time_ns, count) if count else None,
        depth_mean=_divide(time_ns, duration_ns),
    )


def _subtract(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


def _divide(amount: int | None, by: float) -> float | None:
    return None if amount is None else amount / by
