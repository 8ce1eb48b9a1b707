"""A layout that no manager made, booted on a real QEMU: a model is all that it takes."""

from __future__ import annotations

import asyncio

import pytest

from vmio import app
from vmio.model.controller import Bridge, Controller, PciAddress
from vmio.model.disk import Backing, Disk
from vmio.model.iothread import IOThread, VirtqueueMapping
from vmio.model.machine import Chipset, Machine
from vmio.model.topology import AttachedDisk, Topology
from vmio.qemu.boot import Volumes, place_volumes, render_boot
from vmio.qemu.live import compare, read_live
from vmio.qemu.process import QemuProcess

BACKING = Backing(filename="", format="raw")


def attach(disk: Disk, controller: str, driver: str, **address: str | int) -> AttachedDisk:
    """Returns a disk in its place, with defaults that differ from QEMU's own."""
    return AttachedDisk(
        disk=disk,
        controller=controller,
        address=tuple((name.replace("_", "-"), value) for name, value in address.items()),
        driver=driver,
        cache_direct=False,
        cache_no_flush=True,
        write_cache=True,
        aio="threads",
        detect_zeroes="on" if disk.media == "disk" else None,
        read_only=disk.media == "cdrom",
    )


def lay_out(chipset: Chipset) -> Topology:
    """Returns disks of every bus, spread over two IOThreads in every way that there is."""
    root = "pcie.0" if chipset == "q35" else "pci.0"
    bridge = Bridge(
        id="behind", model="pci-bridge", pci=PciAddress(bus=root, slot=0x10), chassis=1
    )
    mapping = tuple(VirtqueueMapping(iothread=name) for name in ("io0", "io1"))
    limits = (("bps-total", 1 << 20), ("iops-read", 100))
    return Topology(
        iothreads=(IOThread(id="io0", poll_max_ns=1000), IOThread(id="io1", aio_max_batch=4)),
        bridges=(bridge,),
        controllers=(
            Controller(
                id="scsi",
                model="virtio-scsi-pci",
                bus="scsi",
                pci=PciAddress(bus="behind", slot=2),
                iothread_vq_mapping=mapping,
                num_queues=2,
            ),
            Controller(
                id="v0",
                model="virtio-blk-pci",
                bus="virtio",
                pci=PciAddress(bus=root, slot=0x11),
                iothread="io1",
            ),
            Controller(
                id="sata", model="ahci", bus="sata", pci=PciAddress(bus="behind", slot=3)
            ),
        ),
        disks=(
            attach(
                Disk(id="d0", bus="scsi", index=0, backing=BACKING, limits=limits, bootindex=1),
                "scsi", "scsi-hd", bus="scsi.0", channel=0, scsi_id=0, lun=1,
            ),
            attach(
                Disk(id="v0", bus="virtio", index=0, backing=BACKING, serial="a,b"),
                "v0", "virtio-blk-pci",
            ),
            attach(
                Disk(id="cd", bus="sata", index=0, media="cdrom"), "sata", "ide-cd", bus="sata.1"
            ),
        ),
        vcpus=2,
    )  # fmt: skip


@pytest.mark.parametrize("chipset", ["i440fx", "q35"])
def test_layout_without_a_config_runs_as_it_says(chipset: Chipset) -> None:
    """QEMU reports every thread, queue, address and cache as the model has them."""
    how, _ = app.choose_boot(accelerator="tcg")
    machine = Machine(name="a,b", chipset=chipset, vcpus=2, memory_mib=64)

    async def boot() -> tuple[str, ...]:
        with place_volumes(lay_out(chipset), Volumes(scratch_bytes=1 << 20)) as placed:
            async with QemuProcess.start(render_boot(machine, placed, how)) as process:
                return compare(placed, await read_live(process.qmp))

    assert asyncio.run(boot()) == ()
