"""What the threads and disks of a running QEMU had used at one moment; pure values."""

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
    """What a thread is for."""

    name: str
    """`MAIN_LOOP`, an IOThread's id, `vCPU 0` …, or what the kernel calls the thread."""
    role: Role


class ThreadSample(Struct, frozen=True, kw_only=True):
    """What a thread had used since it began."""

    thread_id: int
    """Its id on the host (TID)."""
    name: str
    role: Role
    cpu_ns: int
    """Processor time; a kernel without scheduler statistics counts it in ticks of 10 ms."""
    run_delay_ns: int | None = None
    """How long it was runnable and had no processor; None where the kernel does not say."""
    voluntary_switches: int | None = None
    """How many times it went to sleep."""
    involuntary_switches: int | None = None
    """How many times a processor was taken from it."""
    processor: int | None = None
    """On which it runs, or ran last."""


class Histogram(Struct, frozen=True, kw_only=True):
    """Requests by latency: the first count is below the first boundary, the last from the last on.

    QEMU keeps one only after `block-latency-histogram-set`.
    """

    boundaries_ns: tuple[int, ...]
    counts: tuple[int, ...]


class Operations(Struct, frozen=True, kw_only=True):
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


class DiskSample(Struct, frozen=True, kw_only=True):
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


class Sample(Struct, frozen=True, kw_only=True):
    """One guest at one moment."""

    monotonic_ns: int
    """When; differences of it are durations."""
    wall_ns: int
    """When, since 1970 in UTC."""
    threads: tuple[ThreadSample, ...]
    iothreads: tuple[IOThread, ...] = ()
    """With their polling parameters, in the order of creation; empty without a monitor."""
    disks: tuple[DiskSample, ...] = ()
    """Empty without a monitor."""
