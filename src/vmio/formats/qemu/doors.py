"""The doors of a QEMU command line."""

from __future__ import annotations

from collections.abc import Sequence

from vmio.errors import UsageError
from vmio.formats.base import CommandLine, Guest, ReadContext, Setting, Words
from vmio.formats.qemu.argv import is_command
from vmio.model.host import Host
from vmio.model.plan import Change, Obstacle, Plan, Step
from vmio.model.source import Edit, Problem, Source
from vmio.model.topology import Topology

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
    """Returns whether a text contains a command line."""
    return is_command(source)


def read(source: Source, context: ReadContext) -> Guest:
    """Reads a command line.

    Raises:
        InputError: It is not the command line of a QEMU.
        UsageError: A snapshot is requested.
    """
    from vmio.formats.qemu.reader import read_command_vm

    if context.snapshot is not None:
        raise UsageError(f"{source.name} is a QEMU command line, which has no snapshots")
    return read_command_vm(source, context)


def lay_out(guest: Guest) -> Topology:
    """Returns the configured layout, with QEMU's defaults for the rest."""
    from vmio.formats.qemu.layout import lay_out_command

    return lay_out_command(guest.vm)


def build_command(guest: Guest, host: Host) -> CommandLine:  # noqa: ARG001 - it is written
    """Returns the command line unchanged."""
    from vmio.formats.qemu.argv import list_arguments

    return CommandLine(argv=list_arguments(guest.vm.source))


def find_obstacle(guest: Guest, change: Change) -> Obstacle:
    """Returns why a person has to make a change; empty if vmio can make it without harm."""
    from vmio.formats.qemu.edit import find_obstacle as find

    return find(guest, change)


def edit(guest: Guest, changes: Sequence[Change]) -> tuple[Edit, ...]:
    """Returns the edits that make changes in a command line.

    Raises:
        PlanError: Its text has no place for one of them.
    """
    from vmio.formats.qemu.edit import edit_command

    return edit_command(guest, changes)


def find_editable(source: Source) -> None:
    """Returns nothing: a saved command line is for a person to change."""
    del source


def spell(guest: Guest, changes: Sequence[Change]) -> tuple[Setting, ...]:
    """Returns the options that `edit` writes."""
    from vmio.formats.qemu.edit import list_settings

    return list_settings(guest, changes)


def render_commands(guest: Guest, changes: Sequence[Change]) -> str:  # noqa: ARG001 - see below
    """Returns nothing: whoever wrote the command line starts it."""
    return ""


def name_setting(guest: Guest, subject: str, name: str, value: str | None = None) -> str:
    """Returns a setting's name in a command line."""
    from vmio.formats.qemu.naming import name_setting as find_name

    return find_name(guest.vm, subject, name, value)


def describe_step(guest: Guest, plan: Plan, step: Step) -> Words:
    """Returns a step of a plan in words, for people who write QEMU's command line."""
    from vmio.formats.qemu.advice import describe_step as describe

    return describe(guest, plan, step)


def explain_controllers(guest: Guest) -> str:  # noqa: ARG001 - it is so for every guest
    """Returns that the devices decide which controllers disks have."""
    return "a SCSI disk's IOThread is that of its controller"


def list_dropped(guest: Guest) -> tuple[tuple[Problem, str], ...]:  # noqa: ARG001 - it is so
    """Returns nothing: QEMU does not start with a disk that it refuses."""
    return ()


def list_notes(guest: Guest) -> tuple[str, ...]:
    """Returns notes about a guest's disks that no step of a plan is about."""
    from vmio.formats.qemu.advice import list_notes as list_all

    return list_all(guest)
