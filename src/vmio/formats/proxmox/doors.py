"""The doors of a Proxmox config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from vmio.formats.base import CommandLine, Guest, ReadContext, Setting, Words
from vmio.formats.proxmox.layout import lay_out_config
from vmio.formats.proxmox.reader import ProxmoxGuest, read_guest
from vmio.model.host import Host
from vmio.model.plan import Change, Obstacle, Plan, Step
from vmio.model.source import Edit, Problem, Source, Span
from vmio.model.topology import Topology
from vmio.values import replace

__all__ = [
    "build_command",
    "describe_step",
    "edit",
    "explain_controllers",
    "find_editable",
    "find_obstacle",
    "lay_out",
    "list_dropped",
    "list_notes",
    "name_setting",
    "read",
    "recognise",
    "render_commands",
    "spell",
]


def recognise(source: Source) -> bool:
    """Returns whether a text is a config, or contains one."""
    from vmio.formats.proxmox.pasted import find_config

    return find_config(source) is not None


def read(source: Source, context: ReadContext) -> ProxmoxGuest:
    """Reads a config, and skips what Proxmox VE would skip.

    Raises:
        InputError: The text is not a config, or has no such snapshot; or it is read strictly, and
            Proxmox VE does not accept all of it.
    """
    from vmio.formats.proxmox.pasted import find_config, find_number, list_notes

    if context.vmid is None and (number := find_number(source)):
        context = replace(context, vmid=number)
    guest = read_guest(find_config(source) or source, context)
    if notes := list_notes(source):
        guest = replace(guest, vm=replace(guest.vm, problems=(*guest.vm.problems, *notes)))
    if guest.vm.options:
        from vmio.formats.proxmox.added import add_options

        guest = add_options(guest)
    if context.strict:
        from vmio.formats.proxmox.strict import refuse_problems

        refuse_problems(guest.config, guest.vm.id)
    return guest


def lay_out(guest: Guest) -> Topology:
    """Returns the layout that Proxmox VE creates for a config."""
    topology = lay_out_config(cast("ProxmoxGuest", guest))
    if any(attached.passes_through or attached.disk.snapshot for attached in topology.disks):
        from vmio.formats.qemu.layout import settle

        return replace(topology, disks=tuple(map(settle, topology.disks)))
    return topology


def build_command(guest: Guest, host: Host) -> CommandLine:
    """Returns the command that Proxmox VE would run.

    Raises:
        UnsupportedError: The config uses something that vmio cannot print yet.
        PlanError: Proxmox VE would refuse.
    """
    from vmio.formats.proxmox.argv import build_command as build

    return build(cast("ProxmoxGuest", guest), host)


def find_obstacle(guest: Guest, change: Change) -> Obstacle:
    """Returns why a person has to make a change; empty if vmio can make it without harm."""
    from vmio.formats.proxmox.drivers import find_obstacle as find

    return find(cast("ProxmoxGuest", guest), change)


def edit(guest: Guest, changes: Sequence[Change]) -> tuple[Edit, ...]:
    """Returns the edits that make changes in a config's main section.

    Raises:
        PlanError: The config has no place for them.
        ConflictError: Proxmox VE does not accept the last line of a setting to be changed.
        UsageError: Proxmox VE would not accept the result.
    """
    from vmio.formats.proxmox.edit import edit_config

    return edit_config(cast("ProxmoxGuest", guest), changes)


def find_editable(source: Source) -> Span | None:
    """Returns the section of the VM itself, without its snapshots and pending changes.

    There is none in a config that was extracted from another text.

    Raises:
        InputError: The text is not a config.
    """
    from vmio.formats.proxmox.config import parse_config

    if source.excerpt:
        return None
    return parse_config(source).main.span


def spell(guest: Guest, changes: Sequence[Change]) -> tuple[Setting, ...]:
    """Returns the settings that `edit` writes."""
    from vmio.formats.proxmox.edit import list_settings

    return list_settings(cast("ProxmoxGuest", guest), changes)


def render_commands(guest: Guest, changes: Sequence[Change]) -> str:
    """Returns the `qm set` command that makes changes; empty if there are none."""
    from vmio.formats.proxmox.commands import render_command

    return render_command(cast("ProxmoxGuest", guest), changes)


def name_setting(guest: Guest, subject: str, name: str, value: str | None = None) -> str:
    """Returns a setting's name in a config; a disk that `args` define has QEMU's own names."""
    from vmio.formats.proxmox.schema import DRIVE_KEY

    if subject and not DRIVE_KEY.fullmatch(subject):
        from vmio.formats.qemu.naming import name_setting as find_qemu_name

        return find_qemu_name(guest.vm, subject, name, value)
    from vmio.formats.proxmox.naming import name_setting as find_name

    return find_name(name, value)


def describe_step(guest: Guest, plan: Plan, step: Step) -> Words:
    """Returns a step of a plan in words, for Proxmox VE's users."""
    from vmio.formats.proxmox.advice import describe_step as describe

    return describe(cast("ProxmoxGuest", guest), plan, step)


def explain_controllers(guest: Guest) -> str:
    """Returns the value of `scsihw`, which decides the controllers."""
    return f"scsihw is {cast('ProxmoxGuest', guest).scsihw or 'not set (lsi by default)'}"


def list_dropped(guest: Guest) -> tuple[tuple[Problem, str], ...]:
    """Returns the drives that Proxmox VE drops, each with the reason."""
    from vmio.formats.proxmox.problems import explain_reasons, find_dropped

    return tuple((problem, explain_reasons(problem)) for problem in find_dropped(guest.vm))


def list_notes(guest: Guest) -> tuple[str, ...]:
    """Returns notes about a config's disks that no step of a plan is about."""
    from vmio.formats.proxmox.advice import list_notes as list_all

    return list_all(cast("ProxmoxGuest", guest))
