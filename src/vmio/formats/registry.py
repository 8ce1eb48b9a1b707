"""The notations: which there are, and which one a text or a guest is in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Final, cast

from vmio.formats.base import CommandLine, Doors, Guest, ReadContext, Setting, Words
from vmio.model.host import Host
from vmio.model.plan import Change, Obstacle, Plan, Step
from vmio.model.source import Edit, Problem, Source
from vmio.model.topology import Topology
from vmio.values import replace

__all__ = [
    "NOTATIONS",
    "build_command",
    "describe_step",
    "edit",
    "explain_controllers",
    "find_doors",
    "find_obstacle",
    "lay_out",
    "list_dropped",
    "list_notes",
    "name_setting",
    "read",
    "read_again",
    "recognise",
    "spell",
]

NOTATIONS: Final[Mapping[str, str]] = {
    "libvirt": "vmio.formats.libvirt.doors",
    "qemu": "vmio.formats.qemu.doors",
    "proxmox": "vmio.formats.proxmox.doors",
}
"""The module of each notation's doors, by its name, in the order in which they are asked.

The last takes whatever is like nothing else.
"""

_BEGINNINGS: Final[Mapping[str, re.Pattern[bytes]]] = {
    "libvirt": re.compile(rb"(?:\xef\xbb\xbf)?\s*+<|\xff\xfe<\0|\xfe\xff\0<")
}
"""How texts of a notation begin, so that its doors are not imported for those of others."""


def find_doors(notation: str) -> Doors:
    """Returns the doors of a notation.

    Raises:
        KeyError: There is none of that name.
    """
    return cast("Doors", import_module(NOTATIONS[notation]))


def recognise(source: Source) -> str:
    """Returns the notation of a text."""
    return next(
        name
        for name in NOTATIONS
        if (name not in _BEGINNINGS or _BEGINNINGS[name].match(source.data) is not None)
        and find_doors(name).recognise(source)
    )


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
    source = replace(guest.vm.source, data=data)
    context = replace(guest.context, vmid=guest.vm.id)
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


def find_obstacle(guest: Guest, change: Change) -> Obstacle:
    """Returns why a person has to make a change, empty where vmio can without harm."""
    return find_doors(guest.vm.notation).find_obstacle(guest, change)


def edit(guest: Guest, changes: Sequence[Change]) -> tuple[Edit, ...]:
    """Returns the edits of the guest's text that make changes.

    Raises:
        PlanError: The text cannot take them.
        ConflictError: A line that is to be changed is none that its manager can take.
        UsageError: Its manager would not take what it would come to.
    """
    return find_doors(guest.vm.notation).edit(guest, changes)


def spell(guest: Guest, changes: Sequence[Change]) -> tuple[Setting, ...]:
    """Returns what `edit` writes, as people who know the notation say it."""
    return find_doors(guest.vm.notation).spell(guest, changes)


def name_setting(guest: Guest, subject: str, name: str, value: str | None = None) -> str:
    """Returns what a setting of the model is called in a guest's notation: `discard=on`."""
    return find_doors(guest.vm.notation).name_setting(guest, subject, name, value)


def describe_step(guest: Guest, plan: Plan, step: Step) -> Words:
    """Returns a step of a guest's plan in words, as its manager's users have to take it."""
    return find_doors(guest.vm.notation).describe_step(guest, plan, step)


def explain_controllers(guest: Guest) -> str:
    """Returns what decides which controllers SCSI disks have, and so their IOThreads."""
    return find_doors(guest.vm.notation).explain_controllers(guest)


def list_dropped(guest: Guest) -> tuple[tuple[Problem, str], ...]:
    """Returns the disks that are written and that the guest does not get, each with why."""
    return find_doors(guest.vm.notation).list_dropped(guest)


def list_notes(guest: Guest) -> tuple[str, ...]:
    """Returns what there is to know of a guest's disks that no step of a plan is about."""
    return find_doors(guest.vm.notation).list_notes(guest)
