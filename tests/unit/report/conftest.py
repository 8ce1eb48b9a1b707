"""Values made by hand, for the tests of their reports."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmio.bench.calibrate import Calibration
from vmio.bench.jobs import DEFAULT_JOBS, Job, JobFigures
from vmio.bench.result import (
    Comparison,
    HostFacts,
    JobResult,
    Measurement,
    Pair,
    Subject,
    ThreadLoad,
)
from vmio.model.capabilities import QemuVersion
from vmio.model.controller import Controller, PciAddress
from vmio.model.disk import Disk
from vmio.model.iothread import MAIN_LOOP, IOThread
from vmio.model.topology import AttachedDisk, Effect, HostThread, Topology
from vmio.sim.fitting import Observation, compare_observations
from vmio.sim.profile import DEFAULT_PROFILE
from vmio.sim.workload import parse_workload

_DRIFT = (1.0, 0.8, 0.55, 0.7, 1.05)
_LEAD = ((1.02, 0.97, 1.04, 0.99, 1.03), (1.7, 1.5, 1.65, 1.8, 1.55), (0.92, 1.1, 0.97, 1.02, 1.0))
_IOPS = (3200.0, 17400.0, 6100.0)


def _attach(index: int, controller: str, effect: Effect, name: str = "scsi") -> AttachedDisk:
    disk = Disk(
        id=f"{name}{index}",
        bus="scsi",
        index=index,
        volume=f"nvmpool-data:vm-701-disk-{index}",
        size_bytes=32 << 30,
        iothread=True,
    )
    return AttachedDisk(
        disk=disk, controller=controller, cache="none", aio="io_uring", effects=(effect,)
    )


def _make_shared() -> Topology:
    """Returns three disks on one controller, their iothread=1 ignored."""
    effect = Effect(
        setting="iothread", value="", verdict="ignored", reason="scsihw is virtio-scsi-pci"
    )
    pci = PciAddress(bus="pci.0", slot=5)
    return Topology(
        controllers=(Controller(id="scsihw0", model="virtio-scsi-pci", bus="scsi", pci=pci),),
        disks=tuple(_attach(index, "scsihw0", effect) for index in range(3)),
        vcpus=2,
        host_threads=(HostThread(serves=MAIN_LOOP, thread_id=4711),),
    )


def _make_single(count: int = 3, name: str = "scsi") -> Topology:
    """Returns disks with a controller and an IOThread each."""
    identities = [f"virtioscsi{index}" for index in range(count)]
    return Topology(
        iothreads=tuple(IOThread(id=f"iothread-{one}", poll_max_ns=32768) for one in identities),
        controllers=tuple(
            Controller(
                id=one,
                model="virtio-scsi-pci",
                bus="scsi",
                pci=PciAddress(bus="pci.3", slot=index + 1),
                iothread=f"iothread-{one}",
            )
            for index, one in enumerate(identities)
        ),
        disks=tuple(
            _attach(
                index,
                one,
                Effect(setting="iothread", value=f"iothread-{one}", verdict="used"),
                name,
            )
            for index, one in enumerate(identities)
        ),
        vcpus=2,
        host_threads=tuple(
            HostThread(serves=f"iothread-{one}", thread_id=4800 + index)
            for index, one in enumerate(identities)
        ),
    )


def _measure(job: Job, iops: float, threads: tuple[ThreadLoad, ...]) -> Measurement:
    mean_ns = job.iodepth / iops * 1e9
    return Measurement(
        figures=JobFigures(
            iops=iops,
            bandwidth_bytes_per_s=iops * job.block_size_bytes,
            requests=int(iops * job.runtime_s),
            runtime_s=job.runtime_s,
            latency_mean_ns=mean_ns,
            latency_p50_ns=mean_ns * 0.9,
            latency_p99_ns=mean_ns * 2.4,
            latency_p999_ns=mean_ns * 5.1,
            guest_cpu_user_share=0.12,
            guest_cpu_system_share=0.31,
            fio_version="3.33",
        ),
        threads=threads,
    )


_VCPUS = (
    ThreadLoad(name="vCPU 0", kind="vcpu", cpu_share=0.52),
    ThreadLoad(name="vCPU 1", kind="vcpu", cpu_share=0.21),
)
_A_THREADS = (ThreadLoad(name=MAIN_LOOP, kind="main loop", cpu_share=0.61), *_VCPUS)
_B_THREADS = (
    ThreadLoad(name=MAIN_LOOP, kind="main loop", cpu_share=0.09),
    ThreadLoad(name="iothread-virtioscsi0", kind="iothread", cpu_share=0.44),
    ThreadLoad(name="iothread-virtioscsi1", kind="iothread", cpu_share=0.0),
    *_VCPUS,
    ThreadLoad(name="workers", kind="other", cpu_share=0.02),
)


def _make_comparison(*, name: str = "701.conf", drop: int = 0) -> Comparison:
    """Returns a comparison of the two layouts over the default jobs.

    Args:
        name: What the first config is called.
        drop: How many of the five pairs to leave out.
    """
    jobs = tuple(
        JobResult(
            job=job,
            pairs=tuple(
                Pair(
                    first="A" if number % 2 == 0 else "B",
                    a=_measure(job, base * drift, _A_THREADS),
                    b=_measure(job, base * drift * lead, _B_THREADS),
                )
                for number, (drift, lead) in enumerate(zip(_DRIFT, leads, strict=True))
            )[drop:],
        )
        for job, base, leads in zip(DEFAULT_JOBS, _IOPS, _LEAD, strict=True)
    )
    command = (
        *("qemu-system-x86_64", "-name", "guest=storage-a,debug-threads=on", "-nodefaults"),
        *("-machine", "type=pc", "-accel", "tcg", "-m", "512"),
        *("-append", "console=ttyS0 quiet panic=-1"),
    )
    return Comparison(
        a=Subject(
            name=name, title="virtio-scsi-pci", topology=_make_shared(), argv=command, boot_s=6.2
        ),
        b=Subject(
            name="single/701.conf",
            title="virtio-scsi-single",
            topology=_make_single(),
            argv=(*command, "-object", "iothread,id=iothread-virtioscsi0"),
            config_argv=("/usr/bin/kvm", "-id", "701"),
            boot_s=6.4,
        ),
        disk="scsi0",
        volume="an empty scratch file of 1 GiB",
        device="/dev/sda",
        jobs=jobs,
        host=HostFacts(
            cpu_model="Example CPU @ 2.00GHz",
            cpu_count=2,
            kernel="6.1.0-example",
            distribution="Debian GNU/Linux 12 (bookworm)",
            memory_bytes=8 << 30,
            load_average_1min=0.4,
        ),
        accelerator="tcg",
        accelerator_reason="/dev/kvm opens but runs no guest",
        qemu_version="10.0.2",
        guest="cloud-amd64 (6.1.140-1), fio 3.33, qemu-guest-agent 7.2",
        fio_version="3.33",
        vmio_version="0.1.0",
        started_at="2026-01-02T03:04:05Z",
        duration_s=71.4,
    )


@pytest.fixture
def comparison() -> Comparison:
    """Returns the two layouts compared over the default jobs, five pairs each."""
    return _make_comparison()


@pytest.fixture
def make_comparison() -> Callable[..., Comparison]:
    """Returns what makes such a comparison with another name or fewer pairs."""
    return _make_comparison


@pytest.fixture
def shared() -> Topology:
    """Returns three disks on one controller, their iothread=1 ignored."""
    return _make_shared()


@pytest.fixture
def make_single() -> Callable[..., Topology]:
    """Returns what makes disks with a controller and an IOThread each."""
    return _make_single


def _observe(iothreads: tuple[IOThread, ...]) -> Observation:
    """Returns what a disk on these did, or on the main loop without any."""
    served_by = iothreads[0].id if iothreads else None
    return Observation(
        topology=Topology(
            iothreads=iothreads,
            controllers=(
                Controller(id="virtio0", model="virtio-blk-pci", bus="virtio", iothread=served_by),
            ),
            disks=(
                AttachedDisk(disk=Disk(id="virtio0", bus="virtio", index=0), controller="virtio0"),
            ),
        ),
        workload=parse_workload("qd=2"),
        iops=5_000.0,
        latency_mean_ns=400_000.0,
        loop_cpu_share=0.25,
        irq_cpu_share=0.0,
        interrupts=1.0,
        interrupted=0.0,
    )


@pytest.fixture
def calibration() -> Calibration:
    """Returns a calibration with a load of either kind."""
    observations = (_observe((IOThread(id="iot0", poll_max_ns=65_536),)), _observe(()))
    found = compare_observations(observations, DEFAULT_PROFILE, QemuVersion(10, 0, 2))
    return Calibration(profile=DEFAULT_PROFILE, residuals=found)
