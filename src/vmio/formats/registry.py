"""The notations: by what each is recognised, and what it makes of a guest."""

from __future__ import annotations

from typing import assert_never

from vmio.errors import UnsupportedError
from vmio.formats.qemu.argv import is_command
from vmio.model.source import Source
from vmio.model.topology import Topology
from vmio.model.vm import Notation, Vm

__all__ = ["lay_out", "recognise"]


def recognise(source: Source) -> Notation:
    """Returns the notation of a text; what is like nothing else is taken for a Proxmox config."""
    return "qemu" if is_command(source) else "proxmox"


def lay_out(vm: Vm, *, with_args: bool = True) -> Topology:
    """Returns the layout that a guest comes to.

    Args:
        vm: The guest.
        with_args: Whether options of QEMU's own count that a config adds to its manager's: they
            do in what runs, not in the rest of the command line that the manager writes.

    Raises:
        UnsupportedError: vmio does not know what this notation's manager makes of it.
    """
    match vm.notation:
        case "qemu":
            from vmio.formats.qemu.layout import lay_out_command

            return lay_out_command(vm)
        case "proxmox":
            from vmio.formats.proxmox.layout import lay_out_config

            return lay_out_config(vm, with_args=with_args)
        case "libvirt":
            raise UnsupportedError("vmio cannot lay out a libvirt domain yet")
        case _:
            assert_never(vm.notation)
