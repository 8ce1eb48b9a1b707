"""The counters of a running QEMU's threads and disks at one moment; pure values."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from vmio.model.iothread import IOThread

__all__ = [
    "DiskSample",
    "Histogram",
    "Operations",
    "Role",
    "Sample",
    "ThreadName",
    "ThreadSample",
]

Role = Literal["main loop", "iothread", "vcpu", "worker", "other"]


class ThreadName(Struct, frozen=True, kw_only=True):
    """The role of a thread."""

    name: str
    """`MAIN_LOOP`, an IOThread's id, `vCPU 0` …, or the kernel's name for the thread."""
    role: Role


class ThreadSample(Struct, frozen=True, kw_only=True):
    """A thread's counters since it started."""

    thread_id: int
    """Its host thread id (TID)."""
    name: str
    role: Role
    cpu_ns: int
    """Processor time; a kernel without scheduler statistics counts it in ticks of 10 ms."""
    run_delay_ns: int | None = None
    """Run delay: how long it was runnable without a processor; None if the kernel reports none."""
    voluntary_switches: int | None = None
    """Voluntary context switches."""
    involuntary_switches: int | None = None
    """Involuntary context switches."""
    processor: int | None = None
    """The processor on which it runs, or ran last."""


class Histogram(Struct, frozen=True, kw_only=True):
    """Requests by latency, one count more than boundaries.

    The first count is of latencies below the first boundary, the last of those from the last one.

    QEMU keeps one only after `block-latency-histogram-set`.
    """

    boundaries_ns: tuple[int, ...]
    counts: tuple[int, ...]


class Operations(Struct, frozen=True, kw_only=True):
    """A disk's counters for one kind of operation; None if QEMU does not report it.

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


class DiskSample(Struct, frozen=True, kw_only=True):
    """A disk's counters since QEMU opened it."""

    id: str
    """The device's id, or another name of the disk if no device has it."""
    device: str = ""
    """The id of its `-drive`; empty for a block node."""
    node: str = ""
    """The topmost block node."""
    qdev: str = ""
    """The device's QOM path, by which monitor commands find it."""
    reads: Operations = field(default_factory=Operations)
    writes: Operations = field(default_factory=Operations)
    flushes: Operations = field(default_factory=Operations)
    unmaps: Operations = field(default_factory=Operations)


class Sample(Struct, frozen=True, kw_only=True):
    """One guest at one moment."""

    monotonic_ns: int
    """Monotonic time, for durations."""
    wall_ns: int
    """UTC time, since 1970."""
    threads: tuple[ThreadSample, ...]
    iothreads: tuple[IOThread, ...] = ()
    """With their polling parameters, in the order of creation; empty without a monitor."""
    disks: tuple[DiskSample, ...] = ()
    """Empty without a monitor."""
