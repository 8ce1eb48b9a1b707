"""The layout of a guest whose disks were plugged and unplugged since its start; pure functions."""

from __future__ import annotations

from collections.abc import Iterable

from vmio.model.topology import Topology
from vmio.observe.sample import DiskSample
from vmio.qemu.replies import name_device
from vmio.values import replace

__all__ = ["add_disks", "find_unknown", "remove_disks"]


def find_unknown(layout: Topology, disks: Iterable[DiskSample]) -> tuple[DiskSample, ...]:
    """Returns the disks that a monitor reports and a layout does not have."""
    return tuple(each for each in disks if layout.find_disk(each.id) is None)


def remove_disks(layout: Topology, disks: Iterable[DiskSample]) -> Topology:
    """Returns a layout without the disks that its monitor does not report any more.

    What another process or the host's kernel serves is never reported.
    """
    reported = {each.id for each in disks}
    outside = {each.id for each in layout.controllers if each.served_outside}
    kept = tuple(
        each for each in layout.disks if each.disk.id in reported or each.controller in outside
    )
    return layout if len(kept) == len(layout.disks) else replace(layout, disks=kept)


def add_disks(layout: Topology, live: Topology, disks: Iterable[DiskSample]) -> Topology:
    """Returns a layout with disks that were plugged, and the controllers that came with them.

    What a running QEMU does not report of them, like their aio, stays unknown.

    Args:
        layout: The layout without them.
        live: The layout that the running QEMU reports.
        disks: The disks to add; those that `live` does not have either are left out.
    """
    added = [
        replace(found, disk=replace(found.disk, id=each.id))
        for each in disks
        if (found := live.find_disk(name_device(each.qdev))) is not None
    ]
    known = {each.id for each in layout.controllers}
    wanted = {each.controller for each in added} - known
    return replace(
        layout,
        controllers=(
            *layout.controllers,
            *(each for each in live.controllers if each.id in wanted),
        ),
        disks=(*layout.disks, *added),
    )
