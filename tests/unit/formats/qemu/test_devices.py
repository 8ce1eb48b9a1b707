"""What serves the disks of a command line, and which of their settings are used."""

from __future__ import annotations

import pytest

from vmio.formats.base import ReadContext
from vmio.formats.qemu.layout import lay_out_command
from vmio.formats.qemu.reader import read_command_vm
from vmio.model.host import Host
from vmio.model.iothread import HOST_KERNEL, MAIN_LOOP, OTHER_PROCESS
from vmio.model.source import Source
from vmio.model.topology import AttachedDisk, Topology
from vmio.model.version import parse_version

CONTEXT = ReadContext(host=Host(qemu_version=parse_version("10.0.2")))


def lay_out(text: str) -> Topology:
    """Returns the layout of a command line that has no problem."""
    source = Source(name="x.args", data=f"qemu-system-x86_64 {text}\n".encode())
    vm = read_command_vm(source, CONTEXT).vm
    assert vm.problems == ()
    return lay_out_command(vm)


def list_ignored(attached: AttachedDisk) -> list[str]:
    """Returns the settings of a disk that do nothing."""
    return [effect.setting for effect in attached.effects if effect.verdict == "ignored"]


@pytest.mark.parametrize(
    ("device", "by", "name"),
    [
        ("vhost-user-blk-pci,chardev=c,id=v", OTHER_PROCESS, "/run/spdk.sock"),
        ("vhost-user-blk,chardev=c,id=v", OTHER_PROCESS, "/run/spdk.sock"),
        ("vhost-user-scsi-pci,chardev=c,id=v", OTHER_PROCESS, "/run/spdk.sock"),
        ("vhost-user-blk-pci,chardev=t,id=v", OTHER_PROCESS, "192.0.2.1:4420"),
        ("vhost-scsi-pci,wwpn=naa.5001405324af0985,id=v", HOST_KERNEL, "naa.5001405324af0985"),
        ("vhost-scsi-ccw,wwpn=naa.5001405324af0985,id=v", HOST_KERNEL, "naa.5001405324af0985"),
    ],
)
def test_vhost_is_served_outside_of_qemu(device: str, by: str, name: str) -> None:
    """No thread of QEMU serves a disk whose queues it hands over."""
    sockets = (
        "-chardev socket,id=c,path=/run/spdk.sock -chardev socket,id=t,host=192.0.2.1,port=4420"
    )
    topology = lay_out(f"{sockets} -device {device}")
    (attached,) = topology.disks
    assert topology.served_by(attached) == (by,)
    assert (attached.disk.id, attached.disk.volume, attached.aio) == ("v", name, None)
    assert [effect.value for effect in attached.effects] == [by]


@pytest.mark.parametrize("device", ["scsi-block", "scsi-generic"])
def test_settings_of_a_file_do_nothing_where_commands_are_passed_on(device: str) -> None:
    """SCSI commands go to the host's device by SG_IO, past engine, cache and limits."""
    drive = "file=/dev/sdb,if=none,id=a,format=raw,cache=none,aio=native,discard=unmap"
    (attached,) = lay_out(
        f"-drive {drive},throttling.bps-total=1000000 -device virtio-scsi-pci"
        f" -device {device},drive=a"
    ).disks
    assert list_ignored(attached) == ["cache", "aio", "discard", "bps_total"]
    assert (attached.cache, attached.aio, attached.write_cache) == (None, None, None)
    (other,) = lay_out(f"-drive {drive} -device virtio-scsi-pci -device scsi-hd,drive=a").disks
    assert (list_ignored(other), other.cache, other.aio) == ([], "none", "native")


@pytest.mark.parametrize(
    ("options", "flushed"),
    [
        ("-snapshot -drive file=/a,if=none,id=a,cache=none", False),
        ("-drive file=/a,if=none,id=a,cache=none,snapshot=on", False),
        ("-snapshot -drive file=/a,if=none,id=a,cache=none,snapshot=off", True),
        ("-snapshot -blockdev driver=file,filename=/a,node-name=a,cache.direct=on", True),
        ("-drive file=/a,if=none,id=a,cache=none", True),
    ],
)
def test_flushes_go_nowhere_in_a_snapshot(options: str, flushed: bool) -> None:  # noqa: FBT001
    """What is written with snapshot=on is thrown away; a -blockdev does not go by -snapshot."""
    (attached,) = lay_out(f"{options} -device virtio-blk-pci,drive=a").disks
    assert attached.cache_no_flush is not flushed
    assert attached.cache == ("none" if flushed else "unsafe")
    assert (attached.find_effect("snapshot") is None) is flushed


@pytest.mark.parametrize(
    ("machine", "count"),
    [
        ("pc-i440fx-4.2", 1),
        ("pc-q35-5.1", 1),
        ("pc-q35-5.2", 4),
        ("pc-q35-focal", 1),
        ("pc-i440fx-bionic-hpb", 1),
        ("pc-q35-jammy", 4),
        ("pc-i440fx-rhel7.6.0", 1),
        ("pc-q35-rhel8.2.0", 1),
        ("pc-q35-rhel8.4.0", 4),
        ("pc-q35-rhel9.2.0", 4),
        ("pc", 4),
    ],
)
@pytest.mark.parametrize("device", ["virtio-blk-pci,drive=a", "virtio-scsi-pci"])
def test_old_machines_have_one_queue(machine: str, count: int, device: str) -> None:
    """Machines before 5.2 have a queue for all vCPUs, where no number is written."""
    topology = lay_out(f"-M {machine} -smp 4 -drive file=/a,if=none,id=a -device {device}")
    assert [len(topology.virtqueues_of(each)) for each in topology.controllers] == [count]
    written = lay_out(f"-M {machine} -smp 4 -device virtio-scsi-pci,num_queues=3")
    assert [len(written.virtqueues_of(each)) for each in written.controllers] == [3]


@pytest.mark.parametrize(
    ("device", "has_address"),
    [
        ("virtio-blk-pci,drive=a,addr=0x5", True),
        ("virtio-blk,drive=a,addr=0x5", True),
        ("virtio-blk-device,drive=a,addr=0x5", False),
        ("virtio-blk-ccw,drive=a,addr=0x5", False),
    ],
)
def test_only_pci_devices_have_a_pci_address(device: str, has_address: bool) -> None:  # noqa: FBT001
    """What sits on another transport has no slot of a PCI bus."""
    (controller,) = lay_out(f"-drive file=/a,if=none,id=a -device {device}").controllers
    assert (controller.pci is not None) is has_address


def test_devices_of_older_names_are_disks_too() -> None:
    """What `ide-drive` and `scsi-disk` were is still to be seen where they are written."""
    topology = lay_out(
        "-drive id=a,file=/a,if=none -device ahci,id=s -device ide-drive,drive=a,bus=s.0"
        " -drive id=b,file=/b,if=none,media=cdrom -device lsi -device scsi-disk,drive=b"
    )
    assert [(each.disk.id, each.disk.bus, each.disk.media) for each in topology.disks] == [
        ("a", "sata", "disk"),
        ("b", "scsi", "cdrom"),
    ]


def test_disk_of_another_controller_leaves_the_thread_idle() -> None:
    """A SCSI disk goes by the controller of its own bus."""
    topology = lay_out(
        "-object iothread,id=io0 -device virtio-scsi-pci,id=fast,iothread=io0"
        " -device virtio-scsi-pci,id=other -drive file=/a,if=none,id=a"
        " -device scsi-hd,drive=a,bus=other.0"
    )
    assert topology.served_by(topology.disks[0]) == (MAIN_LOOP,)
