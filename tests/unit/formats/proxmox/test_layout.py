"""What a config comes to: controllers, IOThreads, and what each setting does."""

from __future__ import annotations

import pytest

from vmio.formats.base import ReadContext
from vmio.formats.proxmox.layout import lay_out_config
from vmio.formats.proxmox.reader import read_guest
from vmio.formats.proxmox.storage import Storage
from vmio.formats.registry import lay_out
from vmio.model.host import Host
from vmio.model.iothread import MAIN_LOOP
from vmio.model.source import Source
from vmio.model.topology import Topology
from vmio.model.version import parse_version

STORAGES = {
    "tank": Storage(id="tank", type="zfspool", options={"pool": "tank"}),
    "thick": Storage(id="thick", type="lvm", options={"vgname": "vg"}),
    "krbd": Storage(id="krbd", type="rbd", options={"pool": "p", "krbd": "1"}),
    "ceph": Storage(id="ceph", type="rbd", options={"pool": "p"}),
    "butter": Storage(id="butter", type="btrfs", options={"path": "/b"}),
}


def plan(text: str) -> Topology:
    """Plans a config."""
    source = Source(name="100.conf", data=text.encode())
    guest = read_guest(
        source, ReadContext(storages=STORAGES, host=Host(qemu_version=parse_version("10.0.2")))
    )
    assert guest.vm.problems == ()
    return lay_out(guest)


def served(topology: Topology) -> dict[str, tuple[str, ...]]:
    """Returns what serves each disk."""
    return {attached.disk.id: topology.served_by(attached) for attached in topology.disks}


@pytest.mark.parametrize(
    "scsihw", [None, "lsi", "lsi53c810", "megasas", "pvscsi", "virtio-scsi-pci"]
)
def test_iothread_is_ignored_where_disks_share_a_controller(scsihw: str | None) -> None:
    """Whatever the shared controller, its disks stay in the main loop, and the plan says why."""
    line = f"scsihw: {scsihw}\n" if scsihw else ""
    topology = plan(f"{line}scsi0: tank:vm-1-disk-0,iothread=1\nscsi1: tank:vm-1-disk-1\n")
    assert served(topology) == {"scsi0": (MAIN_LOOP,), "scsi1": (MAIN_LOOP,)}
    assert topology.iothreads == ()
    effect = topology.disks[0].find_effect("iothread")
    assert effect is not None
    assert effect.verdict == "ignored"
    assert ("scsihw is not set" if scsihw is None else f"scsihw is {scsihw}") in effect.reason


def test_single_gives_each_disk_a_controller_and_each_that_asks_a_thread() -> None:
    """With virtio-scsi-single a disk's thread is its own controller's."""
    topology = plan(
        "scsihw: virtio-scsi-single\n"
        "scsi0: tank:vm-1-disk-0,iothread=1\n"
        "scsi1: tank:vm-1-disk-1\n"
        "scsi2: tank:vm-1-disk-2,iothread=0\n"
    )
    assert served(topology) == {
        "scsi0": ("iothread-virtioscsi0",),
        "scsi1": (MAIN_LOOP,),
        "scsi2": (MAIN_LOOP,),
    }
    assert [controller.id for controller in topology.controllers] == [
        "virtioscsi0",
        "virtioscsi1",
        "virtioscsi2",
    ]
    assert [str(controller.pci) for controller in topology.controllers] == [
        "pci.3:0x1",
        "pci.3:0x2",
        "pci.3:0x3",
    ]
    verdicts = [attached.find_effect("iothread") for attached in topology.disks]
    assert [effect.verdict for effect in verdicts if effect] == ["used", "default", "used"]


def test_virtio_disk_has_a_thread_of_its_own() -> None:
    """A virtio-blk disk is its own controller."""
    topology = plan("virtio3: tank:vm-1-disk-0,iothread=1\nvirtio15: tank:vm-1-disk-1\n")
    assert served(topology) == {"virtio3": ("iothread-virtio3",), "virtio15": (MAIN_LOOP,)}
    assert [str(c.pci) for c in topology.controllers] == ["pci.0:0xd", "pci.2:0xa"]


def test_every_queue_of_a_controller_is_served_by_its_thread() -> None:
    """Queues number as many as vCPUs unless written."""
    topology = plan("cores: 4\nvirtio0: tank:vm-1-disk-0,iothread=1\n")
    queues = topology.virtqueues_of(topology.controllers[0])
    assert [(queue.index, queue.served_by) for queue in queues] == [
        (index, "iothread-virtio0") for index in range(4)
    ]
    topology = plan("scsihw: virtio-scsi-single\nscsi0: tank:vm-1-disk-0,queues=2\n")
    assert len(topology.virtqueues_of(topology.controllers[0])) == 2


def test_queues_are_ignored_on_a_shared_controller() -> None:
    """`queues` counts only with a controller a disk."""
    topology = plan("scsihw: virtio-scsi-pci\nscsi0: tank:vm-1-disk-0,queues=4\n")
    effect = topology.disks[0].find_effect("queues")
    assert effect is not None
    assert effect.verdict == "ignored"
    assert topology.controllers[0].num_queues is None


