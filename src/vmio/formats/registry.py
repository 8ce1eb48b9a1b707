"""The notations: which there are, and which one a text or a guest is in."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final, cast

from attrs import evolve

from vmio.formats.base import CommandLine, Doors, Guest, ReadContext
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.topology import Topology

__all__ = [
    "NOTATIONS",
    "build_command",
    "find_doors",
    "lay_out",
    "read",
    "read_again",
    "recognise",
]

NOTATIONS: Final[Mapping[str, str]] = {
    "qemu": "vmio.formats.qemu.doors",
    "proxmox": "vmio.formats.proxmox.doors",
}
"""The module of each notation's doors, by its name, in the order in which they are asked.

The last takes whatever is like nothing else.
"""


def find_doors(notation: str) -> Doors:
    """Returns the doors of a notation.

    Raises:
        KeyError: There is none of that name.
    """
    return cast("Doors", import_module(NOTATIONS[notation]))


def recognise(source: Source) -> str:
    """Returns the notation of a text."""
    return next(name for name in NOTATIONS if find_doors(name).recognise(source))


def read(source: Source, context: ReadContext) -> Guest:
    """Reads a guest in whichever notation it is written.

    Raises:
        InputError: The text is no guest, or has no such snapshot.
        UsageError: The context asks for what its notation does not have.
    """
    return find_doors(recognise(source)).read(source, context)


def read_again(guest: Guest, data: bytes) -> Guest:
    """Reads a guest whose text is another now, as it was read before.

    Raises:
        InputError: The text is no guest any more.
    """
    source = evolve(guest.vm.source, data=data)
    context = evolve(guest.context, vmid=guest.vm.id)
    return find_doors(guest.vm.notation).read(source, context)


def lay_out(guest: Guest) -> Topology:
    """Returns what the guest's manager makes of it."""
    return find_doors(guest.vm.notation).lay_out(guest)


def build_command(guest: Guest, host: Host) -> CommandLine:
    """Returns the command that runs a guest.

    Raises:
        UnsupportedError: The guest uses something that vmio cannot print yet.
        PlanError: Its manager would refuse.
    """
    return find_doors(guest.vm.notation).build_command(guest, host)
