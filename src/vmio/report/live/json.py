"""What running guests do at the moment as JSON."""

from __future__ import annotations

from typing import TypedDict

from vmio.managers.owners import Manager
from vmio.observe.percentiles import LatencyRange
from vmio.observe.sample import LimitKind, MonitorState, Role
from vmio.report.envelope import Count, render_document
from vmio.report.live.rows import (
    DiskRow,
    GuestRow,
    HostRows,
    OperationRow,
    QueueRow,
    ThreadRow,
)
from vmio.report.verdicts.json import VerdictData, describe_verdict_data

__all__ = ["TopData", "render_top_json"]

_NS = 1e9


class LiveThreadData(TypedDict):
    """A thread, or the helper threads of an event loop together; null is what is not known."""

    name: str
    """`main loop`, an IOThread's id, `vCPU 0`, `workers`, or what the kernel calls it."""
    role: Role
    owner: str | None
    """The event loop that it works for."""
    count: Count
    """Threads in the row: more than one for helpers only."""
    thread_id: Count | None
    """Null for helpers, which come and go."""
    cpu_share: float | None
    user_share: float | None
    """Of its processor time, 0 to 1: spent in QEMU's own code, polling included."""
    run_delay_share: float | None
    """Of the time, 0 to 1: it was ready to run and had no processor."""
    sleeps_per_second: float | None
    preemptions_per_second: float | None
    processor: Count | None
    """On which it ran last."""
    numa_node: Count | None
    affinity: list[Count] | None
    """The processors that it may run on."""
    poll_max_ns: Count | None
    """An IOThread's parameters, as are the next two."""
    poll_grow: Count | None
    poll_shrink: Count | None
    poll_share: float | None
    """Estimated processors that go into polling, over the window of the verdicts."""
    poll_share_low: float | None
    poll_share_high: float | None
    """With `poll_share_low` about a 95 % interval."""


class LatencyBinData(TypedDict):
    """The bin of QEMU's histogram that a quantile lies in."""

    low_seconds: float
    high_seconds: float | None
    """Null in the last bin, which has no end."""


class LiveOperationsData(TypedDict):
    """What a disk did of one kind of operation; null is what is not known."""

    operations_per_second: float | None
    bytes_per_second: float | None
    latency_mean_seconds: float | None
    """From when QEMU took a request until it completed it; null without a request, too."""
    latency_p50: LatencyBinData | None
    """Null without `--latencies`, and of too few requests."""
    latency_p99: LatencyBinData | None
    depth_mean: float | None
    """Requests under way at once, on average."""
    failed: Count | None
    """Since the look before."""


class LiveQueueData(TypedDict):
    """A virtqueue of requests."""

    index: Count
    served_by: str
    in_flight: Count | None
    """Null where nobody asked."""
    size: Count | None


class LiveLimitsData(TypedDict):
    """What a disk may do at most in a second; null is no limit."""

    iops: float | None
    iops_read: float | None
    iops_write: float | None
    bytes_per_second: float | None
    bytes_per_second_read: float | None
    bytes_per_second_write: float | None
    group: str
    """The disks of a group have these limits together; empty for a disk that has them alone."""


class LiveDiskData(TypedDict):
    """A disk, with its path to the threads that serve it."""

    id: str
    file: str
    """What QEMU opens for it; empty if not known."""
    format: str
    driver: str
    """The block driver under the format."""
    device: str
    """QEMU's device for the disk itself."""
    cache: str
    aio: str
    controller: str
    """Its controller's id; empty if not known."""
    model: str
    """The controller's device."""
    served_by: list[str]
    """`main loop`, IOThreads, or what serves it outside of QEMU; empty if not known."""
    queues: list[LiveQueueData]
    reads: LiveOperationsData
    writes: LiveOperationsData
    flushes: LiveOperationsData
    unmaps: LiveOperationsData
    limits: LiveLimitsData | None
    """Null where they are not known."""
    binding_limits: list[LimitKind] | None
    """The limits that make requests wait; null where that is not known."""


class LiveGuestData(TypedDict):
    """A guest with its threads and disks."""

    address: str
    """`pid:NUMBER`, which every verb takes."""
    started_ticks: Count
    """The start of its process: the same number with another start is another process."""
    id: str
    """What its manager calls it; empty if not known."""
    name: str
    manager: Manager
    uptime_seconds: float
    window_seconds: float | None
    """Since the look before, which the rates are of; null at the first look."""
    threads: list[LiveThreadData]
    disks: list[LiveDiskData]
    verdicts: list[VerdictData] | None
    """What limits it, the worst first; empty if nothing does, null if it was not judged yet."""
    monitor: MonitorState
    notes: list[str]
    """What could not be read, a line each."""


