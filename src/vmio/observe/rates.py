"""What threads and disks did between two samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from vmio.observe.percentiles import LatencyRange, find_quantile, subtract_histograms
from vmio.observe.sample import (
    LIMIT_KINDS,
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

__all__ = [
    "DiskRates",
    "OperationRates",
    "OwnerRates",
    "Rates",
    "ThreadRates",
    "compare_samples",
    "sum_by_owner",
]

_NS: Final = 1e9
_BINDING_SHARE: Final = 0.95
"""Of a limit; a disk that reaches more has been made to wait. Nothing that is not throttled comes
so near to one, but by chance."""


class ThreadRates(Struct, frozen=True, kw_only=True):
    """What a thread did; None is what the kernel does not say."""

    thread_id: int
    name: str
    role: Role
    owner: str | None = None
    """The event loop that it works for; see `ThreadSample.owner`."""
    cpu_share: float
    """In processors: 1.0 is one processor all the time."""
    user_share: float | None = None
    """Of its processor time, 0 to 1, how much was spent in QEMU's own code, polling included. The
    kernel samples that: worth reading from two seconds of the thread's life on."""
    run_delay_share: float | None
    """Of the time, that it was runnable and had no processor."""
    voluntary_switches_per_s: float | None
    """How often it went to sleep."""
    involuntary_switches_per_s: float | None
    processor: int | None = None
    """On which it ran last."""
    node: int | None = None
    """NUMA node of that processor."""
    affinity: tuple[int, ...] | None = None
    """The processors that it may run on, in rising order."""


class OwnerRates(Struct, frozen=True, kw_only=True):
    """What an event loop did with the helper threads that work for it."""

    owner: str | None
    """`MAIN_LOOP`, an IOThread's id; None for the helper threads that nobody can tell whose."""
    loop_cpu_share: float
    """Of the loop's own thread; 1.0 is one processor all the time."""
    worker_cpu_share: float
    """Of the threads of its thread pool together; each can be 1.0."""
    io_uring_cpu_share: float
    """Of the kernel's io_uring workers together."""
    worker_count: int
    """Threads of both kinds at the end."""


class OperationRates(Struct, frozen=True, kw_only=True):
    """What a disk did of one kind of operation; None is what nobody knows."""

    count: int | None = None
    """Completed in the interval; failed ones are not in it."""
    operations_per_s: float | None = None
    bytes_per_s: float | None = None
    latency_mean_ns: float | None = None
    """From when QEMU took a request until it completed it, with the time that a limit made it
    wait. None without a completed operation, too."""
    depth_mean: float | None = None
    """Mean queue depth, by Little's law. An operation counts when it completes, so the interval
    has to be long compared with the latency."""
    failed: int | None = None
    """In the interval."""
    invalid: int | None = None
    """In the interval: refused before the disk saw them."""
    merged: int | None = None
    """In the interval: done as part of another one."""
    histogram: Histogram | None = None
    """Of this interval; None where there is none, or somebody set it again meanwhile."""
    latency_p50: LatencyRange | None = None
    """Where the median lies; None without a histogram, and of too few requests."""
    latency_p99: LatencyRange | None = None


class DiskRates(Struct, frozen=True, kw_only=True):
    """What a disk did."""

    id: str
    reads: OperationRates
    writes: OperationRates
    flushes: OperationRates
    unmaps: OperationRates
    in_flight: int | None = None
    """Requests under way at the end of the interval; see `DiskSample.in_flight`."""
    limits: Limits | None = None
    """None where they are not known; no limits is `Limits()`."""
    binding: tuple[LimitKind, ...] | None = None
    """The limits that made requests wait: the disk, or its group, did at least 95 % of them. None
    where that is not known."""


class Rates(Struct, frozen=True, kw_only=True):
    """What a guest did between two samples."""

    duration_s: float
    threads: tuple[ThreadRates, ...]
    """Those of the later sample; those that ended in between are lost."""
    disks: tuple[DiskRates, ...]
    """The disks of both samples."""
    disks_duration_s: float | None = None
    """Between the readings of the disks; None where a sample has none."""


