"""What rules about placement need to know of a host's processors and a guest's IOThreads."""

from __future__ import annotations

from vmio.lint.devices import can_have_iothread
from vmio.lint.rule import Context
from vmio.model.host import Host, parse_processors

__all__ = ["count_asked_iothreads", "read_nodes"]


def read_nodes(host: Host) -> dict[str, int]:
    """Returns the processors of each NUMA node of the host that has any, as bits."""
    nodes = {node: parse_processors(text) for node, text in host.cpu.nodes.items()}
    return {node: bits for node, bits in nodes.items() if bits}


def count_asked_iothreads(context: Context) -> int:
    """Returns the number of IOThreads once each disk that asks for its own has one.

    TH001 reports disks that ask and get none; those whose controller cannot have one do not count.
    """
    topology = context.topology
    asking = sum(
        can_have_iothread(topology, attached) and attached.disk.keeps_data
        for attached in topology.disks
        if attached.disk.iothread
    )
    return len(context.vm.iothreads) + asking
