"""Sets of a host's processors, as rules about placement reckon with them."""

from __future__ import annotations

import re

from vmio.lint.devices import asks_iothread, keeps_data
from vmio.model.host import Host
from vmio.model.vm import Vm

__all__ = ["count_asked_iothreads", "parse_processors", "read_nodes"]

_MOST = 8192
"""No Linux knows more processors."""
_PIECE = re.compile(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", re.ASCII)


def parse_processors(text: str) -> int:
    """Returns the processors of a list such as `0-3,8` as bits, none if it is no such list."""
    bits = 0
    for piece in text.split(","):
        match = _PIECE.fullmatch(piece)
        if match is None:
            return 0
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < _MOST:
            return 0
        bits |= ((1 << (last - first + 1)) - 1) << first
    return bits


def read_nodes(host: Host) -> dict[str, int]:
    """Returns the processors of each of the host's NUMA nodes that has any, as bits."""
    nodes = {node: parse_processors(text) for node, text in host.cpu.nodes.items()}
    return {node: bits for node, bits in nodes.items() if bits}


def count_asked_iothreads(vm: Vm) -> int:
    """Returns how many IOThreads a configuration asks for: those of its disks and its own."""
    asking = sum(asks_iothread(disk) and keeps_data(disk) for disk in vm.disks)
    return len(vm.iothreads) + asking if vm.notation == "proxmox" else len(vm.iothreads)