def compare_samples(before: Sample, after: Sample) -> Rates:
    """Returns what happened between two samples of the same guest.

    A thread that is new, or has the id of one that ended, counts from its beginning. A disk's
    counters that fell were reset: of that kind of operation nothing is known. Disks that were not
    read again in between are left out.

    Raises:
        ValueError: The samples are not in chronological order.
    """
    duration_ns = after.monotonic_ns - before.monotonic_ns
    disks_ns = _find_disks_time(after) - _find_disks_time(before)
    if duration_ns <= 0 or disks_ns < 0:
        raise ValueError("the samples are not in chronological order")
    threads = {each.thread_id: each for each in before.threads}
    disks = {each.id: each for each in before.disks}
    compared = tuple(
        _compare_disks(disks[each.id], each, disks_ns)
        for each in after.disks
        if each.id in disks and disks_ns
    )
    return Rates(
        duration_s=duration_ns / _NS,
        threads=tuple(
            _compare_threads(threads.get(each.thread_id), each, duration_ns)
            for each in after.threads
        ),
        disks=_add_binding(compared),
        disks_duration_s=disks_ns / _NS if before.disks and after.disks and disks_ns else None,
    )


def sum_by_owner(threads: Iterable[ThreadRates]) -> tuple[OwnerRates, ...]:
    """Returns each event loop with the threads that work for it; vCPUs and the like are left out.

    The main loop is first, then the IOThreads in the order of their threads; the last are the
    helper threads that nobody can tell whose, if there are any.
    """
    shares: dict[str | None, dict[Role, list[float]]] = {}
    for each in threads:
        if each.role in {"main loop", "iothread", "worker", "io_uring"}:
            kinds = shares.setdefault(each.owner, {})
            kinds.setdefault(each.role, []).append(each.cpu_share)
    found = [
        OwnerRates(
            owner=owner,
            loop_cpu_share=sum(kinds.get("main loop", ())) + sum(kinds.get("iothread", ())),
            worker_cpu_share=sum(kinds.get("worker", ())),
            io_uring_cpu_share=sum(kinds.get("io_uring", ())),
            worker_count=len(kinds.get("worker", ())) + len(kinds.get("io_uring", ())),
        )
        for owner, kinds in shares.items()
    ]
    return tuple(sorted(found, key=lambda each: each.owner is None))


def _find_disks_time(sample: Sample) -> int:
    asked_ns = sample.disks_monotonic_ns
    return sample.monotonic_ns if asked_ns is None else asked_ns


def _compare_threads(
    before: ThreadSample | None, after: ThreadSample, duration_ns: int
) -> ThreadRates:
    if before is None or _is_another(before, after):
        before = ThreadSample(
            thread_id=after.thread_id,
            name=after.name,
            role=after.role,
            cpu_ns=0,
            user_ns=0,
            system_ns=0,
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
        owner=after.owner,
        cpu_share=(after.cpu_ns - before.cpu_ns) / duration_ns,
        user_share=_find_user_share(before, after),
        run_delay_share=_divide(_subtract(after.run_delay_ns, before.run_delay_ns), duration_ns),
        voluntary_switches_per_s=_divide(slept, duration_ns / _NS),
        involuntary_switches_per_s=_divide(preempted, duration_ns / _NS),
        processor=after.processor,
        node=after.node,
        affinity=after.affinity,
    )


def _is_another(before: ThreadSample, after: ThreadSample) -> bool:
    """Returns whether the id is of another thread by now."""
    began = (before.started_ticks, after.started_ticks)
    return after.cpu_ns < before.cpu_ns or (None not in began and began[0] != began[1])


def _find_user_share(before: ThreadSample, after: ThreadSample) -> float | None:
    user_ns = _subtract(after.user_ns, before.user_ns)
    system_ns = _subtract(after.system_ns, before.system_ns)
    # The kernel keeps both from falling; a file that says otherwise is not the kernel's.
    if user_ns is None or system_ns is None or min(user_ns, system_ns) < 0:
        return None
    return _divide(user_ns, user_ns + system_ns) if user_ns + system_ns else None


