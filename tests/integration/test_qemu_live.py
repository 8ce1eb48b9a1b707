"""A running QEMU asked for its layout, without any operating system in it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vmio.model.iothread import MAIN_LOOP
from vmio.model.topology import Topology
from vmio.observe.running import read_running
from vmio.qemu.binary import find_qemu, read_capabilities
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.live import compare
from vmio.qemu.process import QemuProcess
from vmio.qemu.qmp import QmpConnection

BASE = (
    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
    *("-machine", "pc", "-accel", "tcg", "-m", "16", "-smp", "2", "-S"),
)


def make_drive(folder: Path, name: str, options: str = "") -> tuple[str, str]:
    """Returns the words for a drive of 1 MiB."""
    path = folder / f"{name}.raw"
    with path.open("wb") as file:
        file.truncate(1 << 20)
    return "-drive", f"file={path},if=none,id=drive-{name},format=raw{options}"


def make_argv(folder: Path) -> tuple[str, ...]:
    """Returns a guest with a disk on every kind of controller."""
    return (
        *BASE,
        *("-object", "iothread,id=io0,poll-max-ns=1000"),
        *("-object", "iothread,id=iothread-virtio0"),
        *("-device", "virtio-scsi-pci,id=single,bus=pci.0,addr=0x5,iothread=io0"),
        *make_drive(folder, "scsi0", ",cache=none,aio=native,detect-zeroes=unmap"),
        *("-device", "scsi-hd,bus=single.0,lun=1,drive=drive-scsi0,id=scsi0"),
        *("-device", "virtio-scsi-pci,id=shared,bus=pci.0,addr=0x6"),
        *make_drive(folder, "scsi1", ",cache=unsafe,aio=threads"),
        *("-device", "scsi-hd,bus=shared.0,drive=drive-scsi1,id=scsi1"),
        *make_drive(folder, "virtio0", ",cache=directsync"),
        *("-device", "virtio-blk-pci,drive=drive-virtio0,id=virtio0,iothread=iothread-virtio0"),
        *("-device", "lsi,id=lsi0", *make_drive(folder, "scsi2", ",cache=writethrough")),
        *("-device", "scsi-hd,bus=lsi0.0,scsi-id=2,drive=drive-scsi2,id=scsi2"),
        *("-device", "megasas,id=megasas0", *make_drive(folder, "scsi3")),
        *("-device", "scsi-hd,bus=megasas0.0,drive=drive-scsi3,id=scsi3"),
        *("-device", "pvscsi,id=pvscsi0", *make_drive(folder, "scsi4")),
        *("-device", "scsi-cd,bus=pvscsi0.0,drive=drive-scsi4,id=scsi4"),
        *("-device", "ahci,id=ahci0", *make_drive(folder, "sata0")),
        *("-device", "ide-hd,bus=ahci0.0,drive=drive-sata0,id=sata0"),
        *("-device", "ide-cd,bus=ide.1,unit=1,id=ide3"),
    )


def read(argv: tuple[str, ...]) -> Topology:
    """Returns what a guest reports before its first instruction."""

    async def main() -> Topology:
        async with QemuProcess.start(argv) as guest:
            return await read_running(guest.qmp)

    return asyncio.run(main())


def test_running_guest_tells_its_layout(tmp_path: Path) -> None:
    """Each disk has the thread, the controller and the modes that its command line gave it."""
    topology = read(make_argv(tmp_path))

    assert {
        attached.disk.id: (
            topology.controller_of(attached).model,
            topology.served_by(attached),
            attached.cache,
            attached.aio,
        )
        for attached in topology.disks
    } == {
        "scsi0": ("virtio-scsi-pci", ("io0",), "none", "native"),
        "scsi1": ("virtio-scsi-pci", (MAIN_LOOP,), "unsafe", "threads"),
        "virtio0": ("virtio-blk-pci", ("iothread-virtio0",), "directsync", "threads"),
        "scsi2": ("lsi53c895a", (MAIN_LOOP,), "writethrough", "threads"),
        "scsi3": ("megasas", (MAIN_LOOP,), "writeback", "threads"),
        "scsi4": ("pvscsi", (MAIN_LOOP,), "writeback", "threads"),
        "sata0": ("ich9-ahci", (MAIN_LOOP,), "writeback", "threads"),
        "ide3": ("piix3-ide", (MAIN_LOOP,), None, None),
    }
    assert [iothread.id for iothread in topology.iothreads] == ["io0", "iothread-virtio0"]
    assert topology.iothreads[0].poll_max_ns == 1000
    assert topology.vcpus == 2
    serves = [thread.serves for thread in topology.host_threads]
    assert serves == [MAIN_LOOP, "io0", "iothread-virtio0"]
    assert all(thread.cpu_ns for thread in topology.host_threads)


def test_running_guest_tells_virtqueue_mapping(tmp_path: Path) -> None:
    """Queues that are spread over IOThreads are reported queue by queue."""
    if "virtio-blk-pci" not in read_capabilities(find_qemu()).vq_mapping_devices:
        pytest.skip("this QEMU has no iothread-vq-mapping")
    mapping = '[{"iothread":"io0","vqs":[0,2]},{"iothread":"io1","vqs":[1]}]'
    device = (
        '{"driver":"virtio-blk-pci","id":"virtio0","drive":"drive-virtio0","num-queues":3,'
        f'"iothread-vq-mapping":{mapping}}}'
    )
    topology = read(
        (
            *(*BASE, "-object", "iothread,id=io0", "-object", "iothread,id=io1"),
            *(*make_drive(tmp_path, "virtio0"), "-device", device),
        )
    )

    (controller,) = topology.controllers
    queues = [queue.served_by for queue in topology.virtqueues_of(controller)]
    assert queues == ["io0", "io1", "io0"]


def test_guest_is_read_over_its_socket(tmp_path: Path) -> None:
    """Somebody else's QEMU is read by its socket alone, process and thread times included."""

    async def main() -> tuple[int, Topology, Topology]:
        with open_runtime_folder() as folder:
            async with QemuProcess.start(make_argv(tmp_path), qmp_socket=folder / "qmp") as guest:
                ours = await read_running(guest.qmp)
                async with QmpConnection.connect(folder / "qmp") as connection:
                    return guest.pid, ours, await read_running(connection)

    pid, ours, theirs = asyncio.run(main())

    assert compare(ours, theirs) == ()
    assert theirs.host_threads[0].thread_id == pid
    assert theirs.host_threads[0].cpu_ns


def test_many_disks_are_read(tmp_path: Path) -> None:
    """Sixty-four disks on one controller are all there, in their order."""
    words = [*BASE, "-device", "virtio-scsi-pci,id=scsi"]
    for lun in range(64):
        words += [*make_drive(tmp_path, f"d{lun}"), "-device"]
        words.append(f"scsi-hd,bus=scsi.0,lun={lun},drive=drive-d{lun},id=d{lun}")

    topology = read(tuple(words))

    assert [attached.disk.id for attached in topology.disks] == [f"d{lun}" for lun in range(64)]
    assert [dict(attached.address)["lun"] for attached in topology.disks] == list(range(64))
