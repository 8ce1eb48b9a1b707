"""Layouts of guests whose disks are plugged and unplugged while they run."""

from __future__ import annotations

from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.topology import AttachedDisk, Topology
from vmio.observe.plugging import add_disks, find_unknown, remove_disks
from vmio.observe.sample import DiskSample


def attach(name: str, controller: str = "") -> AttachedDisk:
    """Returns a disk at a controller, of its own name by default."""
    return AttachedDisk(
        disk=Disk(id=name, bus="virtio", index=0), controller=controller or name, aio="native"
    )


def control(name: str, model: str = "virtio-blk-pci", iothread: str | None = None) -> Controller:
    """Returns a controller."""
    return Controller(id=name, model=model, bus="virtio", iothread=iothread)


def report(name: str, qdev: str = "") -> DiskSample:
    """Returns a disk as a monitor reports it."""
    return DiskSample(id=name, qdev=qdev or f"/machine/peripheral/{name}/virtio-backend")


STARTED = Topology(controllers=(control("vd0"),), disks=(attach("vd0"),))


def test_plugged_disk_comes_with_its_controller() -> None:
    """Those that were there before stay as the command line says."""
    live = Topology(
        controllers=(control("vd0", "other"), control("vd1", iothread="io1")),
        disks=(attach("vd0"), attach("vd1")),
    )
    reported = (report("vd0"), report("vd1"))

    unknown = find_unknown(STARTED, reported)
    assert [each.id for each in unknown] == ["vd1"]
    layout = add_disks(STARTED, live, unknown)
    assert layout.controllers == (control("vd0"), control("vd1", iothread="io1"))
    assert layout.disks == (attach("vd0"), attach("vd1"))
    assert find_unknown(layout, reported) == ()


def test_plugged_disk_without_an_id_keeps_its_samples_name() -> None:
    """QEMU finds it by its place, and samples call it by its node."""
    place = "peripheral-anon/device[0]"
    live = Topology(controllers=(control(place),), disks=(attach(place),))
    reported = (report("vd0"), report("n7", f"/machine/{place}/virtio-backend"))

    layout = add_disks(STARTED, live, find_unknown(STARTED, reported))
    assert [(each.disk.id, each.controller) for each in layout.disks] == [
        ("vd0", "vd0"),
        ("n7", place),
    ]


def test_disk_that_nobody_knows_is_left_out() -> None:
    """Such as one that was unplugged between two questions."""
    assert add_disks(STARTED, Topology(), (report("vd9"),)) == STARTED


def test_unplugged_disk_goes_and_one_that_is_never_reported_stays() -> None:
    """A disk of another process is not QEMU's to report."""
    layout = Topology(
        controllers=(control("vd0"), control("vd1"), control("vu0", "vhost-user-blk-pci")),
        disks=(attach("vd0"), attach("vd1"), attach("vu0")),
    )

    kept = remove_disks(layout, (report("vd1"),))
    assert [each.disk.id for each in kept.disks] == ["vd1", "vu0"]
    assert remove_disks(kept, (report("vd1"),)) is kept
