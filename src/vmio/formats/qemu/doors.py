"""A QEMU command line, as vmio goes to it."""

from __future__ import annotations

from vmio.errors import UsageError
from vmio.formats.base import CommandLine, Guest, ReadContext
from vmio.formats.qemu.argv import is_command
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.topology import Topology

__all__ = ["build_command", "lay_out", "read", "recognise"]


def recognise(source: Source) -> bool:
    """Returns whether a text begins as a command line does."""
    return is_command(source)


def read(source: Source, context: ReadContext) -> Guest:
    """Reads a command line.

    Raises:
        InputError: It is not the command line of a QEMU.
        UsageError: A snapshot is asked for.
    """
    from vmio.formats.qemu.reader import read_command_vm

    if context.snapshot is not None:
        raise UsageError(f"{source.name} is a QEMU command line, which has no snapshots")
    return read_command_vm(source, context)


def lay_out(guest: Guest) -> Topology:
    """Returns the layout that is written, with QEMU's defaults where nothing is."""
    from vmio.formats.qemu.layout import lay_out_command

    return lay_out_command(guest.vm)


def build_command(guest: Guest, host: Host) -> CommandLine:  # noqa: ARG001 - it is written
    """Returns the command line as it is written."""
    from vmio.formats.qemu.argv import list_arguments

    return CommandLine(argv=list_arguments(guest.vm.source))
