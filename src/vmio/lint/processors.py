"""Sets of a host's processors, as rules about placement reckon with them."""

from __future__ import annotations

from vmio.lint.devices import asks_iothread
from vmio.model.host import Host, parse_processors
from vmio.model.vm import Vm

__all__ = ["count_asked_iothreads", "read_nodes"]


def read_nodes(host: Host) -> dict[str, int]:
    """Returns the processors of each of the host's NUMA nodes that has any, as bits."""
    nodes = {node: parse_processors(text) for node, text in host.cpu.nodes.items()}
    return {node: bits for node, bits in nodes.items() if bits}


def count_asked_iothreads(vm: Vm) -> int:
    """Returns how many IOThreads there would be with one for each disk that asks for its own."""
    asking = sum(asks_iothread(disk) and disk.keeps_data for disk in vm.disks)
    return len(vm.iothreads) + asking
