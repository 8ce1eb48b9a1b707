"""Real guests sampled: one under a load, and one that ends meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from vmio import app
from vmio.bench.jobs import Job
from vmio.bench.load import boot_guest
from vmio.errors import CapabilityError
from vmio.guest.image import ensure_image
from vmio.model.controller import Controller, PciAddress
from vmio.model.disk import Backing, Disk
from vmio.model.iothread import IOThread
from vmio.model.machine import Machine
from vmio.model.topology import AttachedDisk, Topology
from vmio.observe.rates import compare_samples
from vmio.observe.sample import Sample
from vmio.observe.sampler import sample, stream
from vmio.qemu.boot import Boot
from vmio.qemu.process import QemuProcess

TOPOLOGY = Topology(
    iothreads=(IOThread(id="iothread-virtio0", poll_max_ns=5000),),
    controllers=(
        Controller(
            id="virtio0",
            model="virtio-blk-pci",
            bus="virtio",
            pci=PciAddress(bus="pci.0", slot=10),
            iothread="iothread-virtio0",
        ),
    ),
    disks=(
        AttachedDisk(
            disk=Disk(
                id="virtio0",
                bus="virtio",
                index=0,
                backing=Backing(filename="/scratch/virtio0.raw", format="raw"),
            ),
            controller="virtio0",
            driver="virtio-blk-pci",
        ),
    ),
)
JOB = Job(name="x", rw="randread", block_size_bytes=4096, iodepth=4, runtime_s=0.5, ramp_s=0.2)
BARE = (
    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
    *("-machine", "pc", "-accel", "tcg", "-m", "16", "-smp", "2", "-S"),
    *("-object", "iothread,id=io0", "-object", "iothread,id=io1"),
)


async def load(how: Boot) -> tuple[Sample, Sample, float]:
    """Samples a guest before and after a load, and returns the requests that fio counted."""
    machine = Machine(name="observed")
    async with boot_guest(machine, TOPOLOGY, how, scratch_bytes=16 << 20) as loaded:
        before = await sample(loaded.process.pid, loaded.process.qmp)
        run = await loaded.run(JOB)
        after = await sample(loaded.process.pid, loaded.process.qmp)
        return before, after, run.iops * JOB.runtime_s


def test_load_is_seen_at_the_disk_and_its_threads() -> None:
    """The disk reads what fio asks for, the IOThread and the vCPU work for it, by their names."""
    try:
        image = ensure_image(controllers=("virtio-blk-pci",))
    except CapabilityError as error:
        pytest.skip(f"needs a host that can build the guest: {error.message}")
    how, _ = app.choose_boot(
        accelerator="tcg",
        kernel=str(image.kernel),
        initrd=str(image.initrd),
        append=image.append,
        memory_mib=512,
    )
    before, after, requests = asyncio.run(load(how))

    names = [
        (each.role, each.name)
        for each in after.threads
        if each.role not in {"worker", "io_uring", "other"}
    ]
    assert sorted(names) == [
        ("iothread", "iothread-virtio0"),
        ("main loop", "main loop"),
        ("vcpu", "vCPU 0"),
    ]
    assert [(each.id, each.poll_max_ns) for each in after.iothreads] == [
        ("iothread-virtio0", 5000)
    ]
    first, last = before.disks[0].reads, after.disks[0].reads
    assert first.count is not None
    assert last.count is not None
    assert last.transferred_bytes is not None
    assert first.transferred_bytes is not None
    assert last.count - first.count >= 0.9 * requests
    assert last.transferred_bytes - first.transferred_bytes == 4096 * (last.count - first.count)
    rates = compare_samples(before, after)
    assert rates.disks[0].id == "virtio0"
    assert rates.disks[0].reads.latency_mean_ns
    assert rates.disks[0].reads.depth_mean
    threads = {each.role: each for each in rates.threads}
    for role in ("iothread", "vcpu"):
        assert threads[role].cpu_share > 0
        assert threads[role].voluntary_switches_per_s


def test_threads_are_told_by_their_role_until_the_guest_ends() -> None:
    """QEMU does not name them here; a guest that quits ends the stream without an error."""

    async def watch() -> list[Sample]:
        found: list[Sample] = []
        async with QemuProcess.start(BARE) as guest:
            async for each in stream(guest.pid, guest.qmp, interval_s=0.05):
                found.append(each)
                if len(found) == 3:
                    await guest.qmp.execute("quit")
        return found

    found = asyncio.run(asyncio.wait_for(watch(), 60))

    assert len(found) == 3
    for each in found:
        names = {thread.name for thread in each.threads if thread.role != "other"}
        assert names == {"main loop", "io0", "io1", "vCPU 0", "vCPU 1"}
        assert all(thread.run_delay_ns is not None for thread in each.threads)
    assert found[0].monotonic_ns < found[1].monotonic_ns < found[2].monotonic_ns


def test_guest_without_a_monitor_is_told_by_its_names() -> None:
    """Before 11.0 QEMU names its threads where it is told to."""

    async def watch() -> Sample:
        argv = (*BARE, "-name", "x,debug-threads=on")
        async with QemuProcess.start(argv) as guest:
            return await sample(guest.pid)

    found = asyncio.run(watch())

    names = {(each.role, each.name) for each in found.threads if each.role != "other"}
    assert {("iothread", "io0"), ("iothread", "io1"), ("vcpu", "vCPU 1")} < names
    assert found.disks == ()