class TopData(TypedDict):
    """All guests at one moment, in the order of their processes' numbers."""

    time_seconds: float
    """When, since 1970 in UTC."""
    duration_seconds: float
    """How long it took to look."""
    host_processors: Count | None
    guests: list[LiveGuestData]
    unseen: list[str]
    """What this user cannot see, a line each."""


def render_top_json(rows: HostRows, *, in_a_line: bool = False) -> str:
    """Returns a look at all guests as a JSON document.

    Args:
        rows: The rows of the look.
        in_a_line: Whether it is one line, as in a stream of looks.
    """
    data: TopData = {
        "time_seconds": rows.wall_ns / _NS,
        "duration_seconds": rows.duration_s,
        "host_processors": rows.host_processors,
        "guests": [*map(_describe_guest, rows.guests)],
        "unseen": [*rows.unseen],
    }
    return render_document("top", data, in_a_line=in_a_line)


def _describe_guest(guest: GuestRow) -> LiveGuestData:
    return {
        "address": guest.address,
        "started_ticks": guest.started_ticks,
        "id": guest.id,
        "name": guest.name,
        "manager": guest.manager,
        "uptime_seconds": round(guest.uptime_s, 2),
        "window_seconds": guest.window_s,
        "threads": [*map(_describe_thread, guest.threads)],
        "disks": [*map(_describe_disk, guest.disks)],
        "verdicts": [*map(describe_verdict_data, guest.verdicts)] if guest.is_judged else None,
        "monitor": guest.monitor,
        "notes": [*guest.notes],
    }


def _describe_thread(thread: ThreadRow) -> LiveThreadData:
    return {
        "name": thread.name,
        "role": thread.role,
        "owner": thread.owner,
        "count": thread.count,
        "thread_id": thread.thread_id,
        "cpu_share": thread.cpu_share,
        "user_share": thread.user_share,
        "run_delay_share": thread.run_delay_share,
        "sleeps_per_second": thread.sleeps_per_s,
        "preemptions_per_second": thread.preemptions_per_s,
        "processor": thread.processor,
        "numa_node": thread.node,
        "affinity": [*thread.affinity] if thread.affinity is not None else None,
        "poll_max_ns": thread.poll_max_ns,
        "poll_grow": thread.poll_grow,
        "poll_shrink": thread.poll_shrink,
        "poll_share": thread.poll_share,
        "poll_share_low": thread.poll_share_low,
        "poll_share_high": thread.poll_share_high,
    }


def _describe_disk(disk: DiskRow) -> LiveDiskData:
    return {
        "id": disk.id,
        "file": disk.file,
        "format": disk.format,
        "driver": disk.driver,
        "device": disk.device,
        "cache": disk.cache,
        "aio": disk.aio,
        "controller": disk.controller,
        "model": disk.model,
        "served_by": [*disk.served_by],
        "queues": [*map(_describe_queue, disk.queues)],
        "reads": _describe_operations(disk.reads),
        "writes": _describe_operations(disk.writes),
        "flushes": _describe_operations(disk.flushes),
        "unmaps": _describe_operations(disk.unmaps),
        "limits": _describe_limits(disk),
        "binding_limits": [*disk.binding] if disk.binding is not None else None,
    }


def _describe_queue(queue: QueueRow) -> LiveQueueData:
    return {
        "index": queue.index,
        "served_by": queue.served_by,
        "in_flight": queue.in_flight,
        "size": queue.size,
    }


def _describe_limits(disk: DiskRow) -> LiveLimitsData | None:
    limits = disk.limits
    if limits is None:
        return None
    return {
        "iops": limits.iops,
        "iops_read": limits.iops_read,
        "iops_write": limits.iops_write,
        "bytes_per_second": limits.bytes_per_s,
        "bytes_per_second_read": limits.bytes_per_s_read,
        "bytes_per_second_write": limits.bytes_per_s_write,
        "group": limits.group,
    }


def _describe_operations(row: OperationRow) -> LiveOperationsData:
    mean_ns = row.latency_mean_ns
    return {
        "operations_per_second": row.operations_per_s,
        "bytes_per_second": row.bytes_per_s,
        "latency_mean_seconds": mean_ns / _NS if mean_ns is not None else None,
        "latency_p50": _describe_bin(row.latency_p50),
        "latency_p99": _describe_bin(row.latency_p99),
        "depth_mean": row.depth_mean,
        "failed": row.failed,
    }


def _describe_bin(found: LatencyRange | None) -> LatencyBinData | None:
    if found is None:
        return None
    return {
        "low_seconds": found.low_ns / _NS,
        "high_seconds": found.high_ns / _NS if found.high_ns is not None else None,
    }
