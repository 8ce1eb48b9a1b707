"""Layouts."""

from __future__ import annotations

from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import MAIN_LOOP
from vmio.model.topology import AttachedDisk, Topology


def test_layout_without_a_disks_controller_names_no_server() -> None:
    """A recording can have such a layout; what serves the disk is then unknown, and no error."""
    controller = Controller(id="virtio0", model="virtio-blk-pci", bus="virtio")
    known, unknown = (
        AttachedDisk(disk=Disk(id=name, bus="virtio", index=0, volume="a:b"), controller=name)
        for name in ("virtio0", "virtio1")
    )
    layout = Topology(controllers=(controller,), disks=(known, unknown))
    assert layout.find_controller(known) == controller
    assert layout.served_by(known) == (MAIN_LOOP,)
    assert layout.find_controller(unknown) is None
    assert layout.served_by(unknown) == ()