def _compare_disks(before: DiskSample, after: DiskSample, duration_ns: int) -> DiskRates:
    return DiskRates(
        id=after.id,
        reads=_compare_operations(before.reads, after.reads, duration_ns),
        writes=_compare_operations(before.writes, after.writes, duration_ns),
        flushes=_compare_operations(before.flushes, after.flushes, duration_ns),
        unmaps=_compare_operations(before.unmaps, after.unmaps, duration_ns),
        in_flight=after.in_flight,
        limits=after.limits,
    )


def _compare_operations(before: Operations, after: Operations, duration_ns: int) -> OperationRates:
    count, size_bytes, time_ns, failed, invalid, merged = differences = (
        _subtract(after.count, before.count),
        _subtract(after.transferred_bytes, before.transferred_bytes),
        _subtract(after.time_ns, before.time_ns),
        _subtract(after.failed, before.failed),
        _subtract(after.invalid, before.invalid),
        _subtract(after.merged, before.merged),
    )
    if any(each is not None and each < 0 for each in differences):
        return OperationRates()
    histogram = subtract_histograms(before.histogram, after.histogram)
    return OperationRates(
        count=count,
        operations_per_s=_divide(count, duration_ns / _NS),
        bytes_per_s=_divide(size_bytes, duration_ns / _NS),
        latency_mean_ns=_divide(time_ns, count) if count else None,
        depth_mean=_divide(time_ns, duration_ns),
        failed=failed,
        invalid=invalid,
        merged=merged,
        histogram=histogram,
        latency_p50=None if histogram is None else find_quantile(histogram, 0.5),
        latency_p99=None if histogram is None else find_quantile(histogram, 0.99),
    )


def _add_binding(disks: Sequence[DiskRates]) -> tuple[DiskRates, ...]:
    """Returns the disks with the limits that bind them, which those of a group share."""
    groups: dict[str, list[DiskRates]] = {}
    for each in disks:
        if each.limits is not None and each.limits.group:
            groups.setdefault(each.limits.group, []).append(each)
    return tuple(
        each
        if each.limits is None
        else replace(
            each, binding=_find_binding(each.limits, groups.get(each.limits.group, [each]))
        )
        for each in disks
    )


def _find_binding(limits: Limits, disks: Sequence[DiskRates]) -> tuple[LimitKind, ...] | None:
    """Returns the limits that disks reach together; None if what they do is not known.

    A limit with a burst lets more through until the burst is used up, and then itself: a rate
    between the two is of an interval in which that happened, or may yet happen.
    """
    spent = [_count_spent(each, limits.iops_size_bytes) for each in disks]
    binding: list[LimitKind] = []
    for kind in LIMIT_KINDS:
        limit: float | None = getattr(limits, kind)
        if not limit:
            continue
        rates = [each[kind] for each in spent]
        if None in rates:
            return None
        rate = sum(each for each in rates if each is not None)
        burst: float = getattr(limits, f"{kind}_burst") or limit
        near = rate >= _BINDING_SHARE * limit
        if near and (rate >= _BINDING_SHARE * burst or rate <= limit / _BINDING_SHARE):
            binding.append(kind)
    return tuple(binding)


def _count_spent(disk: DiskRates, unit_bytes: int | None) -> Mapping[LimitKind, float | None]:
    """Returns what a disk did in a second as its limits count it."""
    reads, writes = (
        (_count_units(each, unit_bytes), each.bytes_per_s) for each in (disk.reads, disk.writes)
    )
    return {
        "iops": _add(reads[0], writes[0]),
        "iops_read": reads[0],
        "iops_write": writes[0],
        "bytes_per_s": _add(reads[1], writes[1]),
        "bytes_per_s_read": reads[1],
        "bytes_per_s_write": writes[1],
    }


def _count_units(rates: OperationRates, unit_bytes: int | None) -> float | None:
    """Returns the requests in a second, a large one as often as it counts, at least."""
    if rates.operations_per_s is None or rates.bytes_per_s is None or unit_bytes is None:
        return rates.operations_per_s
    return max(rates.operations_per_s, rates.bytes_per_s / unit_bytes)


def _add(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second


def _subtract(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


def _divide(amount: int | None, by: float) -> float | None:
    return None if amount is None else amount / by
