"""What the threads and disks of a running QEMU had used at one moment; pure values."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct, field

from vmio.model.iothread import IOThread
from vmio.values import check_between

__all__ = [
    "LIMIT_KINDS",
    "DiskSample",
    "Histogram",
    "LimitKind",
    "Limits",
    "MonitorState",
    "Operations",
    "QueueSample",
    "Role",
    "Sample",
    "ThreadName",
    "ThreadSample",
]

Role = Literal["main loop", "iothread", "vcpu", "worker", "io_uring", "other"]
"""`worker` is a thread of a thread pool of QEMU's, `io_uring` one that the kernel adds to QEMU for
requests that would have blocked; both come and go."""

MonitorState = Literal["not asked", "answered", "held by another", "silent", "failed"]
"""What became of the questions to the monitor: a client can hold it so that others hear nothing,
or QEMU can be stopped and silent."""

LimitKind = Literal[
    "iops", "iops_read", "iops_write", "bytes_per_s", "bytes_per_s_read", "bytes_per_s_write"
]
LIMIT_KINDS: Final[tuple[LimitKind, ...]] = (
    "iops",
    "iops_read",
    "iops_write",
    "bytes_per_s",
    "bytes_per_s_read",
    "bytes_per_s_write",
)


class ThreadName(Struct, frozen=True, kw_only=True):
    """What a thread is for."""

    name: str
    """`MAIN_LOOP`, an IOThread's id, `vCPU 0` …, or what the kernel calls the thread."""
    role: Role


class ThreadSample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a thread had used since it began; None is what the kernel does not say."""

    thread_id: int
    """Its id on the host (TID)."""
    name: str
    role: Role
    owner: str | None = None
    """The event loop that the thread works for, `MAIN_LOOP` or an IOThread's id: itself, or for a
    helper thread the loop whose requests it does. None where it works for none or nobody can tell
    for which: two loops of a QEMU each have a pool of threads, whose threads look alike."""
    cpu_ns: int
    """Processor time; a kernel without scheduler statistics counts it in ticks of 10 ms."""
    user_ns: int | None = None
    """About how much of it was spent in QEMU's own code. The kernel splits the time by samples of
    its timer, so that it takes two seconds or more until the share means something."""
    system_ns: int | None = None
    """About how much of it was spent in the kernel; see `user_ns`."""
    run_delay_ns: int | None = None
    """How long it was runnable and had no processor."""
    voluntary_switches: int | None = None
    """How many times it went to sleep."""
    involuntary_switches: int | None = None
    """How many times a processor was taken from it."""
    processor: int | None = None
    """The processor on which it runs, or ran last."""
    node: int | None = None
    """NUMA node of that processor."""
    affinity: tuple[int, ...] | None = None
    """The processors that it may run on, in rising order."""
    state: str = ""
    """The kernel's letter: R runs or wants to, S sleeps, D waits for a device, T is stopped."""
    started_ticks: int | None = None
    """When it began, in clock ticks since the host started: tells it from one that gets its id."""


class Histogram(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Requests by latency: the first count is below the first boundary, the last from the last on.

    A request that takes exactly a boundary counts above it. QEMU keeps a histogram only after
    `block-latency-histogram-set`, and counts failed requests in it too.
    """

    boundaries_ns: tuple[int, ...]
    """In rising order."""
    counts: tuple[int, ...]
    """One more than boundaries."""


class Operations(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a disk had done of one kind of operation; None is what QEMU does not say.

    Source: QEMU 10.0, qapi/block-core.json, BlockDeviceStats.
    """

    count: int | None = None
    transferred_bytes: int | None = None
    time_ns: int | None = None
    """Sum over the operations, from when QEMU took the request until it completed it."""
    failed: int | None = None
    invalid: int | None = None
    merged: int | None = None
    histogram: Histogram | None = None


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a disk may do at most in a second; None is no limit.

    Source: QEMU 10.0, qapi/block-core.json, BlockDeviceInfo.
    """

    iops: float | None = None
    """Reads and writes together."""
    iops_read: float | None = None
    iops_write: float | None = None
    bytes_per_s: float | None = None
    """Of reads and writes together."""
    bytes_per_s_read: float | None = None
    bytes_per_s_write: float | None = None
    iops_burst: float | None = None
    """What may be reached for a while; None is no more than the limit itself."""
    iops_read_burst: float | None = None
    iops_write_burst: float | None = None
    bytes_per_s_burst: float | None = None
    bytes_per_s_read_burst: float | None = None
    bytes_per_s_write_burst: float | None = None
    iops_size_bytes: int | None = None
    """A larger request counts as several, each of this size; None counts each as one."""
    group: str = ""
    """The disks of a group have these limits together; empty for a disk that has them alone."""

    def __post_init__(self) -> None:
        for kind in LIMIT_KINDS:
            check_between(kind, getattr(self, kind), 0)
            check_between(f"{kind}_burst", getattr(self, f"{kind}_burst"), 0)
        check_between("iops_size_bytes", self.iops_size_bytes, 1)


class QueueSample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A virtqueue of requests at this moment.

    Source: QEMU 10.0, `x-query-virtio-queue-status`, which is experimental.
    """

    device: str
    """The device's id: a disk's where it is virtio-blk, a controller's for virtio-scsi."""
    index: int
    """Of the requests' queues, from 0 on."""
    in_flight: int
    """Requests that QEMU has taken and not completed; what waits in the ring is not in it."""
    size: int
    """How many entries the ring has."""


class DiskSample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a disk had done since QEMU has it."""

    id: str
    """The device's id, or what names the disk where no device has it."""
    device: str = ""
    """The `-drive` that it is, empty where it is a block node."""
    node: str = ""
    """The block node at the top."""
    qdev: str = ""
    """The device's place, by which commands of a monitor find it."""
    reads: Operations = field(default_factory=Operations)
    writes: Operations = field(default_factory=Operations)
    flushes: Operations = field(default_factory=Operations)
    unmaps: Operations = field(default_factory=Operations)
    zone_appends: Histogram | None = None
    """Of that kind of operation, which is rare, only where somebody has it counted."""
    limits: Limits | None = None
    """None where they were not asked for, or QEMU does not tell them; no limits is `Limits()`."""
    in_flight: int | None = None
    """Requests that QEMU has taken and not completed. None where it was not asked for, and where
    disks share a controller's queues: `Sample.queues` has those."""


class Sample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One guest at one moment."""

    monotonic_ns: int
    """When; differences of it are durations."""
    wall_ns: int
    """When, since 1970 in UTC."""
    threads: tuple[ThreadSample, ...]
    disks_monotonic_ns: int | None = None
    """When the disks were read, which is later or earlier than the threads by what QEMU took to
    answer; None for `monotonic_ns`."""
    iothreads: tuple[IOThread, ...] = ()
    """With their polling parameters, in the order of creation; empty without a monitor."""
    disks: tuple[DiskSample, ...] = ()
    """Empty without a monitor."""
    queues: tuple[QueueSample, ...] = ()
    """Empty where they were not asked for."""
    monitor: MonitorState = "not asked"
    """Why there are disks, or none."""
    monitor_note: str = ""
    """The reason in one line, where the monitor was asked and did not answer."""
