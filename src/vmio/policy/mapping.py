"""The layout that a policy wants and not every config can express: queues over several threads."""

from __future__ import annotations

from collections.abc import Collection

from vmio.model.iothread import IOThread, VirtqueueMapping
from vmio.model.topology import Topology
from vmio.values import replace

__all__ = ["map_queues"]


def map_queues(topology: Topology, disks: Collection[str], count: int) -> Topology:
    """Returns a layout as it is after the manual step of `vq-map`.

    All controllers of the disks share the same IOThreads, each with its queues assigned in turn;
    IOThreads that then serve nothing are removed.

    Args:
        topology: The layout without that step.
        disks: The disks whose controllers are mapped.
        count: The number of IOThreads.
    """
    names = [f"vmio{number}" for number in range(count)]
    mapping = tuple(VirtqueueMapping(iothread=name) for name in names)
    mapped = {attached.controller for attached in topology.disks if attached.disk.id in disks}
    controllers = tuple(
        replace(each, iothread=None, iothread_vq_mapping=mapping) if each.id in mapped else each
        for each in topology.controllers
    )
    used = {each.iothread for each in controllers} | {
        entry.iothread for each in controllers for entry in each.iothread_vq_mapping
    }
    kept = (each for each in topology.iothreads if each.id in used and each.id not in names)
    return replace(
        topology,
        iothreads=(*kept, *(IOThread(id=name) for name in names)),
        controllers=controllers,
    )
