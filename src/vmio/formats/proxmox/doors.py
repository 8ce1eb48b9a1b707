"""A Proxmox config, as vmio goes to it."""

from __future__ import annotations

from typing import cast

from vmio.formats.base import CommandLine, Guest, ReadContext
from vmio.formats.proxmox.layout import lay_out_config
from vmio.formats.proxmox.reader import ProxmoxGuest, read_guest
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.topology import Topology

__all__ = ["build_command", "lay_out", "read", "recognise"]


def recognise(source: Source) -> bool:  # noqa: ARG001 - no line is in every config
    """Takes every text: it is asked last, and what no config could be is refused by its reader."""
    return True


def read(source: Source, context: ReadContext) -> ProxmoxGuest:
    """Reads a config, going on past what Proxmox VE would also go on past.

    Raises:
        InputError: The text is no config, or has no such snapshot; or it is read strictly, and
            Proxmox VE cannot take all of it.
    """
    guest = read_guest(source, context)
    if context.strict:
        from vmio.formats.proxmox.strict import refuse_problems

        refuse_problems(guest.config, guest.vm.id)
    return guest


def lay_out(guest: Guest) -> Topology:
    """Returns what Proxmox VE makes of a config."""
    return lay_out_config(guest.vm)


def build_command(guest: Guest, host: Host) -> CommandLine:
    """Returns the command that Proxmox VE would run.

    Raises:
        UnsupportedError: The config uses something that vmio cannot print yet.
        PlanError: Proxmox VE would refuse.
    """
    from vmio.formats.proxmox.argv import build_command as build

    return build(cast("ProxmoxGuest", guest), host)
