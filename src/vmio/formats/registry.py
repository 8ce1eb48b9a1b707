"""The list of notations, and the notation of a text or a guest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
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
    "is_made_for",
    "is_written",
    "lay_out",
    "list_dropped",
    "list_notes",
    "name_setting",
    "read",
    "read_again",
    "recognise",
    "render_commands",
    "spell",
]

NOTATIONS: Final[Mapping[str, str]] = {
    "libvirt": "vmio.formats.libvirt.doors",
    "proxmox": "vmio.formats.proxmox.doors",
    "qemu": "vmio.formats.qemu.doors",
}
"""The module of each notation's doors, by its name, in the order of recognition.

Each recognizes only its own texts; `strangers.py` names the texts that none recognizes.
"""

_WRITTEN: Final = frozenset({"libvirt", "proxmox"})
"""The notations of the texts that a manager keeps, and that vmio writes for it."""
_BEGINNINGS: Final[Mapping[str, re.Pattern[bytes]]] = {
    "libvirt": re.compile(rb"(?:\xef\xbb\xbf)?\s*+<|\xff\xfe<\0|\xfe\xff\0<")
}
"""How texts of a notation begin, so that its doors are not imported for those of others."""


def is_written(notation: str) -> bool:
    """Returns whether vmio writes texts of a notation, rather than whoever starts the guest."""
    return notation in _WRITTEN


def is_made_for(plan: Plan, guest: Guest) -> bool:
    """Returns whether a plan is for a guest of its notation."""
    return plan.notation == guest.vm.notation


def find_doors(notation: str) -> Doors:
    """Returns the doors of a notation.

    Raises:
        KeyError: There is no notation of that name.
    """
    return _import_doors(NOTATIONS[notation])


@cache
def _import_doors(module: str) -> Doors:
    return cast("Doors", import_module(module))


def recognise(source: Source) -> str:
    """Returns the notation of a text.

    Raises:
        InputError: It is in none of them; the error says what it is instead.
    """
    for name in NOTATIONS:
        begins = _BEGINNINGS.get(name)
        if begins is not None and begins.match(source.data) is None:
            continue
        if find_doors(name).recognise(source):
            return name
    from vmio.formats.strangers import explain_stranger

    raise explain_stranger(source)


def read(source: Source, context: ReadContext) -> Guest:
    """Reads a guest in whichever notation it is written.

    Raises:
        InputError: The text is not a guest, or has no such snapshot.
        UsageError: The context requests something that its notation does not have.
    """
    return find_doors(recognise(source)).read(source, context)


def read_again(guest: Guest, data: bytes) -> Guest:
    """Reads the new text of a guest in the same way as its old one.

    Raises:
        InputError: The text is no longer a guest.
    """
    source = replace(guest.vm.source, data=data)
    context = replace(guest.context, vmid=guest.vm.id)
    return find_doors(guest.vm.notation).read(source, context)


def lay_out(guest: Guest) -> Topology:
    """Returns the layout that the guest's manager creates."""
    return find_doors(guest.vm.notation).lay_out(guest)


def build_command(guest: Guest, host: Host) -> CommandLine:
    """Returns the command that runs a guest.

    Raises:
        UnsupportedError: The guest uses something that vmio cannot print yet.
        PlanError: Its manager would refuse it.
    """
    return find_doors(guest.vm.notation).build_command(guest, host)


def find_obstacle(guest: Guest, change: Change) -> Obstacle:
    """Returns why a person has to make a change; empty if vmio can make it without harm."""
    return find_doors(guest.vm.notation).find_obstacle(guest, change)


def edit(guest: Guest, changes: Sequence[Change]) -> tuple[Edit, ...]:
    """Returns the edits of the guest's text that make changes.

    Raises:
        PlanError: The text has no place for them.
        ConflictError: Its manager does not accept a line that has to be changed.
        UsageError: Its manager would not accept the result.
    """
    return find_doors(guest.vm.notation).edit(guest, changes)


def spell(guest: Guest, changes: Sequence[Change]) -> tuple[Setting, ...]:
    """Returns the settings that `edit` writes, in the notation's own words."""
    return find_doors(guest.vm.notation).spell(guest, changes)


def render_commands(guest: Guest, changes: Sequence[Change]) -> str:
    """Returns the manager's own commands for changes, a line each; empty if it has none."""
    return find_doors(guest.vm.notation).render_commands(guest, changes)


def name_setting(guest: Guest, subject: str, name: str, value: str | None = None) -> str:
    """Returns the name of a setting of the model in a guest's notation: `discard=on`."""
    return find_doors(guest.vm.notation).name_setting(guest, subject, name, value)


def describe_step(guest: Guest, plan: Plan, step: Step) -> Words:
    """Returns a step of a guest's plan in words, for the manager's users."""
    return find_doors(guest.vm.notation).describe_step(guest, plan, step)


def explain_controllers(guest: Guest) -> str:
    """Returns the setting that decides the controllers and IOThreads of SCSI disks."""
    return find_doors(guest.vm.notation).explain_controllers(guest)


def list_dropped(guest: Guest) -> tuple[tuple[Problem, str], ...]:
    """Returns the configured disks that the guest does not get, each with the reason."""
    return find_doors(guest.vm.notation).list_dropped(guest)


def list_notes(guest: Guest) -> tuple[str, ...]:
    """Returns notes about a guest's disks that no step of a plan is about."""
    return find_doors(guest.vm.notation).list_notes(guest)
