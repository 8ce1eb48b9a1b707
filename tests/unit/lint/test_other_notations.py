"""Rules speak of guests that come from no Proxmox config, too, and offer no Proxmox fix there."""

from __future__ import annotations

from vmio.formats.base import Guest, ReadContext
from vmio.lint.diagnostic import Applicability, Diagnostic
from vmio.lint.engine import run
from vmio.lint.rule import Context
from vmio.model.controller import Controller
from vmio.model.disk import Backing, BusKind, Disk
from vmio.model.host import Host
from vmio.model.iothread import IOThread, VirtqueueMapping
from vmio.model.source import Source
from vmio.model.topology import AttachedDisk, Topology
from vmio.model.vm import Vm
from vmio.values import replace


def check(disk: Disk, controller: Controller, **facts: object) -> tuple[Diagnostic, ...]:
    """Returns what all rules find in a libvirt guest of one disk."""
    attached = AttachedDisk(disk=disk, controller=controller.id, **facts)  # type: ignore[arg-type]
    vm = Vm(
        id="web",
        notation="qemu",
        source=Source(name="web.xml", data=b""),
        iothreads=(IOThread(id="iothread1"),),
        controllers=(controller,),
        disks=(disk,),
    )
    topology = Topology(iothreads=vm.iothreads, controllers=(controller,), disks=(attached,))
    return run(
        Context(
            guest=Guest(vm=vm, context=ReadContext(host=Host())), topology=topology, host=Host()
        )
    )


def make_disk(bus: BusKind) -> Disk:
    """Returns a disk that names an IOThread."""
    return Disk(
        id="sda",
        bus=bus,
        index=0,
        iothread_id="iothread1",
        backing=Backing(filename="/a", format="raw"),
    )


def test_sata_disk_with_an_iothread_is_refused() -> None:
    """QEMU refuses an IOThread on AHCI."""
    found = check(make_disk("sata"), Controller(id="ahci0", model="ahci", bus="sata"))
    assert [d.code for d in found] == ["TH003"]
    assert found[0].message == "QEMU refuses sda: devices on sata cannot run in an IOThread"


def test_iothread_named_by_a_controller_is_used() -> None:
    """A controller's IOThread is used, be it named alone or in a mapping of its queues."""
    disk = replace(make_disk("scsi"), iothread_id=None)
    named = Controller(id="scsi0", model="virtio-scsi-pci", bus="scsi", iothread="iothread1")
    mapping = (VirtqueueMapping(iothread="iothread1"),)
    assert check(disk, named) == ()
    assert check(disk, replace(named, iothread=None, iothread_vq_mapping=mapping)) == ()
    assert [d.code for d in check(disk, replace(named, iothread=None))] == ["TH004"]


def test_native_aio_through_the_page_cache_is_found_in_any_notation() -> None:
    """What QEMU refuses it refuses whoever wrote it; another manager's guest gets advice only."""
    disk = replace(make_disk("virtio"), aio="native", cache="writeback")
    controller = Controller(id="sda", model="virtio-blk-pci", bus="virtio", iothread="iothread1")
    found = check(disk, controller, aio="native", cache_direct=False)
    assert [d.code for d in found] == ["CA001"]
    fix = found[0].fix
    assert fix is not None
    assert (fix.applicability, fix.edits) == (Applicability.MANUAL, ())