@pytest.mark.parametrize(
    ("drive", "cache", "direct", "aio"),
    [
        ("tank:vm-1-disk-0", "none", True, "io_uring"),
        ("tank:vm-1-disk-0,cache=writeback", "writeback", False, "io_uring"),
        ("tank:vm-1-disk-0,aio=native", "none", True, "native"),
        ("tank:vm-1-disk-0,cache=unsafe,aio=native", "unsafe", False, "native"),
        ("thick:vm-1-disk-0", "none", True, "native"),
        ("thick:vm-1-disk-0,cache=writeback", "writeback", False, "threads"),
        ("thick:vm-1-disk-0,cache=directsync", "directsync", True, "native"),
        ("krbd:vm-1-disk-0", "none", True, "io_uring"),
        ("krbd:vm-1-disk-0,cache=writethrough", "writethrough", False, "threads"),
        ("butter:1/x.raw", "writeback", False, "io_uring"),
        ("ceph:vm-1-disk-0,aio=native", "none", True, None),
        ("none,media=cdrom", "writeback", False, None),
    ],
)
def test_cache_and_aio_come_from_the_storage_where_not_written(
    *, drive: str, cache: str, direct: bool, aio: str | None
) -> None:
    """Every storage has its defaults, and what is written wins."""
    (attached,) = plan(f"scsi0: {drive}\n").disks
    assert (attached.cache, attached.cache_direct, attached.aio) == (cache, direct, aio)


def test_aio_of_a_network_driver_is_ignored() -> None:
    """An rbd volume has no file descriptor to do aio on."""
    effect = plan("scsi0: ceph:vm-1-disk-0,aio=native\n").disks[0].find_effect("aio")
    assert effect is not None
    assert effect.verdict == "ignored"
    assert "rbd" in effect.reason


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "on"),
        (",discard=ignore", "on"),
        (",discard=on", "unmap"),
        (",discard=on,detect_zeroes=0", "off"),
        (",media=cdrom", None),
    ],
)
def test_zero_detection_follows_discard(options: str, expected: str | None) -> None:
    """Zeroes are unmapped where discards are passed on, and looked for everywhere else."""
    assert plan(f"scsi0: tank:vm-1-disk-0{options}\n").disks[0].detect_zeroes == expected


def test_extra_arguments_define_iothreads_too() -> None:
    """An `-object iothread` in `args:` is part of the topology."""
    topology = plan("args: -object iothread,id=mine,poll-max-ns=0\ncores: 1\n")
    assert [(thread.id, thread.poll_max_ns) for thread in topology.iothreads] == [("mine", 0)]


def test_ide_units_differ_on_q35() -> None:
    """Two units a bus on i440fx, one on q35."""
    text = "ide0: tank:vm-1-disk-0\nide3: tank:vm-1-disk-3\n"
    addresses = [dict(attached.address) for attached in plan(text).disks]
    assert addresses == [{"bus": "ide.0", "unit": 0}, {"bus": "ide.1", "unit": 1}]
    addresses = [dict(attached.address) for attached in plan(f"{text}machine: q35\n").disks]
    assert addresses == [{"bus": "ide.0", "unit": 0}, {"bus": "ide.3", "unit": 0}]


def test_args_give_a_controller_another_thread() -> None:
    """`-set` counts in what runs, over what the config says, and not in the manager's own part."""
    text = (
        "args: -object iothread,id=a,poll-max-ns=0 -set device.virtio0.iothread=a"
        " -set device.scsihw0.iothread=a -set device.scsihw0.num_queues=3\n"
        "scsihw: virtio-scsi-pci\n"
        "scsi0: tank:vm-1-disk-0\n"
        "scsi1: tank:vm-1-disk-1,iothread=1\n"
        "virtio0: tank:vm-1-disk-2,iothread=1\n"
    )
    topology = plan(text)
    assert served(topology) == {"scsi0": ("a",), "scsi1": ("a",), "virtio0": ("a",)}
    assert [(each.id, each.poll_max_ns) for each in topology.iothreads] == [
        ("iothread-virtio0", None),
        ("a", 0),
    ]
    assert topology.controller_of(topology.disks[0]).num_queues == 3
    effects = [attached.find_effect("iothread") for attached in topology.disks]
    assert [effect.verdict for effect in effects if effect] == ["used"] * 3
    source = Source(name="100.conf", data=text.encode())
    guest = read_guest(
        source, ReadContext(storages=STORAGES, host=Host(qemu_version=parse_version("10.0.2")))
    )
    own = lay_out_config(guest, with_args=False)
    assert [iothread.id for iothread in own.iothreads] == ["iothread-virtio0"]
    assert served(own)["scsi0"] == (MAIN_LOOP,)


def test_set_of_what_takes_no_thread_changes_nothing() -> None:
    """QEMU itself refuses to give such a controller an IOThread; the plan shows none."""
    topology = plan("args: -set device.scsihw0.iothread=a\nscsi0: tank:vm-1-disk-0\n")
    assert served(topology) == {"scsi0": (MAIN_LOOP,)}
