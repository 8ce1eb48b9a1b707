"""Looks at guests that are made up, with everything that metrics can tell."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.managers.owners import Manager
from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.model.version import QemuVersion
from vmio.observe.readings import Look, Observation
from vmio.observe.sample import (
    DiskSample,
    Histogram,
    Limits,
    MonitorState,
    Operations,
    QueueSample,
    Role,
    Sample,
    ThreadSample,
)

S = 1_000_000_000


@pytest.fixture(scope="session")
def make_guest() -> Callable[..., RunningGuest]:
    """Returns what makes a guest."""
    return _make_guest


@pytest.fixture(scope="session")
def make_look() -> Callable[..., Look]:
    """Returns what makes a look."""
    return _make_look


def _make_guest(
    name: str = "web",
    *,
    pid: int = 100,
    started_ticks: int = 5,
    manager: Manager = "none",
    number: str = "",
    uuid: str = "",
    disks: int = 2,
) -> RunningGuest:
    process = QemuProcess(
        pid=pid,
        started_ticks=started_ticks,
        inner_pid=pid,
        owner=0,
        stopped=False,
        cgroup="",
        command=b"",
    )
    ids = [f"vd{n}" for n in range(disks)]
    layout = Topology(
        iothreads=(IOThread(id="io0"),),
        controllers=tuple(
            Controller(id=each, model="virtio-blk-pci", bus="virtio", iothread="io0")
            for each in ids
        ),
        disks=tuple(
            AttachedDisk(
                disk=Disk(id=each, bus="virtio", index=0),
                controller=each,
                cache="none",
                aio="native",
            )
            for each in ids
        ),
    )
    return RunningGuest(
        process=process,
        manager=manager,
        id=number,
        name=name,
        uuid=uuid,
        uptime_s=10.0,
        layout=layout,
    )


def _make_look(at_s: float, *guests: RunningGuest, monitor: MonitorState = "answered") -> Look:
    return Look(
        monotonic_ns=int(at_s * S),
        wall_ns=int((1000 + at_s) * S),
        duration_s=0.25,
        observations=tuple(
            Observation(
                guest=guest,
                sample=_make_sample(at_s, guest, monitor),
                duration_s=0.01,
                qemu_version=QemuVersion(10, 0, 2),
            )
            for guest in guests
        ),
        host_processors=2,
    )


def _make_sample(at_s: float, guest: RunningGuest, monitor: MonitorState) -> Sample:
    used_ns = int(at_s * S)

    def make_thread(
        number: int, share: float, name: str, *, role: Role, owner: str | None = None
    ) -> ThreadSample:
        return ThreadSample(
            thread_id=guest.process.pid + number,
            name=name,
            role=role,
            owner=owner,
            cpu_ns=int(used_ns * share),
            user_ns=int(used_ns * share * 0.9),
            system_ns=int(used_ns * share * 0.1),
            run_delay_ns=int(used_ns * 0.01),
            voluntary_switches=int(at_s * 200),
            involuntary_switches=int(at_s * 3),
            processor=1,
            started_ticks=1,
        )

    count = int(at_s * 1000)
    done = Operations(
        count=count,
        transferred_bytes=count * 4096,
        time_ns=count * 100_000,
        failed=0,
        histogram=Histogram(boundaries_ns=(100_000, 1_000_000), counts=(0, count, 0)),
    )
    answered = monitor == "answered"
    layout = guest.layout
    ids = [each.disk.id for each in layout.disks] if layout is not None else []
    return Sample(
        monotonic_ns=used_ns + 1,
        wall_ns=used_ns,
        threads=(
            make_thread(0, 0.98, "main loop", role="main loop", owner="main loop"),
            make_thread(1, 0.2, "io0", role="iothread", owner="io0"),
            make_thread(2, 0.5, "vCPU 0", role="vcpu"),
            make_thread(3, 0.01, "worker", role="worker"),
            make_thread(4, 0.01, "worker", role="worker"),
            make_thread(5, 0.01, "iou-wrk-101", role="io_uring", owner="io0"),
            make_thread(6, 0.0, "call_rcu", role="other"),
            make_thread(7, 0.0, "vnc_worker", role="other"),
        ),
        iothreads=(IOThread(id="io0", poll_max_ns=32768),) if answered else (),
        disks=tuple(
            DiskSample(
                id=each,
                qdev=each,
                reads=done,
                writes=done,
                flushes=done,
                unmaps=Operations(count=0, transferred_bytes=0, time_ns=0, failed=0),
                limits=Limits(iops=5000.0, bytes_per_s_read=1e8),
                in_flight=3,
            )
            for each in ids
        )
        if answered
        else (),
        queues=(QueueSample(device="vd0", index=0, in_flight=3, size=256),) if answered else (),
        monitor=monitor,
    )
