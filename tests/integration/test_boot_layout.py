"""A layout that no manager made, booted on a real QEMU: a model is all that it takes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vmio import app
from vmio.model.controller import Bridge, Controller, PciAddress
from vmio.model.disk import Backing, Disk
from vmio.model.host import Host
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


def test_command_with_ports_of_pci_express_boots(tmp_path: Path) -> None:
    """Controllers behind root ports that share a slot, as libvirt makes them, stay there."""
    line = tmp_path / "line"
    line.write_text(
        "qemu-system-x86_64 -machine q35 -m 64 -object iothread,id=io0"
        ' -device \'{"driver":"pcie-root-port","port":16,"chassis":1,"id":"pci.1","bus":"pcie.0",'
        '"multifunction":true,"addr":"0x2"}\''
        ' -device \'{"driver":"pcie-root-port","port":17,"chassis":2,"id":"pci.2","bus":"pcie.0",'
        '"addr":"0x2.0x1"}\''
        ' -device \'{"driver":"pcie-pci-bridge","id":"pci.3","bus":"pci.2","addr":"0x0"}\''
        ' -device \'{"driver":"virtio-scsi-pci","iothread":"io0","id":"scsi0","bus":"pci.3",'
        '"addr":"0x1"}\''
        " -blockdev driver=file,filename=d,node-name=d"
        ' -device \'{"driver":"scsi-hd","bus":"scsi0.0","drive":"d","id":"d0"}\''
    )
    topology = app.lay_out(app.load(str(line), host=Host()))

    assert [bridge.id for bridge in topology.bridges] == ["pci.1", "pci.2", "pci.3"]
    assert boot_command(str(line)) == ()


def test_command_with_bridges_from_a_file_boots(tmp_path: Path) -> None:
    """Bridges that a -readconfig file brings, as Proxmox VE makes them on q35, are made too."""
    config = tmp_path / "q35.cfg"
    config.write_text(
        '[device "above"]\ndriver = "i82801b11-bridge"\nbus = "pcie.0"\naddr = "1e.0"\n'
        '[device "pci.0"]\ndriver = "pci-bridge"\nbus = "above"\naddr = "1.0"\nchassis_nr = "1"\n'
        '[device "pci.3"]\ndriver = "pci-bridge"\nbus = "above"\naddr = "4.0"\nchassis_nr = "4"\n'
        '[device "spare"]\ndriver = "ioh3420"\nbus = "pcie.0"\naddr = "1c.0"\nchassis = "9"\n'
    )
    line = tmp_path / "line"
    line.write_text(
        f"qemu-system-x86_64 -machine q35 -m 64 -readconfig {config} -object iothread,id=io0"
        " -device virtio-scsi-pci,id=scsi0,bus=pci.3,addr=0x1,iothread=io0"
        " -drive file=d,if=none,id=drive-d0,format=raw"
        " -device scsi-hd,bus=scsi0.0,channel=0,scsi-id=0,lun=0,drive=drive-d0,id=d0"
        " -device virtio-blk-pci,drive=drive-d1,id=d1,bus=pci.0,addr=0xb"
        " -drive file=e,if=none,id=drive-d1,format=raw"
    )
    topology = app.lay_out(app.load(str(line), host=Host()))

    assert [bridge.id for bridge in topology.bridges] == ["above", "pci.0", "pci.3"]
    assert boot_command(str(line)) == ()


def test_bus_without_a_slot_is_kept(tmp_path: Path) -> None:
    """A controller of which only the bus is written sits there, and not on the machine's own."""
    line = tmp_path / "line"
    line.write_text(
        "qemu-system-x86_64 -machine q35 -m 64"
        " -device pcie-root-port,id=root,chassis=1 -device pcie-pci-bridge,id=old,bus=root"
        " -device virtio-scsi-pci,id=scsi0,bus=old -drive file=d,if=none,id=d,format=raw"
        " -device scsi-hd,bus=scsi0.0,drive=d,id=d0 -drive file=e,if=none,id=e,format=raw"
        " -device virtio-blk-pci,bus=old,drive=e,id=d1"
    )
    guest = app.load(str(line), host=Host())
    assert [bridge.id for bridge in app.lay_out(guest).bridges] == ["root", "old"]
    how, _ = app.choose_boot(accelerator="tcg")

    async def boot() -> list[str]:
        async with app.boot(guest, how, Volumes(scratch_bytes=1 << 20)) as (process, _):
            live = await read_live(process.qmp)
            return [each.pci.bus for each in live.controllers if each.pci is not None]

    assert asyncio.run(boot()) == ["old", "old"]


def boot_command(path: str) -> tuple[str, ...]:
    """Returns where a guest like that of a command line differs from it when it runs."""
    guest = app.load(path, host=Host())
    how, _ = app.choose_boot(accelerator="tcg")

    async def run() -> tuple[str, ...]:
        async with app.boot(guest, how, Volumes(scratch_bytes=1 << 20)) as (process, planned):
            return compare(planned, await read_live(process.qmp))

    return asyncio.run(run())
